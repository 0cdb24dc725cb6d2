"""From the tree of one layer to flat keys: every name known, every value of its kind and range."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nmc.ir.diagnostics import Report, error
from nmc.ir.target_keys import Kind, Leaf, Schema
from nmc.ir.target_text import Layer

__all__ = ["Flat", "Value", "convert", "flatten", "similar"]

Value = bool | int | float | str | tuple[float, ...] | tuple[tuple[int, int], ...]

# Keys that stand in files but not in a target: what to inherit, and where figures are from.
BASE, SOURCE, DEFAULT = "base", "source", "default"
MOST = 1 << 63
"""An integer beyond this is a slip, whatever its key, and may be too large for a float."""


@dataclass(slots=True)
class Flat:
    """What one layer says: values and sources by dotted key, and the keys that it got wrong."""

    values: dict[str, Value] = field(default_factory=dict[str, Value])
    sources: dict[str, str] = field(default_factory=dict[str, str])
    wrong: set[str] = field(default_factory=set[str])


def similar(name: str, known: Iterable[str]) -> str:
    """`; did you mean X?` where a known name resembles this one, else nothing."""
    found = difflib.get_close_matches(name, list(known), 1, 0.6)
    return f"; did you mean {found[0]!r}?" if found else ""


def join(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def flatten(layer: Layer, schema: Schema, report: Report) -> Flat:
    """Values of a layer that can be used; everything that is wrong goes into the report."""
    return Flattener(layer, schema, report).run()


@dataclass(slots=True)
class Flattener:
    layer: Layer
    schema: Schema
    report: Report
    flat: Flat = field(default_factory=Flat)

    def run(self) -> Flat:
        self.table("", self.layer.data)
        return self.flat

    def table(self, section: str, table: Mapping[str, Any]) -> None:
        for name, value in table.items():
            path = join(section, name)
            if name == SOURCE:
                self.sources(section, value)
            elif path == BASE:
                self.base(value)
            elif path in self.schema.sections:
                self.section(path, value)
            elif path in self.schema.leaves:
                self.leaf(self.schema.leaves[path], value)
            else:
                self.unknown(section, name)

    def base(self, value: object) -> None:
        if self.layer.kind == "set":
            self.fail("unknown-key", BASE, "a base can't be set; name the target instead")
        elif not isinstance(value, str):
            self.fail("bad-value", BASE, f"base must be a target's name, got {shown(value)}")

    def section(self, path: str, value: object) -> None:
        if isinstance(value, dict):
            self.table(path, value)
        else:
            self.flat.wrong.add(path)
            message = f"{path} is a table of keys, got {shown(value)}"
            self.fail("bad-value", path, message)

    def leaf(self, leaf: Leaf, value: object) -> None:
        if leaf.kind.is_map and isinstance(value, dict):
            for entry, held in entries(value):
                if leaf.key.names and entry not in leaf.key.names:
                    self.unknown(leaf.path, entry, leaf.key.names)
                else:
                    self.value(leaf, held, entry)
        else:
            self.value(leaf, value)

    def value(self, leaf: Leaf, value: object, entry: str = "") -> None:
        path = join(leaf.path, entry)
        try:
            self.flat.values[path] = convert(leaf, value, entry)
        except ValueError as problem:
            self.flat.wrong.add(path)
            message = f"{path} must be {problem}, got {shown(value)}"
            self.fail("bad-value", path, message)

    def sources(self, section: str, value: object) -> None:
        known = [*self.schema.inside(section), DEFAULT]
        given = value if isinstance(value, dict) else {DEFAULT: value}
        for name, text in entries(given):
            place = join(section, SOURCE, name)
            if name.partition(".")[0] not in known:
                message = f"a source for {join(section, name)!r}, which targets do not have"
                self.fail("unknown-key", place, message + similar(name, known))
            elif not isinstance(text, str) or not text.strip():
                self.fail("bad-value", place, f"a source must be a text, got {shown(text)}")
            else:
                self.flat.sources[join(section, name if name != DEFAULT else "")] = text

    def unknown(self, section: str, name: str, names: tuple[str, ...] = ()) -> None:
        """Report a name that its table doesn't have, and where one like it would be known."""
        known = names or (*self.schema.inside(section), *([BASE] if not section else []))
        hint = similar(name, known)
        if not hint and (
            homes := [leaf for leaf in self.schema.leaves.values() if leaf.name == name]
        ):
            hint = f"; it belongs in {' or '.join(f'[{leaf.section}]' for leaf in homes)}"
        if close := difflib.get_close_matches(name, known, 1, 0.6):
            self.flat.wrong.add(join(section, close[0]))
        where = f"[{section}]" if section else "a target"
        remedy = f"{where} knows {', '.join(known)}" if not hint else ""
        self.fail("unknown-key", join(section, name), f"{where} has no key {name!r}{hint}", remedy)

    def fail(self, code: str, place: str, message: str, remedy: str = "") -> None:
        self.report.add(error(code, message, self.layer.loc(place), remedy=remedy))


