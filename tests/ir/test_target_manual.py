"""docs/targets.md lists every key as the loader knows it, and its examples load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nmc import targets
from nmc.ir.target_keys import REQUIRED, Kind
from nmc.ir.target_manual import describe_keys, keys_markdown
from nmc.ir.target_toml import parse_target, schema

MANUAL = Path(__file__).parents[2] / "docs" / "targets.md"
BLOCK = re.compile(r"(<!-- keys: .*? -->\n)(.*)(<!-- end of keys -->\n)", re.DOTALL)


def test_manual_lists_every_key(pytestconfig: pytest.Config) -> None:
    text = MANUAL.read_text(encoding="utf-8")
    found = BLOCK.search(text)
    assert found is not None
    tables = f"\n{keys_markdown()}\n"
    if pytestconfig.getoption("--bless"):
        MANUAL.write_text(text[: found.start(2)] + tables + text[found.end(2) :], encoding="utf-8")
    else:
        assert found[2] == tables, "the keys have changed: python -m pytest --bless"


def test_every_key_has_words_and_every_default_its_spelling() -> None:
    entries = {entry.path: entry for entry in describe_keys()}
    assert entries.keys() == schema().leaves.keys()
    assert all(entry.doc for entry in entries.values())
    rows = entries["crossbar.rows"]
    assert (rows.values, rows.unit, rows.default) == ("integer, 1 to 65536", "", "required")
    assert entries["crossbar.t_read_ns"].unit == "ns"
    assert entries["crossbar.t_read_ns"].values == "number, more than 0, at most 1e6"
    assert entries["global_memory.bytes_per_cycle"].unit == "bytes per cycle"
    assert entries["mesh.multicast"].default == "`false`"
    assert entries["adc.wiring"].values == '"interleaved", "blocked"'


def test_times_energies_and_areas_have_no_default_in_code_but_what_means_none() -> None:
    figures = ("_ns", "_pj", "_um2", "_uw", "_ghz", "_ohm", "_v", "_ua", "_ma")
    for leaf in schema().leaves.values():
        if leaf.kind is Kind.FLOAT and leaf.name.endswith(figures):
            assert leaf.default is REQUIRED or leaf.default == 0 or leaf.section == "device"


@pytest.mark.parametrize(
    "block", re.findall(r"```toml\n(.*?)```", MANUAL.read_text("utf-8"), re.DOTALL)
)
def test_examples_of_the_manual_load(block: str) -> None:
    text = block if block.startswith("# big") else f'base = "spin-128"\n{block}'
    assert parse_target(text, search=[targets.folder()]).name == "target"


def test_manual_names_every_shipped_file() -> None:
    text = MANUAL.read_text("utf-8")
    for name in (*targets.shipped(), *targets.devices()):
        assert f"`{name}`" in text
