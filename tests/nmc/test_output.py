"""Outputs appear whole, under their name, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nmc.ir.diagnostics import NmcError
from nmc.ir.graph import Array
from nmc.output import atomic, save_npz, write_text


def test_a_whole_file_replaces_the_old(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    write_text(tmp_path / "a.txt", "new")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_failure_leaves_the_old_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")

    def fail() -> None:
        with atomic(tmp_path / "a.txt") as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_the_system_says_why_it_refuses(tmp_path: Path) -> None:
    with pytest.raises(NmcError, match=r"file-unreadable: .*: No such file or directory"):
        write_text(tmp_path / "no" / "a.txt", "x")


def test_arrays_of_any_name_and_the_same_bytes(tmp_path: Path) -> None:
    arrays: dict[str, Array] = {
        "file": np.arange(3),
        "a/b:0": np.array([[1.5]], np.float32),
        "empty": np.zeros((0, 2)),
    }
    for name in ("a.npz", "b.npz"):
        with atomic(tmp_path / name) as stream:
            save_npz(stream, arrays)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz") as loaded:
        for name, array in arrays.items():
            assert loaded[name].dtype == array.dtype
            assert np.array_equal(loaded[name], array)
