"""The parts of a chip: mesh, core, crossbar, ADCs, vector unit, memory; see `nmc.ir.target`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from nmc.ir.program import VEC_OPS
from nmc.ir.target_costs import ISAAC_AREA_UM2, ISAAC_E_PJ, murmann_area_um2, murmann_e_pj
from nmc.ir.target_keys import Key

__all__ = [
    "Adc",
    "Core",
    "Crossbar",
    "Encoding",
    "GlobalMemory",
    "Mesh",
    "Numbers",
    "ShiftAdd",
    "VectorUnit",
]

Encoding = Literal["differential", "offset", "reference"]
OPS_AND_DEFAULT = ("default", *VEC_OPS)
BIT_NAMES = tuple(str(bits) for bits in range(1, 17))


@dataclass(frozen=True, slots=True)
class Mesh:
    """Cores on a width x height grid, XY routing; core (x, y) has index y * width + x."""

    width: Annotated[int, Key("cores in a row", 1, 256)]
    height: Annotated[int, Key("cores in a column", 1, 256)]
    flit_bytes: Annotated[int, Key("payload of a flit", 1, 4096)]
    t_hop_ns: Annotated[float, Key("a flit's way through a router and a link", 0, 1e6, above=True)]
    memory_ports: Annotated[
        tuple[tuple[int, int], ...], Key("cores whose routers reach global memory", 0, 255)
    ]
    multicast: Annotated[bool, Key("a tree carries a message to many once per link")] = False

    @property
    def cores(self) -> int:
        return self.width * self.height

    def position(self, core: int) -> tuple[int, int]:
        """(x, y) of a core."""
        return core % self.width, core // self.width

    def core_at(self, x: int, y: int) -> int:
        return y * self.width + x

    def hops(self, a: int, b: int) -> int:
        """Links between two cores on the XY route."""
        (ax, ay), (bx, by) = self.position(a), self.position(b)
        return abs(ax - bx) + abs(ay - by)


@dataclass(frozen=True, slots=True)
class Core:
    """Crossbars, data memory and instruction streams behind one router."""

    crossbars: Annotated[int, Key("crossbars in a core", 1, 4096)]
    sequencers: Annotated[int, Key("instruction streams that a core can run", 1, 4096)]
    semaphores: Annotated[int, Key("semaphores in a core", 1, 65536)]
    sram_kib: Annotated[int, Key("data memory of a core", 1, 65536)]
    sram_bytes_per_cycle: Annotated[int, Key("memory bandwidth of each unit", 1, 65536)]
    queue_depth: Annotated[int, Key("requests waiting per sequencer and unit", 1, 4096)] = 4

    @property
    def sram_bytes(self) -> int:
        return self.sram_kib * 1024


@dataclass(frozen=True, slots=True)
class Crossbar:
    """Rows of word lines, cols of bit lines; what the converters see are *channels* of them."""

    rows: Annotated[int, Key("word lines", 1, 65536)]
    cols: Annotated[int, Key("bit lines", 1, 65536)]
    cell_bits: Annotated[int, Key("bits of a weight slice in a cell", 1, 8)]
    dac_bits: Annotated[int, Key("bits of an input applied in one phase", 1, 8)]
    t_read_ns: Annotated[
        float, Key("one phase: drive the rows, settle, sample", 0, 1e6, above=True)
    ]
    read_voltage_v: Annotated[float, Key("voltage of the highest input digit", 0, 5, above=True)]
    wire_ohm: Annotated[float, Key("wire from a cell to the next", 0, 1e6)]
    write_current_max_ma: Annotated[
        float, Key("bound on the current of the cells written at once", 0, 1e6, above=True)
    ]
    encoding: Annotated[Encoding, Key("how a signed weight lies in cells")] = "differential"
    two_sided: Annotated[bool, Key("a pair holds +w/2 and -w/2: its current is constant")] = False
    reference_columns: Annotated[
        int, Key("bit lines at the middle level, for reference", 0, 4096)
    ] = 0
    sample_holds: Annotated[int, Key("sample-and-hold stages per channel", 1, 2)] = 1

    def channels_for(self, encoding: Encoding) -> int:
        """Readout channels: one conversion each; two bit lines make one where pairs are used."""
        match encoding:
            case "differential":
                return self.cols // 2
            case "offset":
                return self.cols
            case "reference":
                return max(self.cols - self.reference_columns, 0)

    @property
    def channels(self) -> int:
        return self.channels_for(self.encoding)

    @property
    def max_level(self) -> int:
        return (1 << self.cell_bits) - 1

    @property
    def max_digit(self) -> int:
        """The largest input digit of a phase."""
        return (1 << self.dac_bits) - 1


@dataclass(frozen=True, slots=True)
class Adc:
    """Clusters of `crossbars_per_cluster` neighbouring crossbars that share `adcs_per_cluster`.

    Wiring counts readout channels, not bit lines, as the odd bit line of a pair shares its
    partner's conversion: channel c of each crossbar goes to ADC c mod n (interleaved) or to
    c * n // channels (blocked).
    """

    crossbars_per_cluster: Annotated[int, Key("crossbars that share ADCs (m)", 1, 4096)]
    adcs_per_cluster: Annotated[int, Key("ADCs that they share (n)", 1, 65536)]
    bits: Annotated[int, Key("resolution; codes span 2^bits", 1, 16)]
    t_conversion_ns: Annotated[float, Key("one conversion at full resolution", 0, 1e6, above=True)]
    node_nm: Annotated[float, Key("technology node, for the murmann model", 5, 250)]
    wiring: Annotated[Literal["interleaved", "blocked"], Key("which ADC serves a channel")] = (
        "interleaved"
    )
    range: Annotated[
        Literal["full", "clip", "calibrated"],
        Key("full: no value clips; clip: step 1; calibrated: least error, per tile"),
    ] = "calibrated"
    model: Annotated[
        Literal["murmann", "isaac", "table"], Key("where energy and area come from")
    ] = "murmann"
    leak_share: Annotated[float, Key("static power, of full-rate dynamic power", 0, 1)] = 0.0
    table_e_pj: Annotated[
        Mapping[str, float],
        Key("energy of a conversion by its bits, for the table model", 0, 1e9, names=BIT_NAMES),
    ] = field(default_factory=dict[str, float], hash=False)
    table_area_um2: Annotated[
        Mapping[str, float],
        Key("area of an ADC by its bits, for the table model", 0, 1e12, names=BIT_NAMES),
    ] = field(default_factory=dict[str, float], hash=False)

    @property
    def conversions_per_s(self) -> float:
        """Rate of one ADC: conversions, not clock edges of its successive approximation."""
        return 1e9 / self.t_conversion_ns

    def e_conversion_pj(self, bits: int | None = None) -> float:
        """Energy of one conversion at `bits` (default: all)."""
        bits = bits or self.bits
        match self.model:
            case "murmann":
                return murmann_e_pj(bits, self.conversions_per_s, self.node_nm)
            case "isaac":
                return at_bits(ISAAC_E_PJ, bits)
            case "table":
                return at_bits({int(key): e for key, e in self.table_e_pj.items()}, bits)

    @property
    def area_um2(self) -> float:
        """Area of one ADC."""
        match self.model:
            case "murmann":
                return murmann_area_um2(self.bits, self.conversions_per_s, self.node_nm)
            case "isaac":
                return at_bits(ISAAC_AREA_UM2, self.bits)
            case "table":
                return at_bits({int(key): a for key, a in self.table_area_um2.items()}, self.bits)

    @property
    def leak_uw(self) -> float:
        """Static power of one ADC."""
        return self.leak_share * self.e_conversion_pj() * self.conversions_per_s * 1e-6


def at_bits(table: Mapping[int, float], bits: int) -> float:
    """The entry for the fewest bits that are enough; loading checks that the top one is there."""
    return table[min(known for known in table if known >= bits)]


@dataclass(frozen=True, slots=True)
class ShiftAdd:
    """The int32 accumulators behind the ADCs."""

    t_ns: Annotated[float, Key("from the last conversion to finished accumulators", 0, 1e6)]


@dataclass(frozen=True, slots=True)
class VectorUnit:
    """Takes `ceil(elements / lanes) * cycles_per_element + latency_cycles` for an operation."""

    lanes: Annotated[int, Key("elements worked on at once", 1, 65536)]
    cycles_per_element: Annotated[
        Mapping[str, int],
        Key("cycles for an element of each lane, by operation; `default` for the others",
            1, 65536, names=OPS_AND_DEFAULT),
    ] = field(hash=False)  # fmt: skip
    latency_cycles: Annotated[
        Mapping[str, int],
        Key("cycles added once per operation; `default` for the others",
            0, 65536, names=OPS_AND_DEFAULT),
    ] = field(hash=False)  # fmt: skip

    def element_cycles(self, op: str) -> int:
        """Cycles for an element of each lane; `op` is one of VEC_OPS."""
        return self.cycles_per_element.get(op, self.cycles_per_element["default"])

    def op_latency_cycles(self, op: str) -> int:
        """Cycles added once per operation; `op` is one of VEC_OPS."""
        return self.latency_cycles.get(op, self.latency_cycles["default"])


@dataclass(frozen=True, slots=True)
class GlobalMemory:
    """Memory behind the ports of the mesh, for what no core holds."""

    t_latency_ns: Annotated[float, Key("from request to first byte", 0, 1e6, above=True)]
    bytes_per_cycle: Annotated[int, Key("bandwidth of each port", 1, 65536)]
    capacity_mib: Annotated[int, Key("size", 1, 1 << 20)]

    @property
    def capacity_bytes(self) -> int:
        return self.capacity_mib * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Numbers:
    """Widths of what is computed with; docs/machine.md says how."""

    input_bits: Annotated[int, Key("bits of an activation, unsigned", 1, 8)] = 8
    weight_bits: Annotated[int, Key("bits of a weight, signed and symmetric", 2, 8)] = 8
