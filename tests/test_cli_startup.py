"""`nmc --help` answers at once: it imports nothing heavy."""

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
sys.argv = ["nmc", sys.argv[1]]
try:
    runpy.run_module("nmc", run_name="__main__", alter_sys=True)
except SystemExit as exit:
    if exit.code:
        raise
print(*sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_answers_without_heavy_imports(argument: str) -> None:
    command = [sys.executable, "-c", PROBE, argument]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "nmc" in done.stdout
    assert HEAVY & set(done.stderr.split()) == set()
