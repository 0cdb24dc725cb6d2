"""Traces of a simulated run: what every unit did in which cycle, for Perfetto's viewer.

>>> recorder = Recorder(contents)
>>> execute(contents, inputs, engine="reference", attach=recorder.attach)
>>> write_trace(recorder.trace(), stream, ".pftrace")

docs/traces.md says what is in one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import IO

from nmc.backends.trace.chrome import write_chrome
from nmc.backends.trace.perfetto import write_perfetto
from nmc.backends.trace.recorder import MAX_EVENTS, Recorder
from nmc.backends.trace.records import Trace
from nmc.ir.diagnostics import NmcError, error

__all__ = ["FORMATS", "MAX_EVENTS", "Recorder", "Trace", "check_ending", "write_trace"]

FORMATS: dict[str, Callable[[Trace, IO[bytes]], None]] = {
    ".pftrace": write_perfetto,
    ".perfetto-trace": write_perfetto,
    ".json": write_chrome,
}
"""By the ending of the file's name."""


def check_ending(path: PurePath) -> None:
    """NmcError `bad-option` if the name's ending stands for no format."""
    if path.suffix not in FORMATS:
        message = f"`{path}`: traces are written as {', '.join(FORMATS)}"
        remedy = f"such as {path.stem or 'trace'}.pftrace, which ui.perfetto.dev shows"
        raise NmcError(error("bad-option", message, remedy=remedy))


def write_trace(trace: Trace, stream: IO[bytes], ending: str) -> None:
    """Write a trace in the format that the ending of the file's name stands for."""
    FORMATS[ending](trace, stream)
