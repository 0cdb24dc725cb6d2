"""Short names of layers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nmc.report.names import short_names

KERAS = [
    "model/activation/Relu;model/conv2d_2/Conv2D;model/conv2d/Conv2D1_prequant",
    "model/activation_1/Relu;model/conv2d_2/Conv2D;model/conv2d_1/Conv2D1_prequant",
    "model/dense/MatMul;model/dense/BiasAdd_prequant",
]


def test_what_says_nothing_is_left_out() -> None:
    assert list(short_names(KERAS, 24).values()) == [
        "activation/Relu", "activation_1/Relu", "dense/MatMul",
    ]  # fmt: skip


def test_first_parts_that_are_alike_are_not_enough() -> None:
    assert list(short_names(["a;x", "a;y"], 24).values()) == ["a;x", "a;y"]


def test_what_differs_in_the_middle_gets_a_number() -> None:
    names = [f"{'a' * 20}{i}{'b' * 20}" for i in range(3)]
    assert list(short_names(names, 12).values()) == ["aaaa..bbbb~1", "aaaa..bbbb~2", "aaaa..bbbb~3"]


@given(st.lists(st.text("ab/;_~1", min_size=1, max_size=30)), st.integers(8, 30))
def test_they_are_short_and_distinct(names: list[str], width: int) -> None:
    found = short_names(names, width)
    assert set(found) == set(names)
    assert len(set(found.values())) == len(found)
    assert max(map(len, found.values()), default=0) <= width
