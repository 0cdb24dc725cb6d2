"""`nmc run` says how busy units were and what waits for what, in words and in JSON."""

from __future__ import annotations

from pathlib import Path

import nmc as package
from tests.nmc.cli.commands import Nmc

RUN = ("run", "exact.nmc", "-i", "random")


def test_run_prints_units_and_waits(nmc: Nmc, here: Path) -> None:
    text = nmc(*RUN).stdout
    assert "idle because of" in text
    assert "what waits" in text
    assert "Waits overlap" in text


def test_run_json_has_units(nmc: Nmc, here: Path) -> None:
    found = nmc(*RUN, "--json", "--units", "all").json
    assert len(found["units"]) == found["units_counted"]
    assert found["span_cycles"] >= found["cycles"]
    for unit in found["units"]:
        assert unit["busy"] + sum(unit["idle"].values()) == unit["places"] * found["span_cycles"]
    waited = {kind["kind"]: kind["waited"] for kind in found["unit_kinds"]}
    stalls = found["stalls"]
    assert waited["semaphore"] == stalls["wait"]
    assert waited["vector"] == stalls.get("vec-busy", 0)
    run = package.load(here / "exact.nmc").run("random", engine="reference")
    assert run.contention.span == found["span_cycles"]
    assert [row.use.busy for row in run.contention.units] == [u["busy"] for u in found["units"]]


def test_both_engines_list_the_same(nmc: Nmc, here: Path) -> None:
    fast, slow = (nmc(*RUN, "--json", "--engine", name).json for name in ("fast", "reference"))
    for key in ("span_cycles", "units", "unit_kinds", "waits"):
        assert fast[key] == slow[key]


def test_few_are_listed_unless_all_are_asked_for(nmc: Nmc, here: Path) -> None:
    found = nmc(*RUN, "--json", "--units", "3").json
    assert len(found["units"]) == 3 < found["units_counted"]
    assert len(found["waits"]) <= 3


def test_units_that_are_no_number(nmc: Nmc, here: Path) -> None:
    done = nmc(*RUN, "--json", "--units", "some")
    assert done.exit_code == 2
    assert done.codes == ["bad-option"]
