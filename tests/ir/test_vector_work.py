"""The vector work that is counted from the mapping is what the programs have done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from nmc.backends.simulator.timing import vec_cycles
from nmc.ir import ops
from nmc.ir.design import Design
from nmc.ir.graph import Graph
from nmc.ir.mapping import Kind
from nmc.ir.matrices import nodes_by_result
from nmc.ir.program import INPUTS, End, Instruction, Loop, Sequencer, Vec
from nmc.ir.rows import emissions
from nmc.ir.stage_memory import core_outputs
from nmc.ir.vector_work import Part, fill_work, vector_cycles, vector_work
from nmc.passes.base import mapping_of
from tests.passes.lowering import lowered, roomy
from tests.passes.nets import Build


def skip_and_pool() -> Graph:
    net = Build(1, 3, 9, 8)
    first = net.relu(net.conv(net.x, 8))
    added = net.emit(ops.Add(), net.conv(first, 8), first)
    pooled = net.emit(ops.MaxPool((2, 2), (2, 2), (0, 0, 0, 0), (1, 1)), added)
    return net.done(net.dense(pooled, 5))


def averages() -> Graph:
    net = Build(1, 4, 8, 8)
    pool = ops.AvgPool((3, 3), (2, 2), (1, 1, 1, 1), (1, 1))
    pooled = net.emit(pool, net.relu(net.conv(net.x, 8)))
    return net.done(net.emit(ops.Reduce("mean", (2, 3)), pooled))


def joined() -> Graph:
    net = Build(1, 4, 6, 6)
    parts = [net.relu(net.conv(net.x, n, name=f"c{n}")) for n in (4, 12)]
    return net.done(net.conv(net.emit(ops.Concat(1), *parts), 4, name="last"))


def followed() -> Graph:
    """Elementwise operations of several speeds after a matrix."""
    net = Build(1, 4, 5, 5)
    value = net.conv(net.x, 8)
    for op in (ops.Sigmoid(), ops.HardSwish(), ops.Softmax(1)):
        value = net.emit(op, value)
    return net.done(value)


def spread() -> Graph:
    """A matrix over several cores, whose partial sums are added at home."""
    net = Build(1, 130, 5, 5)
    return net.done(net.relu(net.conv(net.x, 64)))


NETS = (skip_and_pool, averages, joined, followed, spread)


def executed(sequencer: Sequencer) -> Iterator[tuple[Instruction, int]]:
    times = [1]
    for instruction in sequencer.instructions:
        if isinstance(instruction, Loop):
            times.append(times[-1] * (1 if instruction.count == INPUTS else instruction.count))
        elif isinstance(instruction, End):
            times.pop()
        else:
            yield instruction, times[-1]


def programmed(design: Design) -> Counter[tuple[int, int, str]]:
    """Cycles of vec instructions for an input, by stage, core and role."""
    found: Counter[tuple[int, int, str]] = Counter()
    (program,) = design.programs
    cores = {core.core: core for core in program.cores}
    for use in mapping_of(design).sequencers:
        for instruction, times in executed(cores[use.core].sequencers[use.sequencer]):
            if isinstance(instruction, Vec):
                found[use.stage, use.core, use.role] += times * vec_cycles(
                    instruction, design.target
                )
    return found


@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize("net", NETS)
def test_work_is_that_of_the_program(net: Callable[[], Graph], copies: bool) -> None:
    design = lowered(net(), roomy(["vector.lanes=3"]), copies=copies)
    mapping, unit = mapping_of(design), design.target.vector
    nodes, found = nodes_by_result(design.graph), programmed(design)
    for number, stage in enumerate(mapping.stages):
        tiles = [tile for _, tile in mapping.tiles_of(number)]
        outputs = core_outputs(stage, tiles) if stage.kind is Kind.MATRIX else {}
        emits = emissions(mapping, stage)
        often = {Part.TURN: len(emits), Part.EMISSION: int((emits > 0).sum()), Part.INPUT: 1}
        work = vector_work(mapping, stage, outputs, nodes)
        cycles = sum(often[item.part] * vector_cycles(item, unit) for item in work)
        if stage.kind is Kind.MATRIX:
            assert found[number, stage.home, "post"] == cycles, stage.name
            continue
        filled = [w for n in range(len(stage.operands)) for w in fill_work(mapping, stage, n)]
        cycles += sum(vector_cycles(item, unit) for item in filled)
        assert found[number, stage.home, "rows"] == cycles, stage.name


@pytest.mark.parametrize("net", [skip_and_pool, joined])
def test_padding_is_filled_on_every_core_that_reads(net: Callable[[], Graph]) -> None:
    design = lowered(net())
    mapping, found = mapping_of(design), programmed(design)
    for number, stage in enumerate(mapping.stages):
        if stage.kind is Kind.MATRIX:
            fill = sum(vector_cycles(w, design.target.vector) for w in fill_work(mapping, stage, 0))
            for core in stage.cores:
                assert found[number, core, "compute"] == fill
