"""What sharing ADCs costs by placement: intervals at equal ADCs, ADCs for an equal interval.

One set of copies of a network's layers, chosen for the chip with the first number of ADCs, is
placed in three ways for each number of ADCs a cluster has, and simulated with several inputs in
flight.  Prints tables, or JSON with --json.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import repeat
from pathlib import Path
from typing import Any, Literal, get_args

from benchmarks.networks import NAMES, build
from nmc.backends.simulator.fast import run_timing
from nmc.compiling import Wish, calibrated, target_of
from nmc.frontend import import_model, read_model
from nmc.ir.adc_load import AdcBalance, TileCycles, adc_balance, reads_per_input
from nmc.ir.design import Design
from nmc.ir.diagnostics import NmcError, Report
from nmc.ir.mapping import Mapping, StepKind
from nmc.ir.target import Target
from nmc.passes.base import mapping_of
from nmc.passes.place import Place
from nmc.passes.placing.exact import least_limit
from nmc.pipeline import Pipeline
from nmc.targets import override

__all__ = ["Row", "equal_intervals", "measure", "prepared"]

Clusters = Literal["first-fit", "one-stage", "balanced"]
CLOSE = 1.02
"""Intervals that differ by less count as equal."""


@dataclass(frozen=True, slots=True)
class Row:
    """A placement.  `failure` says why there is none; cycles are per input.

    No placement of these tiles keeps the busiest ADC less busy than `bound_cycles`, or than
    `exact_cycles` where these were asked for.
    """

    clusters: Clusters
    adcs_per_cluster: int
    busiest_adc_cycles: int = 0
    bound_cycles: int = 0
    exact_cycles: int = 0
    interval_cycles: float = 0.0
    latency_cycles: int = 0
    cores: int = 0
    place_s: float = 0.0
    failure: str = ""


@dataclass(slots=True)
class Prepared:
    """A network with its copies, not placed yet; conversions once they are known."""

    design: Design
    mapping: Mapping
    conversions: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


def prepared(network: str, target: Target, size: int) -> Prepared:
    """All passes before `place`, on random calibration data."""
    model = read_model(build(network, size) if network in NAMES else Path(network))
    report = Report()
    graph = import_model(model, input_shapes={}, report=report)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what is measured doesn't depend on values
        calibration = calibrated((), graph, target, 0, report)
    design = Design(graph, target, calibration)
    Pipeline.parse("@front, quantize, stage, tile, replicate").run(design, report)
    return Prepared(design, mapping_of(design))


def measure(
    work: Prepared, target: Target, clusters: Clusters, inflight: int, exact: bool = False
) -> Row:
    adcs = target.adc.adcs_per_cluster
    design = replace(work.design, target=target, mapping=work.mapping, programs=[])
    began = time.perf_counter()
    report = Report()
    try:
        Place(clusters).run(design, report)
        report.check()
        place_s = time.perf_counter() - began
        emitted(work, design)
    except NmcError as failure:
        return Row(clusters, adcs, failure=failure.diagnostics[0].message)
    mapping = mapping_of(design)
    steps = [i for i, step in enumerate(mapping.steps) if step.kind is StepKind.CHIP]
    balances = [adc_balance(mapping, target, step) for step in steps]
    many = [run_timing(program, target, inflight) for program in design.programs]
    one = [run_timing(program, target, 1) for program in design.programs]
    return Row(
        clusters,
        adcs,
        sum(b.busiest for b in balances),
        sum(b.bound for b in balances),
        sum(map(exact_cycles, repeat(mapping), repeat(target), steps, balances)) if exact else 0,
        sum(result.interval_cycles or result.cycles for result in many),
        sum(result.latency_cycles for result in one),
        len({t.core for t in mapping.tiles}),
        place_s,
    )


def exact_cycles(mapping: Mapping, target: Target, step: int, found: AdcBalance) -> int:
    """Of the busiest ADC, at the least; NmcError where OR-tools is not installed."""
    table = TileCycles(target)
    tiles = [t for t in mapping.tiles if mapping.stages[t.stage].step == step]
    reads = {t.stage: reads_per_input(mapping, mapping.stages[t.stage]) for t in tiles}
    heats = [int(table.of(t).max()) * reads[t.stage] * target.phases for t in tiles]
    clusters = target.cores * target.clusters_per_core
    return least_limit(heats, clusters, target.adc.crossbars_per_cluster, found.busiest)


def emitted(work: Prepared, design: Design) -> None:
    """The program.  How tiles are converted doesn't depend on their places: found out once."""
    report = Report()
    placed = mapping_of(design)
    if not work.conversions:
        Pipeline.parse("schedule-adc").run(design, report, start="placed")
        work.conversions += [
            {"bits": t.bits, "steps": t.steps, "converted": t.converted}
            for t in mapping_of(design).tiles
        ]
    pairs = zip(placed.tiles, work.conversions, strict=True)
    design.mapping = replace(placed, tiles=tuple(replace(t, **each) for t, each in pairs))
    Pipeline.parse("buffers, codegen").run(design, report, start="scheduled")


