"""The report says what the mapping is, and its counts are those that the simulator makes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import msgspec
import pytest

from nmc.backends.execute import execute
from nmc.backends.report_counts import mvms
from nmc.backends.report_data import report_data
from nmc.backends.report_records import ReportData
from nmc.ir.graph import Unit
from nmc.ir.program import CoreProgram, Desc, End, Halt, Loop, Mvm, Sequencer, Space
from tests.backends.models import PARTS, compiled, inputs_for, one_copy


@pytest.mark.parametrize("model", ["chip", "shared"])
@pytest.mark.parametrize("inputs", [1, 3])
def test_conversions_are_those_of_the_simulation(model: str, inputs: int) -> None:
    contents = compiled(model)
    report = report_data(contents)
    run = execute(contents, inputs_for(contents, inputs), inflight=inputs)
    made: Counter[tuple[int, int, int]] = Counter()
    busy: Counter[tuple[int, int, int]] = Counter()
    for result in run.results:
        for place, use in result.adcs.items():
            made[place] += use.conversions
            busy[place] += use.busy
    assert {(a.core, a.cluster, a.adc): inputs * a.conversions for a in report.adcs} == +made
    assert {(a.core, a.cluster, a.adc): inputs * a.cycles for a in report.adcs} == +busy
    for part in report.parts:
        shares = (adc.conversions_by_stage.get(part.name, 0) for adc in report.adcs)
        assert sum(shares) == part.conversions
    assert sum(s.conversions for s in report.stages) == report.totals.conversions
    assert sum(c.conversions for c in report.crossbars) == report.totals.conversions


@pytest.mark.parametrize("model", ["chip", "shared"])
def test_no_schedule_beats_the_bound(model: str) -> None:
    contents = compiled(model)
    bound = report_data(contents).totals.adc_bound_cycles
    run = execute(contents, inputs_for(contents, 2), inflight=2)
    assert 0 < bound < run.latency_cycles
    assert 2 * bound < run.cycles


def test_stages_say_which_layers_they_are() -> None:
    report = report_data(one_copy("chip"))
    matrices = {s.nodes[0].onnx_nodes[0]: s for s in report.stages if s.unit == Unit.CROSSBAR and
                s.nodes[0].onnx_nodes}  # fmt: skip
    first = matrices["/net/conv1/Conv"]
    assert first.nodes[0].source_lines == ("net.py:3 in forward: conv1",)
    assert first.blocks == ((27, 8),)
    assert first.kind == "matrix"
    assert first.way == "im2col"
    assert first.macs == 27 * 8 * 30
    assert first.reads == 30
    assert (first.output_rows, first.output_cols, first.output_chans) == (6, 5, 8)
    assert all(node.why for stage in report.stages for node in stage.nodes if node.unit)


@pytest.mark.parametrize("passes", ["@default", PARTS])
@pytest.mark.parametrize("model", ["chip", "shared"])
def test_a_layer_is_the_sum_of_its_parts(model: str, passes: str) -> None:
    contents = compiled(model, passes=passes)
    report = report_data(contents)
    alone = {stage.name: stage for stage in report_data(one_copy(model, "host")).stages}
    assert [p.name for p in report.parts] == [s.name for s in contents.mapping.stages]
    assert [stage.name for stage in report.stages] == list(alone)
    assert any(stage.copies > 1 for stage in report.stages)
    for number, stage in enumerate(report.stages):
        parts = [part for part in report.parts if part.layer == number]
        assert len(parts) == stage.copies * stage.pieces
        assert stage.conversions == sum(part.conversions for part in parts)
        assert stage.reads == sum(part.reads for part in parts)
        assert stage.steps == max(part.steps for part in parts)
        assert stage.done_cycles == max(part.done_cycles for part in parts)
        assert {p for part in parts for p in part.crossbars} == set(stage.crossbars)
        most = max((part.adc_cycles for part in parts), default=0)
        assert most <= stage.copy_adc_cycles <= stage.adc_cycles <= stage.adc_work_cycles
        # However it is divided, it is the same layer.
        assert (stage.macs, stage.blocks) == (alone[stage.name].macs, alone[stage.name].blocks)
        assert stage.copies > 1 or stage.steps <= alone[stage.name].steps
        first = next(s for s in contents.mapping.stages if s.name == parts[0].name)
        assert (stage.copies, stage.share) == (first.copies, first.share)
    assert report.totals.bottleneck_steps == max(stage.steps for stage in report.stages)
    assert 0 < report.totals.adc_least_cycles <= report.totals.adc_bound_cycles


def test_the_busiest_adc_of_a_layer_serves_several_copies() -> None:
    """Of those that share an ADC, the work adds up."""
    report = report_data(compiled("chip"))
    for number, stage in enumerate(report.stages):
        names = {part.name for part in report.parts if part.layer == number}
        made = [
            sum(n for name, n in adc.conversions_by_stage.items() if name in names)
            for adc in report.adcs
        ]
        assert sum(made) == stage.conversions
        alone = [adc.cycles for adc in report.adcs if set(adc.stages) <= names]
        assert stage.adc_cycles >= max(alone, default=0)


def test_cells_and_occupancy() -> None:
    contents = one_copy("chip")
    report, target = report_data(contents), contents.target
    slices, cells = target.slices, target.crossbar.rows * target.crossbar.cols
    first = next(s for s in report.stages if s.blocks == ((27, 8),))
    assert first.cells_used == 27 * 8 * slices * 2
    assert first.cells_there == cells * len(first.crossbars)
    assert first.occupancy == first.cells_used / first.cells_there
    # A depthwise convolution fills but the diagonal of its block.
    depthwise = next(s for s in report.stages if s.blocks and s.blocks[0] == (72, 8))
    assert 0 < depthwise.cells_nonzero <= depthwise.cells_used / 8
    assert report.totals.cells_used == sum(s.cells_used for s in report.stages)
    assert report.totals.crossbars_used == len(report.crossbars)
    for crossbar in report.crossbars:
        assert crossbar.cluster == crossbar.crossbar // target.adc.crossbars_per_cluster
        assert 0 < crossbar.occupancy <= 1
        assert crossbar.rows_used <= target.crossbar.rows
        assert crossbar.channels_used <= target.channels


def test_cores_memory_and_programs() -> None:
    contents = compiled("shared")
    report = report_data(contents)
    for core in report.cores:
        assert core.sram_bytes_used == sum(core.sram_bytes_by_role.values())
        assert 0 < core.sram_bytes_used <= core.sram_bytes_available
        assert 0 < core.sequencers_used <= core.sequencers_available
        assert core.semaphores_used <= core.semaphores_available
        assert "ring" in core.sram_bytes_by_role
    programs = [s for core in report.cores for s in core.sequencers]
    assert len(programs) == sum(len(c.sequencers) for p in contents.programs for c in p.cores)
    assert report.totals.program_bytes == sum(s.program_bytes for s in programs) > 0
    assert all(s.label and s.instructions and s.program_bytes >= 4 for s in programs)


def test_streams_and_rings() -> None:
    contents = compiled("chip")
    report = report_data(contents)
    assert len(report.streams) == len(contents.mapping.streams)
    assert [s.producer for s in report.streams].count("") == 1  # the input alone
    layers = {part.name: report.stages[part.layer].name for part in report.parts}
    # The depthwise stage convolves it, and adds it.
    skip = next(s for s in report.streams if {ring.operand for ring in s.rings} == {0, 1})
    assert {layers[ring.stage] for ring in skip.rings} == set(skip.consumers)
    assert sum(len(s.rings) for s in report.streams) == len(contents.mapping.rings)
    assert all(ring.depth >= 1 for s in report.streams for ring in s.rings)
    assert [s.value for s in report.streams if s.to_host] == ["scores"]


def test_host_steps_say_what_and_why() -> None:
    report = report_data(compiled("shared"))
    (host,) = report.host
    assert host.step == "2-host"
    assert [node.op for node in host.nodes] == ["CumSum"]
    assert host.nodes[0].onnx_nodes == ("sum",)
    assert host.nodes[0].unit == Unit.HOST
    assert "CumSum" in host.nodes[0].why
    assert host.mac_share == 0
    assert report.totals.host_nodes == 1
    assert [d.code for d in report.diagnostics if d.severity == "warning"] == ["random-calibration"]


def test_the_border_says_what_the_host_recodes() -> None:
    contents = compiled("shared")
    report = report_data(contents)
    assert [(b.value, b.enters, b.dtype, b.stored) for b in report.border] == [
        ("image", True, "f32", "u8"),
        ("relu1.real", False, "f32", "u8"),
        ("summed", True, "f32", "u8"),
    ]
    image = report.border[0]
    quant = contents.graph.nodes[0].output.type.quant
    assert quant is not None
    assert (image.scale, image.zero_point, image.elements) == (quant.scale, quant.zero_point, 48)
    assert report_data(one_copy("shared")).border == ()


def test_report_is_plain_json() -> None:
    report = report_data(compiled("shared"))
    text = msgspec.json.encode(report)
    assert msgspec.json.decode(text, type=ReportData) == report
    assert report.calibration_random
    assert report.model == "shared.onnx"


def test_loops_multiply() -> None:
    here = Desc(Space.SRAM, "u8", 0)
    mvm = Mvm(1, here, here, 0)
    stream = (Loop(0), Loop(3), mvm, Loop(4), mvm, End(), End(), Mvm(0, here, here, 0), End())
    core = CoreProgram(0, (Sequencer("a", (*stream, Halt())), Sequencer("b", (mvm, Halt()))))
    assert mvms(core) == {1: 3 + 12 + 1, 0: 1}


def test_a_report_of_an_unused_chip() -> None:
    contents = compiled("chip")
    mapping = replace(
        contents.mapping, steps=(), stages=(), streams=(), tiles=(), rings=(), buffers=()
    )
    report = report_data(replace(contents, mapping=mapping, programs=(), host_models={}))
    assert report.totals.adc_bound_cycles == report.totals.crossbars_used == 0
    assert (report.cores, report.adcs) == ((), ())


def test_products_of_vector_units_are_none_of_crossbars() -> None:
    slow = report_data(compiled("chip", "exact-128", "adc.t_conversion_ns=200"))
    (depthwise,) = (s for s in slow.stages if s.way == "vector")
    assert (depthwise.unit, depthwise.tiles, depthwise.blocks) == (Unit.VECTOR, 0, ())
    assert slow.totals.macs_on_crossbars == slow.totals.macs - depthwise.macs
    assert depthwise.macs == 9 * 8 * 30
