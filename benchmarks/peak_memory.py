"""The most memory that compiling and simulating a model takes, each command in its own process.

`bare` is what the command line takes before it has a model; `times_model` compares with the ONNX
file, whose weights are four bytes each where they are floats.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness import Child, run_child
from benchmarks.steps import Bench

MIB = 1 << 20


def measure(network: str, bench: Bench, samples: int) -> dict[str, Any]:
    """Peaks by command.  SystemExit with the reason where one fails."""
    model, made = bench.model(network)
    if made is not None:
        checked("build", made)
    children = {"bare": checked("targets", run_child("nmc", "targets", "--json"))}
    path, mesh, children["compile"] = bench.compile(model)
    checked("compile", children["compile"])
    run = ("nmc", "run", path, "-i", "random", "--engine", "fast", "--json")
    children["run"] = run_child(*run, "-n", 1, limit_s=bench.limit_s)
    if samples > 1:
        children[f"run_{samples}"] = run_child(*run, "-n", samples, limit_s=bench.limit_s)
    size = model.stat().st_size
    peaks = {step: checked(step, child).peak_rss_bytes for step, child in children.items()}
    return {
        "model": model.name,
        "model_bytes": size,
        "target": bench.target,
        "mesh": mesh,
        "samples": samples,
        "peak_rss_bytes": peaks,
        "times_model": {step: (p - peaks["bare"]) / size for step, p in peaks.items()},
    }


def checked(step: str, child: Child) -> Child:
    if not child.ok:
        raise SystemExit(f"{step}: {child.failure}")
    return child


def lines(result: dict[str, Any]) -> list[str]:
    head = f"{result['model']}, {result['model_bytes'] / MIB:,.1f} MiB, on {result['target']}"
    return [
        f"{head}, mesh {result['mesh'] or 'as it is'}",
        *(
            f"{step:10} {peak / MIB:10,.1f} MiB   {result['times_model'][step]:6.2f} x the model"
            for step, peak in result["peak_rss_bytes"].items()
        ),
    ]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peak_memory", description=__doc__)
    parser.add_argument("model", help="a name of `python -m benchmarks.networks`, or an ONNX file")
    parser.add_argument("--target", default="exact-128")
    parser.add_argument("--mesh", default="32x36", help="WxH")
    parser.add_argument("--samples", type=int, default=16, help="of the larger run")
    parser.add_argument("--limit", type=float, default=600, help="seconds that a command may take")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.target, [options.mesh], (), options.limit)
        result = measure(options.model, bench, options.samples)
    print(json.dumps(result, indent=2) if options.json else "\n".join(lines(result)))


if __name__ == "__main__":
    main()
