"""Cores on the mesh: each exchange is worth what it is taken to be worth."""

from __future__ import annotations

import numpy as np
import pytest

from nmc.ir.graph import Array
from nmc.ir.target import Mesh
from nmc.passes.placing.arranging import Descent
from nmc.passes.placing.traffic import Traffic


def traffic(matrix: Array, memory: Array) -> Traffic:
    """Of a symmetric matrix of bytes."""
    one, other = np.nonzero(matrix)
    first = np.searchsorted(one, np.arange(len(matrix) + 1))
    return Traffic(first, other, matrix[one, other].astype(np.float64), memory)


def random_traffic(cores: int, share: float, seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    half = np.triu(rng.integers(1, 100, (cores, cores)) * (rng.random((cores, cores)) < share), 1)
    return half + half.T, rng.integers(0, 50, cores).astype(np.float64)


def way(there: Mesh, order: Array, matrix: Array, memory: Array) -> float:
    """Bytes times hops, pair by pair."""
    total = 0.0
    for a in range(len(order)):
        ports = [there.hops(int(order[a]), there.core_at(*port)) for port in there.memory_ports]
        total += memory[a] * min(ports)
        for b in range(a):
            total += matrix[a, b] * there.hops(int(order[a]), int(order[b]))
    return total


def places(descent: Descent, there: Mesh) -> Array:
    return np.asarray(descent.y * there.width + descent.x)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [0.05, 0.6])
def test_rounds_shorten_the_way_by_what_they_say(seed: int, share: float) -> None:
    there = Mesh(6, 4, 32, 1.0, ((0, 0), (5, 3)))
    matrix, memory = random_traffic(24, share, seed)
    rng = np.random.default_rng(seed)
    descent = Descent(there, traffic(matrix, memory), rng.permutation(24).tolist())
    before = descent.way()
    assert before == pytest.approx(way(there, places(descent, there), matrix, memory))
    while descent.round(rng):
        order = places(descent, there)
        assert sorted(order) == list(range(24))
        after = descent.way()
        assert after == pytest.approx(way(there, order, matrix, memory))
        assert after < before
        before = after


def test_a_chain_is_laid_out_neighbour_by_neighbour() -> None:
    there = Mesh(4, 4, 32, 1.0, ((0, 0),))
    matrix = np.zeros((16, 16), np.int64)
    for i in range(15):
        matrix[i, i + 1] = matrix[i + 1, i] = 10
    rng = np.random.default_rng(0)
    best = min(chain_way(there, matrix, rng) for _ in range(8))
    assert best <= 1.3 * 150


def chain_way(there: Mesh, matrix: Array, rng: np.random.Generator) -> float:
    descent = Descent(there, traffic(matrix, np.zeros(16)), rng.permutation(16).tolist())
    while descent.round(rng):
        pass
    return descent.way()


def test_cores_without_traffic_stay_out_of_the_way() -> None:
    there = Mesh(5, 5, 32, 1.0, ((2, 2),))
    matrix = np.zeros((25, 25), np.int64)
    matrix[0, 24] = matrix[24, 0] = 7
    memory = np.zeros(25)
    memory[0] = 100.0
    descent = Descent(there, traffic(matrix, memory), list(range(25)))
    rng = np.random.default_rng(0)
    while descent.round(rng):
        pass
    assert descent.way() == 7.0
