"""The text of one TOML document of a target: read, parsed, and every key's place in it found.

`tomllib` says what a file means but not where; the places come from a scan of the same text,
which needs to know only as much of TOML as it takes to tell keys from values.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources.abc import Traversable
from typing import Any, Literal

from nmc.ir.diagnostics import Diagnostic, Loc, NmcError, error

__all__ = ["Layer", "LayerKind", "parse_layer", "parse_override", "read_layer"]

MAX_BYTES = 1 << 20
Place = tuple[int, int, int]
"""Line, column and end column, counted from 1."""

LayerKind = Literal["file", "base", "preset", "set"]

PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
KEY = rf"{PART}(?:[ \t]*\.[ \t]*{PART})*"
HEADER = re.compile(rf"[ \t]*\[\[?[ \t]*({KEY})[ \t]*\]")
ASSIGN = re.compile(rf"[ \t]*({KEY})[ \t]*=")
VALUE = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|' + r"'''.*?'''|"
    r'"(?:[^"\\\n]|\\.)*"|' + r"'[^'\n]*'|#[^\n]*|[\[\]{}\n]",
    re.DOTALL,
)
AT = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True)
class Layer:
    """A parsed TOML text, the name that the user knows it by, and its part in a target."""

    file: str
    text: str
    data: Mapping[str, Any]
    kind: LayerKind = "file"

    @cached_property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    @cached_property
    def places(self) -> Mapping[str, Place]:
        """Places of headers and keys by dotted key, in which a quoted part may hold dots too."""
        return scan(self.text)

    def loc(self, key: str) -> Loc:
        """Where a dotted key stands, or the nearest table around it, or the file."""
        while key:
            if place := self.places.get(key):
                line, column, stop = place
                return Loc(self.file, line, column, stop, self.lines[line - 1])
            key = key.rpartition(".")[0]
        return Loc(self.file)


def scan(text: str) -> dict[str, Place]:
    """Places of the headers and keys of a valid TOML text; keys of inline tables are left out."""
    places: dict[str, Place] = {}
    starts = [0] + [found.end() for found in re.finditer("\n", text)]
    table: tuple[str, ...] = ()
    at = 0
    for number, start in enumerate(starts, 1):
        if start < at:  # inside a value that spans lines
            continue
        if header := HEADER.match(text, start):
            table = split_key(header[1])
            path, found = table, header
        elif assign := ASSIGN.match(text, start):
            path, found = (*table, *split_key(assign[1])), assign
            at = end_of_value(text, assign.end())
        else:
            continue
        places.setdefault(
            ".".join(path), (number, found.start(1) - start + 1, found.end(1) - start + 1)
        )
    return places


def split_key(key: str) -> tuple[str, ...]:
    """The parts of a dotted key, unquoted."""
    parts: list[str] = []
    held: Any = tomllib.loads(f"{key} = 0")
    while isinstance(held, dict):
        ((part, held),) = held.items()
        parts.append(part)
    return tuple(parts)


def end_of_value(text: str, at: int) -> int:
    """The start of the line after a value."""
    depth = 0
    for token in VALUE.finditer(text, at):
        match token[0]:
            case "[" | "{":
                depth += 1
            case "]" | "}":
                depth -= 1
            case "\n" if depth == 0:
                return token.end()
            case _:
                pass
    return len(text)


def parse_layer(text: str, file: str) -> Layer:
    """Raises `target-syntax` with the place that tomllib names."""
    try:
        return Layer(file, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as problem:
        raise NmcError(syntax_error(text, file, str(problem))) from None
    except (RecursionError, ValueError) as problem:
        message = f"not a TOML that can be read: {problem}"
        raise NmcError(error("target-syntax", message, Loc(file))) from None


def syntax_error(text: str, file: str, message: str) -> Diagnostic:
    lines = text.rstrip("\n").split("\n")
    place = AT.search(message)
    line, column = len(lines), len(lines[-1]) + 1
    if place and place[1]:
        line, column = int(place[1]), int(place[2])
    words = AT.sub("", message)
    excerpt = lines[line - 1] if line <= len(lines) else ""
    remedy = next((text for start, text in REMEDIES.items() if words.startswith(start)), "")
    return error(
        "target-syntax",
        f"not valid TOML: {words[:1].lower()}{words[1:]}",
        Loc(file, line, column, column + 1, excerpt),
        remedy=remedy,
    )


REMEDIES = {
    "Invalid value": 'strings need quotes, as in wiring = "blocked"',
    "Cannot overwrite": "a key may stand once in a table",
    "Cannot declare": "a table may stand once in a file",
}


def read_layer(place: Traversable, file: str) -> Layer:
    """Read and parse a file; raises `file-unreadable`, `target-syntax` or `file-empty`."""
    try:
        with place.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise NmcError(
                error("file-unreadable", f"longer than {MAX_BYTES >> 20} MiB", Loc(file))
            )
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise NmcError(error("file-unreadable", f"can't be read: {reason}", Loc(file))) from None
    except UnicodeDecodeError as problem:
        message = f"not UTF-8 text: byte {problem.start} is 0x{problem.object[problem.start]:02x}"
        raise NmcError(error("target-syntax", message, Loc(file))) from None
    if not text.strip():
        raise NmcError(error("file-empty", "the target file is empty", Loc(file)))
    return parse_layer(text, file)


def parse_override(text: str) -> Layer:
    """The document of one `--set KEY=VALUE`.  A value that isn't TOML is taken as a string."""
    key, equals, value = text.partition("=")
    loc = Loc("--set", 1, 1, len(text) + 1, text)
    if not equals or not re.fullmatch(rf"\s*{KEY}\s*", key):
        raise NmcError(
            error(
                "bad-option",
                f"--set needs KEY=VALUE, got {text!r}",
                loc,
                remedy="for example --set crossbar.rows=256",
            )
        )
    for spelling in (value.strip(), json.dumps(value.strip())):
        try:
            data = tomllib.loads(f"{key} = {spelling}")
        except ValueError:
            continue
        return Layer("--set", text, data, "set")
    raise NmcError(error("bad-option", f"can't read the value of {text!r}", loc))
