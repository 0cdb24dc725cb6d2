"""Compiled models whose programs have been tampered with, to see who notices and what is said."""

from __future__ import annotations

from dataclasses import replace

from nmc.backends.container import Contents
from nmc.ir.program import Instruction, Mvm, Signal, Vec, Wait

__all__ = ["find", "past_its_buffer", "patched", "with_race", "without_signal"]

At = tuple[int, int, int]
"""Core, sequencer, pc."""


def find(contents: Contents, label: str, kind: type[Instruction], nth: int = 0) -> At:
    """The nth instruction of a kind in the sequencer with this label."""
    found = [
        (core.core, index, pc)
        for core in contents.programs[0].cores
        for index, sequencer in enumerate(core.sequencers)
        if sequencer.label == label
        for pc, instruction in enumerate(sequencer.instructions)
        if isinstance(instruction, kind)
    ]
    return found[nth]


def instruction(contents: Contents, at: At) -> Instruction:
    core = next(c for c in contents.programs[0].cores if c.core == at[0])
    return core.sequencers[at[1]].instructions[at[2]]


def patched(contents: Contents, at: At, *instead: Instruction) -> Contents:
    """The first program with other instructions in the place of one."""
    program = contents.programs[0]
    cores = list(program.cores)
    position = next(i for i, c in enumerate(cores) if c.core == at[0])
    sequencers = list(cores[position].sequencers)
    code = sequencers[at[1]].instructions
    changed = (*code[: at[2]], *instead, *code[at[2] + 1 :])
    sequencers[at[1]] = replace(sequencers[at[1]], instructions=changed)
    cores[position] = replace(cores[position], sequencers=tuple(sequencers))
    whole = (replace(program, cores=tuple(cores)), *contents.programs[1:])
    return replace(contents, programs=whole)


def without_signal(contents: Contents, label: str) -> Contents:
    """The sequencer's last signal is missing."""
    return patched(contents, find(contents, label, Signal, -1))


def with_race(contents: Contents, label: str) -> tuple[Contents, At]:
    """The sequencer's first vec comes before the wait for what it reads; where it then is."""
    core, sequencer, pc = find(contents, label, Vec)
    vec, wait = (instruction(contents, (core, sequencer, at)) for at in (pc, pc - 1))
    if not isinstance(wait, Wait):
        raise TypeError(wait)
    broken = patched(contents, (core, sequencer, pc - 1), vec)
    return patched(broken, (core, sequencer, pc), wait), (core, sequencer, pc - 1)


def past_its_buffer(contents: Contents, label: str) -> tuple[Contents, At]:
    """The sequencer's first mvm reads from the last byte of memory on."""
    at = find(contents, label, Mvm)
    mvm = instruction(contents, at)
    if not isinstance(mvm, Mvm):
        raise TypeError(mvm)
    src = replace(mvm.src, base=contents.target.core.sram_bytes - 1, ring=0)
    return patched(contents, at, replace(mvm, src=src)), at
