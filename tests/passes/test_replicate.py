"""Ways and copies chosen together: within the chip, as decided, and programs that stay exact."""

from __future__ import annotations

import numpy as np
import pytest

from nmc.ir import ops
from nmc.ir.design import Decision, Design
from nmc.ir.diagnostics import Loc, NmcError, Report
from nmc.ir.graph import Graph
from nmc.ir.layers import layers_of
from nmc.ir.mapping import Kind, Mapping, Stage
from nmc.ir.mapping_check import check_mapping
from nmc.ir.matrices import nodes_by_result
from nmc.ir.stage_time import StageTimes
from nmc.ir.target import Target
from nmc.passes.base import mapping_of
from nmc.passes.book import PASSES
from nmc.passes.replicate import Replicate
from tests.passes.lowering import lowered, only_recodes, roomy, run_both
from tests.passes.nets import Build
from tests.passes.random_nets import random_net

WIDE = ["crossbar.rows=48", "crossbar.cols=64", "mesh.width=12", "mesh.height=12"]
OBJECTIVES = ("throughput", "latency", "energy", "crossbars")


def two_layers() -> Graph:
    net = Build(1, 4, 6, 20)
    return net.done(net.relu(net.conv(net.relu(net.conv(net.x, 5)), 6)))


def replicated(
    graph: Graph, target: Target, step: Replicate, decisions: dict[str, Decision] | None = None
) -> Design:
    design = lowered(graph, target, until="tile")
    design.decisions = decisions or {}
    report = Report()
    step.run(design, report)
    report.check()
    return design


def finished(design: Design) -> Design:
    report = Report()
    for kind in PASSES[[p.name for p in PASSES].index("place") :]:
        kind().run(design, report)
        report.check()
    return design


def check_exact(design: Design, inflight: int) -> bool:
    """Bit for bit the interpreter's outputs, without a race."""
    mapping = mapping_of(finished(design))
    assert check_mapping(mapping, design.target) == []
    if not only_recodes(design):
        return False
    got, wanted, result = run_both(design, samples=2 * inflight, inflight=inflight)
    for name, array in wanted.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)
    assert not result.races
    return True


def firsts(mapping: Mapping) -> dict[str, Stage]:
    """The first stage of each layer, by the layer's name."""
    return {layer.name: mapping.stages[layer.first] for layer in layers_of(mapping)}


def slowest(design: Design) -> float:
    """Cycles per input of the slowest stage."""
    mapping, nodes = mapping_of(design), nodes_by_result(design.graph)
    clock = StageTimes(design.target)
    return max(
        clock.of(mapping, stage, [t for _, t in mapping.tiles_of(i)], nodes).input_cycles
        for i, stage in enumerate(mapping.stages)
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(4))
def test_random_nets_are_exact_by_every_objective(objective: str, seed: int) -> None:
    step = Replicate(objective=objective)  # type: ignore[arg-type]
    check_exact(replicated(random_net(seed + 40, 8), roomy(WIDE), step), 1 + seed % 2)


@pytest.mark.parametrize("seed", range(3))
def test_a_chip_with_little_room_is_not_overfilled(seed: int) -> None:
    target = roomy([*WIDE[:2], "mesh.width=3", "mesh.height=3"])
    once = replicated(random_net(seed + 40, 6), target, Replicate(objective="crossbars"))
    design = replicated(random_net(seed + 40, 6), target, Replicate())
    least = len(mapping_of(once).tiles)
    assert len(mapping_of(design).tiles) <= max(least, target.crossbars)


def test_windows_go_on_where_copies_have_run_out() -> None:
    """Six rows can't be dealt to more than six copies, but reads can give several pixels."""
    target = roomy(WIDE)
    plain = replicated(two_layers(), target, Replicate(ways="as-tiled", rows="whole"))
    design = replicated(two_layers(), target, Replicate(rows="whole"))
    assert {s.way for s in mapping_of(plain).stages if s.kind is Kind.MATRIX} == {"im2col"}
    assert any(s.grid != (1, 1) for s in mapping_of(design).stages)
    assert slowest(design) < slowest(plain)
    assert check_exact(design, inflight=2)


def test_what_tile_was_told_stays() -> None:
    design = lowered(two_layers(), roomy(WIDE), until="stage")
    report = Report()
    PASSES[[p.name for p in PASSES].index("tile")](way="window 2x2").run(design, report)  # type: ignore[call-arg]
    Replicate().run(design, report)
    report.check()
    assert {s.way for s in mapping_of(design).stages if s.kind is Kind.MATRIX} == {"window 2x2"}


def test_the_outlook_is_proven_on_a_small_net() -> None:
    design = replicated(two_layers(), roomy(WIDE), Replicate())
    assert design.outlook is not None
    assert design.outlook.value == design.outlook.bound
    whole = replicated(two_layers(), roomy(WIDE), Replicate(rows="whole"))
    assert whole.outlook is not None
    assert slowest(whole) <= whole.outlook.value + 1
    # What waiting for all who make parts of a row takes is known only once all is divided.
    assert design.outlook.value <= slowest(design) < slowest(whole)


def test_copies_make_parts_of_rows_where_these_are_too_few() -> None:
    """Six rows of twenty pixels on a chip that is large enough for a hundred copies."""
    whole, parted, best = (
        replicated(two_layers(), roomy(WIDE), Replicate(rows=rows))
        for rows in ("whole", "parts", "auto")
    )
    assert not any(s.share for s in mapping_of(whole).stages)
    assert mapping_of(parted) == mapping_of(best)
    assert any(s.share and s.copies > s.share for s in mapping_of(best).stages)
    assert slowest(best) < slowest(whole) / 2
    assert check_exact(best, inflight=2)


