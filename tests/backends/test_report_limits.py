"""Who limits the interval: the chip's units, a layer, or nobody all the time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nmc.backends.container import Contents
from nmc.backends.report_data import report_data
from nmc.backends.report_limits import at_most, limit_reports, part_of
from nmc.backends.report_records import LimitReport
from nmc.ir.layers import layers_of
from nmc.ir.prediction import Prediction, predict
from nmc.ir.stage_time import StageTime
from nmc.passes.tiling.dividing import most_copies
from tests.backends.models import PARTS, compiled

QUICK = ("crossbar.t_read_ns=1", "crossbar.dac_bits=8")
SLOW_READS = "crossbar.t_read_ns=1000"
SLOW_ADCS = "adc.t_conversion_ns=200"

ON_CROSSBARS = (
    "@front, quantize, stage, tile, replicate{ways=as-tiled}, place, schedule-adc, buffers, codegen"
)
"""The pipeline in which the depthwise layer stays on crossbars, beside others on their ADCs."""
SLOW_VECTOR = "vector.lanes=1"
WINDOWS = PARTS.replace("tile,", 'tile{way="window 2x2"},')


def limit_of(contents: Contents, prediction: Prediction | None = None) -> LimitReport:
    prediction = prediction or predict(contents.mapping, contents.graph, contents.target)
    (found,) = limit_reports(contents.mapping, contents.target, prediction)
    return found


@pytest.mark.parametrize(
    ("worse", "kind", "better"),
    [
        (SLOW_ADCS, "adc", "adc.t_conversion_ns=100"),
        (SLOW_VECTOR, "vector", "vector.lanes=4"),
        (SLOW_READS, "array", "crossbar.t_read_ns=500"),
    ],
)
def test_what_is_named_is_what_makes_it_slow(worse: str, kind: str, better: str) -> None:
    contents = compiled("chip", "exact-128", *QUICK, worse)
    found = limit_of(contents)
    assert found.kind == kind
    # Half of the trouble that was named, and everything else as it was: it is faster.
    target = compiled("chip", "exact-128", *QUICK, better).target
    assert contents.target.mesh == target.mesh
    changed = predict(contents.mapping, contents.graph, target)
    assert changed.interval_cycles < 0.9 * found.interval_cycles


def test_units_that_are_always_busy_come_with_their_number_and_their_layers() -> None:
    contents = compiled("chip", "exact-128")
    (step,) = predict(contents.mapping, contents.graph, contents.target).steps
    cycles = 5 * step.interval_cycles
    loads = {**step.loads, ("memory", (0,)): cycles}
    found = limit_of(contents, Prediction((replace(step, interval_cycles=cycles, loads=loads),)))
    layers = layers_of(contents.mapping)
    assert found.always == "units"
    assert found.unit == "memory port at core 0"
    assert (found.units, found.units_there) == (1, len(contents.target.mesh.memory_ports))
    assert found.unit_cycles >= 0.97 * found.interval_cycles
    takes_input = {n for n, layer in enumerate(layers) if reads_input(contents, layer.first)}
    assert takes_input <= {layer.layer for layer in found.layers}
    assert all(layer.name == layers[layer.layer].name for layer in found.layers)


def reads_input(contents: Contents, index: int) -> bool:
    streams = contents.mapping.streams
    operands = contents.mapping.stages[index].operands
    return any(not streams[operand.stream].producers for operand in operands)


def test_a_layer_that_is_held_up_by_others_is_named_with_them() -> None:
    contents = compiled("chip", "exact-128", SLOW_ADCS, passes=ON_CROSSBARS)
    prediction = predict(contents.mapping, contents.graph, contents.target)
    (step,) = prediction.steps
    found = limit_of(contents, prediction)
    adcs = {layer.layer for layer in found.layers}
    for layer in found.layers:
        assert layer.layer not in layer.beside
        assert layer.alone_cycles <= layer.busy_cycles + 1
        assert adcs | set(layer.beside) <= set(range(len(layers_of(contents.mapping))))
    # The same play in which nothing is busy all the time: the nearest is told.
    slower = replace(step, interval_cycles=2 * step.interval_cycles)
    idle = limit_of(contents, Prediction((slower,)))
    assert (idle.always, idle.units) == ("nothing", 0)
    assert idle.layers or idle.unit


def test_the_floor_is_of_a_layer_without_work_for_more_copies() -> None:
    contents = compiled("chip", "exact-128", SLOW_ADCS, passes=ON_CROSSBARS)
    found = limit_of(contents)
    for layer in found.layers:
        first = layers_of(contents.mapping)[layer.layer].first
        most = most_copies(contents.mapping, contents.mapping.stages[first])
        assert layer.at_most == (layer.copies == most)
    assert found.floor_cycles <= found.interval_cycles
    stages = report_data(contents).stages
    assert found.floor_layer >= 0
    assert stages[found.floor_layer].cycles == pytest.approx(found.floor_cycles, abs=1)


@pytest.mark.parametrize("model", ["chip", "shared"])
@pytest.mark.parametrize("passes", [WINDOWS, PARTS])
def test_layers_can_have_as_many_copies_as_passes_would_make(model: str, passes: str) -> None:
    layout = compiled(model, "exact-128", passes=passes).mapping
    for layer in layers_of(layout):
        stage = layout.stages[layer.first]
        most = most_copies(layout, stage)
        assert at_most(layout, replace(stage, copies=most))
        assert most == 1 or not at_most(layout, replace(stage, copies=most - 1))


def test_each_chip_step_has_a_limit_of_its_own() -> None:
    report = report_data(compiled("shared"))
    chip = {stage.step for stage in report.stages}
    assert len(chip) == 2
    assert {limit.step for limit in report.prediction.limits} == chip


def test_the_part_that_takes_longest_gives_the_reason() -> None:
    time = StageTime(4, 4, (), 10.0, 20.0, 5.0, 28.0, 3.0, 1)
    assert part_of(time) == "vector"
    assert part_of(replace(time, vector_cycles=3.0)) == "sequencer"
