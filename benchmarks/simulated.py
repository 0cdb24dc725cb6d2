"""Simulates a mapping file: with values and against the quantised graph, and how fast it is.

Values are those of one input.  Its outputs must equal the graph interpreter's on a target of
lossless reads.  The interval is measured without values, on several inputs in flight.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.clock import timed
from nmc import api
from nmc.backends.container import Contents
from nmc.backends.simulator import Result
from nmc.backends.simulator.fast import needs_compiling, run_timing
from nmc.ir.program_words import encode_words
from nmc.layers import run_quantized


def with_values(compiled: api.Compiled, compare: bool) -> dict[str, Any]:
    """One input through the fast engine, and through the interpreter of the quantised graph."""
    given = compiled.inputs("random", samples=1)
    if needs_compiling():  # once for an installation: it does not count
        compiled.run(given, engine="fast")
    seconds, run = timed(lambda: compiled.run(given, engine="fast"))
    found = {
        "simulate_s": seconds,
        "instructions": run.instructions,
        "latency_cycles": run.latency_cycles,
        "energy_j": run.energy_j,
    }
    if not compare:
        return found
    interpreter_s, wanted = timed(lambda: run_quantized(compiled.contents.graph, given.arrays))
    exact = all(np.array_equal(run.outputs[name], array) for name, array in wanted.items())
    return {**found, "exact": exact, "interpreter_s": interpreter_s}


def timing(contents: Contents, inflight: int) -> dict[str, Any]:
    """Cycles between inputs in the steady state, and how busy the busiest ADC is then."""
    seconds, results = timed(
        lambda: [run_timing(p, contents.target, inflight) for p in contents.programs]
    )
    instructions = sum(result.instructions for result in results)
    found: dict[str, Any] = {
        "inflight": inflight,
        "timing_s": seconds,
        "timing_instructions_per_s": instructions / seconds,
    }
    if inflight > 1:
        interval = sum(map(steady_interval, results))
        found["interval_cycles"] = interval
        busiest = sum(max_busy(result) for result in results) / inflight
        found["busiest_adc_utilization"] = busiest / interval if interval else 0.0
    return found


def largest_sequencer_bytes(contents: Contents) -> int:
    """Of the binary words of all sequencers."""
    return max(
        (
            encode_words(sequencer.instructions).nbytes
            for program in contents.programs
            for core in program.cores
            for sequencer in core.sequencers
        ),
        default=0,
    )


def steady_interval(result: Result) -> float:
    """Mean distance of the outputs, without those of the first and the last inputs.

    The first fill the pipeline, and the last have it to themselves.
    """
    ends = result.output_cycles
    edge = (len(ends) - 1) // 3
    first, last = edge, len(ends) - 1 - edge
    return (ends[last] - ends[first]) / (last - first)


def max_busy(result: Result) -> int:
    return max((use.busy for use in result.adcs.values()), default=0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulated", description=__doc__)
    parser.add_argument("file", type=Path, help="a mapping file, of `nmc compile`")
    parser.add_argument("--inflight", type=int, default=8, help="inputs in flight, for timing")
    parser.add_argument("--no-compare", action="store_true", help="leave the interpreter out")
    options = parser.parse_args()
    load_s, compiled = timed(lambda: api.load(options.file))
    result = {
        "file": options.file.name,
        "load_s": load_s,
        "largest_sequencer_bytes": largest_sequencer_bytes(compiled.contents),
        **with_values(compiled, not options.no_compare),
        **timing(compiled.contents, options.inflight),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
