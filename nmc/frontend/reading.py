"""Reads a model from wherever it is, and refuses what is no model, a damaged one or half of one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from nmc.frontend.external import Companions, model_tensors, subgraphs
from nmc.frontend.files import read_bytes
from nmc.frontend.kinds import foreign_kind
from nmc.frontend.wire import scan
from nmc.ir.diagnostics import Diagnostic, Loc, NmcError, error

__all__ = ["ReadModel", "Source", "read_model"]

Source = str | os.PathLike[str] | bytes | onnx.ModelProto


@dataclass(frozen=True, slots=True)
class ReadModel:
    """A model as it was given: nothing is checked yet but that it is one and is all there.

    `file` is what the user called it, `sha256` that of the source's bytes.  Data in companion
    files is still there; `companions` reads it.
    """

    proto: onnx.ModelProto
    file: str
    sha256: str
    companions: Companions


def read_model(source: Source) -> ReadModel:
    """Read a path, the bytes of a file, or take a copy of a ModelProto.

    NmcError says what the source is instead of a model, or what of it is missing.
    """
    folder: Path | None = None
    if isinstance(source, onnx.ModelProto):
        data, file = source.SerializeToString(deterministic=True), "<ModelProto>"
        proto = onnx.ModelProto()
        proto.CopyFrom(source)
    elif isinstance(source, bytes):
        data, file = source, "<bytes>"
        proto = parsed(data, file)
    else:
        path = Path(source)
        data, file, folder = read_bytes(path), str(path), path.parent
        proto = parsed(data, file)
    if not proto.HasField("graph"):
        raise NmcError(no_graph(proto, file))
    companions = Companions(folder, file)
    if problems := companions.problems(model_tensors(proto)):
        raise NmcError(*problems)
    return ReadModel(proto, file, hashlib.sha256(data).hexdigest(), companions)


def parsed(data: bytes, file: str) -> onnx.ModelProto:
    if not data:
        raise NmcError(error("file-empty", f"{file} is empty", Loc(file)))
    if kind := foreign_kind(data):
        text = f"{file} is {kind.what}, not an ONNX model"
        remedy = kind.remedy.replace("FILE", file)
        raise NmcError(error("not-an-onnx-model", text, Loc(file), remedy=remedy))
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except (DecodeError, RuntimeError, ValueError):
        raise NmcError(unparsable(data, file)) from None
    if not all(isinstance(text, str) for text in texts(proto.graph)):
        raise NmcError(unparsable(data, file))
    return proto


def texts(graph: onnx.GraphProto) -> Iterator[object]:
    """All names and words of a graph; damaged ones come as bytes, for ONNX is of protobuf 2."""
    yield from (graph.name, graph.doc_string)
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        yield from (value.name, value.doc_string)
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, node.doc_string)
        yield from (*node.input, *node.output)
        yield from (text for entry in node.metadata_props for text in (entry.key, entry.value))
        yield from (attribute.name for attribute in node.attribute)
        for inner in subgraphs(node):
            yield from texts(inner)


def unparsable(data: bytes, file: str) -> Diagnostic:
    found = scan(data)
    if not found.looks_like_a_model:
        return stranger(file)
    text = f"{file} begins like an ONNX model, but is damaged inside"
    if found.needed > len(data):
        text = f"{file} is cut short: it has {len(data)} bytes of at least {found.needed}"
    return error("onnx-damaged", text, Loc(file), remedy="export or download it again")


def no_graph(proto: onnx.ModelProto, file: str) -> Diagnostic:
    if not proto.ir_version:
        return stranger(file)
    text = f"{file} is an ONNX model without a graph"
    return error("onnx-damaged", text, Loc(file), remedy="export or download it again")


def stranger(file: str) -> Diagnostic:
    remedy = "pass a file that an ONNX exporter has written"
    if file.endswith(".pb"):
        remedy = (
            f"if it is a TensorFlow graph, convert it: python -m tf2onnx.convert --graphdef {file} "
            "--inputs NAME:0 --outputs NAME:0 --output model.onnx"
        )
    text = f"{file} is not an ONNX model: its bytes mean nothing to ONNX"
    return error("not-an-onnx-model", text, Loc(file), remedy=remedy)
