"""Reads mapping files, whoever wrote them: every refusal names the member and why.

Order matters: sizes before bytes, hashes before meaning, each part by itself before the parts
against one another.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import msgspec

from nmc.backends.container.agreement import disagreements
from nmc.backends.container.archive import CONTENT_TYPE, MIMETYPE, Archive, Limits
from nmc.backends.container.arrays import decode_array
from nmc.backends.container.contents import FORMAT, VERSION, Contents, Manifest
from nmc.backends.container.programs import ProgramIndex, program_from
from nmc.backends.container.records import QuantEntry, quantization_of
from nmc.backends.program_places import ProgramPlaces, explained_one
from nmc.ir.diagnostics import Diagnostic, Loc, NmcError, Severity, error
from nmc.ir.graph import Array, Graph
from nmc.ir.graph_text import parse_graph
from nmc.ir.mapping import Mapping, Step, StepKind
from nmc.ir.mapping_check import check_mapping
from nmc.ir.program import Program
from nmc.ir.program_check import check_program
from nmc.ir.target import Target
from nmc.ir.target_toml import parse_target
from nmc.ir.verify import verify_graph

__all__ = ["read_bytes", "read_container"]

T = TypeVar("T")

LIMITS = Limits()
MANIFEST = "manifest.json"
MAX_TEXT_BYTES = 1 << 28
MAX_PROBLEMS = 20
VERSIONS = re.compile(r"([0-9]{1,6})\.([0-9]{1,6})")


def read_container(path: str | os.PathLike[str], limits: Limits = LIMITS) -> Contents:
    """The file's contents, checked through and through.

    NmcError `file-not-found`, `file-unreadable`, `file-empty`; `bad-archive`, `unsafe-archive`,
    `hash-mismatch`, `format-version`; `bad-mapping`, `bad-program`, or what the texts of graph and
    target are refused for.
    """
    file = os.fspath(path)
    return Reading(Archive(read_bytes(Path(file), limits.file_bytes), file, limits)).contents()


def read_bytes(path: Path, most: int) -> bytes:
    """A regular file of at most `most` bytes."""
    loc = Loc(file=str(path))
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise NmcError(error("file-unreadable", f"`{path}` is no ordinary file", loc))
            if status.st_size > most:
                message = f"`{path}` has {status.st_size} bytes, mapping files at most {most}"
                raise NmcError(error("unsafe-archive", message, loc))
            data = stream.read(status.st_size)
    except FileNotFoundError:
        raise NmcError(error("file-not-found", f"there is no file `{path}`", loc)) from None
    except (OSError, ValueError) as problem:
        why = getattr(problem, "strerror", None) or problem
        raise NmcError(error("file-unreadable", f"can't read `{path}`: {why}", loc)) from None
    if not data:
        raise NmcError(error("file-empty", f"`{path}` is empty", loc))
    return data


@dataclass(frozen=True, slots=True)
class FormatOnly:
    """As much of a manifest as every version has."""

    format: str
    version: str


class Reading:
    """One reading of one archive."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.manifest = self.read_manifest()
        self.check_members()

    # Members

    def read_manifest(self) -> Manifest:
        if self.archive.read(MIMETYPE) != CONTENT_TYPE:
            raise self.archive.refusal("bad-archive", "its mimetype is not that of mapping files")
        data = self.archive.read(MANIFEST)
        self.check_version(self.json(MANIFEST, data, FormatOnly))
        return self.json(MANIFEST, data, Manifest)

    def check_version(self, found: FormatOnly) -> None:
        match = VERSIONS.fullmatch(found.version)
        if found.format != FORMAT or match is None:
            message = f"it is a file of `{found.format}` {found.version}, not of `{FORMAT}`"
            raise self.archive.refusal("format-version", message, MANIFEST)
        if match[1] != VERSION.partition(".")[0]:
            message = (
                f"it has version {found.version} of the format, and this nmc reads version "
                f"{VERSION.partition('.')[0]}.x"
            )
            remedy = "use the nmc that wrote the file, or compile the model again"
            loc = self.archive.loc(MANIFEST)
            raise NmcError(error("format-version", message, loc, remedy=remedy))

    def check_members(self) -> None:
        there = set(self.archive.infos) - {MIMETYPE, MANIFEST}
        listed = set(self.manifest.members)
        for name in sorted(listed - there):
            raise self.archive.refusal("bad-archive", f"member `{name}` is missing", name)
        for name in sorted(there - listed):
            message = f"member `{name}` is not in the manifest"
            raise self.archive.refusal("bad-archive", message, name)

    def member(self, name: str) -> bytes:
        """A member's bytes, those that the manifest promises."""
        if name not in self.manifest.members:
            raise self.archive.refusal("bad-archive", f"member `{name}` is missing", name)
        promised = self.manifest.members[name]
        data = self.archive.read(name)
        found = hashlib.sha256(data).hexdigest()
        if len(data) != promised.bytes or found != promised.sha256:
            message = (
                f"member `{name}` has sha256 {found[:16]}…, the manifest says "
                f"{promised.sha256[:16]}…"
            )
            raise self.archive.refusal("hash-mismatch", message, name)
        return data

    def json(self, name: str, data: bytes, kind: type[T], code: str = "bad-archive") -> T:
        try:
            return msgspec.json.decode(data, type=kind)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
            message = f"`{name}` does not have the form it should: {problem}"
            raise self.archive.refusal(code, message, name) from None

    def text(self, name: str) -> str:
        data = self.member(name)
        if len(data) > MAX_TEXT_BYTES:
            message = f"`{name}` has {len(data)} bytes, texts at most {MAX_TEXT_BYTES}"
            raise self.archive.refusal("unsafe-archive", message, name)
        try:
            return data.decode()
        except UnicodeError as problem:
            message = f"`{name}` is no text: {problem}"
            raise self.archive.refusal("bad-archive", message, name) from None

    def array(self, name: str) -> Array:
        return decode_array(self.member(name), self.archive.loc(name))

    # Parts

    def contents(self) -> Contents:
        target = self.target()
        mapping = self.mapping(target)
        graph = self.graph()
        programs = tuple(
            self.program(step, target, graph, mapping)
            for step in mapping.steps
            if step.kind is StepKind.CHIP
        )
        hosts = {
            step.name: self.member(f"host/{step.name}.onnx")
            for step in mapping.steps
            if step.kind is StepKind.HOST
        }
        diagnostics = self.diagnostics()
        contents = Contents(self.manifest, graph, target, mapping, programs, hosts, diagnostics)
        self.check_rest()
        self.refuse(disagreements(contents))
        return contents

    def target(self) -> Target:
        text = self.text("target.toml")
        return within(self, "target.toml", lambda: parse_target(text, "target.toml"))

    def mapping(self, target: Target) -> Mapping:
        data = self.member("mapping.json")
        mapping = self.json("mapping.json", data, Mapping, "bad-mapping")
        self.refuse(check_mapping(mapping, target, member="mapping.json"))
        return mapping

    def graph(self) -> Graph:
        name = "weights/index.json"
        files = self.json(name, self.member(name), dict[str, str])
        weights = {value: self.array(file) for value, file in files.items()}
        text = self.text("graph.txt")
        graph = within(self, "graph.txt", lambda: parse_graph(text, "graph.txt", weights))
        self.refuse(verify_graph(graph), "graph.txt")
        name = "quantization.json"
        quant = self.json(name, self.member(name), dict[str, QuantEntry])
        if quant != quantization_of(graph):
            message = f"`{name}` does not say of each value what `graph.txt` says"
            raise self.archive.refusal("bad-mapping", message, name)
        return graph

    def program(self, step: Step, target: Target, graph: Graph, mapping: Mapping) -> Program:
        """A chip step's program; problems of its instructions with layer and ONNX node."""
        name = f"program/{step.name}.json"
        index = self.json(name, self.member(name), ProgramIndex, "bad-program")
        words = self.array(f"program/{step.name}.words.npy")
        images = self.array(f"program/{step.name}.images.npy")
        program = within(
            self,
            name,
            lambda: program_from(index, words, images, self.array, self.archive.loc(name)),
        )
        places = ProgramPlaces(graph, mapping, step.name, program)
        self.refuse((explained_one(d, places) for d in check_program(program, target)), name)
        return program

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        name = "diagnostics.json"
        try:
            return self.json(name, self.member(name), tuple[Diagnostic, ...])
        except KeyError as problem:
            message = f"`{name}` has a diagnostic that there is not: {problem}"
            raise self.archive.refusal("bad-archive", message, name) from None

    def check_rest(self) -> None:
        """Hash what nobody asked for: texts for people, reports."""
        for name in self.manifest.members:
            if name.endswith(".asm") or name == "report.json":
                self.member(name)
        self.archive.check_seal()

    def refuse(self, problems: Iterable[Diagnostic], member: str = "") -> None:
        """Raise errors, placed in the archive; what is only a warning is let through."""
        errors = [p for p in problems if p.severity is Severity.ERROR]
        if errors:
            raise NmcError(*(self.placed(p, member) for p in errors[:MAX_PROBLEMS]))

    def placed(self, problem: Diagnostic, member: str) -> Diagnostic:
        """The problem with the file, and with the member unless it names one itself."""
        place = replace(problem.loc, file=self.archive.file, member=problem.loc.member or member)
        return replace(problem, loc=place)


def within(reading: Reading, member: str, make: Callable[[], T]) -> T:
    """What `make` gives, its errors placed in the archive."""
    try:
        return make()
    except NmcError as problem:
        raise NmcError(*(reading.placed(d, member) for d in problem.diagnostics)) from None
