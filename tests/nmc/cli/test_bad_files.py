"""The zoo of bad files: one clear message, the right exit code, and no file left behind."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests.nmc.cli.commands import Nmc, dense_bytes, model_bytes

Make = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """A command on a file that is bad in one way; `make` writes what it needs into the folder."""

    name: str
    make: Make
    command: Sequence[str]
    exit_code: int
    code: str
    says: str


def nothing(folder: Path) -> None:
    """Nothing is written."""


def content(name: str, data: bytes) -> Make:
    def make(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return make


def unknown_domain() -> bytes:
    node = helper.make_node("FooBar", ["x"], ["y"], "foo", domain="com.acme")
    return model_bytes([node], [1, 4], [1, 4], opsets={"": 17, "com.acme": 1})


def two_problems() -> bytes:
    nodes = [
        helper.make_node("FooBar", ["x"], ["h"], "foo", domain="com.acme"),
        helper.make_node("BarFoo", ["h"], ["y"], "bar", domain="org.other"),
    ]
    return model_bytes(nodes, [1, 4], [1, 4], opsets={"": 17, "com.acme": 1, "org.other": 1})


def calibration(folder: Path) -> None:
    np.save(folder / "c.npy", np.zeros((10, 8, 8, 1), np.float32))


def not_a_number(folder: Path) -> None:
    np.save(folder / "c.npy", np.full((10, 1, 8, 8), np.nan, np.float32))


def target(text: str) -> Make:
    return content("mine.toml", f'base = "spin-128"\n\n{text}\n'.encode())


def flipped(folder: Path) -> None:
    """One bit of one cell of the first tile."""
    path = folder / "exact.nmc"
    with zipfile.ZipFile(path) as archive:
        entry = next(i for i in archive.infolist() if i.filename.startswith("tiles/"))
    data = bytearray(path.read_bytes())
    data[entry.header_offset + 30 + len(entry.filename) + entry.compress_size // 2] ^= 4
    (folder / "bad.nmc").write_bytes(data)


def repacked(change: Callable[[str, bytes], tuple[str, bytes]]) -> Make:
    """exact.nmc written again, each member as `change` makes it."""

    def make(folder: Path) -> None:
        with (
            zipfile.ZipFile(folder / "exact.nmc") as old,
            zipfile.ZipFile(folder / "bad.nmc", "w", zipfile.ZIP_DEFLATED) as new,
        ):
            for info in old.infolist():
                name, data = change(info.filename, old.read(info))
                kind = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
                new.writestr(name, data, kind)

    return make


def outside(name: str, data: bytes) -> tuple[str, bytes]:
    return ("../../evil" if name == "tiles/0.npy" else name), data


def huge(name: str, data: bytes) -> tuple[str, bytes]:
    if name != "tiles/0.npy":
        return name, data
    text = "{'descr': '|i1', 'fortran_order': False, 'shape': (1152921504606846976,), }"
    head = text.ljust(117) + "\n"
    return name, b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode()


def truncated(folder: Path) -> None:
    data = (folder / "exact.nmc").read_bytes()
    (folder / "bad.nmc").write_bytes(data[: len(data) // 2])


COMPILE = ("compile", "m.onnx", "-o", "out.nmc")
DIGITS = ("compile", "digits_cnn.onnx", "-o", "out.nmc")
RUN = ("run", "bad.nmc", "-i", "random", "-o", "out.npz")

CASES = (
    Case("missing model", nothing, COMPILE, 6, "file-not-found", "m.onnx"),
    Case("empty model", content("m.onnx", b""), COMPILE, 6, "file-empty", "m.onnx is empty"),
    Case("cut model", content("m.onnx", dense_bytes()[:-40]), COMPILE, 6, "onnx-damaged", "m.onnx"),
    Case(
        "TFLite",
        content("m.onnx", b"\x1c\x00\x00\x00TFL3" + bytes(64)),
        COMPILE,
        6,
        "not-an-onnx-model",
        "TensorFlow Lite",
    ),
    Case("text", content("m.onnx", b"hello\n" * 9), COMPILE, 6, "not-an-onnx-model", "m.onnx"),
    Case(
        "unknown domain",
        content("m.onnx", unknown_domain()),
        COMPILE,
        3,
        "unknown-domain",
        "com.acme",
    ),
    Case(
        "all problems at once",
        content("m.onnx", two_problems()),
        COMPILE,
        3,
        "unknown-domain",
        "org.other",
    ),
    Case(
        "dynamic shape",
        content("m.onnx", dense_bytes(shape=["rows", "cols"])),
        COMPILE,
        6,
        "dynamic-shape",
        "cols",
    ),
    Case(
        "calibration of the wrong shape",
        calibration,
        (*DIGITS, "--calib", "c.npy"),
        6,
        "bad-data-shape",
        "x.transpose(0, 3, 1, 2) would fit",
    ),
    Case(
        "calibration of nothing",
        not_a_number,
        (*DIGITS, "--calib", "c.npy"),
        6,
        "bad-data-file",
        "NaN or infinity, 640 times",
    ),
    Case(
        "missing calibration",
        nothing,
        (*DIGITS, "--calib", "digit.npz:calib"),
        6,
        "file-not-found",
        "did you mean `digits.npz`?",
    ),
    Case(
        "misspelt target key",
        target("[crossbar]\nrwos = 128"),
        (*DIGITS, "-t", "mine.toml"),
        6,
        "unknown-key",
        "mine.toml:4",
    ),
    Case(
        "negative rows",
        target("[crossbar]\nrows = -128"),
        (*DIGITS, "-t", "mine.toml"),
        6,
        "bad-value",
        "-128",
    ),
    Case("negative --set", nothing, (*DIGITS, "--set", "crossbar.rows=-1"), 6, "bad-value", "-1"),
    Case("no such target", nothing, (*DIGITS, "-t", "spin128"), 6, "unknown-target", "spin-128"),
    Case("mesh of nothing", nothing, (*DIGITS, "--mesh", "0x4"), 2, "bad-option", "4x4"),
    Case("too small", nothing, (*DIGITS, "--mesh", "1x1"), 4, "too-many-tiles", "13"),
    Case("no such pass", nothing, (*DIGITS, "-p", "@defalt"), 2, "unknown-pass", "default"),
    Case("half a pipeline", nothing, (*DIGITS, "-p", "@front"), 2, "bad-pipeline", "codegen"),
    Case("no such folder", nothing, (*DIGITS[:2], "-o", "no/out.nmc"), 6, "file-not-found", "no"),
    Case(
        "no such input",
        nothing,
        (*DIGITS, "--input-shape", "imag=1,1,8,8"),
        2,
        "bad-input-shape",
        "image",
    ),
    Case("no shape", nothing, (*DIGITS, "--input-shape", "1,1,8"), 2, "bad-input-shape", "NAME"),
    Case("missing nmc", nothing, RUN, 6, "file-not-found", "bad.nmc"),
    Case("empty nmc", content("bad.nmc", b""), RUN, 6, "file-empty", "bad.nmc"),
    Case("no nmc", content("bad.nmc", b"hello" * 9), RUN, 6, "bad-archive", "bad.nmc"),
    Case("cut nmc", truncated, RUN, 6, "bad-archive", "bad.nmc"),
    Case("flipped byte", flipped, RUN, 6, "hash-mismatch", "tiles/"),
    Case("path outside", repacked(outside), RUN, 6, "unsafe-archive", "../../evil"),
    Case("2^60 elements", repacked(huge), RUN, 6, "", "tiles/0.npy"),
    Case(
        "data of the wrong shape",
        calibration,
        ("run", "exact.nmc", "-i", "c.npy", "-o", "out.npz"),
        6,
        "bad-data-shape",
        "x.transpose(0, 3, 1, 2) would fit",
    ),
    Case(
        "several arrays",
        nothing,
        ("run", "exact.nmc", "-i", "digits.npz", "-o", "out.npz"),
        6,
        "bad-data-file",
        "digits.npz:calib",
    ),
    Case(
        "output of an unknown kind",
        nothing,
        ("run", "exact.nmc", "-i", "random", "-o", "out.csv"),
        2,
        "bad-option",
        ".npz or .npy",
    ),
    Case(
        "cycles run out",
        nothing,
        ("run", "exact.nmc", "-i", "random", "-o", "out.npz", "--max-cycles", "1000"),
        5,
        "run-limit",
        "1000",
    ),
    Case(
        "no such engine",
        nothing,
        ("run", "exact.nmc", "-i", "random", "--engine", "refrence"),
        2,
        "bad-option",
        "reference",
    ),
    Case(
        "labels missing",
        nothing,
        ("verify", "exact.nmc", "-i", "digits.npz:x", "--labels", "digits.npz:x"),
        6,
        "bad-data-shape",
        "labels are needed",
    ),
    Case(
        "bad text",
        content("g.txt", b"graph @g {\n  nonsense\n}\n"),
        ("opt", "g.txt"),
        6,
        "syntax",
        "g.txt:2",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_one_clear_message_and_nothing_left(nmc: Nmc, here: Path, case: Case) -> None:
    case.make(here)
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    done = nmc(*case.command)
    assert done.exit_code == case.exit_code, done.stderr
    assert done.stdout == ""
    assert f"error[{case.code}" in done.stderr
    assert case.says in done.stderr.replace("\n    ", " ").replace("\n          ", " ")
    assert "Traceback" not in done.stderr
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_json_says_the_same(nmc: Nmc, here: Path, case: Case) -> None:
    case.make(here)
    done = nmc(*case.command, "--json")
    assert done.exit_code == case.exit_code
    found = done.json
    assert found["ok"] is False
    assert found["exit_code"] == case.exit_code
    errors = [d for d in found["diagnostics"] if d["severity"] == "error"]
    assert errors
    assert all(d["code"].startswith(case.code) for d in errors)


def test_a_read_only_folder(nmc: Nmc, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    done = nmc(*DIGITS)
    assert done.exit_code == 6
    assert "out.nmc can't be written: the folder . is read-only" in done.stderr


def test_an_output_that_is_a_folder(nmc: Nmc, here: Path) -> None:
    (here / "out.nmc").mkdir()
    assert "out.nmc is a folder" in nmc(*DIGITS).stderr


def test_outputs_that_exist_survive_a_failure(nmc: Nmc, here: Path) -> None:
    shutil.copy(here / "exact.nmc", here / "out.nmc")
    assert nmc(*DIGITS, "--calib", "nothing.npz").exit_code == 6
    assert (here / "out.nmc").read_bytes() == (here / "exact.nmc").read_bytes()


def test_a_bug_is_said_to_be_one(nmc: Nmc, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("nmc.checking.import_model", broken)
    done = nmc("check", "digits_cnn.onnx")
    assert done.exit_code == 1
    assert "error[internal]: ZeroDivisionError: by zero" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in nmc("check", "digits_cnn.onnx", "-v").stderr


def test_an_interruption(nmc: Nmc, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nmc.compiling.import_model", interrupted)
    before = sorted(here.iterdir())
    assert nmc(*DIGITS).exit_code == 130
    assert sorted(here.iterdir()) == before
