"""The packed kernel equals the reference's and the oracle of `nmc.ir.slices`."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmc.backends.simulator.fast.blocks import WIDTHS, BlockedTile, Widths
from nmc.backends.simulator.fast.sliced import LANES, sliced_plan
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


def placed(
    rng: np.random.Generator, target: Target, places: list[tuple[int, int, int, int]]
) -> tuple[ReadPlan, list[TileImage]]:
    """A plan of tiles of random weights: first input, first output, rows, outputs of each."""
    slices = target.slices_for("differential")
    reads, tiles = [], []
    for number, (input0, output0, rows, outputs) in enumerate(places):
        levels = slice_levels(
            rng.integers(-127, 128, (rows, outputs)),
            cell_bits=target.crossbar.cell_bits,
            slices=slices,
        )
        each = (6,) * slices, (1,) * slices, (True,) * slices
        reads.append(TileRead(number, input0, output0, *each))
        tiles.append(TileImage(0, number, 0, 0, slices, "differential", levels))
    inputs = max(input0 + rows for input0, _, rows, _ in places)
    outputs = max(output0 + count for _, output0, _, count in places)
    return ReadPlan(inputs, outputs, tuple(reads)), tiles


def test_tiles_share_rows_and_outputs() -> None:
    """Rows that begin and end anywhere, more lanes than are worked on at a time."""
    target = chip(crossbar={"cell_bits": 2, "dac_bits": 1, "rows": 128})
    rng = np.random.default_rng(3)
    places = [(0, 0, 128, 64), (0, 64, 128, 70), (128, 0, 37, 134), (165, 5, 1, 3), (30, 0, 99, 9)]
    plan, tiles = placed(rng, target, places)
    x = rng.integers(0, 256, (LANES + 5, plan.input_bytes)).astype(np.uint8)
    wanted = sliced_kernel(plan, tiles, target)(x)
    for every in (False, True):
        got = sliced_plan(plan, tiles, target, every=every)(x)
        np.testing.assert_array_equal(got, wanted)


def test_lanes_do_not_touch_each_other() -> None:
    target = chip(crossbar={"cell_bits": 2, "dac_bits": 1, "rows": 128})
    rng = np.random.default_rng(4)
    plan, tiles = placed(rng, target, [(0, 0, 128, 40), (128, 0, 60, 40)])
    x = rng.integers(0, 256, (9, plan.input_bytes)).astype(np.uint8)
    kernel = sliced_plan(plan, tiles, target, every=True)
    alone = np.concatenate([kernel(x[lane : lane + 1]) for lane in range(len(x))])
    np.testing.assert_array_equal(kernel(x), alone)


def test_nothing_is_converted() -> None:
    target = chip(crossbar={"cell_bits": 2, "dac_bits": 1})
    weights = np.full((8, 5), 127)
    plan, tiles = one_tile(weights, target, "differential", (8,) * 4, (1,) * 4, (False,) * 4)
    x = np.full((2, 8), 255, np.uint8)
    assert not sliced_plan(plan, tiles, target)(x).any()


WORST: list[tuple[Encoding, int, int, int, int, int]] = [
    ("differential", 2, 1, 128, 8, 1),
    ("differential", 2, 1, 128, 9, 1),
    ("differential", 7, 4, 200, 12, 3),
    ("offset", 8, 8, 65536, 16, 1),
]
"""Encoding, bits of cells and of digits, rows, bits and step of ADCs: for each of WIDTHS."""


@pytest.mark.parametrize(("widths", "case"), list(zip(WIDTHS, WORST, strict=True)))
def test_the_greatest_values(
    widths: Widths, case: tuple[Encoding, int, int, int, int, int]
) -> None:
    """Full inputs on full cells, of both signs where there are two: none of the sums overflows."""
    encoding, cell_bits, dac_bits, rows, adc_bits, step = case
    target = chip(crossbar={"cell_bits": cell_bits, "dac_bits": dac_bits, "rows": rows})
    slices = target.slices_for(encoding)
    most = target.crossbar.max_level
    levels = np.full((rows, 2 * slices), most).astype(np.uint8).view(np.int8)
    if encoding == "differential":
        levels[:, slices:] = -most
    tile = TileImage(0, 0, 0, 0, slices, encoding, levels)
    read = TileRead(0, 0, 0, (adc_bits,) * slices, (step,) * slices, (True,) * slices)
    plan = ReadPlan(rows, 2, (read,))
    assert BlockedTile.of(read, tile, target, np.arange(2)).widths == widths
    x = np.full((1, rows), 255, np.uint8)
    wanted = sliced_kernel(plan, [tile], target)(x)
    np.testing.assert_array_equal(sliced_plan(plan, [tile], target, every=True)(x), wanted)


@pytest.mark.slow
def test_other_processors() -> None:
    """The same numbers from code for a processor that has the oldest vectors only."""
    environment = {**os.environ, "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    chosen = "test_equals_the_reference or test_the_greatest_values"
    command = [sys.executable, "-m", "pytest", "-q", __file__, "-k", chosen]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
