"""Placement: who lies where, room respected, and what is said when there is none."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

import numpy as np
import pytest

from nmc.ir.adc_load import adc_balance
from nmc.ir.design import Design
from nmc.ir.diagnostics import Exit, NmcError, Report
from nmc.ir.graph import Graph
from nmc.ir.mapping import Mapping
from nmc.ir.mapping_check import check_mapping
from nmc.ir.target import Target
from nmc.passes.base import mapping_of
from nmc.passes.book import PASSES
from nmc.passes.place import Place
from nmc.targets import load, override
from tests.passes.designs import design_of, normal_inputs
from tests.passes.lowering import chip_step, laid_out, lowered, roomy, run_both
from tests.passes.nets import Build

Clusters = Literal["balanced", "first-fit", "one-stage"]


def chain(layers: int, channels: int = 8, size: int = 6) -> Graph:
    net = Build(1, channels, size, size)
    value = net.x
    for i in range(layers):
        value = net.relu(net.conv(value, channels, name=f"layer{i}"))
    return net.done(value)


def shrinking() -> Graph:
    """Layers whose tiles are ever less busy and ever more: 64, 16, 4 and 1 reads for an input."""
    net = Build(1, 8, 8, 8)
    value = net.relu(net.conv(net.x, 32))
    for _ in range(3):
        value = net.relu(net.conv(value, 64, stride=2))
    return net.done(value)


def placed(graph: Graph, target: Target, **options: Any) -> Mapping:
    design = lowered(graph, target, until="tile")
    report = Report()
    Place(**options).run(design, report)
    report.check()
    return mapping_of(design)


def compiled(graph: Graph, target: Target, place: Place) -> Design:
    """All passes, with this placement."""
    design = design_of(graph, target, normal_inputs(graph, 8, seed=3))
    report = Report()
    for pass_ in PASSES:
        (place if pass_ is Place else pass_()).run(design, report)
        report.check()
    return design


def busiest(target: Target, clusters: Clusters) -> int:
    """Of the net that shrinks."""
    mapping = placed(shrinking(), target, clusters=clusters)
    return adc_balance(mapping, target, chip_step(mapping)).busiest


@pytest.mark.parametrize("clusters", ["balanced", "first-fit", "one-stage"])
def test_no_two_tiles_share_a_crossbar(clusters: Clusters) -> None:
    mapping = placed(chain(6), roomy(["crossbar.rows=32"]), clusters=clusters)
    places = Counter((t.core, t.crossbar) for t in mapping.tiles)
    assert set(places.values()) == {1}
    assert all(0 <= t.crossbar < 4 for t in mapping.tiles)


@pytest.mark.parametrize("clusters", ["balanced", "first-fit", "one-stage"])
def test_stages_lie_on_the_cores_of_their_tiles(clusters: Clusters) -> None:
    mapping = placed(shrinking(), roomy(["crossbar.rows=32"]), clusters=clusters)
    for index, stage in enumerate(mapping.stages):
        assert stage.home == stage.cores[0]
        assert len(set(stage.cores)) == len(stage.cores)
        if stage.blocks:
            assert {t.core for _, t in mapping.tiles_of(index)} == set(stage.cores)


def test_first_fit_keeps_a_matrix_that_fits_into_one_core_there() -> None:
    # Three tiles each on cores of four crossbars: one layer a core, though five would be left.
    mapping = placed(chain(4), roomy(["crossbar.rows=32"]), clusters="first-fit")
    assert [len(s.cores) for s in mapping.stages if s.blocks] == [1, 1, 1, 1]


def test_hot_tiles_are_spread_as_far_as_the_bound_asks() -> None:
    target = roomy(["crossbar.rows=32"])
    mapping = placed(chain(4), target)
    balance = adc_balance(mapping, target, chip_step(mapping))
    assert balance.busiest == balance.bound


def test_cold_tiles_take_the_places_beside_hot_ones() -> None:
    # As many crossbars as tiles: each cluster of four has to take cold ones along.
    target = roomy(["mesh.width=7", "mesh.height=1", "mesh.memory_ports=[[0,0]]"])
    assert len(placed(shrinking(), target).tiles) == 27
    assert busiest(target, "balanced") * 1.5 < busiest(target, "first-fit")


def test_clusters_of_one_stage_hold_tiles_of_one_layer() -> None:
    target = override(load("exact-128"), ["core.sram_kib=4096"])
    mapping = placed(chain(5, 24), target, clusters="one-stage")
    owners: dict[tuple[int, int], set[int]] = {}
    for tile in mapping.tiles:
        cluster = tile.core, tile.crossbar // target.adc.crossbars_per_cluster
        owners.setdefault(cluster, set()).add(tile.stage)
    assert {len(stages) for stages in owners.values()} == {1}
    assert {t.core for t in mapping.tiles} != set(range(len(mapping.tiles)))


def test_the_same_seed_gives_the_same_placement() -> None:
    target = roomy(["crossbar.rows=16"])
    assert placed(shrinking(), target, seed=1) == placed(shrinking(), target, seed=1)


def test_exchanging_cores_shortens_the_way_of_the_rows() -> None:
    target = roomy(["crossbar.rows=32"])

    def hops(effort: int) -> int:
        mapping, total = placed(chain(12, 16), target, effort=effort), 0
        for stage in mapping.stages:
            producer = mapping.streams[stage.operands[0].stream].producer
            if producer >= 0:
                home = mapping.stages[producer].home
                total += sum(target.mesh.hops(home, core) for core in stage.cores)
        return total

    assert hops(4) < hops(0)


# Several tiles on a crossbar


@pytest.mark.parametrize("clusters", ["balanced", "first-fit"])
def test_tiles_that_share_crossbars_are_exact(clusters: Clusters) -> None:
    net = Build(1, 3, 8, 8)
    value = net.relu(net.conv(net.x, 4))
    value = net.relu(net.conv(value, 4, stride=2, group=4))
    value = net.relu(net.conv(value, 3, stride=2))
    design = compiled(net.done(net.dense(value, 5)), roomy(), Place(clusters, pack="always"))
    mapping = mapping_of(design)
    used = Counter((t.core, t.crossbar) for t in mapping.tiles)
    assert len(used) < len(mapping.tiles)
    got, wanted, result = run_both(design, inflight=2)
    assert not result.races
    for name, value_ in wanted.items():
        np.testing.assert_array_equal(got[name], value_)


def test_tiles_of_one_stage_never_share_a_crossbar() -> None:
    mapping = placed(chain(4), roomy(["core.crossbars=8"]), pack="always")
    used = Counter((t.stage, t.core, t.crossbar) for t in mapping.tiles)
    assert set(used.values()) == {1}


def test_tiles_share_crossbars_where_there_are_too_few() -> None:
    one_core = roomy(["mesh.width=1", "mesh.height=1", "mesh.memory_ports=[[0,0]]"])
    mapping = placed(chain(6, 4), one_core)
    assert len(mapping.tiles) == 6
    assert {t.crossbar for t in mapping.tiles} <= {0, 1, 2, 3}
    assert not check_mapping(mapping, one_core, complete=False)
    with pytest.raises(NmcError) as caught:
        placed(chain(6, 4), one_core, pack="never")
    assert [d.code for d in caught.value.diagnostics] == ["too-many-tiles"]


# No room


def test_too_many_tiles_name_a_mesh_that_would_do() -> None:
    tiny = roomy(["crossbar.rows=8", "mesh.width=2", "mesh.height=1", "mesh.memory_ports=[[0,0]]"])
    with pytest.raises(NmcError) as caught:
        laid_out(chain(3, 16), tiny, until="place")
    (problem,) = caught.value.diagnostics
    assert problem.code == "too-many-tiles"
    assert problem.exit is Exit.DOES_NOT_FIT
    needed = int(problem.message.split(" needs ")[1].split()[0])
    assert "8" in problem.message
    assert problem.notes
    counts = [int(note.split(" needs ")[1].split(",")[0]) for note in problem.notes]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == needed  # of three layers, whole ones, whatever pieces they are cut into
    side = int(problem.remedy.split(" mesh of ")[1].split("x")[0])
    wide = override(tiny, [f"mesh.width={side}", f"mesh.height={side}"])
    assert len(laid_out(chain(3, 16), wide, until="place").tiles) == needed


def test_rows_too_long_for_any_core_are_said_to_be() -> None:
    net = Build(1, 64, 4, 400)
    graph = net.done(net.conv(net.x, 64))
    small = override(load("exact-128"), ["core.sram_kib=32"])
    with pytest.raises(NmcError) as caught:
        laid_out(graph, small, until="place")
    assert [d.code for d in caught.value.diagnostics] == ["sram-overflow"]
    assert caught.value.exit is Exit.DOES_NOT_FIT


@pytest.mark.parametrize(("what", "needed"), [("sequencers", 2), ("semaphores", 6)])
def test_too_few_of_a_core_are_said_to_be(what: str, needed: int) -> None:
    with pytest.raises(NmcError) as caught:
        laid_out(chain(2), roomy([f"core.{what}=1"]))
    (problem,) = caught.value.diagnostics
    assert problem.code == "too-many-sequencers"
    assert int(problem.message.split(" needs ")[1].split()[0]) >= needed
    assert what in problem.message
    assert what in problem.remedy
