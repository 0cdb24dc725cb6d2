"""The cycle-level simulator: two engines that give the same outputs and the same cycles.

>>> result = simulate(program, target, {"x": images}, inflight=4)
>>> result.outputs["y"], result.cycles, result.interval_cycles

docs/machine.md says what an instruction does and how long it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from nmc.backends.simulator.machine import Machine
from nmc.backends.simulator.reference import run_reference
from nmc.backends.simulator.result import AdcUse, Events, Race, Result, SequencerUse
from nmc.ir.diagnostics import NmcError, error
from nmc.ir.graph import Array
from nmc.ir.program import Program
from nmc.ir.program_check import check_references
from nmc.ir.target import Target
from nmc.ir.text import did_you_mean

__all__ = [
    "DEFAULT_ENGINE",
    "ENGINES",
    "MAX_CYCLES",
    "WATCHED_ENGINE",
    "AdcUse",
    "Engine",
    "Events",
    "Race",
    "Result",
    "SequencerUse",
    "compile_kernels",
    "lossy_missing",
    "needs_compiling",
    "simulate",
]

MAX_CYCLES = 1_000_000_000


class Engine(Protocol):
    """What runs a program; all engines give the same results."""

    def __call__(
        self,
        program: Program,
        target: Target,
        inputs: Mapping[str, Array],
        *,
        inflight: int,
        max_cycles: int,
        progress: Callable[[int], None] | None,
        detect_races: bool,
    ) -> Result: ...


# The fast engine brings a compiler (numba) along, which is loaded when it is first wanted.


def run_fast(
    program: Program,
    target: Target,
    inputs: Mapping[str, Array],
    *,
    inflight: int,
    max_cycles: int,
    progress: Callable[[int], None] | None,
    detect_races: bool,
) -> Result:
    from nmc.backends.simulator import fast

    return fast.run_fast(
        program,
        target,
        inputs,
        inflight=inflight,
        max_cycles=max_cycles,
        progress=progress,
        detect_races=detect_races,
    )


def kernels_missing() -> bool:
    from nmc.backends.simulator import fast

    return fast.needs_compiling()


def compile_kernels() -> None:
    """Compile what the fast engine runs, unless the installation has that already."""
    from nmc.backends.simulator import fast

    fast.compile_kernels()


ENGINES: dict[str, Engine] = {"reference": run_reference, "fast": run_fast}

DEFAULT_ENGINE = "fast"
"""What runs unless somebody asks for another, or wants to watch."""

WATCHED_ENGINE = "reference"
"""The engine that traces and debuggers are attached to."""


def needs_compiling(engine: str | None = None) -> bool:
    """Whether the next run on an engine will first compile its kernels, once for an installation:
    to be announced to those who wait.  `compile_kernels` does it ahead."""
    return (engine or DEFAULT_ENGINE) == "fast" and kernels_missing()


def lossy_missing(engine: str | None = None) -> bool:
    """Whether an engine will compile something more for the first read that can lose something."""
    if (engine or DEFAULT_ENGINE) != "fast":
        return False
    from nmc.backends.simulator import fast

    return fast.lossy_missing()


def simulate(
    program: Program,
    target: Target,
    inputs: Mapping[str, Array],
    *,
    inflight: int = 1,
    engine: str | None = None,
    max_cycles: int = MAX_CYCLES,
    progress: Callable[[int], None] | None = None,
    detect_races: bool = True,
    attach: Callable[[Machine], None] | None = None,
) -> Result:
    """Run a program on samples: `inputs` has [samples, *shape] for each input, by name.

    Samples are arranged as lanes x `inflight`: the chip works on `inflight` inputs one after the
    other, overlapping; lanes are independent repetitions that share one timing.  Arrays are of
    the program's own types, stored integers as such.  `progress` is called with the cycle now
    and then; `attach` with the machine before launch, which only the reference engine has: it is
    then the one that runs if `engine` is None.
    NmcError: `bad-data-shape`, `bad-program`, `deadlock`, `run-limit`.
    """
    engine = engine or (DEFAULT_ENGINE if attach is None else WATCHED_ENGINE)
    if engine not in ENGINES:
        message = f"no engine `{engine}`"
        raise NmcError(error("bad-option", message, remedy=did_you_mean(engine, ENGINES)))
    if inflight < 1:
        raise NmcError(error("bad-option", f"{inflight} inputs in flight; at least 1 is needed"))
    if attach is not None and engine != WATCHED_ENGINE:
        message = f"the `{engine}` engine can't be traced or paused"
        raise NmcError(error("bad-option", message, remedy=f"use the engine `{WATCHED_ENGINE}`"))
    problems = check_references(program, target)
    if problems:
        raise NmcError(*problems)
    run = ENGINES[engine] if attach is None else partial(run_reference, attach=attach)
    return run(
        program,
        target,
        inputs,
        inflight=inflight,
        max_cycles=max_cycles,
        progress=progress,
        detect_races=detect_races,
    )
