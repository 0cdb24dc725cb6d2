"""Weights that lie in a companion file: finds it, keeps inside the model's folder, reads slices.

A model of a stranger must not make us read other files of the user, so a location is refused that
is absolute, climbs out of the folder, or is a link that leads out of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import onnx
from onnx import TensorProto

from nmc.ir.diagnostics import Diagnostic, Loc, error

__all__ = ["Companions", "Place", "inner_tensors", "is_external", "model_tensors", "subgraphs"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor's bytes lie; `length` is None if they run to the end of the file."""

    location: str
    offset: int
    length: int | None


@dataclass(frozen=True, slots=True)
class Companions:
    """Companion files of one model; `folder` is None if the model did not come from a file."""

    folder: Path | None
    file: str

    def problems(self, tensors: Iterable[TensorProto]) -> list[Diagnostic]:
        """What is wrong with the companions of the given tensors, each file once."""
        by_location: dict[str, list[tuple[TensorProto, Place]]] = {}
        found: list[Diagnostic] = []
        for tensor in filter(is_external, tensors):
            try:
                place = place_of(tensor)
            except ValueError as problem:
                text = f"tensor {tensor.name!r} says nonsense about its companion file: {problem}"
                found.append(error("onnx-invalid", text, Loc(self.file)))
            else:
                by_location.setdefault(place.location, []).append((tensor, place))
        judged = (self.problem(location, users) for location, users in by_location.items())
        return [*found, *(problem for problem in judged if problem)]

    def problem(self, location: str, users: list[tuple[TensorProto, Place]]) -> Diagnostic | None:
        loc, count = Loc(self.file), f"{len(users)} tensor{'s' * (len(users) != 1)}"
        if self.folder is None:
            text = f"the data of {count} lies in a file {location!r}, and only bytes were given"
            return error("external-data-missing", text, loc, remedy="pass the path of the model")
        if why := self.escapes(location):
            text = f"the data of {count} is said to lie in {location!r}, {why}"
            remedy = "save the model again with its data in the same folder"
            return error("onnx-invalid", text, loc, remedy=remedy)
        path = self.folder / location
        if not path.is_file():
            text = f"the data of {count} lies in {location!r}, which is missing: looked for {path}"
            remedy = "copy it beside the model, or export with external_data=False"
            return error("external-data-missing", text, loc, remedy=remedy)
        return self.cut_short(path, users)

    def escapes(self, location: str) -> str:
        """Why the location is none that we read from, or ""."""
        windows = PureWindowsPath(location)
        if not location or "\0" in location:
            return "which is no file name"
        if windows.is_absolute() or windows.drive or location.startswith(("/", "\\")):
            return "an absolute path, where only files beside the model may be named"
        if ".." in windows.parts:
            return "which climbs out of the model's folder"
        folder = (self.folder or Path()).resolve()
        if not (folder / location).resolve().is_relative_to(folder):
            return "a link that leads out of the model's folder"
        return ""

    def cut_short(self, path: Path, users: list[tuple[TensorProto, Place]]) -> Diagnostic | None:
        size = path.stat().st_size
        tensor, place = max(users, key=lambda user: user[1].offset + (user[1].length or 0))
        needed = place.offset + (place.length or 0)
        if needed <= size:
            return None
        text = f"{path.name} has {size} bytes, tensor {tensor.name!r} needs {needed}"
        return error("onnx-damaged", text, Loc(self.file), remedy="copy or download it again")

    def resolve(self, tensor: TensorProto) -> TensorProto:
        """The tensor itself, or a copy that carries its data; `problems` must have been empty."""
        if not is_external(tensor):
            return tensor
        place = place_of(tensor)
        if self.folder is None or self.escapes(place.location):
            raise ValueError(f"{place.location!r} was not checked")
        with (self.folder / place.location).open("rb") as stream:
            stream.seek(place.offset)
            data = stream.read(-1 if place.length is None else place.length)
        own = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        own.raw_data = data
        return own


def is_external(tensor: TensorProto) -> bool:
    return tensor.data_location == TensorProto.EXTERNAL


def place_of(tensor: TensorProto) -> Place:
    """ValueError if offset or length is no number, or negative."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    offset = int(entries.get("offset") or 0)
    length = int(entries["length"]) if entries.get("length") else None
    if offset < 0 or (length or 0) < 0:
        raise ValueError(f"offset {offset}, length {length}")
    return Place(entries.get("location", ""), offset, length)


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def model_tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """All tensors of a model: initialisers and attributes, of functions and subgraphs too."""
    yield from model.graph.initializer
    yield from inner_tensors(model)


def inner_tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """All tensors of a model but the dense initialisers of its main graph."""
    yield from sparse_tensors(model.graph)
    yield from node_tensors(model.graph.node)
    for function in model.functions:
        yield from node_tensors(function.node)


def graph_tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    yield from sparse_tensors(graph)
    yield from node_tensors(graph.node)


def sparse_tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)


def node_tensors(nodes: Iterable[onnx.NodeProto]) -> Iterator[TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
        for graph in subgraphs(node):
            yield from graph_tensors(graph)
