"""The Pareto filter against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc.ir.pareto import nondominated


def by_definition(points: list[tuple[int, ...]]) -> list[int]:
    def beats(j: int, i: int) -> bool:
        return all(a <= b for a, b in zip(points[j], points[i], strict=True)) and (
            points[j] != points[i] or j < i
        )

    indices = range(len(points))
    return [i for i in indices if not any(beats(j, i) for j in indices if j != i)]


@given(
    st.integers(1, 4).flatmap(
        lambda dims: st.lists(st.tuples(*[st.integers(0, 6)] * dims), min_size=1, max_size=40)
    )
)
def test_keeps_exactly_what_nothing_beats(points: list[tuple[int, ...]]) -> None:
    assert nondominated(np.array(points, np.int64)).tolist() == by_definition(points)


@pytest.mark.parametrize("dims", [2, 3])
def test_more_points_than_are_compared_at_once(dims: int) -> None:
    points = np.random.default_rng(5).integers(0, 60, (700, dims))
    expected = by_definition([tuple(row) for row in points.tolist()])
    assert nondominated(points).tolist() == expected


def test_nothing_of_nothing() -> None:
    assert nondominated(np.empty((0, 3), np.int64)).tolist() == []
