"""The options of `nmc run` that look into a run: traces and the debugger."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click

from nmc.cli.progress import Progress
from nmc.cli.session import Session

if TYPE_CHECKING:
    from nmc.backends.container import Contents
    from nmc.backends.simulator.machine import Machine
    from nmc.backends.trace import Recorder, Trace

__all__ = ["Watch", "Watcher", "watch_options"]

R = TypeVar("R")

PROMPT = "(nmc) "
MAX_SCRIPT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Watch:
    """What was asked for."""

    trace: str | None
    trace_window: str | None
    trace_limit: int | None
    breaks: tuple[str, ...]
    step: bool
    debug_script: str | None

    @property
    def debugging(self) -> bool:
        return bool(self.breaks or self.step or self.debug_script)


OPTIONS = (
    click.option(
        "--trace",
        metavar="T.pftrace|T.json",
        help="Write what every unit did when, for ui.perfetto.dev or Chrome's viewers.",
    ),
    click.option("--trace-window", metavar="A:B", help="Trace the cycles from A to before B only."),
    click.option(
        "--trace-limit",
        type=click.IntRange(min=1),
        metavar="N",
        help="Keep at most N events of the trace (1000000).",
    ),
    click.option(
        "--break",
        "breaks",
        multiple=True,
        metavar="CORE.SEQ:PC",
        help="Stop before this instruction, and read commands; repeatable.",
    ),
    click.option("--step", is_flag=True, help="Stop before the first cycle, and read commands."),
    click.option(
        "--debug-script",
        metavar="FILE|-",
        help="Read the debugger's commands from a file; stops before the first cycle.",
    ),
)


def watch_options(function: Callable[..., R]) -> Callable[..., R]:
    """Adds the options, and passes them on as one argument `watch`."""
    names = tuple(Watch.__dataclass_fields__)

    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> R:
        wish = Watch(**{name: kwargs.pop(name) for name in names})
        return function(*args, watch=wish, **kwargs)

    for option in reversed(OPTIONS):
        command = option(command)
    return command


@dataclass(slots=True)
class Watcher:
    """Watches one run as was asked; `attach` goes to the engine."""

    watch: Watch
    session: Session
    contents: Contents
    lines: list[str] = field(default_factory=list[str])
    """What the debugger said."""
    path: Path | None = None
    recorder: Recorder | None = None
    attach: Callable[[str, Machine], None] | None = None

    def __post_init__(self) -> None:
        """NmcError `bad-option` for what makes no sense, before anything is simulated."""
        attached: list[Callable[[str, Machine], None]] = []
        if self.watch.trace:
            self.path, self.recorder = self._recorder(Path(self.watch.trace))
            attached.append(self.recorder.attach)
        elif self.watch.trace_window or self.watch.trace_limit:
            raise click.UsageError("--trace-window and --trace-limit need --trace FILE")
        if self.watch.debugging:
            attached.append(self._debugger())
        if attached:
            self.attach = all_of(attached)

    def _recorder(self, path: Path) -> tuple[Path, Recorder]:
        from nmc.backends.trace import MAX_EVENTS, Recorder, check_ending
        from nmc.output import check_writable

        check_ending(path)
        check_writable(path)
        window = window_of(self.watch.trace_window) if self.watch.trace_window else None
        limit = self.watch.trace_limit or MAX_EVENTS
        return path, Recorder(self.contents, window=window, limit=limit)

    def _debugger(self) -> Callable[[str, Machine], None]:
        from nmc.backends.debugger import Debugger

        ask, interactive = commands_of(self.watch.debug_script)
        debugger = Debugger(
            self.contents,
            ask,
            self.say,
            breaks=self.watch.breaks,
            stop_at_launch=self.watch.step or bool(self.watch.debug_script),
            strict=not interactive,
        )
        return debugger.attach

    def say(self, line: str) -> None:
        """A line of the debugger: a result, which under --json stands in the object."""
        self.lines.append(line)
        if not self.session.json:
            self.session.out(line)

    def engine(self, given: str | None) -> str | None:
        """The one that runs: where somebody watches, that which can be watched.  `bad-option` if
        another was asked for."""
        from nmc.backends.simulator import ENGINES, WATCHED_ENGINE
        from nmc.ir.diagnostics import NmcError, error

        if self.attach is None:
            return given
        if given in ENGINES and given != WATCHED_ENGINE:
            message = f"`--engine {given}` can't be traced or paused"
            remedy = f"leave it out, or give --engine {WATCHED_ENGINE}: both engines give the same"
            raise NmcError(error("bad-option", message, remedy=remedy))
        return given or WATCHED_ENGINE

    def progress(self) -> Progress:
        """Silent while the debugger speaks."""
        progress = Progress(self.session)
        progress.shown &= not self.watch.debugging
        return progress

    def summary(self, found: dict[str, Any]) -> list[str]:
        """A line on what was written."""
        if "trace" not in found:
            return []
        from nmc.report.text import count

        events = count(found["trace"]["events"])
        return [
            f"  trace in      {found['trace']['file']}, {events} events, by the reference engine"
        ]

    def stopped(self, cycle: int) -> int:
        """The result of a run that the user has ended early."""
        found = {"stopped_before_cycle": cycle, **self.finish()}
        return self.session.result(found, [f"ended before cycle {cycle}"])

    def finish(self) -> dict[str, Any]:
        """Write the trace; what there is to say, as JSON has it."""
        found: dict[str, Any] = {"debug": self.lines} if self.watch.debugging else {}
        if self.recorder is not None and self.path is not None and self.recorder.machine:
            found["trace"] = self._write(self.recorder.trace(), self.path)
        return found

    def _write(self, trace: Trace, path: Path) -> dict[str, Any]:
        from nmc.backends.trace import write_trace
        from nmc.ir.diagnostics import Loc, warning
        from nmc.output import atomic

        with atomic(path) as stream:
            write_trace(trace, stream, path.suffix)
        if trace.left_out:
            message = (
                f"{trace.left_out} events of the trace did not fit; all that ended before "
                f"cycle {trace.complete_until} is there"
            )
            remedy = "raise --trace-limit, or look at fewer cycles with --trace-window A:B"
            self.session.diagnose(
                [warning("trace-cut", message, Loc(file=str(path)), remedy=remedy)]
            )
        return {
            "file": str(path),
            "events": len(trace.slices) + len(trace.counts),
            "left_out": trace.left_out,
        }


def all_of(
    watchers: list[Callable[[str, Machine], None]],
) -> Callable[[str, Machine], None]:
    def attach(step: str, machine: Machine) -> None:
        for each in watchers:
            each(step, machine)

    return attach


def window_of(text: str) -> tuple[int, int]:
    """`A:B`, either of which may be missing."""
    from nmc.ir.diagnostics import NmcError, error

    first, colon, end = text.partition(":")
    good = colon and all(not part or (part.isdecimal() and len(part) < 16) for part in (first, end))
    window = (int(first or 0), int(end or 1 << 60)) if good else (0, 0)
    if window[0] >= window[1]:
        message = f"`--trace-window {text}` is no range of cycles"
        raise NmcError(error("bad-option", message, remedy="write A:B with A below B"))
    return window


def commands_of(script: str | None) -> tuple[Callable[[], str | None], bool]:
    """Where commands come from, and whether a person gives them: prompts are for terminals."""
    import sys

    from nmc.backends.debugger import script as scripted

    if script not in (None, "-"):
        return scripted(script_lines(Path(str(script)))), False
    if script is None and sys.stdin.isatty():
        return prompted, True
    return scripted(sys.stdin), False


def prompted() -> str | None:
    """The next command of a person; None at the end of input."""
    import sys

    click.echo(PROMPT, nl=False, err=True)
    line = sys.stdin.readline()
    if not line:
        click.echo(err=True)
        return None
    return line.strip()


def script_lines(path: Path) -> list[str]:
    from nmc.ir.diagnostics import Loc, NmcError, error

    place = Loc(file=str(path))
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_SCRIPT_BYTES + 1)
        if len(data) > MAX_SCRIPT_BYTES:
            raise NmcError(
                error("file-unreadable", "a debugger's script is larger than 1 MiB", place)
            )
        return data.decode().splitlines()
    except FileNotFoundError:
        raise NmcError(error("file-not-found", f"no file {path}", place)) from None
    except (OSError, UnicodeDecodeError) as failure:
        raise NmcError(
            error("file-unreadable", f"{path} can't be read: {failure}", place)
        ) from None
