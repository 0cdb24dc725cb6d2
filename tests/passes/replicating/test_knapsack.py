"""The multiple-choice knapsack against a plain search."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc.passes.replicating import knapsack
from nmc.passes.replicating.knapsack import Table, TooMany, fitting_rows, least_rows

Rows = list[list[tuple[int, ...]]]


@st.composite
def tables(draw: st.DrawFn) -> tuple[Rows, list[int]]:
    """Rows of costs, then a value; and the cap."""
    dims = draw(st.integers(1, 3))
    row = st.tuples(*[st.integers(0, 9)] * (dims + 1))
    rows = draw(st.lists(st.lists(row, min_size=1, max_size=6), min_size=1, max_size=4))
    return rows, draw(st.lists(st.integers(0, 25), min_size=dims, max_size=dims))


def made(rows: Rows) -> list[Table]:
    arrays = [np.array(part, np.int64) for part in rows]
    return [Table(a[:, :-1], a[:, -1]) for a in arrays]


def fitting(rows: Rows, cap: list[int]) -> list[int]:
    """The values of all selections that fit."""
    return [
        sum(row[-1] for row in chosen)
        for chosen in product(*rows)
        if all(sum(row[d] for row in chosen) <= most for d, most in enumerate(cap))
    ]


def value(rows: Rows, cap: list[int], chosen: list[int]) -> int:
    """Of a selection, which fits."""
    picked = [part[i] for part, i in zip(rows, chosen, strict=True)]
    assert all(sum(row[d] for row in picked) <= most for d, most in enumerate(cap))
    return sum(row[-1] for row in picked)


@given(tables())
def test_the_least_value_that_fits(problem: tuple[Rows, list[int]]) -> None:
    rows, cap = problem
    chosen = least_rows(made(rows), np.array(cap))
    expected = min(fitting(rows, cap), default=None)
    assert (None if chosen is None else value(rows, cap, chosen)) == expected


@pytest.mark.parametrize("rounds", [0, knapsack.ROUNDS])
@given(problem=tables())
def test_something_that_fits_if_anything_does(rounds: int, problem: tuple[Rows, list[int]]) -> None:
    rows, cap = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(knapsack, "ROUNDS", rounds)
        chosen = fitting_rows(made(rows), np.array(cap))
    assert (chosen is not None) == bool(fitting(rows, cap))
    if chosen is not None:
        value(rows, cap, chosen)


def test_a_search_that_would_be_too_wide_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knapsack, "MOST_SUMS", 2)
    rows: Rows = [[(n, 9 - n, 0) for n in range(10)]] * 2
    with pytest.raises(TooMany):
        least_rows(made(rows), np.array([9, 9]))
