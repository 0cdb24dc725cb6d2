"""What every command has: its streams, its verbosity, and one way to give results and problems.

Results go to stdout, everything else to stderr.  Under `--json` exactly one object goes to stdout,
also when the command fails.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

import rich_click as click
from click import get_current_context as current_context

from nmc.ir.diagnostics import Diagnostic
from nmc.report.diagnostics import render, to_dict

__all__ = ["Session", "common"]

STYLES: dict[str, dict[str, Any]] = {
    "error": {"fg": "red", "bold": True},
    "warning": {"fg": "yellow", "bold": True},
    "note": {"fg": "cyan"},
    "good": {"fg": "green", "bold": True},
    "head": {"bold": True},
    "dim": {"dim": True},
}

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(slots=True)
class Session:
    """One run of the command line.  `color` None means: on terminals."""

    command: str = ""
    json: bool = False
    verbosity: int = 0
    color: bool | None = None
    diagnostics: list[Diagnostic] = field(default_factory=list[Diagnostic])

    def __post_init__(self) -> None:
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            self.color = False
        elif os.environ.get("FORCE_COLOR"):
            self.color = True

    @property
    def quiet(self) -> bool:
        return self.verbosity < 0

    @property
    def debug(self) -> bool:
        return self.verbosity > 0 or bool(os.environ.get("NMC_DEBUG"))

    def paint(self, text: str, style: str) -> str:
        return click.style(text, **STYLES[style])

    def out(self, text: str) -> None:
        """A result, to stdout."""
        click.echo(text, color=self.color)

    def say(self, text: str) -> None:
        """A word to the person, to stderr; not under -q."""
        if not self.quiet:
            click.echo(text, err=True, color=self.color)

    def diagnose(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Show problems on stderr, or keep them for the JSON object."""
        new = list(diagnostics)
        self.diagnostics += new
        if self.json:
            return
        shown = [d for d in new if d.exit or not self.quiet]
        if shown:
            click.echo(render(shown, self.paint), err=True, color=self.color)

    def result(
        self,
        data: Mapping[str, Any],
        lines: Sequence[str] = (),
        *,
        exit: int = 0,
        brief: Sequence[str] | None = None,
    ) -> int:
        """Give the command's result: as lines, or as the one JSON object.  Returns `exit`.

        `brief` is what of the lines is left under -q, where that isn't all.
        """
        if self.json:
            self.out(self.document(data, exit))
        else:
            for line in lines if brief is None or not self.quiet else brief:
                self.out(line)
        return exit

    def document(self, data: Mapping[str, Any], exit: int) -> str:
        whole = {
            "ok": exit == 0,
            "exit_code": exit,
            "command": self.command,
            **data,
            "diagnostics": [to_dict(d) for d in self.diagnostics],
        }
        return json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False, default=plain)


def plain(value: Any) -> Any:
    """Numpy's numbers and other records as JSON has them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "__fspath__"):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def common(function: Callable[Concatenate[Session, P], R]) -> Callable[P, R]:
    """Adds the options that all commands share, and passes the session as first argument."""

    @functools.wraps(function)
    def command(*args: P.args, **kwargs: P.kwargs) -> R:
        context = current_context()
        session = context.find_object(Session) or Session()
        session.command = context.info_name or ""
        options: dict[str, Any] = kwargs
        session.json |= options.pop("as_json")
        session.verbosity += options.pop("verbose") - options.pop("quiet")
        color = options.pop("color")
        if color != "auto":
            session.color = color == "always"
        return function(session, *args, **kwargs)

    for option in reversed(COMMON):
        command = option(command)
    return command


COMMON = (
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout."),
    click.option(
        "-q",
        "--quiet",
        count=True,
        metavar="",
        help="Print errors and the bare result only: a verdict, figures, the file written.",
    ),
    click.option(
        "-v", "--verbose", count=True, metavar="", help="Say more; show tracebacks of bugs."
    ),
    click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        show_default=True,
        help="Colour: NO_COLOR and FORCE_COLOR are heeded too.",
    ),
)
