"""What events cost and parts take up: rows of energy, area and leakage, and the ADC's closed form.

Energy of a run is the sum over events of count times `e_pj`, plus `leak_uw` times the time for
every part that is powered; area is the sum over parts of `area_um2`.  The rows' figures and their
sources come from the target file (`Target.source_of("costs.dac")`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from nmc.ir.program import VEC_OPS
from nmc.ir.target_keys import Key, Part

__all__ = [
    "ISAAC_AREA_UM2",
    "ISAAC_E_PJ",
    "Cost",
    "Costs",
    "VectorCost",
    "murmann_area_um2",
    "murmann_e_pj",
]


@dataclass(frozen=True, slots=True)
class Cost:
    """One kind of part: energy of one event, area and leakage of one part."""

    e_pj: Annotated[float, Key("energy of one event", 0, 1e9)]
    area_um2: Annotated[float, Key("area of one part", 0, 1e12)] = 0.0
    leak_uw: Annotated[float, Key("power of one part while it is on, busy or not", 0, 1e9)] = 0.0


@dataclass(frozen=True, slots=True)
class VectorCost:
    """The vector unit: energy of one element by operation, area and leakage of one lane."""

    e_pj: Annotated[
        Mapping[str, float],
        Key("energy of one element; `default` for operations not listed", 0, 1e9,
            names=("default", *VEC_OPS)),
    ] = field(hash=False)  # fmt: skip
    area_um2: Annotated[float, Key("area of one lane", 0, 1e12)] = 0.0
    leak_uw: Annotated[float, Key("power of one lane while it is on, busy or not", 0, 1e9)] = 0.0

    def element_e_pj(self, op: str) -> float:
        """Energy of one element of a vector operation, `pool.max` for example."""
        return self.e_pj.get(op, self.e_pj["default"])


@dataclass(frozen=True, slots=True)
class Costs:
    """The library of components.  The ADC's costs are in `Adc`, those of a write in `Device`."""

    dac: Annotated[Cost, Part("one row driven for one phase", "one row's latch and driver")]
    cell: Annotated[Cost, Part("one cell read, on top of V^2 G t", "one cell")]
    sample_hold: Annotated[Cost, Part("one channel sampled", "one stage of one channel")]
    shift_add: Annotated[Cost, Part("one conversion accumulated", "the adder of one ADC")]
    vector: Annotated[VectorCost, Part("one element", "one lane")]
    sram: Annotated[Cost, Part("one byte read or written", "one KiB")]
    noc: Annotated[Cost, Part("one flit over one hop", "one router with its links")]
    global_memory: Annotated[Cost, Part("one byte read or written", "one port")]


def murmann_e_pj(bits: int, rate_hz: float, node_nm: float) -> float:
    """Energy of one conversion: the best fifth of Murmann's survey at this speed and node.

    Andrulis et al., "Modeling analog-digital-converter energy and area for compute-in-memory
    accelerator design", arXiv 2404.06553.  Fitted for 4 bits and more; fewer count as 4, at which
    the fit is flat.
    """
    bits = max(bits, 4)
    sndr_db = 6.0206 * bits + 1.7609
    fom_db = min(213.781 - 2.8719 * math.log(rate_hz), 128.307 + 3.22051 * bits)
    scale = 26.0496 - 1.4702 + 1.88004 * math.log(node_nm) - 2.82913 * math.log(bits)
    return 0.5 * 10 ** ((sndr_db - fom_db) / 10) * math.exp(scale)


def murmann_area_um2(bits: int, rate_hz: float, node_nm: float) -> float:
    """Area of one ADC, of the same source: the best tenth.

    For ISAAC's 8-bit converter it says 5.4 times what ISAAC states (6469 against 1200 um2), so
    reports show both.
    """
    energy = math.log(murmann_e_pj(bits, rate_hz, node_nm))
    return math.exp(
        1.34619 + 0.99328 * math.log(node_nm) + 0.18072 * math.log(rate_hz) + 0.29912 * energy
    )


# ISAAC's 1.2 GS/s converter at 32 nm, scaled from 8 to 4..10 bits by the capacitor array's law of
# Saberi et al., as tabled in hwcomponents-library (MIT).
ISAAC_E_PJ: Mapping[int, float] = dict(
    zip(range(4, 11), (0.79, 0.99, 1.20, 1.42, 1.67, 1.97, 2.38), strict=True)
)
ISAAC_AREA_UM2: Mapping[int, float] = dict(
    zip(range(4, 11), (361, 477, 627, 845, 1200, 1828, 3002), strict=True)
)
