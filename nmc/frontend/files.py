"""Gets the bytes of a model file; refuses what can't be one with a word on what to do."""

from __future__ import annotations

import difflib
from pathlib import Path

from nmc.ir.diagnostics import Diagnostic, Loc, NmcError, error

__all__ = ["MAX_BYTES", "read_bytes"]

MAX_BYTES = (1 << 31) - 1
"""protobuf reads no larger message; a larger model must keep its weights in a companion file."""


def read_bytes(path: Path) -> bytes:
    """The whole file; NmcError if there is none, if it is empty, a folder, or beyond protobuf."""
    try:
        problem = unreadable(path)
        data = b"" if problem else path.read_bytes()
    except (OSError, ValueError) as failure:
        why = getattr(failure, "strerror", None) or str(failure)
        problem = error("file-unreadable", f"{path} can't be read: {why}", Loc(str(path)))
    if problem:
        raise NmcError(problem)
    return data


def unreadable(path: Path) -> Diagnostic | None:
    """What keeps us from reading the file, if anything; OSError where the system refuses to say."""
    loc = Loc(str(path))
    if path.is_dir():
        return a_folder(path)
    if not path.exists():
        return not_found(path)
    if not path.is_file():
        return error("file-unreadable", f"{path} is a device or a pipe, not a file", loc)
    size = path.stat().st_size
    if size == 0:
        remedy = "export or download it again"
        return error("file-empty", f"{path} is empty", loc, remedy=remedy)
    if size > MAX_BYTES:
        return too_large(path, size)
    return None


def not_found(path: Path) -> Diagnostic:
    loc, folder = Loc(str(path)), path.parent
    if not folder.is_dir():
        text = f"there is no file {path}: there is no folder {folder}"
        return error("file-not-found", text, loc, remedy="check the path")
    names = sorted(p.name for p in folder.iterdir())
    models = [name for name in names if name.endswith(".onnx")]
    close = [m for pool in (models, names) for m in difflib.get_close_matches(path.name, pool, 1)]
    if close:
        remedy = f"did you mean {folder / close[0]}?"
    elif models:
        remedy = f"models in that folder: {', '.join(models[:5])}"
    else:
        remedy = f"check the path; the folder {folder} holds no .onnx file"
    return error("file-not-found", f"there is no file {path}", loc, remedy=remedy)


def a_folder(path: Path) -> Diagnostic:
    loc = Loc(str(path))
    if (path / "saved_model.pb").exists():
        text = f"{path} is a TensorFlow SavedModel folder, not an ONNX model"
        remedy = f"convert it: python -m tf2onnx.convert --saved-model {path} --output model.onnx"
        return error("not-an-onnx-model", text, loc, remedy=remedy)
    models = sorted(p.name for p in path.glob("*.onnx"))
    remedy = "name a file"
    if models:
        remedy = f"name a file, such as {path / models[0]}"
    return error("not-an-onnx-model", f"{path} is a folder, not an ONNX model", loc, remedy=remedy)


def too_large(path: Path, size: int) -> Diagnostic:
    text = f"{path} has {size / 2**30:.1f} GiB; an ONNX file can have at most 2 GiB"
    remedy = (
        "save the weights beside the model: "
        f"onnx.save(model, {path.name!r}, save_as_external_data=True)"
    )
    return error("file-unreadable", text, Loc(str(path)), remedy=remedy)
