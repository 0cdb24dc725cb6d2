"""Passes on texts: each file under tests/golden/passes holds a command, an input, its output.

The first line is the command (`FILE` is the file itself), comments say why it is there, the graph
follows, and below the rule stands exactly what the command prints.  Four checks ride on each: the
input and the output print as they read, the output of a graph verifies, and the command gives the
same bytes twice.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from nmc.cli.app import app
from nmc.ir.graph_text import parse_graph, print_graph
from nmc.ir.verify import verify_graph
from nmc.passes.book import PASSES

FOLDER = Path(__file__).parent / "golden" / "passes"
FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.txt"))
RULE = "# ---- expect\n"


def run(path: Path, text: str) -> str:
    """What the command on the first line prints."""
    first = text.partition("\n")[0].removeprefix("# nmc ")
    words = [str(path) if word == "FILE" else word for word in shlex.split(first)]
    done = CliRunner().invoke(app, [*words, "-q"])
    assert done.exit_code == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", FILES)
def test_golden(name: str, golden: Callable[[str, str], None]) -> None:
    path = FOLDER / name
    head, rule, _ = path.read_text(encoding="utf-8").partition(RULE)
    assert rule, "the file lacks its rule"
    printed = run(path, head)
    assert run(path, head) == printed
    golden(f"passes/{name}", head + rule + printed)
    given = parse_graph(head)
    assert parse_and_print(print_graph(given)) == print_graph(given)
    if printed.startswith("graph "):
        assert parse_and_print(printed) == printed
        assert verify_graph(parse_graph(printed)) == []


def parse_and_print(text: str) -> str:
    return print_graph(parse_graph(text))


def test_every_pass_that_works_on_graphs_has_a_golden() -> None:
    shown = {name.split("/")[0] for name in FILES}
    graphs = {kind.name for kind in PASSES if kind.needs in ("graph", "partitioned")}
    assert graphs - shown == set()
