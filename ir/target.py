"""The chip that a model is compiled for: frozen dataclasses, units in names, loaded from TOML.

`Target` and its parts hold what a target file says; what follows from it (cycles, counts, ranges)
are properties.  `nmc.ir.target_toml` reads and prints the TOML.  Latencies in ns become cycles of
the one clock by rounding up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Annotated, Literal

from nmc.ir.diagnostics import NOWHERE, Loc
from nmc.ir.target_costs import Cost, Costs, VectorCost
from nmc.ir.target_device import Device, Faults
from nmc.ir.target_keys import Key
from nmc.ir.target_parts import (
    Adc,
    Core,
    Crossbar,
    Encoding,
    GlobalMemory,
    Mesh,
    Numbers,
    ShiftAdd,
    VectorUnit,
)

__all__ = [
    "Adc",
    "Core",
    "Cost",
    "Costs",
    "Crossbar",
    "Device",
    "Encoding",
    "Faults",
    "GlobalMemory",
    "Mesh",
    "Numbers",
    "Origin",
    "ShiftAdd",
    "Target",
    "VectorCost",
    "VectorUnit",
]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from: `file` (the target itself), `base`, `preset`, `set` or `default`."""

    kind: Literal["file", "base", "preset", "set", "default"]
    loc: Loc = NOWHERE

    def __str__(self) -> str:
        match self.kind:
            case "default":
                return "default"
            case "set":
                return f"--set {self.loc.excerpt}"
            case "file":
                return f"{self.loc.file}:{self.loc.line}"
            case _:
                return f"{self.loc.file}:{self.loc.line} ({self.kind})"


