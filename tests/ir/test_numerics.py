"""The shared arithmetic, against definitions written out with wide integers and with Python's."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc.ir import numerics, ops
from nmc.ir.graph import Array
from nmc.ir.windows import window_counts, window_divisors

SEEDS = st.integers(0, 2**32 - 1)
FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


def integers(seed: int, shape: tuple[int, ...], dtype: str) -> Array:
    info = np.iinfo(dtype)
    rng = np.random.default_rng(seed)
    return rng.integers(info.min, info.max, shape, np.dtype(dtype), endpoint=True)


@given(
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=20),
    st.floats(2.0**-30, 1, width=32),
    st.integers(0, 255),
)
def test_requantize_is_float32_with_one_rounding_each(
    acc: list[int], multiplier: float, zero_point: int
) -> None:
    got = numerics.requantize(
        np.array(acc, np.int32), np.array(multiplier, np.float32), zero_point, 5, 250
    )
    for number, stored in zip(acc, got, strict=True):
        product = Fraction(float(np.float32(number))) * Fraction(multiplier)
        rounded = round(Fraction(float(np.float32(float(product)))))  # Python's is half to even
        assert stored == min(max(rounded + zero_point, 5), 250)


@given(st.lists(FLOAT32, min_size=1, max_size=20), st.floats(2.0**-20, 2.0**20, width=32), SEEDS)
def test_quantize_is_a_float32_division_rounded_half_to_even(
    reals: list[float], scale: float, seed: int
) -> None:
    zero_point = seed % 256 - 128
    got = numerics.quantize(np.array(reals, np.float32), scale, zero_point, "i8")
    for real, stored in zip(reals, got, strict=True):
        with np.errstate(all="ignore"):
            quotient = float(np.float32(real) / np.float32(scale))
        rounded = round(quotient) if math.isfinite(quotient) else quotient
        assert stored == min(max(rounded + zero_point, -128), 127)


def test_half_goes_to_even_and_what_is_no_number_to_the_lowest() -> None:
    reals = np.array([0.5, 1.5, 2.5, -0.5, -1.5, np.inf, -np.inf, np.nan], np.float32)
    assert numerics.quantize(reals, 1.0, 10, "u8").tolist() == [10, 12, 12, 10, 8, 255, 0, 0]


@given(SEEDS, st.integers(0, 255), st.floats(2.0**-20, 1, width=32))
def test_quantize_undoes_dequantize(seed: int, zero_point: int, scale: float) -> None:
    stored = integers(seed, (50,), "u1")
    reals = numerics.dequantize(stored, scale, zero_point)
    assert reals.dtype == np.float32
    np.testing.assert_array_equal(numerics.quantize(reals, scale, zero_point, "u8"), stored)


@given(SEEDS, st.integers(1, 600), st.integers(1, 5))
def test_integer_products_are_exact(seed: int, depth: int, columns: int) -> None:
    x = integers(seed, (2, 3, depth), "u1").astype(np.int16) - 100
    w = integers(seed, (depth, columns), "i1")
    expected = x.astype(np.int64) @ w.astype(np.int64)
    np.testing.assert_array_equal(numerics.matmul_integers(x, w), expected)


def test_integer_products_are_exact_where_float32_is_not() -> None:
    x = np.full((1, 4097), 255, np.uint8)
    w = np.full((4097, 1), 127, np.int8)
    w[0] = 126
    assert numerics.matmul_integers(x, w)[0, 0] == 255 * (4096 * 127 + 126) > 2**24


def test_accumulators_wrap() -> None:
    x, w = np.full((1, 70000), 255, np.uint8), np.full((70000, 1), 127, np.int8)
    assert int(numerics.matmul_integers(x, w)[0, 0]) == 255 * 127 * 70000 - 2**32


@given(SEEDS, st.data())
def test_integer_convolution_is_the_sum_it_says(seed: int, data: st.DataObject) -> None:
    group = data.draw(st.integers(1, 2))
    x = integers(seed, (2, 2 * group, 5, 4), "u1")
    w = integers(seed, (3 * group, 2, 2, 3), "i1")
    strides, dilations = (2, 1), (1, data.draw(st.integers(1, 2)))
    pads = tuple(data.draw(st.integers(0, 2)) for _ in range(4))
    counts = window_counts((5, 4), (2, 3), strides, pads, dilations)
    if min(counts) < 1:
        return
    got = numerics.convolve_integers(
        x, w, strides=strides, pads=pads, dilations=dilations, group=group, zero_point=9
    )
    assert got.shape == (2, 3 * group, *counts)
    for index in np.ndindex(*got.shape):
        assert got[index] == one_sum(x, w, index, strides, pads, dilations, group)


def one_sum(
    x: Array,
    w: Array,
    index: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    group: int,
) -> int:
    n, m, *place = index
    first = m // (len(w) // group) * w.shape[1]
    total = 0
    for c, i, j in np.ndindex(*w.shape[1:]):
        row = place[0] * strides[0] + i * dilations[0] - pads[0]
        column = place[1] * strides[1] + j * dilations[1] - pads[1]
        if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
            total += (int(x[n, first + c, row, column]) - 9) * int(w[m, c, i, j])
    return total


def test_a_convolution_in_parts_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = integers(1, (7, 3, 9, 9), "u1"), integers(2, (4, 3, 3, 3), "i1")

    def convolved() -> Array:
        return numerics.convolve_integers(
            x, w, strides=(1, 1), pads=(1,) * 4, dilations=(1, 1), group=1, zero_point=3
        )

    whole = convolved()
    monkeypatch.setattr(numerics, "COLUMN_BYTES", 30000)
    np.testing.assert_array_equal(convolved(), whole)


FUNCTIONS: list[tuple[ops.Unary, float, float]] = [
    (ops.Relu(), -1.0, 0.0),
    (ops.LeakyRelu(0.5), -1.0, -0.5),
    (ops.Clip(-1.0, 2.0), 3.0, 2.0),
    (ops.Sigmoid(), -200.0, math.exp(-200)),
    (ops.Sigmoid(), 0.5, 1 / (1 + math.exp(-0.5))),
    (ops.HardSigmoid(), 1.0, 0.7),
    (ops.HardSwish(), 1.0, 1 * (1 / 6 + 0.5)),
    (ops.Tanh(), 0.5, math.tanh(0.5)),
    (ops.Exp(), 1.0, math.e),
    (ops.Log(), 2.0, math.log(2)),
    (ops.Sqrt(), 2.0, math.sqrt(2)),
    (ops.Reciprocal(), 3.0, 1 / 3),
    (ops.Abs(), -3.0, 3.0),
    (ops.Neg(), 3.0, -3.0),
    (ops.Sign(), -3.0, -1.0),
    (ops.Erf(), 0.5, math.erf(0.5)),
    (ops.Gelu(), -1.5, -1.5 * 0.5 * (1 + math.erf(-1.5 / math.sqrt(2)))),
    (ops.Elu(2.0), -1.0, 2 * (math.exp(-1) - 1)),
    (ops.Celu(2.0), -1.0, 2 * (math.exp(-0.5) - 1)),
    (ops.Softplus(), 100.0, 100.0),
    (ops.Softsign(), -3.0, -0.75),
    (ops.Mish(), 1.0, math.tanh(math.log1p(math.e))),
    (ops.ThresholdedRelu(1.0), 1.0, 0.0),
    (ops.Floor(), -1.5, -2.0),
    (ops.Ceil(), -1.5, -1.0),
    (ops.Round(), 2.5, 2.0),
]


@pytest.mark.parametrize(("op", "x", "y"), FUNCTIONS, ids=[str(f[0]) for f in FUNCTIONS])
def test_functions_are_rounded_once(op: ops.Unary, x: float, y: float) -> None:
    for shape in ((), (3,)):
        got = numerics.apply_unary(op, np.full(shape, x, np.float32))
        np.testing.assert_array_equal(got, np.full(shape, y, np.float32))
        assert got.dtype == np.float32


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (ops.Relu(), [0, 0, 0, 7, 127]),
        (ops.Clip(-1.5, 6.5), [-1, -1, 0, 6, 6]),
        (ops.Clip(-math.inf, math.inf), [-128, -1, 0, 7, 127]),
        (ops.Neg(), [-128, 1, 0, -7, -127]),
        (ops.Sign(), [-1, -1, 0, 1, 1]),
        (ops.Abs(), [-128, 1, 0, 7, 127]),
    ],
    ids=str,
)
def test_functions_of_integers_stay_integers(op: ops.Unary, expected: list[int]) -> None:
    x = np.array([-128, -1, 0, 7, 127], np.int8)
    got = numerics.apply_unary(op, x)
    assert got.dtype == np.int8
    assert got.tolist() == expected


@given(SEEDS)
def test_sums_run_in_index_order(seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(3, 4, 5)).astype(np.float32)
    got = numerics.sum_in_order(x, (0, 2), keepdims=True)
    for j in range(4):
        total = 0.0
        for i in range(3):
            for k in range(5):
                total += float(x[i, j, k])
        assert got[0, j, 0] == total


def test_a_sum_of_nothing_is_zero() -> None:
    assert numerics.sum_in_order(np.zeros((2, 0)), (1,)).tolist() == [0, 0]


def test_softmax_of_large_numbers() -> None:
    x = np.array([[1e4, 1e4, -1e4]], np.float32)
    assert numerics.softmax(x, 1).tolist() == [[0.5, 0.5, 0.0]]
    assert numerics.log_softmax(x, 1)[0, 0] == np.float32(-math.log(2))


@given(SEEDS, st.lists(st.integers(-3, 3), min_size=4, max_size=4))
def test_padding_comes_before_cropping(seed: int, pads: list[int]) -> None:
    x = integers(seed, (2, 3), "u1")
    got = numerics.crop_or_pad(x, pads, 7)
    wide = np.pad(x, [(9, 9), (9, 9)], constant_values=7)
    top, left, bottom, right = pads
    end = (wide.shape[0] - 9 + bottom, wide.shape[1] - 9 + right)
    expected = wide[9 - top : max(end[0], 9 - top), 9 - left : max(end[1], 9 - left)]
    np.testing.assert_array_equal(got, expected)


@given(SEEDS, st.booleans(), st.booleans(), st.data())
def test_window_divisors_count_what_windows_see(
    seed: int, ceil_mode: bool, count_pads: bool, data: st.DataObject
) -> None:
    kernel = tuple(data.draw(st.integers(1, 3)) for _ in range(2))
    pads = tuple(data.draw(st.integers(0, k - 1)) for k in kernel * 2)
    window = (kernel, (2, 1), pads, (1, 2), ceil_mode)
    sizes = (5, 6)
    if min(window_counts(sizes, *window)) < 1:
        return
    # Ones where elements count, zeros where none do, summed by the windows themselves.
    ones = np.ones((1, 1, *sizes))
    if count_pads:
        ones = numerics.crop_or_pad(ones, [0, 0, *pads[:2], 0, 0, *pads[2:]], 1)
        window = (kernel, (2, 1), (0,) * 4, (1, 2), ceil_mode)
    counts = window_counts(sizes, kernel, (2, 1), pads, (1, 2), ceil_mode)
    seen = numerics.pool_windows(ones, *window).sum(axis=(-1, -2))[0, 0]
    divisors = window_divisors(sizes, kernel, (2, 1), pads, (1, 2), ceil_mode, count_pads)
    assert divisors.shape == counts
    np.testing.assert_array_equal(divisors, seen[: counts[0], : counts[1]])
