"""Levels of cells hold the weights; the sliced product is docs/machine.md's, digit by digit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc.ir.graph import Array
from nmc.ir.slices import (
    code_range,
    column_bounds,
    convert,
    join_levels,
    lossless,
    slice_levels,
    sliced_product,
)

ENCODINGS = ["differential", "offset"]


def random_weights(seed: int, rows: int, outputs: int) -> Array:
    return np.random.default_rng(seed).integers(-127, 128, (rows, outputs)).astype(np.int8)


@given(
    st.integers(0, 99),
    st.integers(1, 7),
    st.sampled_from(ENCODINGS),
    st.integers(1, 9),
    st.integers(1, 5),
)
def test_levels_join_to_the_weights(
    seed: int, cell_bits: int, encoding: str, rows: int, outputs: int
) -> None:
    weights = random_weights(seed, rows, outputs)
    slices = -(-(8 - (encoding == "differential")) // cell_bits)
    levels = slice_levels(weights, cell_bits=cell_bits, slices=slices, encoding=encoding)
    assert levels.shape == (rows, outputs * slices)
    assert levels.dtype == np.int8
    assert int(np.abs(levels).max()) < 1 << cell_bits
    joined = join_levels(levels, slices, cell_bits, encoding=encoding)
    assert joined.dtype == np.int32
    np.testing.assert_array_equal(joined, weights)


def test_least_significant_slice_comes_first_and_carries_the_sign() -> None:
    levels = slice_levels(np.array([[0x53, -0x2A]]), cell_bits=4, slices=2)
    np.testing.assert_array_equal(levels, [[3, 5, -10, -2]])


def test_weights_too_large_for_their_slices_are_refused() -> None:
    with pytest.raises(ValueError, match="2 slices of 3 bits"):
        slice_levels(np.array([[64]]), cell_bits=3, slices=2)
    with pytest.raises(ValueError, match="int8"):
        slice_levels(np.array([[100]]), cell_bits=8, slices=1, encoding="offset")


def test_bounds_are_reached_by_the_worst_inputs() -> None:
    levels = np.array([[3, -2], [-1, -4], [2, 0]], np.int8)
    least, most = column_bounds(levels, 2)
    np.testing.assert_array_equal(least, [-3, -18])
    np.testing.assert_array_equal(most, [15, 0])


@pytest.mark.parametrize(
    ("encoding", "bits", "expected"),
    [("differential", 8, (-128, 127)), ("offset", 8, (0, 255)), ("reference", 4, (-8, 7))],
)
def test_codes_are_signed_where_a_difference_is_converted(
    encoding: str, bits: int, expected: tuple[int, int]
) -> None:
    assert code_range(bits, encoding) == expected


def test_conversion_rounds_half_to_even_and_clips() -> None:
    values = np.array([-100, -6, -2, 2, 6, 7, 10, 100])
    np.testing.assert_array_equal(convert(values, step=4, bits=3), [-16, -8, 0, 0, 8, 8, 8, 12])


def naive(x: Array, levels: Array, slices: int, cell_bits: int, dac_bits: int, **adc: Any) -> Array:
    """docs/machine.md in the plainest loops."""
    bits, steps, converted = adc["bits"], adc["steps"], adc["converted"]
    acc = np.zeros((len(x), levels.shape[1] // slices), np.int64)
    for i, row in enumerate(x):
        for channel in range(levels.shape[1]):
            j, s = divmod(channel, slices)
            for phase in range(-(-8 // dac_bits)):
                digits = [(int(v) >> (dac_bits * phase)) % (1 << dac_bits) for v in row]
                c = sum(d * int(g) for d, g in zip(digits, levels[:, channel], strict=True))
                lo, hi = -(1 << (bits[s] - 1)), (1 << (bits[s] - 1)) - 1
                code = min(max(round(c / steps[s]), lo), hi) * steps[s]
                acc[i, j] += (code if converted[s] else 0) << (dac_bits * phase + cell_bits * s)
    return acc


@given(st.integers(0, 999), st.integers(1, 7), st.integers(1, 8), st.data())
def test_product_is_that_of_plain_loops(
    seed: int, cell_bits: int, dac_bits: int, data: st.DataObject
) -> None:
    slices = -(-7 // cell_bits)
    rng = np.random.default_rng(seed)
    weights = random_weights(seed, 6, 3)
    x = rng.integers(0, 256, (2, 6)).astype(np.uint8)
    levels = slice_levels(weights, cell_bits=cell_bits, slices=slices)
    adc: dict[str, Any] = {
        "bits": data.draw(st.lists(st.integers(2, 10), min_size=slices, max_size=slices)),
        "steps": data.draw(st.lists(st.integers(1, 9), min_size=slices, max_size=slices)),
        "converted": data.draw(st.lists(st.booleans(), min_size=slices, max_size=slices)),
    }
    got = sliced_product(
        x, levels, slices=slices, cell_bits=cell_bits, dac_bits=dac_bits, input_bits=8, **adc
    )
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, naive(x, levels, slices, cell_bits, dac_bits, **adc))


@given(st.integers(0, 999), st.integers(1, 7), st.integers(1, 8), st.sampled_from(ENCODINGS))
def test_lossless_reads_give_the_integer_product(
    seed: int, cell_bits: int, dac_bits: int, encoding: str
) -> None:
    slices = -(-(8 - (encoding == "differential")) // cell_bits)
    weights = random_weights(seed, 40, 3)
    x = np.random.default_rng(seed).integers(0, 256, (2, 5, 40)).astype(np.uint8)
    levels = slice_levels(weights, cell_bits=cell_bits, slices=slices, encoding=encoding)
    adc: dict[str, Any] = {
        "bits": [24] * slices,
        "steps": [1] * slices,
        "converted": [True] * slices,
    }
    assert lossless(levels, slices=slices, dac_bits=dac_bits, encoding=encoding, **adc)
    got = sliced_product(
        x,
        levels,
        slices=slices,
        cell_bits=cell_bits,
        dac_bits=dac_bits,
        input_bits=8,
        encoding=encoding,
        **adc,
    )
    np.testing.assert_array_equal(got, x.astype(int) @ weights.astype(int))


@pytest.mark.parametrize(
    ("adc", "expected"),
    [
        ({"bits": (5,), "steps": (1,), "converted": (True,)}, True),
        ({"bits": (4,), "steps": (1,), "converted": (True,)}, False),  # 9 > 7
        ({"bits": (5,), "steps": (2,), "converted": (True,)}, False),
        ({"bits": (5,), "steps": (1,), "converted": (False,)}, False),
    ],
)
def test_what_makes_a_read_lossless(adc: dict[str, Any], expected: bool) -> None:
    levels = np.array([[3], [-2], [6]], np.int8)
    assert lossless(levels, slices=1, dac_bits=1, **adc) is expected


def test_empty_slices_need_no_conversion() -> None:
    levels = np.array([[3, 0], [1, 0]], np.int8)
    assert lossless(
        levels, slices=2, dac_bits=1, bits=(4, 4), steps=(1, 5), converted=(True, False)
    )
