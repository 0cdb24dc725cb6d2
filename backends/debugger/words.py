"""How the debugger's words are read: numbers, sequencers, breakpoints."""

from __future__ import annotations

import re
from typing import NamedTuple

from nmc.backends.program_places import ProgramPlaces
from nmc.ir.diagnostics import NmcError, error
from nmc.ir.program import End, Loop

__all__ = ["Break", "Place", "breakpoint_of", "number", "place_of", "refuse"]

MAX_NUMBER = 1 << 62


class Place(NamedTuple):
    """A sequencer: CORE.SEQ."""

    core: int
    sequencer: int

    def __str__(self) -> str:
        return f"{self.core}.{self.sequencer}"


class Break(NamedTuple):
    """Stop before an instruction is due: CORE.SEQ:PC."""

    core: int
    sequencer: int
    pc: int

    def __str__(self) -> str:
        return f"{self.core}.{self.sequencer}:{self.pc}"


def refuse(message: str, remedy: str = "") -> NmcError:
    return NmcError(error("bad-option", message, remedy=remedy))


def number(text: str, what: str, limit: int = MAX_NUMBER) -> int:
    """A number from 0 to below `limit`, in decimal or as 0x..."""
    try:
        value = int(text, 0) if len(text) < 24 else -1
    except ValueError:
        value = -1
    if not 0 <= value < limit:
        raise refuse(f"`{text}` is no {what}")
    return value


def place_of(text: str, places: ProgramPlaces) -> Place:
    found = re.fullmatch(r"(\d{1,9})\.(\d{1,9})", text)
    if found is None:
        raise refuse(f"`{text}` is no sequencer", "write CORE.SEQ, such as 0.2")
    place = Place(int(found[1]), int(found[2]))
    known = places.cores.get(place.core)
    if known is None or place.sequencer >= len(known.sequencers):
        raise refuse(f"the program has no sequencer {place}", "`sequencers` lists them")
    return place


def breakpoint_of(text: str, places: ProgramPlaces) -> Break:
    """The instruction of a text; it must be one that takes time."""
    sequencer, colon, pc = text.partition(":")
    if not colon:
        raise refuse(f"`{text}` is no breakpoint", "write CORE.SEQ:PC, such as 0.2:14")
    place = place_of(sequencer, places)
    code = places.cores[place.core].sequencers[place.sequencer].instructions
    at = number(pc, f"instruction of sequencer {place}, which has {len(code)}", len(code))
    if isinstance(code[at], Loop | End):
        word = "loop" if isinstance(code[at], Loop) else "end"
        hint = f"break at {place}:{at + 1}" if at + 1 < len(code) else ""
        raise refuse(f"`{word}` at {place}:{at} takes no time, so nothing can stop there", hint)
    return Break(*place, at)
