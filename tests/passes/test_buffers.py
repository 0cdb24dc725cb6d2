"""Buffers: disjoint, inside the memory, and every ring where its consumer works."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from nmc.ir.mapping import Kind, Ring, Source
from nmc.ir.target import Target
from nmc.passes.buffers import FAN_OUT, relayed
from tests.passes.lowering import laid_out, roomy
from tests.passes.random_nets import random_net


@pytest.mark.parametrize("seed", range(12))
def test_buffers_of_a_core_are_disjoint(seed: int) -> None:
    target = roomy(["crossbar.rows=16"])
    mapping = laid_out(random_net(seed, 8), target, until="buffers")
    spans: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for ring in mapping.rings:
        step = mapping.stages[ring.stage].step
        size = ring.depth * ring.row_bytes
        spans.setdefault((step, ring.core), []).append((ring.address, size))
    for buffer in mapping.buffers:
        step = mapping.stages[buffer.stage].step
        spans.setdefault((step, buffer.core), []).append((buffer.address, buffer.bytes))
    for pieces in spans.values():
        pieces.sort()
        assert pieces[-1][0] + pieces[-1][1] <= target.core.sram_kib * 1024
        assert all(a + size <= b for (a, size), (b, _) in pairwise(pieces))


def test_each_core_of_a_matrix_has_its_own_ring() -> None:
    mapping = laid_out(random_net(5, 6), roomy(["crossbar.rows=8"]), until="buffers")
    for index, stage in enumerate(mapping.stages):
        cores = {r.core for r in mapping.rings if r.stage == index and r.operand == 0}
        assert cores == set(stage.cores)


@pytest.mark.parametrize("seed", range(8))
def test_a_ring_is_fed_by_the_nearest_with_few_children(seed: int) -> None:
    """Those of a tree lie on random cores; near the root comes first."""
    rng = np.random.default_rng(seed)
    target = roomy(["mesh.width=9", "mesh.height=7"])
    mapping = laid_out(random_net(5, 6), roomy(["crossbar.rows=8"]), until="buffers")
    some = next(r for r in mapping.rings if mapping.stages[r.stage].kind is Kind.MATRIX)
    rings = [
        replace(some, core=int(core), parent=-1)
        for core in rng.permutation(target.cores)[: rng.integers(1, 40)]
    ]
    found = relayed(mapping, rings, target)
    assert found[0].parent == -1
    children: Counter[int] = Counter()
    for number in sorted(range(1, len(rings)), key=lambda n: (hops(target, found, n, 0), n)):
        before = {0, *(n for n in range(1, len(rings)) if is_before(target, found, n, number))}
        free = [n for n in before if children[n] < FAN_OUT]
        best = min(free, key=lambda n: (hops(target, found, n, number), children[n], n))
        assert found[number].parent == best
        assert found[number].sources == (Source(0, found[best].core),)
        children[best] += 1


def hops(target: Target, rings: list[Ring], one: int, other: int) -> int:
    return target.mesh.hops(rings[one].core, rings[other].core)


def is_before(target: Target, rings: list[Ring], one: int, other: int) -> bool:
    return (hops(target, rings, one, 0), one) < (hops(target, rings, other, 0), other)
