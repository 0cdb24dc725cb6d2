"""What a command must never do: write over what it reads, or end in a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.nmc.cli.commands import Nmc

CALIB = ("--calib", "digits.npz:calib")


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (("compile", "digits_cnn.onnx", *CALIB, "-o", "digits_cnn.onnx"), "digits_cnn.onnx"),
        (("compile", "digits_cnn.onnx", *CALIB, "-o", "./digits.npz"), "digits.npz"),
        (("compile", "digits_cnn.onnx", *CALIB, "-o", "link.nmc"), "digits_cnn.onnx"),
        (("run", "spin.nmc", "-i", "digits.npz:x", "-o", "digits.npz"), "digits.npz"),
        (("run", "spin.nmc", "-i", "image=digits.npz:x", "-o", "digits.npz"), "digits.npz"),
        (("run", "spin.nmc", "-i", "random", "--trace", "spin.json"), "spin.nmc"),
        (("opt", "g.txt", "-p", "fold-constants", "-o", "g.txt"), "g.txt"),
        (("opt", "digits_cnn.onnx", *CALIB, "-o", "digits.txt"), "digits.npz"),
        (("report", "tables/stages.csv", "--csv", "tables"), "tables/stages.csv"),
    ],
)
def test_inputs_are_never_overwritten(
    nmc: Nmc, here: Path, words: tuple[str, ...], kept: str
) -> None:
    (here / "link.nmc").symlink_to("digits_cnn.onnx")
    (here / "spin.json").symlink_to("spin.nmc")
    (here / "tables").mkdir()
    (here / "tables" / "stages.csv").write_bytes((here / "spin.nmc").read_bytes())
    (here / "g.txt").write_text("graph @g {\n  input %x : f32[1,2]\n  output %x\n}\n")
    before = (here / kept).read_bytes()
    done = nmc(*words, "--json")
    assert (done.exit_code, done.codes) == (2, ["bad-option"])
    assert "overwritten" in done.json["diagnostics"][0]["message"]
    assert (here / kept).read_bytes() == before


def test_two_outputs_of_one_name(nmc: Nmc, here: Path) -> None:
    done = nmc("run", "spin.nmc", "-i", "random", "-o", "a.npz", "--trace", "./a.npz", "--json")
    assert done.codes == ["bad-option"]
    assert not (here / "a.npz").exists()


def test_tables_need_a_folder(nmc: Nmc, here: Path) -> None:
    done = nmc("report", "spin.nmc", "--csv", "digits_cnn.onnx", "--json")
    assert (done.exit_code, done.codes) == (6, ["file-unreadable"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
@pytest.mark.parametrize("words", [("passes",), ("--help",), ("explain", "--json")])
def test_an_output_that_takes_nothing(words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nmc", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 6
    assert done.stderr.startswith("error[file-unreadable]: the results can't be written")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_an_interrupt_in_the_imports() -> None:
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored in the background
        "class Slow:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'nmc.cli.app':\n"
        "            import os, signal\n"
        f"            os.kill(os.getpid(), {int(signal.SIGINT)})\n"
        "sys.meta_path.insert(0, Slow())\n"
        "from nmc.cli import main\n"
        "sys.exit(main(['passes']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
    assert done.stdout == ""


def test_outputs_beside_the_inputs_are_fine(nmc: Nmc, here: Path) -> None:
    words = ("digits_cnn.onnx", "--calib", "digits.npz:calib", "-p", "@default")
    assert nmc("opt", *words, "-o", "digits.asm").exit_code == 0  # programs bring no weights
    done = nmc("run", "spin.nmc", "-i", "digits.npz:x", "-n", "2", "-o", "out.npz")
    assert done.exit_code == 0
    assert np.load(here / "out.npz")["scores"].shape == (2, 10)
