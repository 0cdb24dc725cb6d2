"""Which texts a target is made of, and what they say together.

From the bottom: the farthest base, ..., the file itself, each `--set` in turn; a later layer wins.
A layer that names a `device.preset` throws away what lies below it under `device` and starts from
the preset's file, unless it spells out every required key itself, as a resolved target does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeVar

from nmc.ir.diagnostics import NOWHERE, Loc, NmcError, Report, error
from nmc.ir.target import Origin
from nmc.ir.target_keys import REQUIRED, Schema
from nmc.ir.target_text import Layer, parse_override, read_layer
from nmc.ir.target_values import Flat, Value, flatten, similar

__all__ = [
    "DEVICE",
    "Merged",
    "Shelves",
    "base_chain",
    "locate",
    "merge",
    "names_on",
    "override_layers",
]

DEVICE = ".device.toml"
UNSOURCED = "overridden without a source"
Held = TypeVar("Held")


@dataclass(frozen=True, slots=True)
class Shelves:
    """The folders in which names of targets and of device presets are looked up, in order."""

    folders: Sequence[Traversable] = ()

    def find(self, name: str, suffix: str) -> Traversable | None:
        places = (folder.joinpath(name + suffix) for folder in self.folders)
        return next((place for place in places if place.is_file()), None)

    def names(self, suffix: str) -> list[str]:
        return sorted({name for folder in self.folders for name in names_on(folder, suffix)})


def names_on(folder: Traversable, suffix: str = ".toml") -> Iterator[str]:
    """Names of the targets in a folder; with `.device.toml`, of the device presets."""
    for place in folder.iterdir():
        if place.name.endswith(suffix) and (suffix == DEVICE or not place.name.endswith(DEVICE)):
            yield place.name.removesuffix(suffix)


@dataclass(frozen=True, slots=True)
class Found:
    """A file: where it is, what the user calls it, and the folder that its paths start from."""

    place: Traversable
    file: str
    folder: Path | None = None


def locate(name: str, shelves: Shelves, suffix: str, folder: Path | None, loc: Loc) -> Found:
    """A shipped name, or a path ending in .toml, relative to `folder` where one is given.

    Raises `unknown-target` or, for a path, `file-not-found`.
    """
    what = "device preset" if suffix == DEVICE else "target"
    if name.endswith(".toml"):
        path = Path(name) if folder is None else folder / name
        if path.is_file():
            return Found(path, str(path), path.parent)
        raise NmcError(error("file-not-found", f"no {what} file {str(path)!r}", loc))
    plain = bool(name) and not set(name) & set("/\\\0")
    if plain and (place := shelves.find(name, suffix)):
        return Found(place, place.name)
    known = shelves.names(suffix)
    raise NmcError(
        error(
            "unknown-target",
            f"no {what} is called {name!r}{similar(name, known)}",
            loc,
            notes=[f"known: {', '.join(known)}"] if known else [],
            remedy="give a name, or the path of a file that ends in .toml",
        )
    )


def base_chain(name: str, shelves: Shelves) -> list[Layer]:
    """The layers of a target, the farthest base first; raises what `locate` and reading raise."""
    chain: list[Layer] = []
    seen: list[str] = []
    folder, loc = None, NOWHERE
    while True:
        found = locate(name, shelves, ".toml", folder, loc)
        key = str(found.place.resolve() if isinstance(found.place, Path) else found.place)
        if key in seen:
            files = [layer.file for layer in chain]
            raise NmcError(error("target-inconsistent", ring([*files, found.file]), loc))
        seen.append(key)
        layer = read_layer(found.place, found.file)
        chain.append(replace(layer, kind="base") if chain else layer)
        base = layer.data.get("base")
        if not isinstance(base, str):  # absent, or of a wrong kind, which flattening reports
            return chain[::-1]
        name, folder, loc = base, found.folder, layer.loc("base")


def ring(files: list[str]) -> str:
    return f"bases go round in a circle: {' -> '.join(files[files.index(files[-1]) :])}"


@dataclass(slots=True)
class Merged:
    """What all layers say together, and which keys are wrong in one of them."""

    values: dict[str, Value] = field(default_factory=dict[str, Value])
    sources: dict[str, str] = field(default_factory=dict[str, str])
    origins: dict[str, Origin] = field(default_factory=dict[str, Origin])
    wrong: set[str] = field(default_factory=set[str])

    def put(self, layer: Layer, flat: Flat) -> None:
        for path, value in flat.values.items():
            changed = path not in self.values or self.values[path] != value
            covered = bool(self.source(path))
            self.values[path] = value
            self.origins[path] = Origin(layer.kind, layer.loc(path))
            if changed:
                self.sources.pop(path, None)
            if changed and covered and is_figure(value) and not source_of(path, flat.sources):
                self.sources[path] = UNSOURCED
        self.sources.update(flat.sources)
        self.wrong |= flat.wrong

    def source(self, path: str) -> str:
        """The source of a key: its own, or that of a table around it."""
        return source_of(path, self.sources)

    def drop(self, section: str) -> None:
        self.values = outside(section, self.values)
        self.sources = outside(section, self.sources)
        self.origins = outside(section, self.origins)


def outside(section: str, held: Mapping[str, Held]) -> dict[str, Held]:
    return {path: each for path, each in held.items() if not f"{path}.".startswith(f"{section}.")}


def is_figure(value: Value) -> bool:
    return not isinstance(value, bool | str)


def source_of(path: str, sources: Mapping[str, str]) -> str:
    while path and path not in sources:
        path = path.rpartition(".")[0]
    return sources.get(path, "")


def merge(
    layers: Sequence[Layer], schema: Schema, shelves: Shelves, report: Report, below: Merged
) -> Merged:
    """Lay the layers over `below`, which changes; what is wrong in any goes into the report."""
    for layer in layers:
        flat = flatten(layer, schema, report)
        if layer.kind == "base":  # a chip that inherits from another is another chip
            flat.values.pop("name", None)
            flat.values.pop("description", None)
        overlay(below, layer, flat, schema, shelves, report)
    return below


def overlay(
    merged: Merged, layer: Layer, flat: Flat, schema: Schema, shelves: Shelves, report: Report
) -> None:
    """Lay one layer on top, and below it the device preset that it names."""
    preset = flat.values.get("device.preset")
    if isinstance(preset, str):
        try:
            start_device(merged, preset_layer(preset, layer, flat, schema, shelves), schema, report)
        except NmcError as problem:
            merged.wrong.add("device")
            for diagnostic in problem.diagnostics:
                report.add(diagnostic)
    merged.put(layer, flat)


def start_device(merged: Merged, preset: Layer | None, schema: Schema, report: Report) -> None:
    merged.drop("device")
    if preset:
        merged.put(preset, flatten(preset, schema, report))


def spells_out_device(flat: Flat, schema: Schema) -> bool:
    return all(
        path in flat.values
        for path, leaf in schema.leaves.items()
        if path.startswith("device.") and leaf.default is REQUIRED
    )


def preset_layer(
    preset: str, layer: Layer, flat: Flat, schema: Schema, shelves: Shelves
) -> Layer | None:
    """The preset's file, looked for beside the layer's; None where the layer needs none."""
    if spells_out_device(flat, schema):
        return None
    file = Path(layer.file)
    beside = file.parent if layer.kind != "set" and file.is_file() else None
    found = locate(preset, shelves, DEVICE, beside, layer.loc("device.preset"))
    below = read_layer(found.place, found.file)
    if strange := [name for name in below.data if name != "device"]:
        message = f"a device file holds [device] alone, not {strange[0]!r}"
        raise NmcError(error("unknown-key", message, below.loc(strange[0])))
    return replace(below, kind="preset")


def override_layers(overrides: Sequence[str], report: Report) -> list[Layer]:
    """A layer for each `KEY=VALUE`; those that can't be read go into the report."""
    layers: list[Layer] = []
    for text in overrides:
        try:
            layers.append(parse_override(text))
        except NmcError as problem:
            for diagnostic in problem.diagnostics:
                report.add(diagnostic)
    return layers
