"""Buffers: disjoint, inside the memory, and every ring where its consumer works."""

from __future__ import annotations

from itertools import pairwise

import pytest

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
