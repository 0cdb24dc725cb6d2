"""The memory cell: its conductances, how it deviates, what writing it takes, how it ages.

The figures come from files `NAME.device.toml`; the effects that they parametrise are modelled by
the simulator's device models.  "Range" is always g_max - g_min of a nominal cell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated

from nmc.ir.target_keys import Key

__all__ = ["Device", "Faults"]


@dataclass(frozen=True, slots=True)
class Faults:
    """Shares of the cells that are broken from the start."""

    stuck_on: Annotated[float, Key("share of cells stuck at g_max", 0, 1)] = 0.0
    stuck_off: Annotated[float, Key("share of cells stuck at g_min", 0, 1)] = 0.0
    pinned: Annotated[float, Key("share of cells stuck anywhere between", 0, 1)] = 0.0
    short: Annotated[float, Key("share of cells with a shorted barrier", 0, 1)] = 0.0
    open: Annotated[float, Key("share of cells that conduct nothing", 0, 1)] = 0.0

    @property
    def total(self) -> float:
        return self.stuck_on + self.stuck_off + self.pinned + self.short + self.open


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A memory cell.  An effect whose figure is 0 is absent (`v_half_v = inf`: no bias effect)."""

    preset: Annotated[str, Key("the device file that the other keys come from")]
    ideal: Annotated[bool, Key("every cell has its nominal conductance, always")]
    verified_by_vendor: Annotated[bool, Key("a maker has confirmed the figures")]
    levels: Annotated[int, Key("levels a cell can be written to; 0: any conductance", 0, 65536)]
    g_max_us: Annotated[float, Key("conductance of the highest level", 0, 1e6, above=True)]
    on_off: Annotated[float, Key("g_max over g_min, 1 + TMR of a junction; inf allowed", 1)]

    sigma_scale: Annotated[
        float, Key("spread from device to device of both ends together, relative", 0, 1)
    ]
    sigma_on_off: Annotated[float, Key("spread of TMR from device to device, relative", 0, 1)]
    die_gradient: Annotated[
        float, Key("share of the variance of sigma_scale that varies smoothly over a die", 0, 1)
    ] = 0.0

    trim: Annotated[bool, Key("writing with verification removes the spread between devices")]
    sigma_program: Annotated[
        tuple[float, ...],
        Key("rms error after verified writing, of range: polynomial in g/g_max", -10, 10),
    ]
    sigma_program_open: Annotated[float, Key("the same for one blind pulse, of range", 0, 1)]
    verify_tolerance: Annotated[float, Key("verification accepts within this, of range", 0, 1)]
    sigma_step_add: Annotated[float, Key("error of one pulse, of range", 0, 1)] = 0.0
    sigma_step_mul: Annotated[float, Key("error of one pulse, of its step", 0, 1)] = 0.0
    sigma_step_gain: Annotated[float, Key("spread of the step from device to device", 0, 1)] = 0.0
    p_miss: Annotated[float, Key("chance that a pulse does nothing", 0, 1)] = 0.0
    write_error_rate: Annotated[float, Key("chance that a cell keeps its old level", 0, 1)] = 0.0

    pulses_per_cell: Annotated[float, Key("mean pulses until verified", 0, 1e6)]
    t_pulse_ns: Annotated[float, Key("length of a write pulse", 0, 1e9)]
    t_settle_ns: Annotated[float, Key("wait after a write pulse", 0, 1e9)]
    t_verify_ns: Annotated[float, Key("length of a verifying read", 0, 1e9)]
    e_pulse_pj: Annotated[float, Key("energy of a write pulse", 0, 1e9)]
    e_verify_pj: Annotated[float, Key("energy of a verifying read, conversion included", 0, 1e9)]
    i_write_ua: Annotated[float, Key("current of a write pulse", 0, 1e6)]
    endurance_writes: Annotated[float, Key("pulses that a cell survives; inf allowed", 0)]

    sigma_read: Annotated[float, Key("noise of one cell in one read, of its conductance", 0, 1)]
    rtn_share: Annotated[float, Key("share of cells with telegraph noise", 0, 1)] = 0.0
    rtn_step: Annotated[float, Key("its height, of range", 0, 1)] = 0.0
    v_half_v: Annotated[float, Key("bias that halves TMR; inf: none does", 0, above=True)]
    kappa_on_off_per_k: Annotated[float, Key("change of TMR per kelvin, relative", -1, 1)]
    kappa_r_per_k: Annotated[float, Key("change of resistance per kelvin, relative", -1, 1)] = 0.0

    delta_300k: Annotated[
        float, Key("barrier of a wall position over kT at 300 K; inf: it never hops", 0, above=True)
    ]
    sigma_delta: Annotated[float, Key("its spread, relative", 0, 1)] = 0.0
    t_attempt_ns: Annotated[float, Key("attempt time of a hop", 0, 1e9, above=True)] = 1.0
    hop_step: Annotated[float, Key("change of conductance by a hop, of range", 0, 1)] = 0.0
    drift_nu: Annotated[
        tuple[float, ...],
        Key("drift G (t/t0)^-nu: nu = a + b ln(g/g_max), kept within c and d", -1, 1),
    ] = (0.0, 0.0, 0.0, 0.0)
    t_drift_ns: Annotated[float, Key("t0 of the drift", 0, above=True)] = 1e9

    faults: Faults = field(default_factory=Faults)

    @property
    def g_min_us(self) -> float:
        return self.g_max_us / self.on_off

    @property
    def range_us(self) -> float:
        return self.g_max_us - self.g_min_us

    def conductance_us(self, level: float, levels: int) -> float:
        """Nominal conductance of `level` on a grid of `levels` levels from g_min to g_max."""
        return self.g_min_us + level * self.range_us / max(levels - 1, 1)

    def sigma_program_at(self, g: float) -> float:
        """Rms error after verified writing at g = G/g_max, in range units."""
        return max(0.0, sum(c * g**power for power, c in enumerate(self.sigma_program)))

    @property
    def t_write_ns(self) -> float:
        """Mean time until a cell is written: pulse, settling and verification, repeated."""
        return self.pulses_per_cell * (self.t_pulse_ns + self.t_settle_ns + self.t_verify_ns)

    @property
    def e_write_pj(self) -> float:
        """Mean energy to write a cell, verification included."""
        return self.pulses_per_cell * (self.e_pulse_pj + self.e_verify_pj)

    def write_lifetime_s(self, writes_per_s: float) -> float:
        """Seconds until the endurance is used up by rewriting a cell this often."""
        pulses_per_s = self.pulses_per_cell * writes_per_s
        return self.endurance_writes / pulses_per_s if pulses_per_s > 0 else math.inf
