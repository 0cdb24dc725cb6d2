"""Placement: one tile a crossbar, room respected, and what is said when there is none."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import pytest

from nmc.ir.diagnostics import Exit, NmcError, Report
from nmc.ir.graph import Graph
from nmc.passes.base import mapping_of
from nmc.passes.place import Place
from nmc.targets import load, override
from tests.passes.lowering import laid_out, lowered, roomy
from tests.passes.nets import Build


def chain(layers: int, channels: int = 8) -> Graph:
    net = Build(1, channels, 6, 6)
    value = net.x
    for i in range(layers):
        value = net.relu(net.conv(value, channels, name=f"layer{i}"))
    return net.done(value)


def test_no_two_tiles_share_a_crossbar() -> None:
    mapping = laid_out(chain(6), roomy(["crossbar.rows=32"]), until="place")
    places = Counter((t.core, t.crossbar) for t in mapping.tiles)
    assert set(places.values()) == {1}
    assert all(0 <= t.crossbar < 4 for t in mapping.tiles)


def test_a_matrix_that_fits_in_one_core_stays_there() -> None:
    # Three tiles each on cores of four crossbars: one layer a core, though five would be left.
    mapping = laid_out(chain(4), roomy(["crossbar.rows=32"]), until="place")
    assert [len(s.cores) for s in mapping.stages if s.blocks] == [1, 1, 1, 1]


def test_a_larger_matrix_spreads_and_its_home_is_its_first_core() -> None:
    mapping = laid_out(chain(1, 16), roomy(["crossbar.rows=8"]), until="place")
    (stage,) = (s for s in mapping.stages if s.blocks)
    assert len(stage.cores) > 1
    assert stage.home == stage.cores[0]
    assert {t.core for t in mapping.tiles} == set(stage.cores)


def test_too_many_tiles_name_a_mesh_that_would_do() -> None:
    tiny = roomy(["crossbar.rows=8", "mesh.width=2", "mesh.height=1", "mesh.memory_ports=[[0,0]]"])
    with pytest.raises(NmcError) as caught:
        laid_out(chain(3, 16), tiny, until="place")
    (problem,) = caught.value.diagnostics
    assert problem.code == "too-many-tiles"
    assert problem.exit is Exit.DOES_NOT_FIT
    needed = int(problem.message.split(" needs ")[1].split()[0])
    assert "8" in problem.message
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


def test_too_few_sequencers_are_said_to_be() -> None:
    with pytest.raises(NmcError) as caught:
        laid_out(chain(2), roomy(["core.sequencers=1"]), until="place")
    (problem,) = caught.value.diagnostics
    assert problem.code == "too-many-sequencers"
    assert "needs 2 sequencers" in problem.message


def busiest_cluster(clusters: Literal["balanced", "first-fit"]) -> int:
    """Conversions of the busiest cluster of three layers that share a core of two clusters."""
    target = override(load("exact-128"), ["core.crossbars=8"])
    design = lowered(chain(3), target, until="tile")
    report = Report()
    Place(clusters).run(design, report)
    report.check()
    load_of: Counter[tuple[int, int]] = Counter()
    for tile in mapping_of(design).tiles:
        load_of[tile.core, tile.crossbar // target.adc.crossbars_per_cluster] += tile.outputs
    return max(load_of.values())


def test_balanced_clusters_share_the_conversions() -> None:
    assert busiest_cluster("balanced") < busiest_cluster("first-fit")
