"""The way through the mesh: every core once, neighbour by neighbour."""

from __future__ import annotations

from itertools import pairwise

import pytest

from nmc.ir.target import Mesh
from nmc.passes.placing.curve import curve


def mesh(width: int, height: int) -> Mesh:
    return Mesh(width, height, 32, 1.0, ((0, 0),))


@pytest.mark.parametrize("width", [1, 2, 3, 7, 8, 16, 23])
@pytest.mark.parametrize("height", [1, 2, 5, 6, 8, 31])
def test_every_core_is_met_once_and_next_to_the_one_before(width: int, height: int) -> None:
    there = mesh(width, height)
    cores = curve(there)
    assert cores[0] == 0
    assert sorted(cores) == list(range(width * height))
    hops = sorted(there.hops(a, b) for a, b in pairwise(cores))
    assert all(h == 1 for h in hops[:-1])
    assert not hops or hops[-1] <= 2


def test_what_is_near_on_the_way_is_near_on_the_mesh() -> None:
    there = mesh(32, 32)
    cores = curve(there)
    far = max(there.hops(cores[i], cores[i + 16]) for i in range(1024 - 16))
    assert far <= 16
    assert max(there.hops(i, i + 16) for i in range(1024 - 16)) == 17
