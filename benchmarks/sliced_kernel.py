"""The sliced kernel beside numpy's float32 product and a numpy loop over bits and slices."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from nmc.backends.simulator.fast.sliced import lossy_outputs, sliced_plan
from nmc.ir.graph import Array
from nmc.ir.program import ReadPlan, TileImage, TileRead
from nmc.ir.slices import slice_levels, sliced_product
from nmc.ir.target import Target
from nmc.targets import load, override

CELL_BITS = 2
SLICES = 4


def best_s(work: Callable[[], Any], turns: int) -> float:
    times = []
    for _ in range(turns):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def row_tiles(weights: Array, rows: int, adc_bits: int) -> tuple[ReadPlan, list[TileImage]]:
    tiles: list[TileImage] = []
    reads: list[TileRead] = []
    for begin in range(0, len(weights), rows):
        levels = slice_levels(weights[begin : begin + rows], cell_bits=CELL_BITS, slices=SLICES)
        bits, steps, converted = (adc_bits,) * SLICES, (1,) * SLICES, (True,) * SLICES
        reads.append(TileRead(len(tiles), begin, 0, bits, steps, converted))
        tiles.append(TileImage(0, len(tiles), 0, 0, SLICES, "differential", levels))
    return ReadPlan(len(weights), weights.shape[1], tuple(reads)), tiles


def numpy_loop(x: Array, tiles: list[TileImage], adc_bits: int) -> Array:
    """What one would write first: a product for each tile and bit, conversions slice by slice."""
    total = np.zeros((len(x), tiles[0].outputs), np.int32)
    begin = 0
    for tile in tiles:
        total += sliced_product(
            x[:, begin : begin + tile.rows],
            tile.levels,
            slices=SLICES,
            cell_bits=CELL_BITS,
            dac_bits=1,
            input_bits=8,
            bits=(adc_bits,) * SLICES,
            steps=(1,) * SLICES,
            converted=(True,) * SLICES,
        )
        begin += tile.rows
    return total


def clipping(plan: ReadPlan, tiles: list[TileImage], target: Target) -> float:
    """The share of outputs of tiles that some input could make an ADC clip."""
    shares = [lossy_outputs(read, tiles[read.tile], target).mean() for read in plan.reads]
    return float(np.mean(shares))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (options.k, options.n))
    x = rng.integers(0, 256, (options.inputs, options.k)).astype(np.uint8)
    target = override(load("exact-128"), [f"crossbar.cell_bits={CELL_BITS}"])
    plan, tiles = row_tiles(weights, options.rows, options.adc_bits)
    kernel, every = (sliced_plan(plan, tiles, target, every=e) for e in (False, True))
    wanted = numpy_loop(x, tiles, options.adc_bits)
    if not (np.array_equal(kernel(x), wanted) and np.array_equal(every(x), wanted)):
        raise SystemExit("the kernel and the loop differ")
    floats = x.astype(np.float32), weights.astype(np.float32)
    gemm_s = best_s(lambda: floats[0] @ floats[1], options.turns)
    sliced_s = best_s(lambda: kernel(x), options.turns)
    every_s = best_s(lambda: every(x), options.turns)
    loop_s = best_s(lambda: numpy_loop(x, tiles, options.adc_bits), 2)
    conversions = len(x) * 8 * len(tiles) * options.n * SLICES
    return {
        "shape": {"inputs": options.inputs, "k": options.k, "n": options.n, "rows": options.rows},
        "float32_gemm_s": gemm_s,
        "sliced_s": sliced_s,
        "every_conversion_s": every_s,
        "numpy_loop_s": loop_s,
        "conversions_per_s": conversions / every_s,
        "sliced_over_gemm": sliced_s / gemm_s,
        "sliced_over_loop": sliced_s / loop_s,
        "every_conversion_over_gemm": every_s / gemm_s,
        "every_conversion_over_loop": every_s / loop_s,
        "clipping_outputs": clipping(plan, tiles, target),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--k", type=int, default=1152, help="rows of the matrix")
    parser.add_argument("--n", type=int, default=256, help="columns of the matrix")
    parser.add_argument("--inputs", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=128, help="rows of a crossbar")
    parser.add_argument("--adc-bits", type=int, default=8, help="beyond their range ADCs clip")
    parser.add_argument("--turns", type=int, default=10, help="the best of so many counts")
    options = parser.parse_args()
    with threadpool_limits(1):
        print(json.dumps(measure(options), indent=2))


if __name__ == "__main__":
    main()
