"""What a key of a target file may hold, read off the annotations of the dataclasses it fills.

`Key` is the annotation; `schema_of` walks a dataclass and lists every key with its kind, range,
unit and default, so that loading, the manual and `nmc targets` all speak from one table.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

__all__ = ["REQUIRED", "Key", "Kind", "Leaf", "Part", "Schema", "schema_of", "unit_of"]

UNITS = {
    "_ghz": "GHz",
    "_ns": "ns",
    "_pj": "pJ",
    "_um2": "um2",
    "_uw": "uW",
    "_us": "uS",
    "_ua": "uA",
    "_ma": "mA",
    "_v": "V",
    "_k": "K",
    "_nm": "nm",
    "_ohm": "ohm",
    "_kib": "KiB",
    "_mib": "MiB",
    "_bits": "bits",
    "_bytes": "bytes",
    "_cycles": "cycles",
    "_per_cycle": "per cycle",
    "_per_k": "1/K",
}


class Required:
    """The default of a key that has none."""

    def __repr__(self) -> str:
        return "required"


REQUIRED = Required()


@dataclass(frozen=True, slots=True)
class Key:
    """Says of a field what it means and which values make sense; both ends belong to the range.

    For a mapping or a list the range is that of its entries.  `names` are the keys that a mapping
    may have; all are allowed where it is empty.
    """

    doc: str
    least: float = 0
    most: float = math.inf
    names: tuple[str, ...] = ()
    above: bool = False
    """The range leaves out its lower end."""

    def admits(self, value: float) -> bool:
        if math.isnan(value) or value > self.most:
            return False
        return value > self.least if self.above else value >= self.least

    @property
    def range(self) -> str:
        """The range in words, such as `1 to 4096`, `at least 0`, `more than 0`; may be empty."""
        least, most = number(self.least), number(self.most)
        if math.isinf(self.least):
            return "" if math.isinf(self.most) else f"at most {most}"
        if self.above:
            return f"more than {least}" + ("" if math.isinf(self.most) else f", at most {most}")
        return f"at least {least}" if math.isinf(self.most) else f"{least} to {most}"


@dataclass(frozen=True, slots=True)
class Part:
    """Says of a row of costs what its event is, and what its area and leakage are of."""

    event: str
    part: str


def number(value: float) -> str:
    """A bound as people write it: 128, 0.5, 1e9."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e6:
        return f"{int(value)}"
    return f"{value:g}".replace("e+0", "e").replace("e+", "e")


class Kind(StrEnum):
    INT = "integer"
    FLOAT = "number"
    BOOL = "true or false"
    STR = "string"
    CHOICE = "one of"
    PAIRS = "list of [x, y]"
    FLOATS = "list of numbers"
    INT_MAP = "table of integers"
    FLOAT_MAP = "table of numbers"

    @property
    def is_map(self) -> bool:
        return self in (Kind.INT_MAP, Kind.FLOAT_MAP)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One key: its dotted path, what it holds, and its default or REQUIRED."""

    path: str
    kind: Kind
    key: Key
    choices: tuple[str, ...]
    default: object

    @property
    def unit(self) -> str:
        return unit_of(self.path)

    @property
    def section(self) -> str:
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Schema:
    """All keys in the order of their fields, all tables that hold them, and the rows of costs."""

    leaves: Mapping[str, Leaf]
    sections: Mapping[str, type]
    parts: Mapping[str, Part]

    def inside(self, section: str) -> tuple[str, ...]:
        """Names that may stand directly in a table: its keys, then its sub-tables."""
        paths = (*self.leaves, *self.sections)
        names = (path.rpartition(".") for path in paths if path)
        return tuple(name for above, _, name in names if above == section)


def unit_of(path: str) -> str:
    """The unit that a key's name ends in: `clock_ghz` is in GHz; empty for counts and ratios."""
    name = path.rpartition(".")[2]
    if name.endswith("_bytes_per_cycle") or name == "bytes_per_cycle":
        return "bytes per cycle"
    found = [suffix for suffix in UNITS if name.endswith(suffix)]
    return UNITS[max(found, key=len)] if found else ""


@cache
def schema_of(cls: type) -> Schema:
    """The keys of a dataclass whose fields are annotated with `Key` or are such dataclasses."""
    leaves: dict[str, Leaf] = {}
    sections: dict[str, type] = {"": cls}
    parts: dict[str, Part] = {}
    for path, hint, item in walk(cls, ""):
        held, *notes = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        if isinstance(held, type) and dataclasses.is_dataclass(held):
            sections[path] = held
            parts.update((path, note) for note in notes if isinstance(note, Part))
        elif key := next((note for note in notes if isinstance(note, Key)), None):
            leaves[path] = leaf_of(path, held, key, default_of(item))
    frozen = types.MappingProxyType
    return Schema(frozen(leaves), frozen(sections), frozen(parts))


def walk(cls: type, prefix: str) -> Iterator[tuple[str, Any, dataclasses.Field[Any]]]:
    """Path, annotation and field of every field, those of nested dataclasses after their own."""
    plain = get_type_hints(cls)
    hints = get_type_hints(cls, include_extras=True)
    for item in dataclasses.fields(cls):
        yield f"{prefix}{item.name}", hints[item.name], item
        inner = plain[item.name]
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            yield from walk(inner, f"{prefix}{item.name}.")


def default_of(item: dataclasses.Field[Any]) -> object:
    if item.default is not MISSING:
        return item.default
    if item.default_factory is not MISSING:
        return item.default_factory()
    return REQUIRED


def leaf_of(path: str, held: Any, key: Key, default: object) -> Leaf:
    if get_origin(held) is Literal:
        return Leaf(path, Kind.CHOICE, key, tuple(str(each) for each in get_args(held)), default)
    return Leaf(path, KINDS[held], key, (), default)


KINDS: dict[object, Kind] = {
    int: Kind.INT,
    float: Kind.FLOAT,
    bool: Kind.BOOL,
    str: Kind.STR,
    tuple[tuple[int, int], ...]: Kind.PAIRS,
    tuple[float, ...]: Kind.FLOATS,
    Mapping[str, int]: Kind.INT_MAP,
    Mapping[str, float]: Kind.FLOAT_MAP,
}