def entries(table: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, object]]:
    """Entries of a table; `reduce.sum = 1` and `"reduce.sum" = 1` are the same entry."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from entries(value, join(above, name))
        else:
            yield join(above, name), value


def shown(value: object) -> str:
    if isinstance(value, dict):
        return "a table"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def convert(leaf: Leaf, value: object, entry: str = "") -> Value:
    """The value of a key, or of a mapping's entry; raises ValueError saying what it must be."""
    match leaf.kind:
        case Kind.INT | Kind.FLOAT:
            return as_number(leaf, value, leaf.kind is Kind.INT)
        case Kind.INT_MAP | Kind.FLOAT_MAP if entry:
            return as_number(leaf, value, leaf.kind is Kind.INT_MAP)
        case Kind.BOOL if isinstance(value, bool):
            return value
        case Kind.STR if isinstance(value, str) and value.isprintable():
            return value
        case Kind.CHOICE if value in leaf.choices:
            return str(value)
        case Kind.FLOATS if isinstance(value, list | tuple):
            return tuple(float(as_number(leaf, each, False)) for each in value)
        case Kind.PAIRS if isinstance(value, list | tuple):
            return tuple(as_pair(leaf, each) for each in value)
        case _:
            raise ValueError(wanted(leaf) + guess(leaf, value))


def as_number(leaf: Leaf, value: object, whole: bool) -> int | float:
    match value:
        case bool():
            pass
        case int() if abs(value) <= MOST and leaf.key.admits(value):
            return value if whole else float(value)
        case float() if not whole and leaf.key.admits(value):
            return value
        case _:
            pass
    raise ValueError(wanted(leaf))


def as_pair(leaf: Leaf, value: object) -> tuple[int, int]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(wanted(leaf))
    x, y = (as_number(leaf, each, True) for each in value)
    return int(x), int(y)


def wanted(leaf: Leaf) -> str:
    """What a key takes, in words with range and unit."""
    noun = {
        Kind.INT: "an integer",
        Kind.FLOAT: "a number",
        Kind.BOOL: "true or false",
        Kind.STR: "one line of text",
        Kind.CHOICE: f"one of {', '.join(leaf.choices)}",
        Kind.PAIRS: "a list of [x, y]",
        Kind.FLOATS: "a list of numbers",
        Kind.INT_MAP: "an integer",
        Kind.FLOAT_MAP: "a number",
    }[leaf.kind]
    ranged = leaf.kind not in (Kind.BOOL, Kind.STR, Kind.CHOICE) and leaf.key.range
    noun += f", {leaf.key.range}" if ranged else ""
    return noun + (f" {leaf.unit}" if ranged and leaf.unit else "")


def guess(leaf: Leaf, value: object) -> str:
    if leaf.kind is not Kind.CHOICE or not isinstance(value, str):
        return ""
    found = difflib.get_close_matches(value, leaf.choices, 1, 0.5)
    return f" (did you mean {found[0]!r}?)" if found else ""
