"""The model and the data that `nmc demo` compiles and runs."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

__all__ = ["DATA", "MODEL", "unpack"]

MODEL = "digits_cnn.onnx"
DATA = "digits.npz"


def unpack(folder: Path) -> None:
    """Copy model and data into a folder, which is made if it isn't there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (MODEL, DATA):
        (folder / name).write_bytes((files(__name__) / name).read_bytes())
