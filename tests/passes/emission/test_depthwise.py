"""Depthwise convolutions on the vector unit: exact, without races, in the time that is foreseen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from nmc.backends.simulator.result import Result
from nmc.backends.simulator.timing import vec_cycles, vec_elements
from nmc.ir import ops
from nmc.ir.depthwise import on_vector_unit
from nmc.ir.design import Decision, Design
from nmc.ir.diagnostics import Report
from nmc.ir.graph import Graph, Node, Unit, Value
from nmc.ir.mapping import Kind, Stage
from nmc.ir.mapping_check import check_mapping
from nmc.ir.matrices import nodes_by_result
from nmc.ir.ops import QConv
from nmc.ir.program import INPUTS, End, Loop, Vec
from nmc.ir.stage_time import StageTimes
from nmc.ir.target import Target
from nmc.ir.vector_work import vector_cycles, vector_work
from nmc.passes.base import mapping_of
from nmc.passes.book import PASSES
from nmc.passes.emission.rows import element_bytes
from nmc.passes.replicate import Replicate
from nmc.passes.replicating.pricing import depthwise_fj
from tests.passes.lowering import lowered, roomy, run_both
from tests.passes.nets import Build

WIDE = ["mesh.width=8", "mesh.height=8"]


def is_depthwise(node: Node) -> bool:
    return isinstance(node.op, QConv) and node.op.group > 1


def on_vector_units(graph: Graph, target: Target, copies: int = 1) -> Design:
    """The design with each depthwise convolution on vector units, in so many copies, or as many as
    it can have."""
    design = lowered(graph, target, until="tile")
    nodes, mapping = nodes_by_result(design.graph), mapping_of(design)
    for stage in mapping.stages:
        if stage.kind is Kind.MATRIX and is_depthwise(nodes[stage.nodes[0]]):
            most = min(copies, mapping.streams[stage.output].rows)
            design.decisions[stage.name] = Decision("vector", most)
    assert design.decisions
    passes = PASSES[[p.name for p in PASSES].index("place") :]
    report = Report()
    for step in (Replicate(objective="crossbars"), *(kind() for kind in passes)):
        step.run(design, report)
        report.check()
    return design


def vector_stages(design: Design) -> list[Stage]:
    nodes = nodes_by_result(design.graph)
    return [s for s in mapping_of(design).stages if on_vector_unit(s, nodes)]


def check_exact(design: Design, inflight: int = 2) -> Result:
    """Bit for bit the interpreter's outputs, without a race."""
    assert check_mapping(mapping_of(design), design.target) == []
    got, wanted, result = run_both(design, samples=2 * inflight, inflight=inflight)
    for name, array in wanted.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)
    assert not result.races
    return result


def depthwise(net: Build, x: Value, rng: np.random.Generator) -> Value:
    """Any kernel, strides, dilations, padding and outputs a channel that x has room for."""
    chans, *sizes = x.type.shape[1:]
    rank = len(sizes)
    kernel = [int(rng.integers(1, min(size, 4) + 1)) for size in sizes]
    dilations = [
        int(rng.integers(1, 3)) if 2 * (k - 1) < size else 1
        for k, size in zip(kernel, sizes, strict=True)
    ]
    strides = tuple(int(s) for s in rng.integers(1, 3, rank))
    pads = tuple(int(rng.integers(0, 3)) for _ in range(2 * rank))
    op = ops.Conv(strides, pads, tuple(dilations), chans)
    each = int(rng.integers(1, 4))
    w, bias = net.weight(chans * each, 1, *kernel), net.weight(chans * each)
    return net.emit(op, x, w, bias, name="depthwise")


def followed(net: Build, x: Value, rng: np.random.Generator) -> Value:
    """What may be done with a row in place."""
    match int(rng.integers(5)):
        case 0:
            return net.relu(x)
        case 1:
            return net.emit(ops.Clip(0.0, 6.0), x)
        case 2:
            return net.emit(ops.HardSwish(), x)
        case 3:
            return net.emit(ops.Sigmoid(), x)
        case _:
            return x


def random_layers(seed: int) -> Graph:
    """Depthwise convolutions of images and signals, alone or between others."""
    rng = np.random.default_rng(seed)
    rank = 1 if seed % 4 == 3 else 2
    shape = (1, int(rng.integers(2, 9)), *(int(n) for n in rng.integers(4, 12, rank)))
    net = Build(*shape, seed=seed)
    x = net.x
    if rng.random() < 0.5:
        x = net.relu(net.conv(x, int(rng.integers(2, 7))))
    y = followed(net, depthwise(net, x, rng), rng)
    if rng.random() < 0.5:
        y = net.emit(ops.Add(), y, net.conv(y, y.type.shape[1], kernel=1, pad=0))
    return net.done(y)


