"""The packed kernel equals the reference's and the oracle of `nmc.ir.slices`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmc.backends.simulator.fast.sliced import pack_inputs, sliced_plan
from nmc.backends.simulator.reads import plan_kernel, sliced_kernel
from nmc.ir.program import ReadPlan, TileImage, TileRead
from nmc.ir.slices import slice_levels, sliced_product
from nmc.ir.target import Encoding, Target
from tests.backends.simulator.chips import chip


def one_tile(
    weights: Any, target: Target, encoding: str, bits: Any, steps: Any, converted: Any
) -> tuple[ReadPlan, list[TileImage]]:
    rows, outputs = weights.shape
    slices = len(bits)
    levels = slice_levels(
        weights, cell_bits=target.crossbar.cell_bits, slices=slices, encoding=encoding
    )
    tile = TileImage(0, 0, 0, 0, slices, encoding, levels)
    read = TileRead(0, 0, 0, bits, steps, converted)
    return ReadPlan(rows, outputs, (read,)), [tile]


@settings(max_examples=150)
@given(st.data())
def test_equals_the_reference(data: st.DataObject) -> None:
    """Any encoding, digits, cells, steps; rows and outputs that fill no word and no block."""
    draw = data.draw
    encodings: list[Encoding] = ["differential", "offset", "reference"]
    encoding = draw(st.sampled_from(encodings))
    cell_bits, dac_bits = draw(st.integers(1, 7)), draw(st.integers(1, 8))
    target = chip(
        crossbar={"cell_bits": cell_bits, "dac_bits": dac_bits, "encoding": encoding},
        numbers={"weight_bits": 8},
    )
    slices = target.slices_for(encoding)
    rows, outputs = draw(st.integers(1, 150)), draw(st.integers(1, 300 // slices))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    weights = rng.integers(-127, 128, (rows, outputs))
    bits = tuple(draw(st.integers(2, 12)) for _ in range(slices))
    steps = tuple(draw(st.integers(1, 5)) for _ in range(slices))
    converted = tuple(draw(st.booleans()) for _ in range(slices))
    plan, tiles = one_tile(weights, target, encoding, bits, steps, converted)
    x = rng.integers(0, 256, (3, rows)).astype(np.uint8)
    wanted = sliced_kernel(plan, tiles, target)(x)
    for every in (False, True):
        got = sliced_plan(plan, tiles, target, every=every)(x)
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("adc_bits", [4, 8, 12])
def test_equals_the_oracle(adc_bits: int) -> None:
    """Nine row tiles of 128 rows, pairs of 2-bit cells, one-bit phases."""
    target = chip(crossbar={"cell_bits": 2, "dac_bits": 1, "rows": 128})
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (17, 9 * 128)).astype(np.uint8)
    tiles: list[TileImage] = []
    reads: list[TileRead] = []
    wanted = np.zeros((17, 70), np.int32)
    for begin in range(0, 9 * 128, 128):
        levels = slice_levels(rng.integers(-127, 128, (128, 70)), cell_bits=2, slices=4)
        per_slice: dict[str, Any] = {
            "bits": (adc_bits,) * 4,
            "steps": (1,) * 4,
            "converted": (True,) * 4,
        }
        reads.append(TileRead(len(tiles), begin, 0, **per_slice))
        tiles.append(TileImage(0, len(tiles), 0, 0, 4, "differential", levels))
        wanted += sliced_product(
            x[:, begin : begin + 128],
            levels,
            slices=4,
            cell_bits=2,
            dac_bits=1,
            input_bits=8,
            **per_slice,
        )
    plan = ReadPlan(9 * 128, 70, tuple(reads))
    got = sliced_plan(plan, tiles, target)(x)
    np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(sliced_plan(plan, tiles, target, every=True)(x), wanted)
    if adc_bits == 12:
        np.testing.assert_array_equal(got, plan_kernel(plan, tiles, target)(x))


def test_packing_is_by_bit() -> None:
    x = np.random.default_rng(1).integers(0, 256, (2, 45)).astype(np.uint8)
    packed = pack_inputs(x)
    assert packed.shape == (2, 8, 4)
    for lane, bit, row in np.ndindex(2, 8, 45):
        assert packed[lane, bit, row // 32] >> (row % 32) & 1 == x[lane, row] >> bit & 1
