"""The parts of a chip that take up area and leak, how many there are, and what scope each is in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from nmc.ir.target import Target

__all__ = ["COMPONENTS", "PartKind", "Scope", "part_kinds", "within"]


class Scope(StrEnum):
    """How much of the chip a figure counts; each scope holds the one before it."""

    ARRAY = "array"
    """The cells alone."""
    MACRO = "macro"
    """And DACs, sample-and-hold stages, ADCs, shift-and-add."""
    SYSTEM = "system"
    """And vector units, SRAM, mesh and global memory: all of it."""


COMPONENTS: Mapping[str, Scope] = {
    "cells": Scope.ARRAY,
    "dacs": Scope.MACRO,
    "sample-holds": Scope.MACRO,
    "adcs": Scope.MACRO,
    "shift-adds": Scope.MACRO,
    "vector": Scope.SYSTEM,
    "sram": Scope.SYSTEM,
    "noc": Scope.SYSTEM,
    "global-memory": Scope.SYSTEM,
    "cell-writes": Scope.SYSTEM,
}
"""Every component, and the smallest scope that counts it."""


def within(component: str, scope: Scope) -> bool:
    """Whether a scope counts a component."""
    order = list(Scope)
    return order.index(COMPONENTS[component]) <= order.index(scope)


@dataclass(frozen=True, slots=True)
class PartKind:
    """One kind of part: how many a core has, or the chip beside its cores, and what one takes.

    `per_core` is 0 for parts of the chip.  Routers are counted with their cores.
    """

    component: str
    per_core: int
    per_chip: int
    area_um2: float
    leak_uw: float

    def count(self, cores: int) -> int:
        return self.per_core * cores + self.per_chip


def part_kinds(target: Target) -> tuple[PartKind, ...]:
    """All kinds of parts, in the order of COMPONENTS; figures are those of the target file."""
    crossbar, core, costs = target.crossbar, target.core, target.costs
    stages = target.channels * crossbar.sample_holds
    adcs, ports = target.adcs_per_core, len(target.mesh.memory_ports)
    cells = crossbar.rows * crossbar.cols * core.crossbars
    return (
        PartKind("cells", cells, 0, costs.cell.area_um2, costs.cell.leak_uw),
        PartKind("dacs", crossbar.rows * core.crossbars, 0, costs.dac.area_um2, costs.dac.leak_uw),
        PartKind(
            "sample-holds",
            stages * core.crossbars,
            0,
            costs.sample_hold.area_um2,
            costs.sample_hold.leak_uw,
        ),
        PartKind("adcs", adcs, 0, target.adc.area_um2, target.adc.leak_uw),
        PartKind("shift-adds", adcs, 0, costs.shift_add.area_um2, costs.shift_add.leak_uw),
        PartKind("vector", target.vector.lanes, 0, costs.vector.area_um2, costs.vector.leak_uw),
        PartKind("sram", core.sram_kib, 0, costs.sram.area_um2, costs.sram.leak_uw),
        PartKind("noc", 1, 0, costs.noc.area_um2, costs.noc.leak_uw),
        PartKind(
            "global-memory", 0, ports, costs.global_memory.area_um2, costs.global_memory.leak_uw
        ),
    )
