"""The one renderer of diagnostics: text for people, plain dictionaries for `--json`."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any

from nmc.ir.diagnostics import Diagnostic, Loc, Severity

__all__ = ["render", "to_dict"]

Paint = Callable[[str, str], str]
"""Dresses a text in a style: `error`, `warning`, `note` or `dim`."""

SHOWN_OF_A_KIND = 3
GROUPS_SHOWN = 20
NAMES_SHOWN = 4
WIDTH = 80
RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}


def plain(text: str, style: str) -> str:
    return text


def render(diagnostics: Iterable[Diagnostic], paint: Paint = plain) -> str:
    """All diagnostics as text, errors first, many of a kind as the first few and a count.

    Of more than `GROUPS_SHOWN` kinds the rest is counted.  Empty for no diagnostics.
    """
    kinds = grouped(diagnostics)
    lines = [line for kind in kinds[:GROUPS_SHOWN] for line in render_kind(kind, paint)]
    hidden = sum(len(kind) for kind in kinds[GROUPS_SHOWN:])
    if hidden:
        lines.append(paint(f"... and {hidden} more problems", "dim"))
    return "\n".join(lines)


def grouped(diagnostics: Iterable[Diagnostic]) -> list[list[Diagnostic]]:
    """Diagnostics that differ only in place stand together, in order of first appearance."""
    kinds: dict[tuple[object, ...], list[Diagnostic]] = {}
    for each in diagnostics:
        kinds.setdefault((each.severity, each.code, each.loc.op, each.loc.file), []).append(each)
    return sorted(kinds.values(), key=lambda kind: RANK[kind[0].severity])


def render_kind(kind: Sequence[Diagnostic], paint: Paint) -> Iterator[str]:
    # One node with five problems isn't five places: only different places are worth merging.
    shown = SHOWN_OF_A_KIND if len({d.loc for d in kind}) > SHOWN_OF_A_KIND else len(kind)
    for each in kind[:shown]:
        yield from render_one(each, paint)
    rest = kind[shown:]
    if rest:
        names = [place_name(d.loc) or d.message for d in rest[:NAMES_SHOWN]]
        more = f", and {len(rest) - NAMES_SHOWN} more" if len(rest) > NAMES_SHOWN else ""
        text = f"{len(rest)} more of this kind: {', '.join(names)}{more}"
        yield from wrapped(text, paint("  = and ", "dim"), 8)


def render_one(diagnostic: Diagnostic, paint: Paint) -> Iterator[str]:
    severity = diagnostic.severity.value
    head = f"{severity}[{diagnostic.code}]: "
    yield from wrapped(diagnostic.message, paint(head, severity), min(len(head), 4))
    yield from place(diagnostic.loc, paint)
    for text in diagnostic.notes:
        yield from wrapped(text, paint("  = note: ", "dim"), 10)
    if diagnostic.remedy:
        yield from wrapped(diagnostic.remedy, paint("  = help: ", "dim"), 10)


def wrapped(text: str, head: str, indent: int) -> Iterator[str]:
    """`text` after `head`, broken at spaces only: paths and commands stay whole to be copied.

    Text that brings its own line ends keeps them.
    """
    first = True
    for paragraph in text.split("\n"):
        taken = len(unpainted(head)) if first else indent
        # textwrap can't indent by something with escape codes: leave room for it instead.
        room = textwrap.wrap(
            "x" * taken + paragraph if paragraph else "",
            WIDTH,
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        ) or ["x" * taken]
        yield (head if first else " " * indent) + room[0][taken:]
        yield from room[1:]
        first = False


def unpainted(text: str) -> str:
    """The text without its escape codes."""
    parts = text.split("\x1b[")
    return parts[0] + "".join(part.partition("m")[2] for part in parts[1:])


def place(loc: Loc, paint: Paint) -> Iterator[str]:
    where = file_place(loc)
    if where:
        yield paint("  --> ", "dim") + where
    if loc.line and loc.excerpt:
        yield from excerpt(loc, paint)
    if loc.node or loc.op:
        yield paint("  at node ", "dim") + node_place(loc)
    if loc.source:
        yield from wrapped(loc.source, paint("  from ", "dim"), 7)


def file_place(loc: Loc) -> str:
    """`net.txt:3:8`; in an archive, the line is the member's: `m.nmc, member graph.txt:3:8`."""
    parts = [name for name in (loc.member or loc.file,) if name]
    if loc.line:
        parts.append(str(loc.line))
        if loc.column:
            parts.append(str(loc.column))
    where = ":".join(parts)
    if loc.member:
        return f"{loc.file}, member {where}" if loc.file else f"member {where}"
    return where


def node_place(loc: Loc) -> str:
    name = f"'{loc.node}'" if loc.node else "(unnamed)"
    kind = f" ({loc.op})" if loc.op else ""
    position = f", {ordinal(loc.index)} of {loc.total}" if loc.index and loc.total else ""
    return f"{name}{kind}{position}"


def place_name(loc: Loc) -> str:
    if loc.node:
        return f"'{loc.node}'"
    return loc.op or file_place(loc)


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, ... 11th, 12th, 13th, ... 21st"""
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def excerpt(loc: Loc, paint: Paint) -> Iterator[str]:
    """The line of the file, and carets under what is meant; long lines are cut around it."""
    gutter = " " * len(str(loc.line))
    text, start = window(loc.excerpt.replace("\t", " "), max(loc.column - 1, 0))
    yield paint(f" {gutter} |", "dim")
    yield paint(f" {loc.line} | ", "dim") + text
    if loc.column:
        width = max(1, loc.end_column - loc.column)
        carets = "^" * max(1, min(width, len(text) - start))
        yield paint(f" {gutter} | ", "dim") + " " * start + paint(carets, "error")


def window(line: str, column: int) -> tuple[str, int]:
    """At most 72 characters of a line that show `column`, and where that then stands."""
    room = 72
    if len(line) <= room:
        return line, column
    start = max(0, min(column - room // 2, len(line) - room))
    return line[start : start + room], column - start


def to_dict(diagnostic: Diagnostic) -> dict[str, Any]:
    """What `--json` prints of a diagnostic; parts that are empty are left out."""
    place = {f.name: getattr(diagnostic.loc, f.name) for f in fields(Loc)}
    parts: dict[str, Any] = {
        "severity": diagnostic.severity.value,
        "code": diagnostic.code,
        "message": diagnostic.message,
        **{name: part for name, part in place.items() if part},
        "notes": list(diagnostic.notes),
        "remedy": diagnostic.remedy,
    }
    return {name: part for name, part in parts.items() if part}
