"""Target files: load one with what it inherits, override its keys, print it canonically.

    base = "spin-128"           # a shipped name, or the path of a .toml beside this file

    [crossbar]
    rows = 256
    source.rows = "data sheet, page 4"

Everything wrong is reported in one run, each with its line.  The manual is docs/targets.md.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources.abc import Traversable
from typing import Any, TypeVar, get_type_hints

from nmc.ir.diagnostics import Diagnostic, Loc, Report, error
from nmc.ir.target import Target
from nmc.ir.target_check import check_target
from nmc.ir.target_keys import REQUIRED, Leaf, Schema, schema_of
from nmc.ir.target_layers import Merged, Shelves, base_chain, merge, override_layers
from nmc.ir.target_text import Layer, parse_layer
from nmc.ir.target_values import DEFAULT, SOURCE, Value

__all__ = [
    "load_target",
    "parse_target",
    "resolved",
    "schema",
    "target_to_toml",
    "with_overrides",
]

Part = TypeVar("Part")


def schema() -> Schema:
    """Every key that a target file may hold."""
    return schema_of(Target)


def load_target(
    name_or_path: str,
    *,
    search: Sequence[Traversable] = (),
    overrides: Sequence[str] = (),
    report: Report | None = None,
) -> Target:
    """Load a target by name from the folders of `search`, or from a path that ends in `.toml`.

    `overrides` are `KEY=VALUE` texts, `crossbar.rows=256`.  Warnings go to `report`, if there is
    one.  Raises NmcError with every error of the files and the overrides.
    """
    shelves = Shelves(search)
    return assemble(base_chain(name_or_path, shelves), overrides, shelves, report)


def parse_target(
    text: str,
    file: str = "target.toml",
    *,
    search: Sequence[Traversable] = (),
    overrides: Sequence[str] = (),
    report: Report | None = None,
) -> Target:
    """The target of a text, such as `target_to_toml` prints; otherwise as `load_target`."""
    shelves = Shelves(search)
    layer = parse_layer(text, file)
    base = layer.data.get("base")
    below = base_chain(base, shelves) if isinstance(base, str) else []
    layers = [*(dataclasses.replace(each, kind="base") for each in below), layer]
    return assemble(layers, overrides, shelves, report)


def with_overrides(
    target: Target,
    overrides: Sequence[str],
    *,
    search: Sequence[Traversable] = (),
    report: Report | None = None,
) -> Target:
    """The target with `KEY=VALUE` texts applied; its other values keep their origins.

    `search` is needed where an override names a `device.preset`.
    """
    merged = Merged(resolved(target), dict(target.sources), dict(target.origins))
    return finish(merged, overrides, Shelves(search), Report(), report, target.name)


def assemble(
    layers: Sequence[Layer], overrides: Sequence[str], shelves: Shelves, report: Report | None
) -> Target:
    own = Report()
    merged = merge(layers, schema(), shelves, own, Merged())
    file = layers[-1].file
    merged.values.setdefault("name", re.split(r"[/\\]", file)[-1].removesuffix(".toml"))
    return finish(merged, overrides, shelves, own, report, file)


def finish(
    merged: Merged,
    overrides: Sequence[str],
    shelves: Shelves,
    own: Report,
    report: Report | None,
    file: str,
) -> Target:
    """Lay the overrides on top, demand what is required, build, and compare keys."""
    merge(override_layers(overrides, own), schema(), shelves, own, merged)
    gaps = [path for path in required() if path not in merged.values]
    for diagnostic in missing(gaps, merged, Loc(file)):
        own.add(diagnostic)
    if gaps:  # reported as missing, or as the mistake that left them so
        own.check()
    target = build(Target, merged.values)
    target = dataclasses.replace(target, sources=merged.sources, origins=merged.origins)
    for diagnostic in check_target(target, merged.wrong):
        own.add(diagnostic)
    own.check()
    if report is not None:
        for diagnostic in own:
            report.add(diagnostic)
    return target


# Requirements


def required() -> list[str]:
    """Keys without a default; of a table of many entries that is its entry `default`."""
    return [
        f"{leaf.path}.{DEFAULT}" if leaf.kind.is_map else leaf.path
        for leaf in schema().leaves.values()
        if leaf.default is REQUIRED
    ]


def missing(gaps: Sequence[str], merged: Merged, loc: Loc) -> Iterator[Diagnostic]:
    """One error for each table that lacks keys, leaving out those that are there but wrong."""
    if "device.preset" in gaps:  # it brings the others
        gaps = [path for path in gaps if not path.startswith("device.") or path == "device.preset"]
    tables: dict[str, list[str]] = {}
    for path in gaps:
        section, _, name = path.rpartition(".")
        if not merged.wrong.intersection({path, *above(path)}):
            tables.setdefault(section, []).append(name)
    for section, names in tables.items():
        where = f"[{section}]" if section else "the target"
        remedy = 'base = "spin-128" inherits what a file leaves out'
        yield error("missing-key", f"{where} lacks {', '.join(names)}", loc, remedy=remedy)
    for section in schema().sections:
        if section.startswith("costs.") and section not in tables and not merged.source(section):
            message = f"[{section}] does not say where its figures are from"
            yield error("missing-key", message, loc, remedy='source = "assumption: ..."')


def above(path: str) -> Iterator[str]:
    """The tables around a key."""
    while path := path.rpartition(".")[0]:
        yield path


# Between flat keys and dataclasses


def build(cls: type[Part], values: Mapping[str, Value], prefix: str = "") -> Part:
    known, hints = schema(), get_type_hints(cls)
    given: dict[str, Any] = {}
    for name in hints:
        path = f"{prefix}{name}"
        leaf = known.leaves.get(path)
        if path in known.sections:
            given[name] = build(hints[name], values, f"{path}.")
        elif leaf and leaf.kind.is_map:
            given[name] = entries_of(leaf, values)
        elif path in values:
            given[name] = values[path]
    return cls(**given)


def entries_of(leaf: Leaf, values: Mapping[str, Value]) -> dict[str, Value]:
    """The entries of a table, in the order in which its names are listed."""
    paths = {name: f"{leaf.path}.{name}" for name in leaf.key.names}
    return {name: values[path] for name, path in paths.items() if path in values}


def resolved(target: Target) -> dict[str, Value]:
    """Every value of a target by dotted key, in the order of the manual."""
    values: dict[str, Value] = {}
    for leaf in schema().leaves.values():
        held: Any = target
        for name in leaf.path.split("."):
            held = getattr(held, name)
        if leaf.kind.is_map:
            values.update(
                {f"{leaf.path}.{name}": held[name] for name in leaf.key.names if name in held}
            )
        else:
            values[leaf.path] = held
    return values


# Printing


def target_to_toml(target: Target) -> str:
    """Every key of a target, resolved: a text that needs no base, no preset and no defaults.

    `parse_target` makes an equal target of it, and equal targets print alike.
    """
    values = resolved(target)
    blocks = [
        block for section in schema().sections for block in section_text(section, target, values)
    ]
    return "\n".join(blocks)


def section_text(section: str, target: Target, values: Mapping[str, Value]) -> Iterator[str]:
    """The lines of a table, then those of the tables of entries in it."""
    leaves = [leaf for leaf in schema().leaves.values() if leaf.section == section]
    plain = [f"{leaf.name} = {spell(values[leaf.path])}" for leaf in leaves if not leaf.kind.is_map]
    plain += source_lines(section, target.sources)
    if plain:
        yield "\n".join([*([f"[{section}]"] if section else []), *plain, ""])
    for leaf in leaves:
        if leaf.kind.is_map and (entries := entries_of(leaf, values)):
            lines = [f"{spell_key(name)} = {spell(value)}" for name, value in entries.items()]
            yield "\n".join([f"[{leaf.path}]", *lines, ""])


def source_lines(section: str, sources: Mapping[str, str]) -> list[str]:
    """`source = ...` where the table has but one source for all, else one line for each key."""
    held = {key_in(section, key): text for key, text in sources.items() if home(key) == section}
    if set(held) == {DEFAULT}:
        return [f"{SOURCE} = {spell(held[DEFAULT])}"]
    return [f"{SOURCE}.{spell_key(name)} = {spell(held[name])}" for name in sorted(held)]


def home(key: str) -> str:
    """The table in which a source is written: the one it speaks of, or the nearest around it."""
    while key not in schema().sections:
        key = key.rpartition(".")[0]
    return key


def key_in(section: str, key: str) -> str:
    return key.removeprefix(section).removeprefix(".") or DEFAULT


def spell_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else spell(name)


def spell(value: object) -> str:
    """A value as TOML; JSON's spelling of strings is TOML's, but for DEL."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case tuple():
            return f"[{', '.join(spell(each) for each in value)}]"
        case _:
            return repr(value)
