"""`nmc --help` answers at once, importing nothing heavy; `nmc compile` leaves numba alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"numba", "numpy", "onnx", "onnxruntime"}
# Run the module as `python -m nmc ARGUMENT` would, then say on stderr what it has imported.
PROBE = """
import runpy, sys
sys.argv = ["nmc", *sys.argv[1:]]
try:
    runpy.run_module("nmc", run_name="__main__", alter_sys=True)
except SystemExit as exit:
    if exit.code:
        raise
print(*sys.modules, file=sys.stderr)
"""


def imported_by(*arguments: str) -> set[str]:
    """The modules that a command imports."""
    command = [sys.executable, "-c", PROBE, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "nmc" in done.stdout
    return set(done.stderr.split())


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_answers_without_heavy_imports(argument: str) -> None:
    assert HEAVY & imported_by(argument) == set()


def test_compiling_does_not_wait_for_the_simulator_s_compiler(tmp_path: Path) -> None:
    model, output = str(ROOT / "examples/digits/digits_cnn.onnx"), str(tmp_path / "digits.nmc")
    imported = imported_by("compile", model, "-o", output, "-q")
    assert "numpy" in imported
    assert "numba" not in imported
