"""Ranges from histograms: growth, merging, the three methods, strange numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc.ir import numerics, ops
from nmc.ir.calibration import BINS, Histogram, choose_range, measure, quant_of_range
from nmc.ir.design import Calibration
from nmc.ir.graph import Array, Graph, TensorType
from nmc.ir.types import emit


def histogram(*parts: Array) -> Histogram:
    result = Histogram()
    for part in parts:
        result.add(part)
    return result


def normal(count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(count).astype(np.float32)


def test_growth_loses_nothing() -> None:
    """Samples ever larger, one by one, give the counts that all of them give at once."""
    x = normal(5000)
    x = x[np.argsort(np.abs(x))]
    slowly, at_once = histogram(*np.split(x, 10)), histogram(x)
    assert slowly.span == at_once.span
    np.testing.assert_array_equal(slowly.counts, at_once.counts)
    assert (slowly.low, slowly.high) == (x.min(), x.max())


@pytest.mark.parametrize("scale", [1.0, 100.0, 0.001])
def test_merging_is_adding(scale: float) -> None:
    a, b = normal(1000), normal(1000, 1) * np.float32(scale)
    merged = histogram(a)
    merged.merge(histogram(b))
    np.testing.assert_array_equal(merged.counts, histogram(a, b).counts)
    assert merged.high == max(a.max(), b.max())


def test_merging_with_nothing() -> None:
    empty, full = Histogram(), histogram(normal(10))
    empty.merge(full)
    np.testing.assert_array_equal(empty.counts, full.counts)
    full.merge(Histogram())
    np.testing.assert_array_equal(empty.counts, full.counts)


def test_strange_numbers_are_counted_and_left_out() -> None:
    found = histogram(np.array([1.0, np.nan, np.inf, -np.inf, 0.0, -2.0], np.float32))
    assert (found.strange, found.zeros, found.low, found.high) == (3, 1, -2.0, 1.0)
    assert found.counts.sum() == 2


def test_minmax_is_all_that_was_seen() -> None:
    x = normal(1000)
    assert choose_range(histogram(x), "minmax", 99.9, 8) == (x.min(), x.max())


@pytest.mark.parametrize("percentile", [90.0, 99.0, 99.9])
def test_percentile_agrees_with_numpy(percentile: float) -> None:
    x = normal(100_000)
    low, high = choose_range(histogram(x), "percentile", percentile, 8)
    tail = (100 - percentile) / 2
    near = 4 * histogram(x).span / BINS + 0.01  # bins, and gaps between rare elements
    assert low == pytest.approx(np.percentile(x, tail), abs=near)
    assert high == pytest.approx(np.percentile(x, 100 - tail), abs=near)


def test_percentile_of_a_relu_starts_at_zero() -> None:
    low, _ = choose_range(histogram(np.maximum(normal(10_000), 0)), "percentile", 99.9, 8)
    assert low == 0


@pytest.mark.parametrize("bits", [4, 8])
def test_least_squares_beats_the_full_range(bits: int) -> None:
    """With an outlier, clipping it costs less than the coarse steps that it would force."""
    x = np.append(normal(50_000), np.float32(40))
    found = histogram(x)

    def error(low: float, high: float) -> float:
        quant = quant_of_range(low, high, bits)
        stored = np.rint(x / quant.scale) + quant.zero_point
        stored = np.clip(stored, 0, (1 << bits) - 1)
        return float((((stored - quant.zero_point) * quant.scale - x) ** 2).sum())

    assert error(*choose_range(found, "mse", 0, bits)) < error(x.min(), x.max())


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
def test_zeros_alone_have_an_empty_range(method: str) -> None:
    found = histogram(np.zeros(10, np.float32))
    assert choose_range(found, method, 99.9, 8) == (0, 0)  # type: ignore[arg-type]


finite = st.floats(-1e30, 1e30)


@given(finite, finite, st.integers(2, 8))
def test_quants_are_sound(a: float, b: float, bits: int) -> None:
    """Zero is exact, the range is covered to half a step, the scale is float32 and positive."""
    low, high = min(a, b), max(a, b)
    quant = quant_of_range(low, high, bits)
    top = (1 << bits) - 1
    assert quant.scale > 0
    assert float(np.float32(quant.scale)) == quant.scale
    assert 0 <= quant.zero_point <= top
    assert numerics.dequantize(np.array([quant.zero_point]), quant.scale, quant.zero_point) == 0
    reach = [(n - quant.zero_point) * quant.scale for n in (0, top)]
    step = quant.scale * 0.501
    if quant.scale != 1.0:
        assert reach[0] <= min(low, 0) + step
        assert reach[1] >= max(high, 0) - step


def test_measuring_sees_every_sample_whatever_the_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Graph("g")
    x = graph.add_input("x", TensorType("f32", (1, 3)))
    y = emit(graph, ops.Neg(), [x], "y")
    graph.outputs.append(y)
    data = normal(21).reshape(7, 3)
    whole = measure(graph, [x, y], Calibration({"x": data}, "test"), None)
    monkeypatch.setattr("nmc.ir.calibration.KEPT_BYTES", 60)
    parts = measure(graph, [x, y], Calibration({"x": data}, "test"), None)
    assert parts[y].high == whole[y].high == -data.min()
    np.testing.assert_array_equal(parts[x].counts, whole[x].counts)
    assert parts[x].counts.sum() == data.size


@pytest.mark.parametrize("shape", [(5, 4, 3), (20, 3)])
def test_inputs_without_a_batch_of_one(shape: tuple[int, ...]) -> None:
    """Five samples of [4,3], on an axis of their own or merged into the first."""
    graph = Graph("g")
    x = graph.add_input("x", TensorType("f32", (4, 3)))
    y = emit(graph, ops.Neg(), [x], "y")
    graph.outputs.append(y)
    data = normal(60).reshape(shape)
    found = measure(graph, [y], Calibration({"x": data}, "test"), None)
    assert found[y].counts.sum() == 60
