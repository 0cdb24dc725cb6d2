"""Says what a file is that turns out to be no ONNX model, and how to get one from it.

The first bytes decide, not the name's ending: people rename files, and downloads go wrong.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

__all__ = ["Kind", "foreign_kind"]

CONVERT = "convert it: python -m tf2onnx.convert"
TORCH = (
    "load it in PyTorch and export it: "
    'torch.onnx.export(model.eval(), (example,), "model.onnx", external_data=False)'
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file is, in words that follow "is", and what to do; FILE stands for its name."""

    what: str
    remedy: str


MAGIC: tuple[tuple[int, bytes, Kind], ...] = (
    (4, b"TFL3", Kind("a TensorFlow Lite model", f"{CONVERT} --tflite FILE --output model.onnx")),
    (
        4,
        b"ORTM",
        Kind("an ORT-format model", "compile the .onnx file that it was made from"),
    ),
    (
        0,
        b"\x89HDF\r\n\x1a\n",
        Kind(
            "an HDF5 file (a Keras model?)",
            'load it in Keras and export it: model.export("model.onnx", format="onnx")',
        ),
    ),
    (0, b"\x93NUMPY", Kind("a NumPy array", "pass it as data, beside a model")),
    (0, b"\x1f\x8b", Kind("a gzip archive", "unpack it first: gunzip FILE")),
    (0, b"7z\xbc\xaf\x27\x1c", Kind("a 7-zip archive", "unpack it first")),
    (0, b"GGUF", Kind("a GGUF file of a language model", "export the network to ONNX")),
    (0, b"\x7fELF", Kind("an executable program", "pass a model")),
    (0, b"\x89PNG", Kind("a PNG image", "pass it as data, beside a model")),
    (0, b"\xff\xd8\xff", Kind("a JPEG image", "pass it as data, beside a model")),
    (0, b"%PDF", Kind("a PDF document", "pass a model")),
)
"""Offset, bytes that stand there, kind."""

MEMBERS: tuple[tuple[str, Kind], ...] = (
    ("mapping.json", Kind("a program that nmc has compiled", "run it: nmc run FILE -i random")),
    ("data.pkl", Kind("a PyTorch checkpoint", TORCH)),
    (
        "model.weights.h5",
        Kind(
            "a Keras model",
            'load it in Keras and export it: model.export("model.onnx", format="onnx")',
        ),
    ),
    (".onnx", Kind("a zip archive with an ONNX model inside", "unpack it first: unzip FILE")),
    (".npy", Kind("a NumPy archive", "pass it as data, beside a model")),
)
"""Ending of a member of a zip archive, kind of the archive."""

BEGINNINGS: tuple[tuple[str, Kind], ...] = (
    (
        "version https://git-lfs",
        Kind("a Git LFS pointer, which stands for a model that was not downloaded", "git lfs pull"),
    ),
    ("<!doctype html", Kind("a web page", "download the model itself (a link to the raw file)")),
    ("<html", Kind("a web page", "download the model itself (a link to the raw file)")),
    ("<?xml", Kind("an XML file (OpenVINO?)", "pass the ONNX model that it was made from")),
    ("{", Kind("a JSON file", "pass the model that it describes")),
    ("[", Kind("a JSON file", "pass the model that it describes")),
    (
        "<",
        Kind(
            "a text (ONNX text syntax?)", "make it binary: onnx.save(onnx.parser.parse_model(...))"
        ),
    ),
    (
        "ir_version:",
        Kind(
            "a model in protobuf's text form",
            "make it binary: onnx.save(onnx.load(path, format='textproto'), 'model.onnx')",
        ),
    ),
    ("", Kind("a text", "pass a binary .onnx file")),
)
"""How a text begins, in lower case, and its kind; the last one is any text."""


def foreign_kind(data: bytes) -> Kind | None:
    """The kind of file that the bytes plainly are, or None, which proves nothing."""
    for offset, magic, kind in MAGIC:
        if data[offset : offset + len(magic)] == magic:
            return kind
    if data.startswith(b"PK\x03\x04"):
        return zip_kind(data)
    if data[:1] == b"\x80" and data[1:2] in b"\x02\x03\x04\x05":
        return Kind("a Python pickle (an old PyTorch checkpoint?)", TORCH)
    if data[8:10] == b'{"' and int.from_bytes(data[:8], "little") < len(data):
        return Kind("a safetensors file, which holds weights and no network", TORCH)
    return text_kind(data[:4096])


def zip_kind(data: bytes) -> Kind:
    try:
        names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return Kind("a damaged zip archive", "download it again, then unpack it")
    for ending, kind in MEMBERS:
        if any(name.endswith(ending) for name in names):
            return kind
    return Kind("a zip archive", "unpack it first")


def text_kind(head: bytes) -> Kind | None:
    control = sum(byte < 32 and byte not in b"\t\n\r\f" for byte in head)
    try:
        text = head.decode().lstrip("\ufeff \t\r\n").lower()
    except UnicodeDecodeError as problem:
        if problem.start < len(head) - 3:  # else: a character that the cut at 4096 has split
            return None
        text = head[: problem.start].decode().lstrip().lower()
    if control:
        return None
    return next(kind for beginning, kind in BEGINNINGS if text.startswith(beginning))
