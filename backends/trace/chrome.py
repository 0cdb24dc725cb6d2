"""Chrome's trace format (JSON): a process for each core, a thread for each resource.

Times are in microseconds, as the format wants it, with one cycle shown as one nanosecond.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any

from nmc.backends.trace.records import Label, Slice, Trace, Track

__all__ = ["write_chrome"]

Event = dict[str, Any]


def write_chrome(trace: Trace, stream: IO[bytes]) -> None:
    """One event a line."""
    head = {"displayTimeUnit": "ns", "otherData": metadata(trace)}
    stream.write(json.dumps(head)[:-1].encode() + b', "traceEvents": [\n')
    separator = b""
    for event in events(trace):
        stream.write(separator + json.dumps(event, separators=(",", ":")).encode())
        separator = b",\n"
    stream.write(b"\n]}\n")


def metadata(trace: Trace) -> dict[str, str]:
    return {
        "model": trace.name,
        "target": trace.target,
        "time": f"1 ns is shown for 1 cycle; the target's clock runs at {trace.clock_ghz:g} GHz",
        "left_out": f"{trace.left_out} events",
    }


def events(trace: Trace) -> Iterator[Event]:
    groups = {group: i for i, group in enumerate(dict.fromkeys(t.group for t in trace.tracks), 1)}
    yield from names(trace, groups)
    for piece in trace.slices:
        yield slice_event(trace, piece, groups)
    for cycle, track, value in trace.counts:
        found = trace.tracks[track]
        yield {
            "ph": "C",
            "name": found.name,
            "pid": groups[found.group],
            "ts": microseconds(cycle),
            "args": {found.unit: value},
        }
    for number, (source, sink) in enumerate(trace.flows):
        start = {"ph": "s", "id": number, "name": "token", "cat": "flow"}
        yield start | at(trace.slices[source], trace.tracks, groups)
        yield start | {"ph": "f", "bp": "e"} | at(trace.slices[sink], trace.tracks, groups)


def names(trace: Trace, groups: dict[str, int]) -> Iterator[Event]:
    for group, pid in groups.items():
        yield {"ph": "M", "name": "process_name", "pid": pid, "args": {"name": group}}
        yield {"ph": "M", "name": "process_sort_index", "pid": pid, "args": {"sort_index": pid}}
    for tid, track in enumerate(trace.tracks, 1):
        if not track.unit:
            place = {"ph": "M", "pid": groups[track.group], "tid": tid}
            yield place | {"name": "thread_name", "args": {"name": track.name}}
            yield place | {"name": "thread_sort_index", "args": {"sort_index": tid}}


def slice_event(trace: Trace, piece: Slice, groups: dict[str, int]) -> Event:
    return {
        "ph": "X",
        "name": piece.name,
        "cat": piece.kind,
        "dur": microseconds(piece.cycles),
        "args": arguments(piece, trace.labels[piece.label]),
        **at(piece, trace.tracks, groups),
    }


def arguments(piece: Slice, label: Label) -> dict[str, str]:
    """What else is known of a slice.  JSON repeats every text, so assembly is left to the slices
    of sequencers, on which the rest can be looked up by `at`."""
    said = {"at": label.at, "layer": label.layer, "onnx": label.onnx}
    if piece.kind in ("issue", "stall"):
        said |= {"assembly": label.assembly, "source": label.source}
    return {name: text for name, text in said.items() if text}


def at(piece: Slice, tracks: tuple[Track, ...], groups: dict[str, int]) -> Event:
    pid = groups[tracks[piece.track].group]
    return {"pid": pid, "tid": piece.track + 1, "ts": microseconds(piece.start)}


def microseconds(cycles: int) -> float:
    return cycles / 1000
