"""What a chip could do at most, and what it would then draw: the figures that papers print."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from nmc.backends.energy.cells import typical_cell_read_pj
from nmc.backends.energy.parts import part_kinds
from nmc.ir.target import Target

__all__ = ["Rated", "macs_per_s", "mvm_ns", "phase_ns", "rated_power"]


def conversion_ns(target: Target) -> float:
    """An ADC's time for its share of one phase of all crossbars of its cluster."""
    adc = target.adc
    return adc.t_conversion_ns * target.channels * adc.crossbars_per_cluster / adc.adcs_per_cluster


def phase_ns(target: Target) -> float:
    """Time from one phase of a crossbar to the next when all of its channels are converted."""
    read, convert = target.crossbar.t_read_ns, conversion_ns(target)
    return max(read, convert) if target.crossbar.sample_holds > 1 else read + convert


def phases_for(target: Target, input_bits: int) -> int:
    return -(-input_bits // target.crossbar.dac_bits)


def mvm_ns(target: Target, input_bits: int | None = None) -> float:
    """Time of one full matrix-vector product on idle crossbars, without fill and write-back."""
    phases = phases_for(target, input_bits or target.numbers.input_bits)
    one = target.crossbar.t_read_ns + conversion_ns(target)
    return one + (phases - 1) * phase_ns(target) + target.shift_add.t_ns


def macs_per_s(
    target: Target, input_bits: int | None = None, weight_bits: int | None = None
) -> float:
    """Multiply-accumulates a second with every crossbar full and never waiting.

    Widths beyond those that the compiler maps may be asked for, as papers state them.  The unit
    column of an encoding without pairs is not taken off, as papers don't.
    """
    crossbar = target.crossbar
    bits = (weight_bits or target.numbers.weight_bits) - (crossbar.encoding == "differential")
    outputs = target.channels // -(-bits // crossbar.cell_bits)
    phases = phases_for(target, input_bits or target.numbers.input_bits)
    products = target.crossbars * crossbar.rows * outputs
    return products / (phases * phase_ns(target) * 1e-9)


@dataclass(frozen=True, slots=True)
class Rated:
    """Power of a core and of the chip's own parts at full rate, by component, in mW.

    Dynamic: events at the rate of `phase_ns` for crossbars and converters; one element a lane,
    one access of `sram_bytes_per_cycle`, one flit and one global access a cycle for the others.
    """

    dynamic_mw: Mapping[str, float]
    leak_mw: Mapping[str, float]
    chip_mw: Mapping[str, float]
    cores: int

    @property
    def core_by_component_mw(self) -> dict[str, float]:
        return {name: mw + self.leak_mw[name] for name, mw in self.dynamic_mw.items()}

    @property
    def core_mw(self) -> float:
        return math.fsum(self.core_by_component_mw.values())

    @property
    def by_component_mw(self) -> dict[str, float]:
        """Of the whole chip."""
        cores = {name: mw * self.cores for name, mw in self.core_by_component_mw.items()}
        return {**cores, **self.chip_mw}

    @property
    def mw(self) -> float:
        return math.fsum(self.by_component_mw.values())


def rated_power(target: Target) -> Rated:
    """What a chip draws with everything busy; pJ times events a ns is mW."""
    costs, crossbar, clock = target.costs, target.crossbar, target.clock_ghz
    crossbars = target.core.crossbars
    reads = crossbars / phase_ns(target)
    channels = target.channels * reads
    elements = target.vector.lanes * clock / target.vector.element_cycles("default")
    dynamic = {
        "cells": crossbar.rows * crossbar.cols * reads * typical_cell_read_pj(target),
        "dacs": crossbar.rows * reads * costs.dac.e_pj,
        "sample-holds": channels * costs.sample_hold.e_pj,
        "adcs": channels * target.adc.e_conversion_pj(),
        "shift-adds": channels * costs.shift_add.e_pj,
        "vector": elements * costs.vector.element_e_pj("default"),
        "sram": target.core.sram_bytes_per_cycle * clock * costs.sram.e_pj,
        "noc": clock * costs.noc.e_pj,
    }
    kinds = {kind.component: kind for kind in part_kinds(target)}
    leak = {name: kinds[name].per_core * kinds[name].leak_uw * 1e-3 for name in dynamic}
    memory = kinds["global-memory"]
    each_mw = target.global_memory.bytes_per_cycle * clock * costs.global_memory.e_pj
    chip = {"global-memory": memory.per_chip * (each_mw + memory.leak_uw * 1e-3)}
    return Rated(dynamic, leak, chip, target.cores)
