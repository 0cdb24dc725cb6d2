"""What a network costs at several widths: compile time, memory, program, simulation.

For each cost the exponent of the power of the number of weights that fits best is printed, and
that from the second largest to the largest, where what every model costs weighs less: 1 is linear.
All widths are compiled for one mesh, large enough for the largest.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from pathlib import Path
from statistics import linear_regression
from typing import Any

from benchmarks.networks_table import MIB, taken
from benchmarks.steps import Bench

COSTS = (
    *("compile_s", "compile_peak_rss_bytes", "program_bytes", "file_bytes"),
    *("simulate_s", "simulate_peak_rss_bytes"),
)


def measure(network: str, width: float, size: int, bench: Bench) -> dict[str, Any]:
    """Costs at one width.  SystemExit with the reason where a step fails."""
    sizes = ["--size", size] if size else []
    model, made = bench.model(network, "--width", width, *sizes)
    if made is None:
        raise SystemExit("a network of `python -m benchmarks.networks` is wanted, not a file")
    path, _, compiled = bench.compile(model) if made.ok else (model, "", made)
    simulated = bench.simulate(path, "--no-compare", "--inflight", 1) if compiled.ok else compiled
    for child in (made, compiled, simulated):
        if not child.ok:
            raise SystemExit(f"{network} at width {width:g}: {child.failure}")
    row = {
        "width": width,
        "parameters": made.result["parameters"],
        **taken("compile", compiled, ("crossbars_used", *COSTS)),
        **taken("simulate", simulated, COSTS),
    }
    path.unlink()
    model.unlink()
    return row


def exponent(rows: list[dict[str, Any]], cost: str) -> float | None:
    """The slope of a cost over the weights, both as logarithms."""
    points = sorted((row["parameters"], row[cost]) for row in rows if row.get(cost))
    if len({x for x, _ in points}) < 2:
        return None
    weights, costs = zip(*points, strict=True)
    slope, _ = linear_regression(list(map(math.log, weights)), list(map(math.log, costs)))
    return slope


def largest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: row["parameters"])[-2:]


def lines(result: dict[str, Any]) -> list[str]:
    rows = result["widths"]
    head = ["width", *(f"x{row['width']:g}" for row in rows), "exponent", "of the last"]
    table = [head, ["---"] * len(head)]
    for key in ("parameters", "crossbars_used", *COSTS):
        powers = (result[which].get(key) for which in ("exponents", "last_exponents"))
        fitted = ("" if power is None else f"{power:.2f}" for power in powers)
        table.append([label(key), *(spelled(key, row.get(key)) for row in rows), *fitted])
    return [f"| {' | '.join(line)} |" for line in table]


def label(key: str) -> str:
    """A key in words, with its unit."""
    name = key.removesuffix("_bytes").removesuffix("_s").replace("_", " ")
    unit = "s" if key.endswith("_s") else "MiB" if "rss" in key or "file" in key else ""
    return f"{name} {unit}".strip()


def spelled(key: str, value: float | None) -> str:
    if value is None:
        return ""
    if key.endswith("_s"):
        return f"{value:.2f}"
    return f"{value / MIB:,.1f}" if label(key).endswith("MiB") else f"{value:,}"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--widths", type=float, nargs="+", default=[0.5, 1.0, 2.0])
    parser.add_argument("--size", type=int, default=0, help="of the image, in pixels")
    parser.add_argument("--target", default="exact-128")
    parser.add_argument("--mesh", default="48x48", help="WxH, for all widths")
    parser.add_argument("--limit", type=float, default=600, help="seconds that a step may take")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.target, [options.mesh], (), options.limit)
        rows = [measure(options.network, w, options.size, bench) for w in options.widths]
    result = {
        "network": options.network,
        "target": options.target,
        "mesh": options.mesh,
        "widths": rows,
        "exponents": {cost: exponent(rows, cost) for cost in COSTS},
        "last_exponents": {cost: exponent(largest(rows), cost) for cost in COSTS},
    }
    print(json.dumps(result, indent=2) if options.json else "\n".join(lines(result)))


if __name__ == "__main__":
    main()