@pytest.mark.parametrize("seed", range(24))
def test_random_layers_are_exact(seed: int) -> None:
    design = on_vector_units(random_layers(seed), roomy(WIDE), copies=1 + seed % 3)
    assert vector_stages(design)
    check_exact(design, 1 + seed % 2)


def mobile(rows: int = 8, cols: int = 12, chans: int = 6) -> Graph:
    """Depthwise and pointwise in turn, with a skip connection."""
    net = Build(1, chans, rows, cols)
    first = net.relu(net.conv(net.x, chans, group=chans))
    point = net.conv(first, chans, kernel=1, pad=0)
    second = net.conv(point, chans, group=chans)
    added = net.emit(ops.Add(), net.conv(net.relu(second), chans, kernel=1, pad=0), point)
    return net.done(net.conv(added, 2 * chans, stride=2, group=chans))


@pytest.mark.parametrize("copies", [1, 2, 3, 8])
def test_copies_take_turns(copies: int) -> None:
    design = on_vector_units(mobile(), roomy(WIDE), copies)
    assert {s.copies for s in vector_stages(design)} == {copies, min(copies, 4)}
    check_exact(design)


def test_rows_that_are_too_wide_go_in_runs() -> None:
    graph = mobile(rows=4, cols=96, chans=24)
    design = on_vector_units(graph, roomy([*WIDE, "core.sram_kib=64"]))
    wide = [s for s in vector_stages(design) if mapping_of(design).streams[s.output].cols == 96]
    assert {96 % s.pixels for s in wide} == {0}
    assert max(s.pixels for s in wide) < 96
    check_exact(design, 1)


def test_real_numbers_come_out_where_real_numbers_follow() -> None:
    net = Build(1, 5, 6, 7)
    graph = net.done(net.emit(ops.Softmax(1), net.conv(net.x, 10, group=5)))
    design = on_vector_units(graph, roomy(WIDE))
    (stage,) = vector_stages(design)
    op = nodes_by_result(design.graph)[stage.nodes[0]].op
    assert isinstance(op, QConv)
    assert op.out == "f32"
    check_exact(design)


@pytest.mark.parametrize("lanes", [2, 16])
def test_the_interval_is_what_was_foreseen(lanes: int) -> None:
    """One layer that is much slower than what feeds it: the time model has each cycle of it."""
    net = Build(1, 16, 10, 16)
    graph = net.done(net.conv(net.x, 16, group=16))
    design = on_vector_units(graph, roomy([*WIDE, f"vector.lanes={lanes}"]))
    mapping, nodes = mapping_of(design), nodes_by_result(design.graph)
    (stage,) = vector_stages(design)
    wanted = StageTimes(design.target).of(mapping, stage, [], nodes).input_cycles
    found = check_exact(design, 6).interval_cycles
    assert found == pytest.approx(wanted, rel=0.05)


def test_no_crossbar_is_taken() -> None:
    design = on_vector_units(mobile(), roomy(WIDE))
    mapping = mapping_of(design)
    for number, stage in enumerate(mapping.stages):
        if stage.way == "vector":
            assert (stage.unit, stage.blocks, list(mapping.tiles_of(number))) == (
                Unit.VECTOR,
                (),
                [],
            )


def strip_instructions(design: Design, number: int) -> Iterator[tuple[Vec, int]]:
    """Products of a stage and the sums of these, with how often an input has them done."""
    mapping, (program,) = mapping_of(design), design.programs
    (use,) = (u for u in mapping.sequencers if u.stage == number and u.role == "rows")
    (core,) = (c for c in program.cores if c.core == use.core)
    times = [1]
    for instruction in core.sequencers[use.sequencer].instructions:
        match instruction:
            case Loop(count=count):
                times.append(times[-1] * (1 if count == INPUTS else count))
            case End():
                times.pop()
            case Vec(op="matmul" | "add"):
                yield instruction, times[-1]
            case _:
                pass


