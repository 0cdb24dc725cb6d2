"""Energy and area as text and JSON: complete, 80 columns wide, never one ratio to a GPU."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from nmc.backends.energy import (
    Charge,
    EnergyReport,
    Leak,
    MacCount,
    area_of,
    gpu_baselines,
)
from nmc.report.energy_text import area_data, area_lines, energy_data, energy_lines, joules
from nmc.targets import load, shipped

REPORT = EnergyReport(
    charges=(
        Charge(0, "conv", "cells", "cell read", 2_000_000, 0.004),
        Charge(0, "conv", "adcs", "conversion at 8 bits", 100_000, 1.9),
        Charge(1, "fc", "sram", "byte read", 300_000, 2.05),
    ),
    leaks=(Leak(0, "vector", 16, 192.0, 1e5), Leak(None, "global-memory", 1, 0.0, 1e5)),
    inputs=2,
    time_ns=1e5,
    macs=MacCount(800_000),
    activity=0.5,
    input_bits=8,
    weight_bits=8,
    adc_bits=8,
    adc_model="murmann",
)


def test_energy_shows_components_scopes_and_every_gpu() -> None:
    lines = energy_lines(REPORT)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 78  # two blanks come before each
    assert all(name in text for name in ("cells", "adcs", "sram", "vector", "all"))
    assert "global-memory" not in text.split("scope")[0]
    assert "8-bit inputs, 8-bit weights, 8-bit ADCs by the murmann model" in text
    assert all(gpu.name in text for gpu in gpu_baselines())
    assert "compare the system scope" in " ".join(text.split())
    assert "named no GPU" in " ".join(text.split())
    assert not any(f"{n}x" in text for n in range(10))


def test_dearer_chips_still_fit() -> None:
    dear = replace(REPORT, charges=tuple(replace(c, e_pj=c.e_pj * 1e4) for c in REPORT.charges))
    assert max(map(len, energy_lines(dear))) <= 78


def test_energy_as_json() -> None:
    found = energy_data(REPORT)
    json.dumps(found)
    assert found["energy_j"] == pytest.approx((8000 + 190_000 + 615_000 + 307_200) * 1e-12 / 2)
    assert sum(found["energy_by_component"].values()) == pytest.approx(found["energy_j"])
    assert sum(found["energy_by_layer"].values()) == pytest.approx(found["energy_j"])
    assert sum(found["energy_by_core"].values()) == pytest.approx(found["energy_j"])
    assert list(found["energy_by_core"]) == ["0", "1", "chip"]
    assert found["leakage_j"] == pytest.approx(153.6e-9)
    assert found["fj_per_mac"]["array"] == pytest.approx(5.0)
    assert found["fj_per_mac"]["macro"] == pytest.approx(123.75)
    held = {
        (row["gpu"], row["scope"]): row["holds"] for row in found["hundredth_of_gpu"]
    }  # array 5, macro 124, system 700 fJ
    assert len(held) == 12
    assert [gpu for (gpu, scope), holds in held.items() if scope == "macro" and holds] == [
        "A2 server"
    ]


def test_a_model_that_the_host_computes_has_no_energy() -> None:
    assert energy_lines(replace(REPORT, charges=(), leaks=())) == []


def test_without_products_there_is_no_comparison() -> None:
    text = "\n".join(energy_lines(replace(REPORT, macs=MacCount(0))))
    assert "all" in text
    assert "MAC" not in text


@pytest.mark.parametrize("name", sorted(shipped()))
def test_area_of_every_target(name: str) -> None:
    area = area_of(load(name))
    lines, found = area_lines(area), area_data(area)
    json.dumps(found)
    assert max(map(len, lines)) <= 80
    assert sum(found["area_by_component"].values()) == pytest.approx(found["area_mm2"])
    assert found["area_range_mm2"][0] <= found["area_mm2"] * (1 + 1e-9)
    assert " mm2" in lines[-1]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0 pJ"), (3.21e-12, "3.21 pJ"), (4.5e-9, "4.5 nJ"), (0.001, "1 mJ"), (2.0, "2 J"),
     (9.999e-4, "1 mJ"), (9.99e-4, "999 uJ")],
)  # fmt: skip
def test_joules(value: float, text: str) -> None:
    assert joules(value) == text
