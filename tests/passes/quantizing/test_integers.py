"""The arithmetic of quantisation: weights, biases, multipliers, bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc.ir.constants import StoredIntegers
from nmc.ir.graph import Array, Quant
from nmc.passes.quantizing.integers import (
    INT32_MAX,
    LARGEST_BIAS,
    Weights,
    bias_integers,
    bound,
    float_weights,
    multipliers,
    stored_bound,
    stored_weights,
)


def stored(data: object, scale: object, zero: object, dtype: str = "i1") -> StoredIntegers:
    array = np.array(data, dtype)
    return StoredIntegers(array, np.array(scale, np.float32), np.array(zero, np.int64))


@given(st.integers(0, 1 << 30), st.integers(2, 8), st.integers(0, 1))
def test_float_weights_are_the_nearest(seed: int, bits: int, axis: int) -> None:
    """Each channel uses the whole range, and every weight is off by at most half a step."""
    w = np.random.default_rng(seed).standard_normal((5, 7)).astype(np.float32)
    made = float_weights(w, axis, None, 0.1, bits)
    limit = (1 << (bits - 1)) - 1
    scale = made.scale.reshape(-1, 1) if axis == 0 else made.scale
    assert (np.abs(made.data).max(axis=1 - axis) == limit).all()
    assert (np.abs(made.data * scale.astype(np.float64) - w) <= 0.5001 * scale).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_blocks_make_no_difference(axis: int, monkeypatch: pytest.MonkeyPatch) -> None:
    w = np.random.default_rng(3).standard_normal((7, 5, 3)).astype(np.float32)
    whole = float_weights(w, axis, None, 0.1, 8)
    monkeypatch.setattr("nmc.passes.quantizing.integers.BLOCK", 31)
    pieces = float_weights(w, axis, None, 0.1, 8)
    np.testing.assert_array_equal(pieces.data, whole.data)
    np.testing.assert_array_equal(pieces.scale, whole.scale)


def test_a_bias_that_would_overflow_takes_precision_from_the_weights() -> None:
    """Batch normalisation leaves channels of tiny weights with an ordinary bias."""
    w = np.array([[1.0, -0.5], [1e-12, -1e-12]], np.float32)
    bias = np.array([3.0, 3.0])
    made = float_weights(w, 0, bias, 0.02, 8)
    integers = bias_integers(bias, 0.02, made.scale)
    assert np.abs(integers[1]) <= LARGEST_BIAS + 100
    np.testing.assert_allclose(integers * (0.02 * made.scale.astype(np.float64)), bias, rtol=1e-3)
    np.testing.assert_array_equal(made.data, [[127, -64], [0, 0]])


@pytest.mark.parametrize("bias", [0.0, 1e-20, 5.0, -1e20])
def test_channels_without_weights_keep_their_bias(bias: float) -> None:
    made = float_weights(np.zeros((1, 4), np.float32), 0, np.array([bias]), 0.1, 8)
    integers = bias_integers(np.array([bias]), 0.1, made.scale)
    assert not made.data.any()
    factor = multipliers(0.1, made.scale, None)
    assert np.isfinite(factor).all()
    assert (factor > 0).all()
    np.testing.assert_allclose(integers * factor.astype(np.float64), [bias], rtol=1e-5)


def test_scales_multiply_in_float32_in_onnxruntimes_order() -> None:
    rng = np.random.default_rng(0)
    w = rng.uniform(1e-4, 1, 1000).astype(np.float32)
    x, y = np.float32(0.1234567), np.float32(0.7654321)
    found = multipliers(float(x), w, float(y))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, (x * w) / y)
    assert (found != x * (w / y)).any()  # the order shows
    np.testing.assert_array_equal(multipliers(float(x), w, None), x * w)


def test_zero_points_of_stored_weights_are_taken_off() -> None:
    made = stored_weights(stored([[10, 137], [0, 200]], [[0.5]], [[73]], "u1"), 0, 8)
    assert made is not None
    np.testing.assert_array_equal(made.data, [[-63, 64], [-73, 127]])
    np.testing.assert_array_equal(made.scale, [0.5, 0.5])
    assert made.changed == 0


def test_one_weight_too_far_is_clipped_when_that_changes_less() -> None:
    data = [[-128, *range(1, 100, 2)], [5] * 51]
    made = stored_weights(stored(data, [[0.5]], [[0]]), 0, 8)
    assert made is not None
    np.testing.assert_array_equal(made.data[0], [-127, *range(1, 100, 2)])
    assert made.scale[0] == 0.5
    assert made.changed == 1


def test_many_weights_too_far_are_rescaled_when_that_changes_less() -> None:
    data = np.array([[255, 240, 220, 200, -10, 0]])
    made = stored_weights(stored(data - 0, [[0.5]], [[0]], "i2"), 0, 8)
    assert made is not None
    assert made.changed == 1
    real = made.data * made.scale.astype(np.float64)[:, None]
    assert made.scale[0] > 0.5
    assert np.abs(real - data * 0.5).max() <= made.scale[0] / 2 + 1e-6


def test_scales_along_another_axis_can_not_be_kept() -> None:
    assert stored_weights(stored([[1, 2]], [[0.5, 2.0]], [[0, 0]]), 0, 8) is None
    assert stored_weights(stored([[1, 2]], [[0.5, 2.0]], [[0, 0]]), 1, 8) is not None


def brute_bound(w: Array, bias: Array, zero_point: int) -> int:
    """Every corner of the inputs' box, raw and less the zero point."""
    corners = np.stack(np.meshgrid(*[[0, 255]] * len(w)), -1).reshape(-1, len(w))
    sums = corners @ w.astype(np.int64)
    folded = bias - zero_point * w.astype(np.int64).sum(axis=0)
    return int(max(np.abs(sums).max(), np.abs(folded).max(), np.abs(sums + folded).max()))


@given(st.integers(0, 1 << 30), st.integers(0, 255))
def test_the_bound_is_reached_and_never_exceeded(seed: int, zero_point: int) -> None:
    rng = np.random.default_rng(seed)
    w = rng.integers(-127, 128, (4, 3)).astype(np.int8)
    bias = rng.integers(-100_000, 100_000, 3).astype(np.int32)
    weights = Weights(w, np.ones(3, np.float32))
    assert bound(weights, 1, bias, zero_point, 8) == brute_bound(w, bias, zero_point)


def test_bounds_of_clips() -> None:
    quant = Quant(0.5, 10)
    assert stored_bound(-np.inf, quant) == 0
    assert stored_bound(np.inf, quant) == 255
    assert stored_bound(0.0, quant) == 10
    assert stored_bound(6.0, quant) == 22


def test_biases_saturate() -> None:
    integers = bias_integers(np.array([1e20, -1e20]), 1.0, np.ones(2, np.float32))
    np.testing.assert_array_equal(integers, [INT32_MAX, -INT32_MAX])
