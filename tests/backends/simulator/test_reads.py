"""What read plans compute: the direct product equals the sliced one, and codes are golden."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc.backends.simulator.reads import (
    SlicedTile,
    exact_kernel,
    lossless,
    plan_kernel,
    sliced_kernel,
    weights,
)
from nmc.ir import program as p
from nmc.ir.graph import Array
from nmc.ir.target import Encoding, Target
from tests.backends.simulator.chips import chip

ENCODINGS: tuple[Encoding, ...] = ("differential", "offset", "reference")


def levels_of(w: Array, encoding: Encoding, target: Target) -> Array:
    """Cell levels of signed weights, [rows, outputs * slices]: an own spelling of the encodings."""
    bits, slices = target.crossbar.cell_bits, target.slices_for(encoding)
    if encoding == "differential":
        magnitudes = [np.abs(w) >> (bits * s) & (2**bits - 1) for s in range(slices)]
        stacked = np.stack(magnitudes, axis=-1) * np.sign(w)[..., None]
    else:
        unsigned = w + 2 ** (target.numbers.weight_bits - 1)
        stacked = np.stack([unsigned >> (bits * s) & (2**bits - 1) for s in range(slices)], -1)
    return stacked.reshape(len(w), -1).astype(np.uint8).view(np.int8)


def tile_of(w: Array, encoding: Encoding, target: Target) -> p.TileImage:
    levels = levels_of(w, encoding, target)
    return p.TileImage(0, 0, 0, 0, target.slices_for(encoding), encoding, levels)


def read_of(image: p.TileImage, bits: int, step: int = 1, **at: int) -> p.TileRead:
    place = {"tile": 0, "input0": 0, "output0": 0} | at
    count = image.slices
    conversion = ((bits,) * count, (step,) * count, (True,) * count)
    return p.TileRead(place["tile"], place["input0"], place["output0"], *conversion)


machines = st.builds(
    lambda cell, dac, inputs, weight: chip(
        crossbar={"cell_bits": cell, "dac_bits": dac},
        numbers={"input_bits": inputs, "weight_bits": weight},
    ),
    st.integers(1, 8),
    st.integers(1, 8),
    st.integers(1, 8),
    st.integers(2, 8),
)


@st.composite
def matrices(draw: st.DrawFn, target: Target) -> Array:
    most = 2 ** (target.numbers.weight_bits - 1) - 1
    shape = draw(st.integers(1, 8)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    return rng.integers(-most, most + 1, shape)


@given(st.data(), machines, st.sampled_from(ENCODINGS))
def test_exact_equals_sliced_where_reads_are_lossless(
    data: st.DataObject, target: Target, encoding: Encoding
) -> None:
    w = data.draw(matrices(target))
    tile = tile_of(w, encoding, target)
    plan = p.ReadPlan(len(w), w.shape[1], (read_of(tile, 16),))
    if not lossless(plan.reads[0], tile, target):
        # 16 bits are too few only where 8 rows of large levels meet large digits.
        assert len(w) * target.crossbar.max_level * target.crossbar.max_digit >= 2**15
        return
    assert np.array_equal(weights(tile, target), w)
    x = data.draw(st.integers(0, 999).map(np.random.default_rng)).integers(
        0, 2**target.numbers.input_bits, (3, len(w)), np.uint8
    )
    product = x.astype(np.int64) @ w
    assert np.array_equal(exact_kernel(plan, [tile], target)(x), product)
    assert np.array_equal(sliced_kernel(plan, [tile], target)(x), product)


@given(st.data(), machines, st.sampled_from(ENCODINGS), st.integers(1, 8), st.integers(1, 9))
def test_reads_that_are_called_lossless_are(
    data: st.DataObject, target: Target, encoding: Encoding, bits: int, step: int
) -> None:
    w = data.draw(matrices(target))
    tile = tile_of(w, encoding, target)
    plan = p.ReadPlan(len(w), w.shape[1], (read_of(tile, bits, step),))
    if lossless(plan.reads[0], tile, target):
        x = np.random.default_rng(0).integers(
            0, 2**target.numbers.input_bits, (4, len(w)), np.uint8
        )
        x[0] = 2**target.numbers.input_bits - 1
        assert np.array_equal(sliced_kernel(plan, [tile], target)(x), x.astype(np.int64) @ w)


def test_conversion_clips_and_rounds_half_to_even() -> None:
    """One row, one phase, weights 1..7 in 3-bit pairs; step 2, codes of 2 bits: -2..1."""
    target = chip(
        crossbar={"cell_bits": 3, "dac_bits": 1}, numbers={"input_bits": 1, "weight_bits": 4}
    )
    tile = tile_of(np.asarray([[1, 2, 3, -1, -3, -7, 7]]), "differential", target)
    plan = p.ReadPlan(1, 7, (read_of(tile, 2, 2),))
    # 0.5 -> 0, 1 -> 1, 1.5 -> 2 clips to 1, -0.5 -> 0, -1.5 -> -2, -3.5 -> -4 clips to -2
    expected = [[0, 2, 2, 0, -4, -4, 2]]
    assert plan_kernel(plan, [tile], target)(np.ones((1, 1), np.uint8)).tolist() == expected


def test_slices_that_are_not_converted_count_nothing() -> None:
    target = chip(crossbar={"cell_bits": 4})
    tile = tile_of(np.asarray([[0x35]]), "differential", target)
    low = p.TileRead(0, 0, 0, (16, 16), (1, 1), (True, False))
    plan = p.ReadPlan(1, 1, (low,))
    assert plan_kernel(plan, [tile], target)(np.full((1, 1), 3, np.uint8)).tolist() == [[15]]


def test_row_tiles_add_up_and_column_tiles_stand_side_by_side() -> None:
    target = chip()
    w = np.random.default_rng(1).integers(-127, 128, (8, 6))
    blocks = [(0, 0), (4, 0), (0, 3), (4, 3)]
    tiles = [tile_of(w[r : r + 4, c : c + 3], "differential", target) for r, c in blocks]
    reads = tuple(
        read_of(tile, 16, tile=i, input0=r, output0=c)
        for i, (tile, (r, c)) in enumerate(zip(tiles, blocks, strict=True))
    )
    x = np.random.default_rng(2).integers(0, 256, (5, 8), np.uint8)
    for make in (exact_kernel, sliced_kernel):
        assert np.array_equal(make(p.ReadPlan(8, 6, reads), tiles, target)(x), x.astype(int) @ w)


# Golden codes of CrossSim


GOLDEN = Path(__file__).parents[4] / "shared" / "golden" / "crossbar-codes"
CASES = ("bal_P127", "bal_P383", "bal_P97", "bal_adc5", "bal_dac2", "bal_rows64", "bal_slicewise",
         "off_127clip", "off_255")  # fmt: skip


def even(total: int, most: int) -> list[slice]:
    """CrossSim's partition: equal parts, rounded, the rest in the last."""
    parts = -(-total // most)
    size = round(total / parts)
    return [slice(i * size, total if i == parts - 1 else (i + 1) * size) for i in range(parts)]


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    path = GOLDEN / f"{request.param}.npz"
    if not path.exists():
        pytest.skip("there is no folder ../shared/golden beside this checkout")
    with np.load(path) as held:
        arrays = {name: held[name] for name in held}
    return arrays | {"cfg": json.loads(str(arrays["cfg"])), "name": request.param}


def part_of(case: dict[str, Any], rows: slice, columns: slice) -> SlicedTile:
    """A tile of the case, its converters set to the full scales and codes of CrossSim's.

    Balanced: 2^b - 1 codes from -P to P, zero among them.  Offset: 2^b codes from 0 to P.
    """
    cfg = case["cfg"]
    target = chip(
        crossbar={"rows": 128, "cols": 512, "cell_bits": cfg["bits_per_cell"],
                  "dac_bits": cfg["dac_bits"]},
    )  # fmt: skip
    encoding: Encoding = "differential" if cfg["mapping"] == "balanced" else "offset"
    w = case["W"].T[rows, columns].astype(np.int64)
    tile = tile_of(w, encoding, target)
    made = SlicedTile.of(read_of(tile, cfg["adc_bits"]), tile, target)
    count = 2 ** cfg["adc_bits"]
    low, high = (1 - count // 2, count // 2 - 1) if encoding == "differential" else (0, count - 1)
    scales = np.asarray(cfg["P"], np.float64) / high
    return replace(made, steps=scales, lows=np.full(4, low), highs=np.full(4, high))


def test_codes_are_golden(case: dict[str, Any]) -> None:
    """Every code of every crossbar, slice and phase is CrossSim's."""
    rows, columns = even(300, case["cfg"]["rows"]), even(160, case["cfg"]["cols"])
    x = case["X"].T.astype(np.uint8)
    compared = 0
    for r in rows:
        for c in columns:
            part = part_of(case, r, c)
            for phase in range(part.phases):
                codes = part.codes(x[:, r], phase)[:, : c.stop - c.start]
                index = codes - part.lows
                for s in range(4):
                    key = f"codes_{r.start}_{c.start}_{s}_{phase}"
                    assert np.array_equal(index[..., s].T, case[key]), key
                    compared += 1
    assert compared == sum(name.startswith("codes_") for name in case)


def test_results_are_golden(case: dict[str, Any]) -> None:
    """Where CrossSim's step is one level, as two cases have it, sums are equal, too."""
    cfg = case["cfg"]
    high = 2 ** (cfg["adc_bits"] - (cfg["mapping"] == "balanced")) - 1
    if any(scale != high for scale in cfg["P"]):
        pytest.skip("its steps are no whole levels: shift-and-add is of integers here")
    total = np.zeros(case["y"].shape)
    x = case["X"].T.astype(np.uint8)
    for r in even(300, cfg["rows"]):
        for c in even(160, cfg["cols"]):
            total[c] += part_of(case, r, c)(x[:, r]).T
    assert np.array_equal(total, case["y"])
