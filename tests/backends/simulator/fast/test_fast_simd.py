"""Operations on vectors equal numpy's on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nmc.backends.simulator.fast import simd
from nmc.backends.simulator.fast.jit import compiled

N = simd.COUNT


@compiled
def arithmetic(a: Any, b: Any, bits: int, factor: Any, results: Any) -> None:
    """Rows of `results`: zeros, sum, product with a number, shifted, clipped."""
    x, y = simd.load(a, 3), simd.load(b, 0)
    simd.store(results, 0, simd.zeros(results))
    simd.store(results, N, simd.add(x, y))
    simd.store(results, 2 * N, simd.scale(x, factor))
    simd.store(results, 3 * N, simd.shift_left(x, bits))
    simd.store(results, 4 * N, simd.clip(x, simd.zeros(a), y))


@compiled
def cast_and_divided(a: Any, steps: Any, cast: Any, quotients: Any) -> None:
    simd.store(cast, 0, simd.cast_like(simd.load(a, 0), cast))
    simd.store(quotients, 0, simd.divide(simd.load(a, 0), steps, 1))


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
def test_arithmetic(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    limits = np.iinfo(dtype)
    a = rng.integers(limits.min, limits.max, N + 3, dtype, endpoint=True)
    b = rng.integers(0, limits.max, N, dtype, endpoint=True)
    results = np.ones((5, N), dtype)
    arithmetic(a, b, 3, dtype(-5), results)
    x = a[3:]
    wanted = [np.zeros(N, dtype), x + b, x * dtype(-5), x << 3, np.clip(x, 0, b)]
    np.testing.assert_array_equal(results, wanted)


@pytest.mark.parametrize(
    ("dtype", "to", "quotient"),
    [
        (np.int16, np.int32, np.float32),
        (np.int32, np.int32, np.float64),
        (np.int64, np.int32, np.float64),
    ],
)
def test_casts_and_quotients(dtype: Any, to: Any, quotient: Any) -> None:
    """Ties go to the even neighbour; what is too wide loses its upper bits."""
    rng = np.random.default_rng(1)
    a = rng.integers(-30000, 30000, N).astype(dtype)
    a[:8] = [-15, -10, -5, -1, 5, 10, 15, 25]
    a[8] = np.iinfo(dtype).max
    steps = np.concatenate([[1], np.full(8, 10), rng.integers(1, 9, N - 8)]).astype(quotient)
    cast, quotients = np.zeros(N, to), np.zeros(N, dtype)
    cast_and_divided(a, steps, cast, quotients)
    np.testing.assert_array_equal(cast, a.astype(to))
    assert quotients[:8].tolist() == [-2, -1, 0, 0, 0, 1, 2, 2]
    np.testing.assert_array_equal(quotients[9:], np.rint(a[9:] / steps[10:]).astype(dtype))
