"""Tile by tile: what the graph computes where reads lose nothing, what the chip does always."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nmc.backends.container import Contents
from nmc.backends.execute import execute
from nmc.backends.host import OrtHost
from nmc.backends.mapping_interpreter import run_mapping
from nmc.ir.interpreter import run_graph
from nmc.ir.program import Program
from tests.backends.models import compiled, inputs_for

COARSE = ("adc.bits=4", "crossbar.rows=32", "crossbar.cols=32", "core.crossbars=8")


@pytest.mark.parametrize("model", ["chip", "shared"])
def test_equals_the_graph_where_reads_are_lossless(model: str) -> None:
    contents = compiled(model, "exact-128")
    inputs = inputs_for(contents, 3)
    got = run_mapping(contents, inputs)
    for i in range(3):
        one = {name: array[i : i + 1] for name, array in inputs.items()}
        for name, array in run_graph(contents.graph, one, host=OrtHost()).items():
            np.testing.assert_array_equal(got[name][i], array[0])


@pytest.mark.parametrize("overrides", [(), COARSE, ("adc.bits=5", 'adc.range="clip"')])
@pytest.mark.parametrize("model", ["chip", "shared"])
def test_equals_the_simulator_always(model: str, overrides: tuple[str, ...]) -> None:
    contents = compiled(model, "spin-128", *overrides)
    inputs = inputs_for(contents, 3)
    got, run = run_mapping(contents, inputs), execute(contents, inputs)
    assert set(got) == set(run.outputs)
    for name, array in run.outputs.items():
        np.testing.assert_array_equal(got[name], array)


OFFSET = ("crossbar.encoding=offset", "crossbar.cell_bits=2", "adc.bits=6")
IN_WINDOWS = (
    '@front, quantize, stage, tile{way="window 2x3"}, replicate, place, schedule-adc, buffers, '
    "codegen"
)


@pytest.mark.parametrize("overrides", [(), COARSE, ("adc.bits=5", 'adc.range="clip"'), OFFSET])
def test_equals_the_simulator_where_reads_give_several_outputs(overrides: tuple[str, ...]) -> None:
    contents = compiled("chip", "spin-128", *overrides, passes=IN_WINDOWS)
    assert any(stage.grid == (2, 3) for stage in contents.mapping.stages)
    inputs = inputs_for(contents, 3)
    got, run = run_mapping(contents, inputs), execute(contents, inputs)
    for name, array in run.outputs.items():
        np.testing.assert_array_equal(got[name], array)


def test_coarse_conversions_do_lose_something() -> None:
    """The equality above is not that of two graphs."""
    coarse, exact = compiled("chip", "spin-128", *COARSE), compiled("chip", "exact-128")
    inputs = inputs_for(coarse, 3)
    assert (run_mapping(coarse, inputs)["scores"] != run_mapping(exact, inputs)["scores"]).any()


def test_weights_come_from_the_tiles() -> None:
    contents = compiled("chip", "exact-128")
    (program,) = contents.programs
    blank = replace(contents, programs=(erased(program),))
    inputs = inputs_for(contents, 2)
    assert (run_mapping(contents, inputs)["scores"] != run_mapping(blank, inputs)["scores"]).any()


def erased(program: Program) -> Program:
    tiles = tuple(replace(t, levels=np.zeros_like(t.levels)) for t in program.tiles)
    return replace(program, tiles=tiles)


def test_values_on_the_way_can_be_kept() -> None:
    contents: Contents = compiled("chip")
    name = contents.mapping.stages[-1].operands[0].value
    got = run_mapping(contents, inputs_for(contents, 2), keep=[name])
    assert set(got) == {"scores", name}
    assert len(got[name]) == 2
