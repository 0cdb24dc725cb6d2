"""Area of a chip by component, and of its ADCs by every model that has a figure for them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nmc.backends.energy.parts import part_kinds
from nmc.ir.target import Target
from nmc.ir.target_costs import ISAAC_AREA_UM2, murmann_area_um2

__all__ = ["AdcArea", "AreaReport", "AreaRow", "area_of", "crossbar_area_um2"]

UM2_PER_MM2 = 1e6


@dataclass(frozen=True, slots=True)
class AreaRow:
    """All parts of one component: `parts` times `each_um2`."""

    component: str
    parts: int
    each_um2: float

    @property
    def um2(self) -> float:
        return self.parts * self.each_um2

    @property
    def mm2(self) -> float:
        return self.um2 / UM2_PER_MM2


@dataclass(frozen=True, slots=True)
class AdcArea:
    """What one ADC of a target takes: by the target's own model, and by the two published ones.

    `isaac_um2` is None beyond the 10 bits at which ISAAC's table ends; it is of 32 nm.
    """

    model: str
    own_um2: float
    murmann_um2: float
    isaac_um2: float | None

    @property
    def figures_um2(self) -> tuple[float, ...]:
        known = (self.own_um2, self.murmann_um2, self.isaac_um2)
        return tuple(figure for figure in known if figure is not None)

    @property
    def least_um2(self) -> float:
        return min(self.figures_um2)

    @property
    def most_um2(self) -> float:
        return max(self.figures_um2)


@dataclass(frozen=True, slots=True)
class AreaReport:
    """`rows` are of the whole chip, `core_rows` of one core with its router."""

    rows: tuple[AreaRow, ...]
    core_rows: tuple[AreaRow, ...]
    adc: AdcArea
    crossbar_um2: float
    """One crossbar with its DACs and sample-and-hold stages and its share of the ADCs."""

    @property
    def mm2(self) -> float:
        return math.fsum(row.mm2 for row in self.rows)

    @property
    def core_mm2(self) -> float:
        return math.fsum(row.mm2 for row in self.core_rows)

    @property
    def range_mm2(self) -> tuple[float, float]:
        """The chip's area with the smallest and the largest figure known for its ADCs."""
        adcs = next(row for row in self.rows if row.component == "adcs")
        rest = math.fsum(row.um2 for row in self.rows if row is not adcs)
        low, high = (
            (rest + adcs.parts * each) / UM2_PER_MM2
            for each in (self.adc.least_um2, self.adc.most_um2)
        )
        return low, high


def area_of(target: Target) -> AreaReport:
    """The area of every part of a chip, used or not."""
    kinds = part_kinds(target)
    return AreaReport(
        tuple(AreaRow(k.component, k.count(target.cores), k.area_um2) for k in kinds),
        tuple(AreaRow(k.component, k.per_core, k.area_um2) for k in kinds if k.per_core),
        adc_area(target),
        crossbar_area_um2(target),
    )


def adc_area(target: Target) -> AdcArea:
    adc = target.adc
    wide_enough = [bits for bits in ISAAC_AREA_UM2 if bits >= adc.bits]
    return AdcArea(
        adc.model,
        adc.area_um2,
        murmann_area_um2(adc.bits, adc.conversions_per_s, adc.node_nm),
        float(ISAAC_AREA_UM2[min(wide_enough)]) if wide_enough else None,
    )


def crossbar_area_um2(target: Target) -> float:
    """One crossbar of a core with all that is its own, and an equal share of its core's ADCs."""
    own = {"cells", "dacs", "sample-holds", "adcs", "shift-adds"}
    kinds = [kind for kind in part_kinds(target) if kind.component in own]
    return math.fsum(k.per_core * k.area_um2 for k in kinds) / target.core.crossbars
