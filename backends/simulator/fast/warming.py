"""Compiles the kernels ahead of the first run: those of the events in this process, those of the
values in another one beside it, which leaves them in the cache.

Nothing depends on the other process: kernels that it does not leave are compiled here when they
are called.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numba
import numpy as np

from nmc.backends.simulator.fast.jit import at_hand
from nmc.backends.simulator.fast.loop import run_events
from nmc.backends.simulator.fast.subsets import add_tile, cut_groups, note_patterns
from nmc.backends.simulator.fast.values import Group, execute_rows, move, note_stores
from nmc.backends.simulator.fast.vectors import place_in, scratch

__all__ = ["compile_kernels", "compile_values", "lossy_missing", "needs_compiling"]

KERNELS: tuple[Any, ...] = (run_events, note_stores, execute_rows, move)
LOSSY: tuple[Any, ...] = (note_patterns, cut_groups, add_tile)
"""Of reads whose conversions can lose something."""

PATIENCE_S = 120.0

type_of: Any = numba.typeof


def needs_compiling() -> bool:
    """Whether the next run will first compile kernels, which takes some ten seconds and happens
    once for an installation: to be announced to those who wait."""
    return not all(map(at_hand, KERNELS))


def lossy_missing() -> bool:
    """Whether the first lossy read will first compile kernels of its own, which takes a few
    seconds, once for an installation."""
    return not all(map(at_hand, LOSSY))


def compile_kernels() -> None:
    """Compile what is not at hand; in a process that is Python's own, as command lines are, on two
    cores."""
    helper = None
    if not all(map(at_hand, KERNELS[1:])) and not getattr(sys, "frozen", False):
        helper = started()
    compile_events()
    if helper is not None:
        finish(helper)
    compile_values()


def started() -> subprocess.Popen[bytes] | None:
    """A process that compiles the kernels of the values."""
    code = f"from {__name__} import compile_values; compile_values()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        return subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None


def finish(helper: subprocess.Popen[bytes]) -> None:
    try:
        helper.wait(PATIENCE_S)
    except BaseException as failure:
        helper.kill()
        helper.wait()
        if not isinstance(failure, subprocess.TimeoutExpired):
            raise


def compile_events() -> None:
    compile_for(run_events, np.zeros(1, np.int64), 0, 0)


def compile_values() -> None:
    """The kernels that move and compute bytes."""
    state, mask = np.zeros(1, np.int64), np.zeros(1, np.uint8)
    memory = np.zeros((1, 64), np.uint8)
    place, weights = place_in(memory), np.zeros(1, np.int16)
    rows, numbers = np.zeros((1, 1), np.int64), np.zeros((1, 1))
    group = Group(memory, place, weights, place, rows, numbers, scratch(1, 64), 0)
    compile_for(note_stores, state, 0, 0, mask, mask, state)
    compile_for(move, state, 0, 0, memory, memory, 0, True)
    compile_for(execute_rows, state, 0, 0, group)


def compile_for(kernel: Any, *arguments: Any) -> None:
    """Compile a kernel for arguments like these, or take it from the cache."""
    kernel.compile(tuple(type_of(argument) for argument in arguments))
