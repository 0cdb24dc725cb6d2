"""What docs/traces.md and docs/debugging.md show works, and leaves nothing out."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from nmc.backends.debugger.session import COMMANDS
from nmc.backends.trace.recorder import KINDS, PARTS
from nmc.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = ("traces.md", "debugging.md")


def text(page: str) -> str:
    return (ROOT / "docs" / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the examples, a compiled model, and the script of the manual."""
    (tmp_path / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    words = "compile examples/digits/digits_cnn.onnx -o digits.nmc -q"
    calib = "--calib examples/digits/digits.npz:calib"
    plain = blocks("debugging.md", "sh")[0].splitlines()[0].removeprefix("nmc ")
    for line in (f"{words} {calib}", f"{plain} -q"):
        assert CliRunner().invoke(app, shlex.split(line)).exit_code == 0
    Path("look.txt").write_text(blocks("debugging.md", "text")[-1], encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_commands_work(clone: Path, page: str) -> None:
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            done = CliRunner().invoke(app, shlex.split(line)[1:])
            assert done.exit_code == 0, f"{line}\n{done.output}"


def test_the_example_looks_at_a_read(clone: Path) -> None:
    words = "run plain.nmc -i random --debug-script look.txt"
    done = CliRunner().invoke(app, shlex.split(words))
    assert "0.1:5 " in done.stdout
    assert ": mvm plan 0, " in done.stdout
    assert "(slots x pixels x channels)" in done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_python_works(clone: Path, page: str) -> None:
    (block,) = blocks(page, "python")
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{block}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=clone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_every_command_of_the_debugger_is_in_the_manual() -> None:
    assert re.findall(r"^\| `([a-z]+)[ `]", text("debugging.md"), re.MULTILINE) == list(COMMANDS)


def test_every_category_and_part_of_a_trace_is_in_the_manual() -> None:
    page = text("traces.md")
    assert all(f"`{kind}`" in page for kind in (*KINDS.values(), "stall"))
    assert all(f"| {part} |" in page for part in PARTS)
