"""Contention as text and JSON: bounded, 80 columns wide, with layers and places named."""

from __future__ import annotations

import json

import pytest

from nmc.backends.execute import Execution, StepRun
from nmc.backends.report_units import Contention, UnitRow, Wait, contention
from nmc.backends.simulator import Result, SequencerUse
from nmc.backends.simulator.result import UnitUse
from nmc.ir.diagnostics import NmcError
from nmc.ir.mapping import StepKind
from nmc.report.units_text import unit_lines, units_data, units_limit

A, B = (0, 0), (2, 1)


def use(kind: str, *place: int, busy: int = 100, waits: int = 0) -> UnitUse:
    idle = {"nothing-to-do": 1000 - busy - 50, "read": 50}
    return UnitUse(kind, place, 5, busy, idle, {(A, B): waits, (B, B): 1} if waits else {})


def made(*units: UnitUse) -> Contention:
    names = ("net/conv1.compute", "fc.compute")
    uses = tuple(SequencerUse(*who, name) for who, name in zip((A, B), names, strict=True))
    result = Result({}, 900, (900,), uses, {}, span=1000, units=units)
    steps = (StepRun("chip0", StepKind.CHIP, 0.1, result),)
    return contention(Execution({}, 1, 1, steps, 0.1))


def test_a_line_for_each_kind_with_its_busiest() -> None:
    found = made(use("adc", 0, 1, 2, busy=250), use("adc", 3, 0, 1, busy=750, waits=900))
    lines = unit_lines(found)
    (line,) = (line for line in lines if line.startswith("ADC "))
    assert "50 %" in line  # busy: the mean
    assert "75 %  core 3, 0.1" in line
    assert "0.9" in line  # waiting in the mean
    assert "read 5.0 %" in line


def test_waits_name_layer_unit_core_and_holder() -> None:
    found = made(use("adc", 3, 0, 1, waits=900), use("link", 0, 1, waits=40))
    text = "\n".join(unit_lines(found))
    (line,) = (line for line in text.splitlines() if "core 3" in line and "900" in line)
    assert line.split()[-1] == "900"
    assert "conv1" in line
    assert "fc" in line
    assert "itself" in text
    assert "Waits overlap" in text


def test_what_is_hardly_used_is_named_only() -> None:
    text = "\n".join(unit_lines(made(use("adc", 0, 0, 0), use("memory", 0, busy=1))))
    assert "hardly used: global memory" in text


def test_lines_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ("adc", "array", "stages", "latches", "fill", "vector", "port", "mvm-queue")
    units = [use(kind, 100, 20, busy=900, waits=123_456_789) for kind in kinds]
    units.append(use("adc", 100, 20, 10, busy=900, waits=123_456_789))
    found = made(*units[1:])
    for columns in (60, 80):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert max(map(len, unit_lines(found))) <= max(columns, 76)


def test_nothing_counted_says_nothing() -> None:
    assert unit_lines(made()) == []
    assert units_data(made(), None)["units"] == []


def test_nothing_waited() -> None:
    assert unit_lines(made(use("adc", 0, 0, 0)))[-1] == "nothing waited for anything"


def test_json_is_bounded_and_complete() -> None:
    found = made(*(use("adc", 0, 0, n, waits=n) for n in range(30)))
    part, whole = units_data(found, 20), units_data(found, None)
    json.dumps(whole)
    assert (len(part["units"]), len(whole["units"])) == (20, 30)
    assert part["units_counted"] == 30
    assert part["units"] == whole["units"][:20]
    assert part["unit_kinds"] == whole["unit_kinds"]
    first = whole["units"][0]
    assert first["name"] == "ADC (core 0, 0.29)"
    assert first["waited"] == sum(wait["cycles"] for wait in first["waits"]) == 30
    for unit in whole["units"]:
        assert unit["busy"] + sum(unit["idle"].values()) == unit["places"] * whole["span_cycles"]
    (kind,) = whole["unit_kinds"]
    assert kind["waited"] == sum(unit["waited"] for unit in whole["units"])
    assert sum(wait["cycles"] for wait in whole["waits"]) == kind["waited"]


@pytest.mark.parametrize(("text", "limit"), [("all", None), ("0", 0), ("7", 7)])
def test_limits(text: str, limit: int | None) -> None:
    assert units_limit(text) == limit


@pytest.mark.parametrize("text", ["", "-1", "1.5", "many", "9" * 30])
def test_limits_that_are_none(text: str) -> None:
    with pytest.raises(NmcError, match="bad-option"):
        units_limit(text)


def test_rows_know_their_share() -> None:
    row = UnitRow("chip0", 1000, use("adc", 0, 0, 0, busy=250), ())
    assert row.share == 0.25
    assert UnitRow("chip0", 0, use("adc", 0, 0, 0), ()).share == 0.0
    assert Wait("adc", "a", "b", 1, 1, (0,)).cores == (0,)
