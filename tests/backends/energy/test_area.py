"""Area: sums of parts, and the ADC by each model that knows it."""

from __future__ import annotations

import pytest

from nmc import targets
from nmc.backends.energy import area_of, crossbar_area_um2
from nmc.ir.target_costs import ISAAC_AREA_UM2, murmann_area_um2


@pytest.mark.parametrize("name", sorted(targets.shipped()))
def test_components_sum_to_the_chip(name: str) -> None:
    target = targets.load(name)
    area = area_of(target)
    ports = len(target.mesh.memory_ports) * target.costs.global_memory.area_um2 / 1e6
    assert area.mm2 == pytest.approx(area.core_mm2 * target.cores + ports)
    low, high = area.range_mm2
    assert low <= area.mm2 * (1 + 1e-12)
    assert high >= area.mm2 * (1 - 1e-12)


def test_parts_are_counted() -> None:
    parts = {row.component: row.parts for row in area_of(targets.load("spin-128")).core_rows}
    assert parts == {
        "cells": 8 * 128 * 128,
        "dacs": 8 * 128,
        "sample-holds": 8 * 64 * 2,
        "adcs": 4,
        "shift-adds": 4,
        "vector": 16,
        "sram": 256,
        "noc": 1,
    }


def test_both_published_figures_of_the_converter_are_shown() -> None:
    adc = area_of(targets.load("spin-128")).adc
    assert adc.own_um2 == adc.murmann_um2 == murmann_area_um2(8, 1e9, 32)
    assert adc.isaac_um2 == ISAAC_AREA_UM2[8] == adc.least_um2
    assert adc.most_um2 / adc.least_um2 == pytest.approx(4.98, abs=0.01)


def test_beyond_its_table_isaac_has_no_figure() -> None:
    area = area_of(targets.load("exact-128"))
    assert area.adc.isaac_um2 is None
    assert area.range_mm2 == pytest.approx((area.mm2, area.mm2))


def test_a_crossbar_has_its_share_of_the_converters() -> None:
    whole = crossbar_area_um2(targets.load("spin-128"))
    twice = crossbar_area_um2(targets.load("spin-128", ["adc.adcs_per_cluster=4"]))
    each = area_of(targets.load("spin-128")).adc.own_um2 + 60
    assert twice - whole == pytest.approx(each / 2)
