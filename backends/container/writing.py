"""Writes mapping files: whole, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec

from nmc.backends.container.archive import pack
from nmc.backends.container.arrays import encode_array
from nmc.backends.container.contents import Contents, MemberInfo
from nmc.backends.container.programs import program_members
from nmc.backends.container.records import quantization_of, report_record
from nmc.backends.report_records import ReportData
from nmc.ir.diagnostics import Loc, NmcError, error
from nmc.ir.graph_text import print_graph, weights_of
from nmc.ir.mapping import mapping_to_json
from nmc.ir.target_toml import target_to_toml

__all__ = ["container_bytes", "members_of", "write_container"]

DENSE = ("tiles/", "weights/")
"""Folders of numbers that hardly repeat."""

MUCH_BYTES = 1 << 24
"""With so much in these folders, time counts for more than what repeats in them after all."""


def write_container(
    path: str | os.PathLike[str], contents: Contents, report: ReportData | None = None
) -> None:
    """Write the file, replacing one that is there; nothing is left behind if that fails.  `report`
    saves working out the contents' report once more.

    NmcError `bad-option` for standard output, `file-not-found` and `file-unreadable` for places
    that can't be written.
    """
    if os.fspath(path) == "-":
        message = "a mapping file is written in one piece, so it can't go to standard output"
        raise NmcError(error("bad-option", message, remedy="give it a name: -o OUT.nmc"))
    data = container_bytes(contents, report)
    target = writable(Path(path))
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with partial.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(target)
    except OSError as problem:
        raise unwritable(target, problem.strerror or str(problem)) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def writable(path: Path) -> Path:
    """Where to write: through links, but into nothing that is no ordinary file."""
    try:
        target = path.resolve()
        if target.exists() and not target.is_file():
            raise unwritable(path, "it is no ordinary file")
        if not target.parent.is_dir():
            message = f"there is no folder `{target.parent.name}` to write `{path}` into"
            raise NmcError(error("file-not-found", message, Loc(file=str(path))))
    except (OSError, ValueError, RuntimeError) as problem:
        raise unwritable(path, str(problem)) from None
    return target


def unwritable(path: Path, why: str) -> NmcError:
    message = f"can't write `{path}`: {why}"
    return NmcError(error("file-unreadable", message, Loc(file=str(path))))


def container_bytes(contents: Contents, report: ReportData | None = None) -> bytes:
    """The file's bytes: the same contents always give the same."""
    members = dict(members_of(contents, report))
    listed = {
        name: MemberInfo(hashlib.sha256(data).hexdigest(), len(data))
        for name, data in members.items()
    }
    manifest = replace(contents.manifest, members=listed)
    dense = [name for name in members if name.startswith(DENSE)]
    if sum(len(members[name]) for name in dense) < MUCH_BYTES:
        dense = []
    return pack({"manifest.json": json_bytes(manifest), **members}, frozenset(dense))


def json_bytes(record: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"


def members_of(contents: Contents, report: ReportData | None = None) -> Iterator[tuple[str, bytes]]:
    """Every member but the manifest, in the order of the file."""
    yield "report.json", json_bytes(report_record(contents, report))
    yield "diagnostics.json", json_bytes(contents.diagnostics)
    yield "target.toml", target_to_toml(contents.target).encode()
    yield "mapping.json", mapping_to_json(contents.mapping) + b"\n"
    yield "quantization.json", json_bytes(quantization_of(contents.graph))
    yield "graph.txt", print_graph(contents.graph).encode()
    weights = weights_of(contents.graph)
    files = {name: f"weights/{i}.npy" for i, name in enumerate(weights)}
    yield "weights/index.json", json_bytes(files)
    for name, array in weights.items():
        yield files[name], encode_array(array)
    for name, model in contents.host_models.items():
        yield f"host/{name}.onnx", model
    tiles = 0
    for name, program in contents.program_of.items():
        yield from program_members(name, program, tiles, encode_array).items()
        tiles += len(program.tiles)
