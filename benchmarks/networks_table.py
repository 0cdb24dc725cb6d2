"""Compiles and simulates large networks, and prints a table of how it went.

Every step of every network runs in a process of its own with a time limit, so that a failure is a
line of the table.  Models are built by `benchmarks.networks`, or given as files.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.harness import Child
from benchmarks.steps import MESHES, Bench

# Measuring

MIB = 1 << 20

COMPILED = (
    *("crossbars_used", "crossbars_available", "cores_used", "macs", "host_nodes"),
    *("conversions", "adc_bound_cycles", "program_bytes", "file_bytes", "compile_s"),
    *("predicted_interval_cycles", "predicted_latency_cycles", "bottleneck_steps"),
)
"""What is taken over from `nmc compile --json`, where it is there."""

SIMULATED = (
    *("simulate_s", "instructions", "latency_cycles", "interval_cycles", "exact"),
    *("timing_instructions_per_s", "busiest_adc_utilization", "energy_j", "inflight"),
    "largest_sequencer_bytes",
)


def measure(network: str, bench: Bench, inflight: int) -> dict[str, Any]:
    """A row of the table; `failure` where a step failed."""
    row: dict[str, Any] = {"network": Path(network).stem}
    model, made = bench.model(network)
    if made is not None and not made.ok:
        return {**row, "failure": f"build: {made.failure}"}
    path, mesh, compiled = bench.compile(model)
    row |= {"mesh": mesh, **taken("compile", compiled, COMPILED)}
    if not compiled.ok:
        return row
    simulated = bench.simulate(path, "--inflight", inflight)
    row |= taken("simulate", simulated, SIMULATED)
    path.unlink(missing_ok=True)
    if made is not None:
        model.unlink(missing_ok=True)
    return row | prediction_errors(row)


def taken(step: str, child: Child, keys: Iterable[str]) -> dict[str, Any]:
    """Some of a step's results, its time and its memory, or why it failed."""
    found = {key: child.result[key] for key in keys if key in child.result}
    found |= {f"{step}_wall_s": child.wall_s, f"{step}_peak_rss_bytes": child.peak_rss_bytes}
    return found if child.ok else {**found, "failure": f"{step}: {child.failure}"}


def prediction_errors(row: dict[str, Any]) -> dict[str, float]:
    """How much too long the compiler's predictions are, as a share of what was simulated."""
    return {
        f"{what}_prediction_error": row[f"predicted_{what}_cycles"] / row[f"{what}_cycles"] - 1
        for what in ("interval", "latency")
        if row.get(f"predicted_{what}_cycles") and row.get(f"{what}_cycles")
    }


# Printing


def mib(value: float) -> str:
    return f"{value / MIB:,.0f}"


def whole(value: float) -> str:
    return f"{value:,.0f}"


def seconds(value: float) -> str:
    return f"{value:.1f}"


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def yes_no(value: bool) -> str:
    return "yes" if value else "**no**"


Column = tuple[str, str, Callable[[Any], str]]
"""Heading, key and format."""

COLUMNS: tuple[Column, ...] = (
    ("network", "network", str),
    ("mesh", "mesh", str),
    ("crossbars", "crossbars_used", whole),
    ("compile s", "compile_s", seconds),
    ("peak MiB", "compile_peak_rss_bytes", mib),
    ("program bytes", "program_bytes", whole),
    ("of a sequencer", "largest_sequencer_bytes", whole),
    ("predicted interval", "predicted_interval_cycles", whole),
    ("interval", "interval_cycles", whole),
    ("error %", "interval_prediction_error", percent),
    ("predicted latency", "predicted_latency_cycles", whole),
    ("latency", "latency_cycles", whole),
    ("error %", "latency_prediction_error", percent),
    ("busiest ADC %", "busiest_adc_utilization", percent),
    ("simulate s", "simulate_s", seconds),
    ("peak MiB", "simulate_peak_rss_bytes", mib),
    ("exact", "exact", yes_no),
    ("failure", "failure", str),
)


def markdown(rows: list[dict[str, Any]], columns: Iterable[Column] = COLUMNS) -> str:
    """A table; columns that no row has are left out."""
    shown = [c for c in columns if any(row.get(c[1]) is not None for row in rows)]
    lines = [
        [heading for heading, _, _ in shown],
        ["---"] * len(shown),
        *([cell(row.get(key), write) for _, key, write in shown] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: Any, write: Callable[[Any], str]) -> str:
    return "" if value is None else write(value).replace("|", "\\|").replace("\n", " ")


# The command


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.networks_table",
        description=__doc__,
        epilog="further arguments of `nmc compile` may follow --, such as -- --objective latency",
    )
    parser.add_argument(
        "networks", nargs="+", help="names that `python -m benchmarks.networks -h` lists, or files"
    )
    parser.add_argument("--target", default="exact-128")
    parser.add_argument(
        "--mesh",
        action="append",
        help=f"WxH or auto; of several, the first that is large enough (default: {MESHES})",
    )
    parser.add_argument("--inflight", type=int, default=8, help="inputs that measure the interval")
    parser.add_argument("--limit", type=float, default=600, help="seconds that a step may take")
    parser.add_argument("--json", action="store_true", help="one JSON object, no table")
    parser.add_argument("-o", "--output", type=Path, help="write the JSON here as well")
    own, further = split(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(own)
    options.further = further
    return options


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Before and after `--`."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def main(arguments: list[str] | None = None) -> None:
    options = options_of(arguments)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(
            Path(folder), options.target, options.mesh or MESHES, options.further, options.limit
        )
        for network in options.networks:
            rows.append(measure(network, bench, options.inflight))
            print(json.dumps(rows[-1]), file=sys.stderr)
    result = {"target": options.target, "arguments": options.further, "networks": rows}
    text = json.dumps(result, indent=2)
    if options.output:
        options.output.write_text(text + "\n")
    print(text if options.json else markdown(rows))


if __name__ == "__main__":
    main()
