"""`nmc run` prints energy and `nmc report` area, in words and in JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

import nmc as package
from nmc.backends.energy import COMPONENTS, gpu_baselines
from tests.nmc.cli.commands import Nmc


def test_run_prints_the_energy_of_an_input(nmc: Nmc, here: Path) -> None:
    text = nmc("run", "exact.nmc", "-i", "random").stdout
    assert "energy of an input" in text
    assert all(scope in text for scope in ("array   cells alone", "macro ", "system "))
    assert all(gpu.name in text for gpu in gpu_baselines())
    assert "12-bit ADCs by the murmann model" in text


def test_run_json_has_the_energy(nmc: Nmc, here: Path) -> None:
    found = nmc("run", "exact.nmc", "-i", "random", "--json").json
    assert list(found["energy_by_component"]) == list(COMPONENTS)
    for keys in ("energy_by_component", "energy_by_layer", "energy_by_core"):
        assert sum(found[keys].values()) == pytest.approx(found["energy_j"])
    assert 0 < found["fj_per_mac"]["array"] < found["fj_per_mac"]["macro"]
    for row in found["hundredth_of_gpu"]:
        assert row["holds"] == (row["fj_per_mac"] <= row["gpu_fj_per_mac"] / 100)
        assert row["source"]
        assert row["grade"]
    run = package.load(here / "exact.nmc").run("random")
    assert run.energy_j == found["energy_j"]


def test_more_in_flight_share_the_leakage(nmc: Nmc, here: Path) -> None:
    one, four = (
        nmc("run", "exact.nmc", "-i", "random", "--batch", n, "--json").json for n in ("1", "4")
    )
    assert four["leakage_j"] < one["leakage_j"]
    dynamic = [found["energy_j"] - found["leakage_j"] for found in (one, four)]
    assert dynamic[1] == pytest.approx(dynamic[0])


def test_report_has_the_area(nmc: Nmc, here: Path) -> None:
    text = nmc("report", "exact.nmc").stdout
    assert "parts of the whole chip" in text
    assert "by murmann, - by isaac" in " ".join(text.split())
    area = nmc("report", "exact.nmc", "--json").json["area"]
    assert sum(area["area_by_component"].values()) == pytest.approx(area["area_mm2"])
    assert area["adc_um2"]["isaac"] is None
