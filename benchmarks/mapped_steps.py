"""Steps of the slowest convolution as layers are mapped, beside what the solver of steps finds.

A step reads all arrays of a layer once; steps are the reads that the busiest copy of the slowest
convolution makes for an input.  The chip is PIMCOMP-NN's default one, with an ADC for each channel
and slow reads, so that they are what takes time.  With --compile the whole model is compiled and
simulated too: then the interval between inputs, in reads, is what was promised, and the values of
one input equal the quantised graph's.  Prints a table, or JSON with --json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.clock import timed
from benchmarks.harness import Child
from benchmarks.networks import BUILT
from benchmarks.networks_table import Column, markdown, measure, seconds, whole, yes_no
from benchmarks.replication_steps import Case, steps
from benchmarks.steps import Bench
from nmc import targets
from nmc.ir.adc_load import reads_per_input
from nmc.ir.diagnostics import NmcError, Report
from nmc.ir.mapping import Mapping
from nmc.opting import opt
from nmc.passes.base import mapping_of

__all__ = ["CHIP", "COMPILED", "Sized", "row_of", "slowest_steps"]

TARGET = "exact-128"
SIDE = 128
CHIP = (
    *("mesh.width=12", "mesh.height=12", "core.crossbars=64"),
    # Whole weights: 128 outputs of two 7-bit cells each.
    *("crossbar.cell_bits=7", f"crossbar.cols={2 * SIDE}"),
    *("adc.crossbars_per_cluster=1", f"adc.adcs_per_cluster={SIDE}", "crossbar.t_read_ns=1000"),
    # What else a core has doesn't limit copies there, so it doesn't here.
    *("core.sram_kib=4096", "core.sequencers=1024", "core.semaphores=16384"),
)

MAPPED = "@front, quantize, stage, tile, replicate{share=1.0}"
COMPILED = f"{MAPPED}, place, schedule-adc, buffers, codegen"

NETWORKS = ("resnet18", "resnet50", "vgg16", "mobilenet_v2")

COLUMNS: tuple[Column, ...] = (
    ("network", "network", str),
    ("solver's steps", "solver_steps", whole),
    ("steps", "steps", whole),
    ("crossbars", "crossbars", whole),
    ("map s", "map_s", seconds),
    ("compile s", "compile_s", seconds),
    ("program bytes", "program_bytes", whole),
    ("interval", "interval_cycles", whole),
    ("in reads", "interval_steps", seconds),
    ("exact", "exact", yes_no),
    ("simulate s", "simulate_wall_s", seconds),
    ("failure", "failure", str),
)


@dataclass(frozen=True, slots=True)
class Sized:
    """Networks as published, or with another side of the image and a factor of all channels."""

    size: int = 0
    width: float = 1.0

    def solver_steps(self, network: str) -> dict[str, int]:
        """What ways and copies together can bring; nothing of networks whose layers are not ours
        to list."""
        if network not in BUILT:
            return {}
        case = Case(network, SIDE, size=self.size, width=self.width)
        return {"solver_steps": steps(case).joint_steps}

    def model(self, network: str, bench: Bench) -> tuple[Path, Child | None]:
        options: list[object] = ["--size", self.size] if self.size else []
        return bench.model(network, *options, "--width", self.width)


def row_of(network: str, sized: Sized, bench: Bench, *, inflight: int = 0) -> dict[str, Any]:
    """Of one network; it is compiled and simulated if inputs are to be `inflight`."""
    row: dict[str, Any] = {"network": Path(network).stem, **sized.solver_steps(network)}
    model, built = sized.model(network, bench)
    if built is not None and not built.ok:
        return {**row, "failure": f"build: {built.failure}"}
    row |= mapped(model)
    if inflight and "failure" not in row:
        found = measure(str(model), bench, inflight)
        row |= {key: found[key] for _, key, _ in COLUMNS if key in found}
    if "interval_cycles" in row:
        row["interval_steps"] = row["interval_cycles"] / read_cycles()
    if built is not None:
        model.unlink()
    return row


def mapped(model: Path) -> dict[str, Any]:
    """What `replicate` makes of a model, or why it makes nothing."""
    given: dict[str, Any] = {"calib": (), "input_shapes": {}, "host_ops": "allow", "seed": 0}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # what is counted needs no true values
            map_s, (design, _) = timed(
                lambda: opt(
                    str(model), MAPPED, target=TARGET, overrides=CHIP, report=Report(), **given
                )
            )
    except NmcError as problem:
        return {"failure": f"map: {problem.diagnostics[0].message}"}
    mapping = mapping_of(design)
    return {"steps": slowest_steps(mapping), "crossbars": len(mapping.tiles), "map_s": map_s}


def slowest_steps(mapping: Mapping) -> int:
    """Reads of the busiest copy of the slowest layer; a dense layer makes one."""
    return max((reads_per_input(mapping, stage) for stage in mapping.stages), default=0)


def read_cycles() -> int:
    """Cycles of a read of the chip's arrays, all bits of its inputs."""
    target = targets.load(TARGET, CHIP)
    return target.phases * target.read_cycles


def arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mapped_steps", description=__doc__)
    parser.add_argument(
        "networks", nargs="*", default=NETWORKS, help=f"default: {', '.join(NETWORKS)}"
    )
    parser.add_argument("--compile", action="store_true", help="compile and simulate as well")
    parser.add_argument("--inflight", type=int, default=8, help="inputs that measure the interval")
    parser.add_argument("--limit", type=float, default=1800, help="seconds that a step may take")
    parser.add_argument("--size", type=int, default=0, help="side of the image")
    parser.add_argument("--width", type=float, default=1.0, help="factor of all channels")
    parser.add_argument("--json", action="store_true", help="one JSON object, no table")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> None:
    options = arguments(given)
    sized = Sized(options.size, options.width)
    inflight = options.inflight if options.compile else 0
    further = [word for setting in CHIP for word in ("--set", setting)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), TARGET, ("",), (*further, "-p", COMPILED), options.limit)
        for network in options.networks:
            rows.append(row_of(network, sized, bench, inflight=inflight))
            print(json.dumps(rows[-1]), file=sys.stderr)
    text = json.dumps({"target": TARGET, "set": CHIP, "networks": rows}, indent=2)
    print(text if options.json else markdown(rows, COLUMNS))


if __name__ == "__main__":
    main()