@pytest.mark.parametrize("kernel", [(3, 3), (5, 2), (1, 4), (4, 1), (1, 1)])
@pytest.mark.parametrize("sram_kib", [16, 4096])
def test_work_and_energy_are_those_of_the_program(kernel: tuple[int, int], sram_kib: int) -> None:
    net = Build(1, 12, 9, 24)
    op = ops.Conv((1, 1), (2, 1, 2, 1), (1, 1), 12)
    graph = net.done(net.emit(op, net.x, net.weight(24, 1, *kernel), net.weight(24)))
    design = on_vector_units(graph, roomy([*WIDE, f"core.sram_kib={sram_kib}"]))
    mapping, target = mapping_of(design), design.target
    nodes = nodes_by_result(design.graph)
    number = next(i for i, s in enumerate(mapping.stages) if on_vector_unit(s, nodes))
    stage, costs = mapping.stages[number], target.costs
    made = mapping.streams[stage.output]
    found = list(strip_instructions(design, number))
    works = [w for w in vector_work(mapping, stage, {}, nodes) if w.op in ("matmul", "add")]
    wanted = made.rows * sum(vector_cycles(work, target.vector) for work in works)
    assert sum(n * vec_cycles(vec, target) for vec, n in found) == wanted
    assert sum(n for vec, n in found if vec.op == "matmul") == (
        made.rows * made.cols // stage.pixels * min(kernel)
    )
    pj = -4 * made.rows * made.cols * made.chans * costs.sram.e_pj
    for vec, times in found:
        operands = [d for d in (vec.a, vec.b, vec.dst) if d is not None]
        pj += times * sum(d.elements * element_bytes(d.dtype) for d in operands) * costs.sram.e_pj
        pj += times * vec_elements(vec) * costs.vector.element_e_pj(vec.op)
    assert depthwise_fj(target, mapping, stage, 2) == pytest.approx(1000 * pj, abs=1)


def choosing(target: Target, objective: str) -> dict[str, int]:
    """How many layers lie in each way, as `replicate` has it."""
    design = lowered(mobile(chans=32), target, until="tile")
    report = Report()
    Replicate(objective=objective).run(design, report)  # type: ignore[arg-type]
    report.check()
    first = [s for s in mapping_of(design).stages if (s.copy, s.piece) == (0, 0)]
    return Counter("vector" if s.way == "vector" else s.kind for s in first)


def test_slow_adcs_and_fast_lanes_make_vector_units_worth_it() -> None:
    slow_adcs = roomy([*WIDE, "adc.t_conversion_ns=20", "vector.lanes=64"])
    assert choosing(slow_adcs, "throughput")["vector"] == 3
    assert choosing(slow_adcs, "crossbars")["vector"] == 0
    one_lane = roomy([*WIDE, "adc.t_conversion_ns=0.1", "vector.lanes=1"])
    assert choosing(one_lane, "throughput")["vector"] == 0


def test_energy_goes_where_an_element_is_cheap() -> None:
    dear = roomy([*WIDE, "costs.vector.e_pj.default=1000", "costs.vector.e_pj.matmul=1000"])
    assert choosing(dear, "energy")["vector"] == 0
    cheap = roomy([*WIDE, "costs.vector.e_pj.default=0", "costs.vector.e_pj.matmul=0",
                   "costs.sram.e_pj=0"])  # fmt: skip
    assert choosing(cheap, "energy")["vector"] == 3


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (Decision("vector", cuts=(3,)), "can't be cut on the vector unit"),
        (Decision("vector", copies=9), "can't have 9 copies"),
        (Decision("vector", copies=4, share=2), "can't have 2 rows shared"),
    ],
)
def test_what_a_vector_unit_cannot_do_is_refused(decision: Decision, said: str) -> None:
    design = lowered(mobile(), roomy(WIDE), until="tile")
    name = next(s.name for s in mapping_of(design).stages if s.way.startswith("groups"))
    design.decisions[name] = decision
    report = Report()
    Replicate().run(design, report)
    (problem,) = report.diagnostics
    assert (problem.code, said in problem.message) == ("bad-plan", True)


@pytest.mark.parametrize("share", [2, 3])
def test_copies_that_share_rows_stay_on_crossbars(share: int) -> None:
    target = roomy([*WIDE, "adc.t_conversion_ns=20", "vector.lanes=64"])
    design = lowered(mobile(), target, until="tile")
    name = next(s.name for s in mapping_of(design).stages if s.way.startswith("groups"))
    design.decisions[name] = Decision(copies=4, share=share)
    report = Report()
    Replicate().run(design, report)
    report.check()
    shared = [s for s in mapping_of(design).stages if s.share]
    assert {s.kind for s in shared} == {Kind.MATRIX}
    assert check_mapping(mapping_of(design), target, complete=False) == []
