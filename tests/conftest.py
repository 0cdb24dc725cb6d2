"""What all tests share: golden files that the tool rewrites, and the folder of real models."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]
GOLDENS = ROOT / "tests" / "golden"

# The first example of a property may compile a numba kernel: no deadline on one example.
settings.register_profile("nmc", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("nmc")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--bless",
        action="store_true",
        help="rewrite golden files with what the tests got; review the change with git diff",
    )


@dataclass(frozen=True)
class Golden:
    """Compares text with the file `tests/golden/NAME`; under --bless writes it there instead."""

    bless: bool

    def __call__(self, name: str, text: str) -> None:
        path = GOLDENS / name
        known = path.read_bytes().decode() if path.exists() else None
        if known == text:
            return
        if not self.bless:
            pytest.fail(f"{explain(name, known, text)}\n\n{HINT}", pytrace=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


HINT = "If the new text is right: python -m pytest --bless, and review it with git diff."


def explain(name: str, known: str | None, text: str) -> str:
    if known is None:
        return f"there is no golden file tests/golden/{name}; this would go in:\n\n{text}"
    lines = difflib.unified_diff(
        known.splitlines(keepends=True),
        text.splitlines(keepends=True),
        f"tests/golden/{name}",
        "what the test got",
    )
    ended = (
        line if line.endswith("\n") else f"{line}\n\\ no newline at the end\n" for line in lines
    )
    return f"tests/golden/{name} differs:\n\n{''.join(ended)}"


@pytest.fixture(scope="session")
def golden(pytestconfig: pytest.Config) -> Callable[[str, str], None]:
    """`golden("tile/ragged.txt", text)` demands that the file holds exactly this text.

    A test annotates it as `Callable[[str, str], None]`.  Input and expectation may share one
    file: pass the head as it was read, the rule, and what the tool printed.
    """
    return Golden(pytestconfig.getoption("--bless"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real models beside the checkout; tests that need it skip without it."""
    folder = ROOT.parent / "shared" / "models"
    if not folder.is_dir():
        pytest.skip("there is no folder ../shared/models of real models beside this checkout")
    return folder
