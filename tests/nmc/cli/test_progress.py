"""What is said on stderr while a simulation is under way, and before the first one."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmc.cli.progress import COMPILING, COMPILING_LOSSY, Progress
from nmc.cli.session import Session
from tests.nmc.cli.commands import Nmc


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """As on the first run of an installation; one entry for each compilation."""
    done: list[str] = []
    monkeypatch.setattr("nmc.backends.simulator.kernels_missing", lambda: not done)
    monkeypatch.setattr("nmc.backends.simulator.compile_kernels", lambda: done.append("all"))
    monkeypatch.setattr("nmc.backends.simulator.fast.lossy_missing", lambda: True)
    return done


@pytest.mark.parametrize("words", [("run", "-i", "random"), ("verify", "-n", "2")])
def test_the_first_compilation_is_announced_once(
    nmc: Nmc, here: Path, compilations: list[str], words: tuple[str, ...]
) -> None:
    command, *rest = words
    assert COMPILING in nmc(command, "exact.nmc", *rest).stderr
    assert compilations == ["all"]
    assert COMPILING not in nmc(command, "exact.nmc", *rest).stderr
    assert compilations == ["all"]


@pytest.mark.parametrize("quiet", ["-q", "--json"])
def test_it_is_not_announced_to_those_who_read_nothing(
    nmc: Nmc, here: Path, compilations: list[str], quiet: str
) -> None:
    assert nmc("run", "exact.nmc", "-i", "random", quiet).stderr == ""
    assert compilations == ["all"]


def test_the_reference_engine_compiles_nothing(
    capsys: pytest.CaptureFixture[str], compilations: list[str]
) -> None:
    with Progress(Session()) as progress:
        progress.simulates("reference", lossy=True)
    assert capsys.readouterr().err == ""
    assert compilations == []


def test_what_lossy_reads_need_is_announced_for_them_alone(
    nmc: Nmc, here: Path, compilations: list[str]
) -> None:
    assert COMPILING_LOSSY in nmc("run", "spin.nmc", "-i", "random").stderr
    assert COMPILING_LOSSY not in nmc("run", "exact.nmc", "-i", "random").stderr
    assert COMPILING_LOSSY not in nmc("run", "spin.nmc", "-i", "random", "-q").stderr
