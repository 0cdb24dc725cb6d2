"""Runs commands as a user would, and models to run them on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from nmc.cli.app import app
from nmc.demo import unpack
from tests.nmc.cli.commands import Nmc, Outcome


@pytest.fixture(scope="session")
def nmc() -> Nmc:
    """`nmc("check", path)`: runs a command in this process."""

    def run(*words: str | Path, stdin: str | None = None) -> Outcome:
        result = CliRunner().invoke(app, [str(word) for word in words], input=stdin)
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, nmc: Nmc) -> Path:
    """A folder with the digits model, its data, and both compiled: exact.nmc and spin.nmc.

    Tests read it and write elsewhere.
    """
    folder = tmp_path_factory.mktemp("demo")
    unpack(folder)
    for name, target in (("exact", "exact-128"), ("spin", "spin-128")):
        done = nmc(
            "compile", folder / "digits_cnn.onnx", "-t", target, "-q",
            "--calib", f"{folder / 'digits.npz'}:calib", "-o", folder / f"{name}.nmc",
        )  # fmt: skip
        assert done.exit_code == 0, done.stderr
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demo: Path) -> Path:
    """An own folder with the demo's files, as current folder."""
    for path in demo.iterdir():
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path
