"""Writes results whole or not at all: to a temporary name in the same folder, then renamed."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np

from nmc.ir.diagnostics import Diagnostic, Loc, NmcError, error
from nmc.ir.graph import Array

__all__ = ["atomic", "check_writable", "files_in", "keep_inputs", "make_folder",
           "save_npz", "write_text"]  # fmt: skip


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """A stream whose content appears at `path` once the block is done without a failure.

    NmcError `file-unreadable` where the system refuses.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("xb") as stream:
            yield stream
        temporary.replace(path)
    except OSError as failure:
        raise NmcError(refused(path, failure)) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """As `atomic`; the path `-` is stdout."""
    if str(path) == "-":
        sys.stdout.write(text)
        return
    with atomic(path) as stream:
        stream.write(text.encode())


def check_writable(path: Path) -> None:
    """Refuses an output that can't be made, before the work that leads to it."""
    if path.is_dir():
        message = f"{path} is a folder; the output needs the name of a file"
        raise NmcError(error("file-unreadable", message, Loc(file=str(path))))
    folder = path.parent
    if not folder.is_dir():
        message = f"{path} can't be written: there is no folder {folder}"
        raise NmcError(error("file-not-found", message, Loc(file=str(path))))
    if not os.access(folder, os.W_OK):
        message = f"{path} can't be written: the folder {folder} is read-only"
        raise NmcError(error("file-unreadable", message, Loc(file=str(path))))


def keep_inputs(outputs: Iterable[Path | str | None], inputs: Iterable[Path | str]) -> None:
    """Refuses, with `bad-option`, to write an output over an input or another output.

    Links are followed.  Outputs that are None or `-` are none; inputs that are no files, too.
    """
    read = [Path(each) for each in inputs]
    written: list[Path] = []
    for path in (Path(each) for each in outputs if each and str(each) != "-"):
        if any(same_file(path, each) for each in read):
            message = f"{path} is read by this command, and would be overwritten"
            raise NmcError(error("bad-option", message, remedy="give the output another name"))
        if any(same_place(path, each) for each in written):
            message = f"{path} would be written twice, for different things"
            raise NmcError(error("bad-option", message, remedy="give one of them another name"))
        written.append(path)


def same_file(one: Path, other: Path) -> bool:
    try:
        return one.is_file() and other.is_file() and one.samefile(other)
    except (OSError, ValueError):
        return False


def same_place(one: Path, other: Path) -> bool:
    """As `same_file`, also where neither exists yet."""
    try:
        return one.resolve() == other.resolve() or same_file(one, other)
    except (OSError, RuntimeError):
        return False


def files_in(texts: Iterable[str]) -> list[Path]:
    """The files that texts such as `X.npz`, `X.npz:KEY` or `NAME=X.npy` may speak of."""
    found = []
    for text in texts:
        starts = [0, *(i + 1 for i, character in enumerate(text) if character == "=")]
        for tail in (text[start:] for start in starts):
            found += [Path(part) for part in (tail, tail.rpartition(":")[0]) if part]
    return found


def make_folder(path: Path) -> None:
    """A folder of this name; `file-unreadable` where a file stands or the system refuses."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        message = f"{path} is a file; the name of a folder is needed"
        raise NmcError(error("file-unreadable", message, Loc(file=str(path)))) from None
    except OSError as failure:
        raise NmcError(refused(path, failure)) from None


def refused(path: Path, failure: OSError) -> Diagnostic:
    why = failure.strerror or str(failure)
    return error("file-unreadable", f"{path} can't be written: {why}", Loc(file=str(path)))


def save_npz(stream: IO[bytes], arrays: Mapping[str, Array]) -> None:
    """As numpy.savez, but with any names, and the same bytes for the same arrays."""
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
