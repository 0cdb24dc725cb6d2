"""How near the compiler's prediction comes: predicted and simulated time and energy of models."""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.networks import NAMES, build
from nmc import api
from nmc.backends.container.contents import Contents
from nmc.backends.report_comparison import Compared, compare
from nmc.ir.prediction import predict


def contents_of(model: str, options: argparse.Namespace) -> Contents:
    """A mapping file, or a model (a file, or a network by its name) compiled as asked."""
    if model.endswith(".nmc"):
        return api.load(model).contents
    source: Any = model if Path(model).exists() else build(model, options.size)
    made = api.compile(source, target=options.target, mesh=options.mesh, set=options.set)
    return made.contents


def measure(model: str, options: argparse.Namespace) -> dict[str, Any]:
    contents = contents_of(model, options)
    begin = time.perf_counter()
    prediction = predict(contents.mapping, contents.graph, contents.target)
    predicting_s = time.perf_counter() - begin
    compared = compare(contents, options.inflight, prediction=prediction)
    return {
        "model": Path(model).name,
        "target": contents.target.name,
        "inflight": options.inflight,
        "interval_cycles": figure(compared.interval_cycles),
        "bound_cycles": sum(step.bound_cycles for step in prediction.steps),
        "latency_cycles": figure(compared.latency_cycles),
        "energy_j": figure(compared.energy_j),
        "busiest_adc_share": compared.busiest_share,
        "predict_s": predicting_s,
        "stages": [stage_row(stage) for stage in compared.stages],
    }


def figure(compared: Compared) -> dict[str, float]:
    return {**asdict(compared), "error": compared.error}


def stage_row(stage: Any) -> dict[str, Any]:
    return {"name": stage.name, "step": stage.step, "done_cycles": figure(stage.done_cycles)}


def report(rows: Sequence[dict[str, Any]], *, per_stage: bool) -> Iterable[str]:
    yield "| model | target | interval | predicted | latency | predicted | energy | busiest ADC |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for row in rows:
        cells = [row["model"], row["target"]]
        for key in ("interval_cycles", "latency_cycles"):
            compared = row[key]
            cells += [f"{compared['simulated']:,.0f}", f"{compared['error']:+.2%}"]
        cells += [f"{row['energy_j']['error']:+.2%}", f"{row['busiest_adc_share']:.1%}"]
        yield f"| {' | '.join(cells)} |"
    for row in rows if per_stage else ():
        yield from stage_lines(row)


def stage_lines(row: dict[str, Any]) -> Iterable[str]:
    yield f"\n{row['model']} on {row['target']}: when each stage is done with a lone input\n"
    yield "| stage | simulated | predicted |"
    yield "| --- | ---: | ---: |"
    for stage in row["stages"]:
        done = stage["done_cycles"]
        yield f"| {stage['name']} | {done['simulated']:,.0f} | {done['error']:+.2%} |"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "models", nargs="+", metavar="MODEL", help=f".onnx, .nmc, or one of {', '.join(NAMES)}"
    )
    parser.add_argument("-t", "--target", default="spin-128")
    parser.add_argument("--mesh", default="", help="such as 36x32")
    parser.add_argument("--size", type=int, default=0, help="side of a built network's image")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--inflight", type=int, default=32)
    parser.add_argument("--stages", action="store_true", help="also when each stage is done")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main() -> None:
    warnings.simplefilter("ignore")
    options = arguments()
    rows = [measure(model, options) for model in options.models]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    for line in report(rows, per_stage=options.stages):
        print(line)


if __name__ == "__main__":
    main()