def equal_intervals(rows: Sequence[Row]) -> Iterator[tuple[Row, dict[str, int]]]:
    """For each balanced placement: the fewest ADCs with which others are as fast; 0 if none is."""
    for row in rows:
        if row.clusters != "balanced" or row.failure:
            continue
        needed = {
            other: min(
                (
                    r.adcs_per_cluster
                    for r in rows
                    if r.clusters == other
                    and not r.failure
                    and r.interval_cycles <= CLOSE * row.interval_cycles
                ),
                default=0,
            )
            for other in ("first-fit", "one-stage")
        }
        yield row, needed


def tables(rows: Sequence[Row]) -> Iterator[str]:
    yield "| ADCs a cluster | way | busiest ADC | bound | above | interval | latency | cores |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for row in rows:
        name = f"| {row.adcs_per_cluster} | {row.clusters} "
        if row.failure:
            yield f"{name}| {row.failure} | | | | | |"
            continue
        bound = row.exact_cycles or row.bound_cycles
        above = row.busiest_adc_cycles / bound - 1 if bound else 0.0
        yield (
            f"{name}| {row.busiest_adc_cycles:,} | {bound:,} | {above:.1%} "
            f"| {row.interval_cycles:,.0f} | {row.latency_cycles:,} | {row.cores} |"
        )
    yield ""
    yield "| balanced with | interval | first-fit needs | one-stage needs |"
    yield "| --- | --- | --- | --- |"
    for row, needed in equal_intervals(rows):
        words = [f"{needed[o]} ADCs" if needed[o] else "more" for o in needed]
        yield (
            f"| {row.adcs_per_cluster} ADCs a cluster | {row.interval_cycles:,.0f} "
            f"| {words[0]} | {words[1]} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.placement", description=__doc__)
    parser.add_argument("network", help="a network's name (benchmarks.networks) or an ONNX file")
    parser.add_argument("--target", default="spin-128")
    parser.add_argument("--mesh", default="", help="WxH cores")
    parser.add_argument("--size", type=int, default=0, help="of a named network's image")
    parser.add_argument("--adcs", type=int, nargs="+", default=[2, 1, 3, 4, 6, 8], help="a cluster")
    parser.add_argument("--inflight", type=int, default=24, help="inputs in flight")
    parser.add_argument("--exact", action="store_true", help="bounds by OR-tools' CP-SAT")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    wish = Wish(options.network, target=options.target, mesh=options.mesh)
    target = target_of(wish, Report())
    chips = [override(target, [f"adc.adcs_per_cluster={n}"]) for n in options.adcs]
    work = prepared(options.network, chips[0], options.size)
    rows = [
        measure(work, chip, way, options.inflight, options.exact)
        for chip in chips
        for way in get_args(Clusters)
    ]
    if not options.json:
        print("\n".join(tables(rows)))
        return
    result = {
        "network": options.network,
        "target": target.name,
        "crossbars": target.crossbars,
        "tiles": len(work.mapping.tiles),
        "stages": len(work.mapping.stages),
        "rows": [asdict(row) for row in rows],
        "adcs_for_equal_interval": [
            {"balanced": row.adcs_per_cluster, "interval_cycles": row.interval_cycles, **needed}
            for row, needed in equal_intervals(rows)
        ],
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
