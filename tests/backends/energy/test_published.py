"""The shipped chips add up to what their papers print, or miss it by as much as is said here.

Every figure on our side comes from a target file's parts; those of the papers stand here.
"""

from __future__ import annotations

import pytest

from nmc import targets
from nmc.backends.energy import area_of, macs_per_s, mvm_ns, phase_ns, rated_power
from nmc.ir.target import Target

MACRO = ("cells", "dacs", "sample-holds", "adcs", "shift-adds")


def tops(target: Target, bits: int) -> float:
    return 2 * macs_per_s(target, bits, bits) / 1e12


# ISAAC-CE, Table I

IMAS, CROSSBARS_AN_IMA = 12, 8
ISAAC_TILE_MW = {
    "adcs": IMAS * 16.0,
    "dacs": IMAS * 4.0,
    "sample-holds": IMAS * 0.01,
    "cells": IMAS * 2.4,
    "shift-adds": IMAS * 0.2,
    "vector": 0.52 + 0.05 + 0.4,  # sigmoid, shift-and-add, pooling
    "sram": 20.7 + 7.0 + 1.68 + IMAS * (1.24 + 0.23),  # eDRAM, bus, registers of tile and IMAs
    "noc": 42.0 / 4,
}
ISAAC_TILE_UM2 = {
    "adcs": IMAS * 9600.0,
    "dacs": IMAS * 170.0,
    "sample-holds": IMAS * 40.0,
    "cells": IMAS * 200.0,
    "shift-adds": IMAS * 240.0,
    "vector": 600.0 + 60.0 + 240.0,
    "sram": 83_000.0 + 90_000.0 + 3_200.0 + IMAS * (2_100.0 + 770.0),
    "noc": 151_000.0 / 4,
}


@pytest.fixture(scope="module")
def isaac() -> Target:
    return targets.load("isaac-ce")


def test_isaac_tile_row_by_row(isaac: Target) -> None:
    power = rated_power(isaac).core_by_component_mw
    assert power == pytest.approx(ISAAC_TILE_MW, rel=1e-9)
    area = {row.component: row.um2 for row in area_of(isaac).core_rows}
    assert area == pytest.approx(ISAAC_TILE_UM2, rel=1e-9)


def test_isaac_tile_in_all(isaac: Target) -> None:
    # 0.09 mW below 329.9: the paper adds tile parts rounded up, 40.9 mW where they sum to 40.85.
    assert rated_power(isaac).core_mw == pytest.approx(329.81, abs=0.005)
    assert rated_power(isaac).core_mw == pytest.approx(329.9, rel=3e-4)
    assert area_of(isaac).core_mm2 == pytest.approx(0.372, abs=5e-4)


def test_isaac_chip(isaac: Target) -> None:
    power, area = rated_power(isaac), area_of(isaac).mm2
    assert isaac.cores == 168
    assert power.mw / 1e3 == pytest.approx(65.8, abs=0.05)
    assert area == pytest.approx(85.4, abs=0.05)
    assert power.by_component_mw["global-memory"] == pytest.approx(10_400)
    assert power.by_component_mw["adcs"] / power.mw == pytest.approx(0.49, abs=0.005)


def test_isaac_throughput(isaac: Target) -> None:
    assert phase_ns(isaac) == pytest.approx(100)
    assert tops(isaac, 16) == pytest.approx(41.3, abs=0.05)
    power, area = rated_power(isaac).mw / 1e3, area_of(isaac).mm2
    # 483.32; the 483.5 of our sources divides by the rounded area 85.4.  The paper prints 479.
    assert tops(isaac, 16) * 1e3 / area == pytest.approx(483.5, rel=5e-4)
    assert tops(isaac, 16) * 1e3 / 85.4 == pytest.approx(483.5, abs=0.05)
    assert tops(isaac, 16) * 1e3 / area == pytest.approx(479, rel=0.01)
    assert tops(isaac, 16) * 1e3 / power == pytest.approx(627, abs=0.5)


# PUMA, Table 3

CROSSBARS_AN_MVMU = 8


@pytest.fixture(scope="module")
def puma() -> Target:
    return targets.load("puma")


def mvmu_mw(puma: Target) -> float:
    power = rated_power(puma).core_by_component_mw
    return sum(power[name] for name in MACRO) * CROSSBARS_AN_MVMU / puma.core.crossbars


def test_puma_product(puma: Target) -> None:
    assert mvm_ns(puma, 16) == pytest.approx(2304)
    assert mvmu_mw(puma) == pytest.approx(19.09, abs=0.005)
    # 43.98: 0.02 % more, as the simulator's constants do not give the paper's rows to the digit.
    assert mvmu_mw(puma) * mvm_ns(puma, 16) * 1e-3 == pytest.approx(43.97, rel=4e-4)


def test_puma_node_within_two_percent(puma: Target) -> None:
    power, area = rated_power(puma), area_of(puma)
    # The paper's own rows of a tile sum to 378 mW and 0.487 mm2 where it prints 373.8 and 0.479;
    # and its vector unit counts an addition, a product and a quotient at once, ours an addition.
    assert power.core_mw - power.core_by_component_mw["noc"] == pytest.approx(373.8, rel=0.025)
    assert power.by_component_mw["noc"] == pytest.approx(570.6, abs=0.1)
    assert power.mw / 1e3 == pytest.approx(62.5, rel=0.02)
    assert area.mm2 == pytest.approx(90.6, rel=0.02)


def test_puma_peak_throughput_is_not_met(puma: Target) -> None:
    # 52.31 TOPS would be a product in 1,383 ns for each MVMU; the 2,304 ns of the paper, overlapped
    # in steps of 128 ns, are one in 2,048 ns.  We miss it by a third, and no source adds it up.
    assert 16 * phase_ns(puma) == pytest.approx(2048)
    assert tops(puma, 16) == pytest.approx(52.31 * 1383 / 2048, rel=1e-3)


# HERMES


def test_hermes_throughput_efficiency_and_density() -> None:
    hermes = targets.load("hermes-256")
    power = rated_power(hermes).by_component_mw
    watt = sum(power[name] for name in MACRO) / 1e3
    assert hermes.adc.adcs_per_cluster == hermes.channels == 256
    assert tops(hermes, 8) == pytest.approx(63.1, rel=1e-3)
    assert tops(hermes, 8) / watt == pytest.approx(9.76, rel=1e-3)
    core_mm2 = area_of(hermes).crossbar_um2 / 1e6
    assert tops(hermes, 8) / hermes.cores / core_mm2 == pytest.approx(1.59, rel=1e-3)
    # In four phases 15.8 TOPS, 2 % below the 16.1 measured in a mode that differs.
    four = targets.load("hermes-256", ["crossbar.dac_bits=2"])
    assert tops(four, 8) == pytest.approx(16.1, rel=0.025)
