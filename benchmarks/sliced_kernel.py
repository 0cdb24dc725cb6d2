"""The sliced kernel beside numpy's float32 product and a numpy loop over bits and slices.

All run on one thread, whose own time counts, so that neighbours on the machine matter little.
Prints a table, or JSON with --json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite.binding import (  # type: ignore[import-untyped]
    get_host_cpu_features,
    get_host_cpu_name,
)
from threadpoolctl import threadpool_limits

from nmc.backends.simulator.fast.sliced import lossy_outputs, sliced_plan
from nmc.ir.graph import Array
from nmc.ir.program import ReadPlan, TileImage, TileRead
from nmc.ir.slices import slice_levels, sliced_product
from nmc.ir.target import Target
from nmc.targets import load, override

CELL_BITS = 2
SLICES = 4

MOST_OVER_GEMM = 6
LEAST_UNDER_LOOP = 12
"""What we claim of the kernel that computes every conversion."""

FEATURES = ("sse4.1", "avx2", "avx512bw", "avx512vbmi", "neon", "sve", "sve2")
"""Vector instructions of processors, from few to many elements."""


def best_s(work: Callable[[], Any], turns: int) -> float:
    times = []
    for _ in range(turns):
        begin = time.thread_time()
        work()
        times.append(time.thread_time() - begin)
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


def processor() -> dict[str, Any]:
    has = get_host_cpu_features()
    return {"name": get_host_cpu_name(), "vectors": [name for name in FEATURES if has.get(name)]}


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
    every_s = best_s(lambda: every(x), options.turns)
    sliced_s = best_s(lambda: kernel(x), options.turns)
    prepare_s = best_s(lambda: sliced_plan(plan, tiles, target, every=True), 3)
    loop_s = best_s(lambda: numpy_loop(x, tiles, options.adc_bits), 2)
    conversions = len(x) * 8 * len(tiles) * options.n * SLICES
    return {
        "processor": processor(),
        "shape": {"inputs": options.inputs, "k": options.k, "n": options.n, "rows": options.rows},
        "float32_gemm_s": gemm_s,
        "every_conversion_s": every_s,
        "sliced_s": sliced_s,
        "prepare_s": prepare_s,
        "numpy_loop_s": loop_s,
        "conversions_per_s": conversions / every_s,
        "every_conversion_over_gemm": every_s / gemm_s,
        "every_conversion_over_loop": every_s / loop_s,
        "sliced_over_gemm": sliced_s / gemm_s,
        "sliced_over_loop": sliced_s / loop_s,
        "clipping_outputs": clipping(plan, tiles, target),
        "as_claimed": every_s <= MOST_OVER_GEMM * gemm_s and every_s * LEAST_UNDER_LOOP <= loop_s,
    }


def lines(result: dict[str, Any]) -> list[str]:
    shape, cpu = result["shape"], result["processor"]
    text = [
        "{inputs} inputs, {k} x {n} weights, {rows} rows a crossbar".format(**shape),
        f"one thread of {cpu['name']} ({', '.join(cpu['vectors'])})",
        f"{'':24}{'ms':>8}{'of GEMM':>10}{'of the loop':>13}",
    ]
    for key, title in (
        ("float32_gemm", "float32 GEMM"),
        ("every_conversion", "every conversion"),
        ("sliced", "those that may clip"),
        ("numpy_loop", "numpy loop"),
    ):
        seconds = result[f"{key}_s"]
        gemm, loop = seconds / result["float32_gemm_s"], seconds / result["numpy_loop_s"]
        text.append(f"{title:24}{seconds * 1e3:8.1f}{gemm:10.2f}{loop:13.4f}")
    claim = f"at most {MOST_OVER_GEMM} times GEMM and 1/{LEAST_UNDER_LOOP} of the loop"
    text.append(f"every conversion, {claim}: {'yes' if result['as_claimed'] else 'no'}")
    text.append(
        f"inputs are packed in each call, weights once, in {result['prepare_s'] * 1e3:.1f} ms"
    )
    text.append(f"{result['conversions_per_s'] / 1e9:.2f} G conversions a second")
    text.append(f"{result['clipping_outputs']:.1%} of the tiles' outputs may clip")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--k", type=int, default=1152, help="rows of the matrix")
    parser.add_argument("--n", type=int, default=256, help="columns of the matrix")
    parser.add_argument("--inputs", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=128, help="rows of a crossbar")
    parser.add_argument("--adc-bits", type=int, default=8, help="beyond their range ADCs clip")
    parser.add_argument("--turns", type=int, default=20, help="the best of so many counts")
    parser.add_argument("--json", action="store_true", help="one object instead of a table")
    options = parser.parse_args()
    with threadpool_limits(1):
        result = measure(options)
    print(json.dumps(result, indent=2) if options.json else "\n".join(lines(result)))


if __name__ == "__main__":
    main()
