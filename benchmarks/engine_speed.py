"""How fast the fast engine executes a compiled model: instructions and samples a second."""

from __future__ import annotations

import argparse
import json
import resource
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nmc import api
from nmc.backends.simulator import MAX_CYCLES, simulate
from nmc.backends.simulator.fast import needs_compiling, run_timing
from nmc.backends.simulator.fast.engine import host_cores
from nmc.ir.graph import DTYPES, Array
from nmc.ir.program import Program
from nmc.ir.target import Target

PIPELINES = {
    "chosen": "@default",
    "one": (
        "@front, quantize, stage, tile, replicate{objective=crossbars}, "
        "place, schedule-adc, buffers, codegen"
    ),
}
"""By how many copies layers have: as many as make the model fast, as by default, or one each.  The
first program is wide, with many sequencers that do little; the second is narrow and busy."""


def best_s(work: Callable[[], Any], turns: int) -> float:
    times = []
    for _ in range(turns):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def random_inputs(program: Program, samples: int) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    return {
        io.name: (255 * rng.random((samples, *io.shape))).astype(DTYPES[io.dtype])
        for io in program.inputs
    }


def size_of(program: Program) -> dict[str, int]:
    """What a program has, whatever it does how often."""
    sequencers = [each for core in program.cores for each in core.sequencers]
    return {
        "cores": len(program.cores),
        "sequencers": len(sequencers),
        "tiles": len(program.tiles),
        "instructions": sum(len(each.instructions) for each in sequencers),
    }


def measure(program: Program, target: Target, options: argparse.Namespace) -> dict[str, Any]:
    inflight, batch = options.inflight, options.batch
    one, many = random_inputs(program, 1), random_inputs(program, batch)

    def run(engine: str, inputs: dict[str, Array]) -> None:
        simulate(
            program,
            target,
            inputs,
            engine=engine,
            max_cycles=MAX_CYCLES,
            detect_races=False,
        )

    cold = needs_compiling()
    begin = time.perf_counter()
    run("fast", one)
    first_s = time.perf_counter() - begin
    instructions = run_timing(program, target, inflight).instructions
    timing_s = best_s(lambda: run_timing(program, target, inflight), options.turns)
    single = run_timing(program, target, 1).instructions
    values_s = best_s(lambda: run("fast", many), options.turns)
    reference_s = best_s(lambda: run("reference", one), 1)
    fast_s = best_s(lambda: run("fast", one), options.turns)
    return {
        "program": program.name,
        "size": size_of(program),
        "instructions_per_sample": single,
        "first_call_s": first_s,
        "first_call_compiled": cold,
        "timing_only": {
            "inflight": inflight,
            "instructions": instructions,
            "seconds": timing_s,
            "instructions_per_s": instructions / timing_s,
            "host_cores": 1,
        },
        "with_values": {
            "samples": batch,
            "seconds": values_s,
            "samples_per_s": batch / values_s,
            "host_cores": host_cores(),
        },
        "one_sample": {
            "reference_s": reference_s,
            "fast_s": fast_s,
            "ratio": reference_s / fast_s,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="an ONNX model")
    parser.add_argument("--target", default="exact-128")
    parser.add_argument(
        "--copies", nargs="+", default=list(PIPELINES), choices=PIPELINES, help="of layers"
    )
    parser.add_argument("--inflight", type=int, default=64, help="inputs in flight, timing only")
    parser.add_argument("--batch", type=int, default=256, help="samples, with values")
    parser.add_argument("--turns", type=int, default=3, help="the best of so many counts")
    options = parser.parse_args()
    programs: list[dict[str, Any]] = []
    for copies in options.copies:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # random calibration: no matter of time
            pipeline = PIPELINES[copies]
            contents = api.compile(options.model, options.target, pipeline=pipeline).contents
        for program in contents.programs:
            measured = measure(program, contents.target, options)
            programs.append({"copies": copies, **measured})
    result = {
        "model": options.model.name,
        "target": options.target,
        "programs": programs,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
