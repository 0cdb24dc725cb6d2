"""Plan files: what was decided for each layer, to be read, edited and given back.

    format = "nmc-plan 1"

    [layers.Conv_4]
    way = "window 1x2"      # how it lies on crossbars; convolutions, products
    copies = 14
    share = 4               # rows whose pixels they deal out together; matrices only
    cuts = [32]             # output channels at which it is cut into pieces; [] for none

A layer, or a key of one, that is left out is left to the compiler.  docs/mapping.md has the names
of ways.  Where things are placed isn't in a plan: it follows, and stands in comments.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nmc.ir.adc_load import TileCycles, reads_per_input
from nmc.ir.design import Decision, Design
from nmc.ir.diagnostics import Diagnostic, Loc, NmcError, Report, error
from nmc.ir.layers import Layer, layers_of
from nmc.ir.mapping import Kind, Stage
from nmc.ir.mapping import Mapping as Layout
from nmc.ir.target import Target
from nmc.ir.text import did_you_mean, quoted

__all__ = ["parse_plan", "plan_source", "plan_text", "read_plan"]

FORMAT = "nmc-plan 1"
KEYS = ("way", "copies", "share", "cuts")

MAX_BYTES = 1 << 22
MOST_CUTS = 1 << 16
MOST_COPIES = 1 << 24

BARE = re.compile(r"[A-Za-z0-9_-]+")
HEADER = re.compile(r"^[ \t]*\[[^\[\]].*\]")
KEY = re.compile(r"""^[ \t]*(?P<key>[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')[ \t]*=""")
AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


# Out


def plan_text(design: Design) -> str:
    """The plan of a design that has been placed; `parse_plan` takes it back."""
    mapping, target = design.mapping, design.target
    if mapping is None:
        raise ValueError("the design has no mapping yet")
    lines = [
        f"# How `{mapping.name}` lies on {target.name}, {target.mesh.width}x{target.mesh.height} "
        "cores: edit it, and give it back with",
        "# nmc compile --plan.  What is left out is left to the compiler; comments aren't read.",
        f"format = {quoted(FORMAT)}",
        "",
        *expected_lines(design),
    ]
    cycles = adc_cycles(mapping, target)
    for number, layer in enumerate(layers_of(mapping)):
        lines += layer_lines(mapping, layer, cycles[number] / max(1, cycles.total()))
    return "\n".join(lines)


def expected_lines(design: Design) -> Iterator[str]:
    """What `replicate` chose by, if it did."""
    if design.outlook is not None:
        outlook, unit = design.outlook, "fJ" if design.outlook.objective == "energy" else "cycles"
        yield (
            f"# Chosen for {outlook.objective}: {outlook.value} {unit} by the time model, "
            f"where {outlook.bound} is the least."
        )
        yield ""


def layer_lines(mapping: Layout, layer: Layer, adc_share: float) -> Iterator[str]:
    stages = [mapping.stages[index] for index in layer.stages]
    first = stages[0]
    name = layer.name if BARE.fullmatch(layer.name) else quoted(layer.name)
    yield f"[layers.{name}]"
    if first.way:
        yield f"way = {quoted(first.way)}"
    yield f"copies = {first.copies}"
    if first.shared != first.copies:
        yield f"share = {first.shared}"
    if first.kind is Kind.MATRIX:
        yield f"cuts = {[s.chan0 for s in stages if s.copy == 0 and s.piece > 0]}"
    yield f"# {place_text(mapping, layer, stages, adc_share)}"
    yield ""


def place_text(mapping: Layout, layer: Layer, stages: list[Stage], adc_share: float) -> str:
    cores = {core for stage in stages for core in (stage.home, *stage.cores)}
    crossbars = {(t.core, t.crossbar) for t in mapping.tiles if t.stage in layer.stages}
    where = f"{len(cores)} cores" if len(cores) > 1 else f"core {min(cores)}"
    if not crossbars:
        return f"vector unit; on {where}"
    return f"{len(crossbars)} crossbars on {where}; {100 * adc_share:.3g} % of the ADCs' time"


def adc_cycles(mapping: Layout, target: Target) -> Counter[int]:
    """What an input asks of all ADCs, by the numbers of layers."""
    layer_of = {i: n for n, layer in enumerate(layers_of(mapping)) for i in layer.stages}
    reads = [reads_per_input(mapping, stage) * target.phases for stage in mapping.stages]
    known = TileCycles(target)
    cycles: Counter[int] = Counter()
    for tile in mapping.tiles:
        cycles[layer_of[tile.stage]] += reads[tile.stage] * int(known.of(tile).sum())
    return cycles


# In


def read_plan(path: Path) -> dict[str, Decision]:
    """The decisions of a file, by layer.  NmcError with everything that is wrong with its text."""
    raw = read_bytes(path)
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as problem:
        message = f"the plan is no UTF-8 text: byte {problem.start} is 0x{raw[problem.start]:02x}"
        raise NmcError(error("bad-plan", message, Loc(str(path)))) from None
    return parse_plan(text, str(path))


def plan_source(path: Path) -> str:
    """`plan.toml, sha256 0123456789abcdef`: what a record calls a plan file, without its folder."""
    return f"{path.name}, sha256 {hashlib.sha256(read_bytes(path)).hexdigest()[:16]}"


def read_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        message = f"there is no plan {path}"
        remedy = "nmc compile --write-plan writes one"
        raise NmcError(error("file-not-found", message, Loc(str(path)), remedy=remedy)) from None
    except OSError as problem:
        message = f"the plan can't be read: {problem.strerror or problem}"
        raise NmcError(error("file-unreadable", message, Loc(str(path)))) from None
    if len(raw) > MAX_BYTES:
        message = f"the plan is longer than {MAX_BYTES >> 20} MiB"
        raise NmcError(error("bad-plan", message, Loc(str(path))))
    return raw


def parse_plan(text: str, file: str = "plan.toml") -> dict[str, Decision]:
    """As `read_plan`, of a text."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as problem:
        raise NmcError(not_toml(text, file, str(problem))) from None
    report = Report()
    reader = Reader(file, text.split("\n"), places_of(text), report)
    decisions = reader.plan(data)
    report.check()
    return decisions


def not_toml(text: str, file: str, message: str) -> Diagnostic:
    lines = text.rstrip("\n").split("\n")
    place = AT.search(message)
    line, column = len(lines), len(lines[-1]) + 1
    if place and place[1]:
        line, column = int(place[1]), int(place[2])
    excerpt = lines[line - 1] if line <= len(lines) else ""
    words = AT.sub("", message)
    return error(
        "bad-plan",
        f"the plan is not valid TOML: {words[:1].lower()}{words[1:]}",
        Loc(file, line, column, column + 1, excerpt),
        remedy="a plan is a TOML file such as --write-plan writes: strings in quotes, each "
        "layer once",
    )


Place = tuple[int, int, int]
"""Line, column, and the column after the end; from 1 on."""


def places_of(text: str) -> dict[tuple[str, ...], Place]:
    """Where each table's header and each key with its value stands, by their paths.

    What shares its line with its table's name, as in `a = {copies = 2}`, has no place of its own.
    """
    found: dict[tuple[str, ...], Place] = {}
    under: tuple[str, ...] | None = ()
    for number, line in enumerate(text.split("\n"), start=1):
        end = len(line.rstrip()) + 1
        if HEADER.match(line):
            under = header_path(line)
            if under is not None:
                found.setdefault(under, (number, 1, end))
        elif under is not None and (match := KEY.match(line)):
            key = parsed_key(match["key"])
            found.setdefault((*under, key), (number, match.start("key") + 1, end))
    return found


def header_path(line: str) -> tuple[str, ...] | None:
    """`("layers", NAME)` of a layer's header; None of a line that only looks like a header."""
    try:
        table = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return None
    path: list[str] = []
    while len(table) == 1:
        (name, table), *_ = table.items()
        path.append(name)
    return tuple(path)


def parsed_key(text: str) -> str:
    """A key as it stands, without its quotes."""
    try:
        return next(iter(tomllib.loads(f"{text} = 0")))
    except tomllib.TOMLDecodeError:
        return text


class Reader:
    """Reads the data of a plan; problems go to the report, each with its place."""

    def __init__(
        self,
        file: str,
        text: list[str],
        places: Mapping[tuple[str, ...], Place],
        report: Report,
    ):
        self.file = file
        self.text = text
        self.places = places
        self.report = report

    def plan(self, data: dict[str, Any]) -> dict[str, Decision]:
        for key in data:
            if key not in ("format", "layers"):
                hint = did_you_mean(key, ("format", "layers"))
                self.problem(f"a plan has no key `{key}`", hint, self.loc(key))
        if data.get("format") != FORMAT:
            said = f"`{data['format']}`" if "format" in data else "nothing"
            remedy = f"this version reads {quoted(FORMAT)}"
            self.problem(f"the plan's format is {said}", remedy, self.loc("format"))
        layers = data.get("layers", {})
        if not isinstance(layers, dict):
            remedy = 'write [layers."NAME"] above each layer\'s keys'
            self.problem("`layers` is no table", remedy, self.loc("layers"))
            return {}
        return {name: self.layer(name, table) for name, table in layers.items()}

    def layer(self, name: str, table: Any) -> Decision:
        loc = self.loc("layers", name)
        if not isinstance(table, dict):
            self.problem(f"the layer `{name}` is no table", "such as {copies = 2}", loc)
            return Decision(loc=loc)
        places = {key: self.loc("layers", name, key) for key in table}
        for key in table:
            if key not in KEYS:
                hint = did_you_mean(key, KEYS) or f"it can have {', '.join(KEYS)}"
                self.problem(f"the layer `{name}` has an unknown key `{key}`", hint, places[key])
        way, copies, share, cuts = (table.get(key) for key in KEYS)
        if way is not None and not isinstance(way, str):
            self.problem(f"`way` of `{name}` is no string", 'such as "im2col"', places["way"])
            way = None
        if copies is not None and not is_count(copies, MOST_COPIES):
            message = f"`copies` of `{name}` is no number from 1 on"
            self.problem(message, "such as 4", places["copies"])
            copies = None
        if share is not None and not is_count(share, MOST_COPIES):
            message = f"`share` of `{name}` is no number from 1 on"
            self.problem(message, "such as 2", places["share"])
            share = None
        if cuts is not None and not is_cuts(cuts):
            message = f"`cuts` of `{name}` is no list of channels"
            self.problem(message, "such as [32, 64]", places["cuts"])
            cuts = None
        channels = None if cuts is None else tuple(cuts)
        return Decision(way, copies, share, channels, loc, places)

    def loc(self, *path: str) -> Loc:
        """Of a key, of the first thing in it or, if no line of these is known, of what it is in."""
        inside = (each for each in self.places if each[: len(path)] == path)
        for known in (path, next(inside, path), path[:-1]):
            if known in self.places:
                line, column, end = self.places[known]
                return Loc(self.file, line, column, end, self.text[line - 1])
        return Loc(self.file)

    def problem(self, message: str, remedy: str, loc: Loc) -> None:
        self.report.add(error("bad-plan", message, loc, remedy=remedy))


def is_count(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def is_cuts(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= MOST_CUTS
        and all(is_count(each, MOST_COPIES) for each in value)
    )
