"""What the manual shows works: every command, every Python block, every link between files."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from nmc.cli.app import COMMANDS, app
from nmc.ir.diagnostics import CODES
from nmc.ir.graph_text import parse_graph
from nmc.ir.ops import OPS
from nmc.ir.verify import verify_graph

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [body for kind, body in BLOCK.findall(text) if kind == language]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the root of a clone and may be written to."""
    (tmp_path / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_commands_work_in_the_order_shown(clone: Path, page: str) -> None:
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("nmc ")]
    assert len(commands) >= 9
    for line in commands:
        command, _, comment = line.partition(" # ")
        wanted = int(comment.split()[-1]) if comment else 0
        done = CliRunner().invoke(app, shlex.split(command)[1:])
        assert done.exit_code == wanted, f"{line}\n{done.output}"


@pytest.mark.parametrize("page", ["README.md", "docs/python-api.md"])
def test_python_blocks_work(clone: Path, page: str) -> None:
    found = blocks(page, "python")
    assert found
    for block in found:
        done = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{block}"],
            cwd=clone,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    targets = [link for link, _ in LINK.findall(text) if "://" not in link]
    missing = [link for link in targets if not (page.parent / link).exists()]
    assert missing == []


def test_the_index_of_diagnostics_is_complete() -> None:
    text = (ROOT / "docs" / "diagnostics.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| \[([a-z-]+)\]\(\S+\) \| (\S+) \|", text, re.MULTILINE))
    assert rows == {code: str(int(kind.exit) or "-") for code, kind in CODES.items()}
    assert all(f"| {kind.title} |" in text for kind in CODES.values())


def test_the_manual_has_every_command() -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"| `{name}" not in text] == []


def test_the_manual_has_every_operation() -> None:
    text = (ROOT / "docs" / "graph.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE) == [op.name for op in OPS]


def test_the_graph_of_the_manual_is_one() -> None:
    (text,) = blocks("docs/graph.md", "text")
    assert verify_graph(parse_graph(text)) == []


def test_pages_that_explanations_name_exist() -> None:
    for page in (ROOT / "nmc" / "explain").glob("*.md"):
        for name in re.findall(r"docs/[a-z/0-9.-]+\.(?:md|json)", page.read_text(encoding="utf-8")):
            assert (ROOT / name).exists(), f"{page.name} names {name}"