@dataclass(frozen=True, slots=True)
class Target:
    """A chip.  Equality compares what the chip is, not where its figures were written."""

    name: Annotated[str, Key("what the target is called")]
    clock_ghz: Annotated[float, Key("the one clock", 0, 100, above=True)]
    mesh: Mesh
    core: Core
    crossbar: Crossbar
    adc: Adc
    shift_add: ShiftAdd
    vector: VectorUnit
    global_memory: GlobalMemory
    device: Device
    costs: Costs
    numbers: Numbers = field(default_factory=Numbers)
    description: Annotated[str, Key("one line on what it is for")] = ""
    sources: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    origins: Mapping[str, Origin] = field(
        default_factory=dict[str, Origin], hash=False, compare=False, repr=False
    )

    def source_of(self, key: str) -> str:
        """Where the figure of a dotted key is from: its own source or that of a table around it."""
        while key:
            if key in self.sources:
                return self.sources[key]
            key = key.rpartition(".")[0]
        return ""

    def origin_of(self, key: str) -> Origin:
        """Which file and line, base, preset or `--set` gave a dotted key its value."""
        return self.origins.get(key, Origin("default"))

    # Time

    def cycles(self, t_ns: float) -> int:
        """Cycles that cover a time; exact in the decimals that a file can spell."""
        return cycles_of(t_ns, self.clock_ghz)

    @property
    def hop_cycles(self) -> int:
        return self.cycles(self.mesh.t_hop_ns)

    @property
    def read_cycles(self) -> int:
        return self.cycles(self.crossbar.t_read_ns)

    def conversion_cycles(self, bits: int | None = None) -> int:
        """One conversion at `bits` (default: all): successive approximation decides bit by bit."""
        adc = self.adc
        return max(1, cycles_of(adc.t_conversion_ns, self.clock_ghz, bits or adc.bits, adc.bits))

    @property
    def shift_add_cycles(self) -> int:
        return self.cycles(self.shift_add.t_ns)

    @property
    def memory_latency_cycles(self) -> int:
        return self.cycles(self.global_memory.t_latency_ns)

    # Counts

    @property
    def cores(self) -> int:
        return self.mesh.cores

    @property
    def crossbars(self) -> int:
        return self.cores * self.core.crossbars

    @property
    def clusters_per_core(self) -> int:
        return self.core.crossbars // self.adc.crossbars_per_cluster

    @property
    def adcs_per_core(self) -> int:
        return self.clusters_per_core * self.adc.adcs_per_cluster

    @property
    def channels(self) -> int:
        """Readout channels of a crossbar under the target's own encoding."""
        return self.crossbar.channels

    def adc_of_channel(self, channel: int, encoding: Encoding | None = None) -> int:
        """Which of its cluster's ADCs serves a channel, the same for each crossbar of it."""
        n = self.adc.adcs_per_cluster
        if self.adc.wiring == "interleaved":
            return channel % n
        return channel * n // self.crossbar.channels_for(encoding or self.crossbar.encoding)

    # Bit slices

    @property
    def phases(self) -> int:
        """Phases in which an input is applied, least significant digit first."""
        return -(-self.numbers.input_bits // self.crossbar.dac_bits)

    def slices_for(self, encoding: Encoding) -> int:
        """Cells (or pairs) that hold one weight; a pair needs no bit for the sign."""
        bits = self.numbers.weight_bits - (encoding == "differential")
        return -(-bits // self.crossbar.cell_bits)

    @property
    def slices(self) -> int:
        return self.slices_for(self.crossbar.encoding)

    def outputs_for(self, encoding: Encoding) -> int:
        """Logical columns that fit on a crossbar.

        Without pairs, what was added to make weights unsigned is taken off again with
        sum_k x[k], for which one channel is kept.
        """
        unit_columns = int(encoding != "differential")
        return (self.crossbar.channels_for(encoding) - unit_columns) // self.slices_for(encoding)

    @property
    def outputs_per_crossbar(self) -> int:
        return self.outputs_for(self.crossbar.encoding)

    # Ranges

    def column_range(
        self, rows: int, encoding: Encoding | None = None, max_level: int | None = None
    ) -> tuple[int, int]:
        """Least and greatest value, in level units, that a channel of `rows` used rows can show.

        `max_level` is the highest level among the cells concerned (default: what a cell can hold).
        """
        level = self.crossbar.max_level if max_level is None else max_level
        most = rows * self.crossbar.max_digit
        match encoding or self.crossbar.encoding:
            case "differential":
                return -most * level, most * level
            case "offset":
                return 0, most * level
            case "reference":
                middle = 1 << (self.crossbar.cell_bits - 1)
                return -most * middle, most * max(level - middle, 0)

    def code_range(
        self, encoding: Encoding | None = None, bits: int | None = None
    ) -> tuple[int, int]:
        """Least and greatest ADC code: signed where a difference is converted."""
        codes = 1 << (bits or self.adc.bits)
        if (encoding or self.crossbar.encoding) == "offset":
            return 0, codes - 1
        return -codes // 2, codes // 2 - 1

    def lossless(
        self, rows: int, encoding: Encoding | None = None, max_level: int | None = None
    ) -> bool:
        """Whether a step of 1 covers every value that a channel can show.

        Each of the ADC's ranges then has step 1: `full` and `clip` by definition, `calibrated`
        because nothing has less error than none.
        """
        (least, most), (lo, hi) = (
            self.column_range(rows, encoding, max_level),
            self.code_range(encoding),
        )
        return lo <= least and most <= hi

    @property
    def exact(self) -> bool:
        """All reads are lossless and the device is ideal: accumulators are integer dot products."""
        return self.device.ideal and self.lossless(self.crossbar.rows)

    # Cells

    def e_cell_read_pj(self, level: float, digit: int | None = None) -> float:
        """V^2 G t of one cell at `level` in a phase that applies `digit` (default: the highest)."""
        share = 1.0 if digit is None else digit / self.crossbar.max_digit
        volts = self.crossbar.read_voltage_v * share
        g_us = self.device.conductance_us(level, self.crossbar.max_level + 1)
        return volts * volts * g_us * self.crossbar.t_read_ns * 1e-3

    @property
    def cells_written_at_once(self) -> int:
        """Cells of one row that are written together: as many as the current's bound allows."""
        if self.device.i_write_ua <= 0:
            return self.crossbar.cols
        allowed = int(self.crossbar.write_current_max_ma * 1e3 / self.device.i_write_ua)
        return max(1, min(self.crossbar.cols, allowed))

    @property
    def t_program_crossbar_ns(self) -> float:
        """Time to write all cells of a crossbar, row by row."""
        batches = -(-self.crossbar.cols // self.cells_written_at_once)
        return self.crossbar.rows * batches * self.device.t_write_ns


@lru_cache(maxsize=4096)
def cycles_of(t_ns: float, clock_ghz: float, share: int = 1, of: int = 1) -> int:
    """Cycles that cover t_ns * share / of."""
    exact = Fraction(repr(t_ns)) * Fraction(repr(clock_ghz)) * Fraction(share, of)
    return math.ceil(exact)