def test_decided_copies_that_are_more_than_rows_share_them() -> None:
    layers = firsts(mapping_of(lowered(two_layers(), roomy(WIDE), until="tile")))
    name = next(n for n, s in layers.items() if s.kind is Kind.MATRIX)
    for rows, decision in (
        ("whole", Decision("im2col", copies=9)),
        ("auto", Decision("im2col", copies=4, share=6)),
        ("auto", Decision("im2col", copies=5)),
        ("auto", Decision("window 2x1", copies=5)),
    ):
        step = Replicate(rows=rows)  # type: ignore[arg-type]
        design = replicated(two_layers(), roomy(WIDE), step, {name: decision})
        stage = firsts(mapping_of(design))[name]
        turns = 6 // stage.grid[0]
        assert stage.copies == decision.copies
        assert (stage.share > 0) == (decision.share is not None or stage.copies > turns)
        assert stage.share == decision.share or decision.share is None
        assert check_exact(design, inflight=1)


def test_latency_lets_one_input_through_no_slower_than_one_copy_does() -> None:
    once = replicated(two_layers(), roomy(WIDE), Replicate(objective="crossbars"))
    fast = replicated(two_layers(), roomy(WIDE), Replicate(objective="latency"))
    slow, quick = (run_both(finished(design), samples=1)[2].cycles for design in (once, fast))
    assert quick < slow


# Decisions


def test_decisions_hold_by_every_objective() -> None:
    graph = two_layers()
    names = [
        n for n, s in firsts(mapping_of(lowered(graph, roomy(WIDE), until="tile"))).items()
        if s.kind is Kind.MATRIX
    ]  # fmt: skip
    decisions = {
        names[0]: Decision("window 2x3", 2, cuts=(1, 4)),
        names[1]: Decision(copies=3),
    }
    for objective in OBJECTIVES:
        step = Replicate(objective=objective)  # type: ignore[arg-type]
        design = replicated(two_layers(), roomy(WIDE), step, decisions)
        stages = firsts(mapping_of(design))
        first, second = stages[names[0]], stages[names[1]]
        assert (first.way, first.copies, first.pieces) == ("window 2x3", 2, 3)
        assert second.copies == 3
        assert [s.chan0 for s in mapping_of(design).stages if s.output == first.output][:3] == [
            0, 1, 4,
        ]  # fmt: skip
        assert check_exact(design, inflight=1)


def test_a_vector_stage_takes_its_copies_too() -> None:
    layers = firsts(mapping_of(lowered(two_layers(), roomy(WIDE), until="tile")))
    (name,) = (n for n, s in layers.items() if s.kind is Kind.ROWS)
    design = replicated(two_layers(), roomy(WIDE), Replicate(), {name: Decision(copies=5)})
    assert firsts(mapping_of(design))[name].copies == 5


WHERE = Loc("plan.toml", 7)


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (Decision("sideways", loc=WHERE), "`sideways` is no way"),
        (Decision("window 9x1", loc=WHERE), "gives 6 rows of 20 pixels"),
        (Decision("groups 2", loc=WHERE), "takes no groups"),
        (Decision("vector", loc=WHERE), "depthwise convolutions only"),
        (Decision(copies=121, loc=WHERE), "can't have 121 copies"),
        (Decision("window 2x1", 61, loc=WHERE), "can't have 61 copies"),
        (Decision(share=2, loc=WHERE), "copies that aren't given"),
        (Decision(copies=4, share=7, loc=WHERE), "can't have 7 rows shared"),
        (Decision(copies=50, share=2, loc=WHERE), "can't have 2 rows shared"),
        (Decision(cuts=(3, 3), loc=WHERE), "can't be cut at 3, 3"),
        (Decision(cuts=(5,), loc=WHERE), "can't be cut at 5"),
    ],
)
def test_what_cannot_be_is_refused_where_it_was_said(decision: Decision, said: str) -> None:
    graph = two_layers()
    layers = firsts(mapping_of(lowered(graph, roomy(WIDE), until="tile")))
    name = next(n for n, s in layers.items() if s.kind is Kind.MATRIX)
    with pytest.raises(NmcError) as raised:
        replicated(two_layers(), roomy(WIDE), Replicate(), {name: decision})
    (problem,) = raised.value.diagnostics
    assert (problem.code, problem.loc) == ("bad-plan", WHERE)
    assert said in problem.message
    assert name in problem.message
    assert problem.remedy


def test_all_that_is_wrong_is_said() -> None:
    layers = firsts(mapping_of(lowered(two_layers(), roomy(WIDE), until="tile")))
    first = next(iter(layers))
    wrong = {first: Decision(copies=1000), first + "x": Decision(copies=1)}
    with pytest.raises(NmcError) as raised:
        replicated(two_layers(), roomy(WIDE), Replicate(), wrong)
    assert len(raised.value.diagnostics) == 2
    assert f"did you mean `{first}`?" in raised.value.diagnostics[1].remedy


@pytest.mark.parametrize(("sram_kib", "most"), [(64, 1), (8, 6)])
def test_a_vector_stage_has_no_copies_that_save_no_memory(sram_kib: int, most: int) -> None:
    """A pool's ring of six rows is small enough, or no smaller with more copies than it has rows,
    though sixteen rows could go to as many."""
    net = Build(1, 4, 32, 32)
    pool = ops.MaxPool((3, 3), (2, 2), (1, 1, 1, 1), (1, 1))
    graph = net.done(net.emit(pool, net.relu(net.conv(net.x, 64))))
    target = roomy([f"core.sram_kib={sram_kib}"])
    design = replicated(graph, target, Replicate(objective="crossbars"))
    pooled = [s for s in mapping_of(design).stages if s.kind is Kind.WINDOW]
    assert len(pooled) == most
