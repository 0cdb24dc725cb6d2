"""What a trace consists of: tracks, slices on them, counters, and flows between slices.

Times are cycles from launch; a model of several chip steps has them one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Count", "Flow", "Label", "Slice", "Trace", "Track"]


class Track(NamedTuple):
    """A line of the picture: a resource that does one thing at a time, or a counter.

    `group` is a core, the mesh or global memory, `part` what kind of thing it is there; a counter
    has the `unit` of what it counts.
    """

    group: str
    part: str
    name: str
    unit: str = ""


class Label(NamedTuple):
    """An instruction, for people: `at` is CORE.SEQUENCER:PC, `onnx` names its ONNX nodes."""

    mnemonic: str
    assembly: str
    at: str
    layer: str
    onnx: str
    source: str


class Slice(NamedTuple):
    """A track is taken up from cycle `start` on by the instruction `label`; both are indices into
    the trace's tuples."""

    start: int
    cycles: int
    track: int
    name: str
    kind: str
    label: int


class Count(NamedTuple):
    """From this cycle on a counter has this value."""

    cycle: int
    track: int
    value: int | float


class Flow(NamedTuple):
    """From the slice that sent a token to the slice of the wait that took it: indices."""

    source: int
    sink: int


@dataclass(frozen=True, slots=True)
class Trace:
    """One run.  `slices` and `counts` are in order of time; slices of a track do not overlap.

    `left_out` events did not fit; all that ended before cycle `complete_until` is there.
    """

    name: str
    target: str
    clock_ghz: float
    tracks: tuple[Track, ...]
    labels: tuple[Label, ...]
    slices: tuple[Slice, ...]
    counts: tuple[Count, ...]
    flows: tuple[Flow, ...]
    left_out: int
    complete_until: int | None
