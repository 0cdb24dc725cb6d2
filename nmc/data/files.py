"""Reads .npy and .npz files of strangers: no pickle, and no allocation beyond what the file holds.

Every header is read and judged before any data: its size against the file's, its element type
against those that a tensor may have.
"""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from nmc.ir.diagnostics import Loc, NmcError, error
from nmc.ir.graph import Array
from nmc.ir.text import did_you_mean

__all__ = ["MAX_BYTES", "ArrayFile", "open_arrays"]

MAX_BYTES = 1 << 32
"""The largest array that is read: four gigabytes."""
MAX_HEADER = 1 << 16
KINDS = "biuf"
"""numpy's letters for element types that data may have: bool, integers and floats."""
NPY_MAGIC = b"\x93NUMPY"
ZIP_MAGIC = b"PK"


@dataclass(frozen=True, slots=True)
class Header:
    """What a .npy member says of itself."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True)
class ArrayFile:
    """A data file whose headers have been read; arrays are loaded one by one.

    `headers` maps the names of an .npz's arrays, or "" for a lone .npy; `others` are the names of
    text arrays and other things that can't be tensors, with what they are.
    """

    path: Path
    headers: dict[str, Header]
    others: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def listing(self) -> str:
        listed = [f"{name} {header}" for name, header in self.headers.items()]
        listed += [f"{name} ({what}, not numbers)" for name, what in self.others.items()]
        return ", ".join(listed) or "nothing"

    def load(self, name: str) -> Array:
        """An array by name; `bad-data-file` if there is none or its data are damaged."""
        if name in self.others:
            text = f"has {self.others[name]} in the array `{name}`, not numbers"
            raise self.problem(text, "save an array of numbers")
        if name not in self.headers:
            hint = did_you_mean(name, self.headers)
            raise self.problem(f"has no array `{name}`; it holds {self.listing}", hint)
        with refusing_damage(self):
            if not name and self.path.suffix != ".npz" and not zipfile.is_zipfile(self.path):
                with self.path.open("rb") as stream:
                    return read_array(stream)
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{name}.npy") as member:
                return read_array(member)

    def problem(self, text: str, remedy: str = "") -> NmcError:
        loc = Loc(file=str(self.path))
        return NmcError(error("bad-data-file", f"{self.path} {text}", loc, remedy=remedy))


def open_arrays(path: Path) -> ArrayFile:
    """Reads the headers of a data file.

    NmcError: `file-not-found`, `file-unreadable`, `file-empty`, `bad-data-file`.
    """
    start = first_bytes(path)
    file = ArrayFile(path, {})
    with refusing_damage(file):
        if start.startswith(NPY_MAGIC):
            read_npy(file)
        elif start.startswith(ZIP_MAGIC):
            read_npz(file)
        else:
            raise file.problem(
                "is neither an .npz nor an .npy file",
                "save arrays with numpy.savez(path, x=x) or numpy.save(path, x)",
            )
    return file


def first_bytes(path: Path) -> bytes:
    loc = Loc(file=str(path))
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
    except FileNotFoundError:
        near = [p.name for p in path.parent.glob("*.np[yz]")] if path.parent.is_dir() else []
        hint = did_you_mean(path.name, sorted(near))
        problem = error("file-not-found", f"there is no file {path}", loc, remedy=hint)
        raise NmcError(problem) from None
    except (OSError, ValueError) as failure:
        why = getattr(failure, "strerror", None) or str(failure)
        problem = error("file-unreadable", f"{path} can't be read: {why}", loc)
        raise NmcError(problem) from None
    if not start:
        raise NmcError(error("file-empty", f"{path} is empty", loc))
    return start


@contextmanager
def refusing_damage(file: ArrayFile) -> Iterator[None]:
    """Turns what numpy and zipfile say of damaged files into a diagnostic."""
    try:
        yield
    except (
        ValueError,
        EOFError,
        OSError,
        KeyError,
        NotImplementedError,
        RuntimeError,
        SyntaxError,
        tokenize.TokenError,
        zipfile.BadZipFile,
        zlib.error,
    ) as failure:
        why = str(failure).strip().split("\n")[0] or type(failure).__name__
        raise file.problem(f"can't be read as arrays: {why}", "save it again") from failure


def read_npy(file: ArrayFile) -> None:
    size = file.path.stat().st_size
    with file.path.open("rb") as stream:
        header = read_header(stream)
        judge(file, "", header, size - stream.tell())
    if header is None:
        raise file.problem("holds objects or text, not numbers", "save an array of numbers")
    file.headers[""] = header


def read_npz(file: ArrayFile) -> None:
    with zipfile.ZipFile(file.path) as archive:
        members = [m for m in archive.infolist() if m.filename.endswith(".npy")]
        if not members:
            raise file.problem("is a zip archive without arrays", "save it with numpy.savez")
        for member in members:
            name = member.filename.removesuffix(".npy")
            with archive.open(member) as stream:
                header = read_header(stream)
                judge(file, name, header, member.file_size - stream.tell())
            if header is None:
                file.others[name] = "text or objects"
            else:
                file.headers[name] = header


def read_header(stream: IO[bytes]) -> Header | None:
    """The header; None for objects, text and structures; ValueError for none at all."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=MAX_HEADER)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream, max_header_size=MAX_HEADER)
    else:
        raise ValueError(f"version {version[0]}.{version[1]} of the .npy format is unknown")
    return Header(tuple(shape), dtype) if dtype.kind in KINDS else None


def judge(file: ArrayFile, name: str, header: Header | None, there: int) -> None:
    """Refuses a header that claims more than the file has, or than we read."""
    if header is None:
        return
    array = f"array `{name}`" if name else "the array"
    if any(size < 0 for size in header.shape):
        raise file.problem(f"is damaged: {array} has a negative size, {header}")
    if header.nbytes > there:
        text = f"is damaged: {array} claims {header.nbytes} bytes ({header}), {there} are there"
        raise file.problem(text, "save it again")
    if header.nbytes > MAX_BYTES:
        text = f"is too large: {array} has {header.nbytes} bytes, at most {MAX_BYTES} are read"
        raise file.problem(text, "save fewer samples")


def read_array(stream: Any) -> Array:
    array: npt.NDArray[Any] = np.lib.format.read_array(
        stream, allow_pickle=False, max_header_size=MAX_HEADER
    )
    return np.ascontiguousarray(array).reshape(array.shape)
