"""The search for the least busy busiest ADC, against the optimum."""

from __future__ import annotations

import numpy as np
import pytest

from nmc.ir.adc_load import adc_balance
from nmc.ir.design import Design
from nmc.ir.diagnostics import Report
from nmc.ir.graph import Graph
from nmc.ir.matrices import nodes_by_result
from nmc.passes.base import mapping_of
from nmc.passes.place import Place
from nmc.passes.placing.asks import asks_of
from nmc.passes.placing.exact import least_limit
from tests.passes.lowering import chip_step, lowered, roomy
from tests.passes.nets import Build

CROSSBARS = 4


def mixed(seed: int) -> Graph:
    """Convolutions at falling sizes: few busy tiles and many idle ones."""
    rng = np.random.default_rng(seed)
    net = Build(1, 8, 16, 16, seed=seed)
    value = net.x
    for _ in range(5):
        stride = int(rng.integers(1, 3))
        value = net.relu(net.conv(value, int(rng.integers(8, 49)), stride=stride))
    return net.done(net.dense(value, 10))


def crowded(seed: int) -> Design:
    """Copies of layers on as few cores as have crossbars for all of their tiles."""
    wide = roomy(["mesh.width=6", "mesh.height=4"])
    design = lowered(mixed(seed), wide, until="replicate")
    cores = -(-len(mapping_of(design).tiles) // CROSSBARS)
    design.target = roomy([f"mesh.width={cores}", "mesh.height=1", "mesh.memory_ports=[[0,0]]"])
    return design


@pytest.mark.parametrize("seed", range(8))
def test_the_busiest_adc_is_close_to_the_least_busy_that_it_can_be(seed: int) -> None:
    pytest.importorskip("ortools")
    design = crowded(seed)
    report = Report()
    Place().run(design, report)
    report.check()
    mapping, target = mapping_of(design), design.target
    found = adc_balance(mapping, target, chip_step(mapping)).busiest
    asks = asks_of(mapping, target, nodes_by_result(design.graph))
    heats = [int(heat) for ask in asks for heat in ask.busiest]
    best = least_limit(heats, target.cores, CROSSBARS, found)
    assert best <= found <= 1.1 * best


@pytest.mark.parametrize("seed", range(8))
def test_balanced_is_never_worse_than_first_fit(seed: int) -> None:
    found: dict[str, int] = {}
    for clusters in ("balanced", "first-fit"):
        design = crowded(seed)
        report = Report()
        Place(clusters).run(design, report)
        report.check()
        mapping = mapping_of(design)
        found[clusters] = adc_balance(mapping, design.target, chip_step(mapping)).busiest
    assert found["balanced"] <= found["first-fit"]
