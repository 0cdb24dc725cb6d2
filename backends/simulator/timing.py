"""How long each thing takes on a target: the figures of docs/machine.md that both engines share."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import cast

from nmc.ir.program import ReadPlan, TileImage, TileRead, Vec
from nmc.ir.target import Encoding, Target

__all__ = [
    "Burst",
    "PlanTiming",
    "ReadTiming",
    "Route",
    "adc_shares",
    "ceil_div",
    "cell_cycles",
    "converted_channels",
    "plan_timing",
    "route",
    "tile_columns",
    "vec_cycles",
    "vec_elements",
]

Route = tuple[tuple[int, int], ...]
"""Links, each as (from core, to core)."""


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


@dataclass(frozen=True, slots=True)
class Burst:
    """The conversions that one ADC of the cluster makes of one read of one crossbar."""

    adc: int
    cycles: int
    conversions: Counter[int]
    """By resolution in bits."""


@dataclass(frozen=True, slots=True)
class ReadTiming:
    """One crossbar's part in each phase of a plan."""

    crossbar: int
    bursts: tuple[Burst, ...]
    rows: int
    cells: int
    conversions: Counter[int]
    """Of one phase, by resolution in bits."""
    channels: int
    """Channels that are converted: the sum of the above."""


@dataclass(frozen=True, slots=True)
class PlanTiming:
    fill: int
    write_back: int
    phases: int
    priority: int
    reads: tuple[ReadTiming, ...]


def plan_timing(plan: ReadPlan, tiles: tuple[TileImage, ...], target: Target) -> PlanTiming:
    bandwidth = target.core.sram_bytes_per_cycle
    return PlanTiming(
        ceil_div(plan.input_bytes, bandwidth),
        ceil_div(4 * plan.outputs, bandwidth),
        target.phases,
        plan.priority,
        tuple(read_timing(read, tiles[read.tile], target) for read in plan.reads),
    )


def read_timing(read: TileRead, tile: TileImage, target: Target) -> ReadTiming:
    encoding = cast("Encoding", tile.encoding)
    cycles: Counter[int] = Counter()
    conversions: dict[int, Counter[int]] = {}
    for channels, bits in converted_channels(read, tile):
        each = target.conversion_cycles(bits)
        for adc, count in adc_shares(channels, encoding, target):
            cycles[adc] += count * each
            conversions.setdefault(adc, Counter())[bits] += count
    bursts = tuple(Burst(adc, cycles[adc], conversions[adc]) for adc in sorted(cycles))
    every = sum(conversions.values(), Counter[int]())
    cells = tile.rows * tile_columns(tile, target)
    return ReadTiming(tile.crossbar, bursts, tile.rows, cells, every, every.total())


@lru_cache(maxsize=1 << 10)
def adc_shares(channels: range, encoding: Encoding, target: Target) -> tuple[tuple[int, int], ...]:
    """Each ADC of a cluster that serves some of the channels, and how many."""
    return tuple(Counter(target.adc_of_channel(c, encoding) for c in channels).items())


def tile_columns(tile: TileImage, target: Target) -> int:
    """Bit lines on which the tile has cells: two for a pair; the unit and reference columns."""
    columns = tile.outputs * tile.slices
    match tile.encoding:
        case "differential":
            return 2 * columns
        case "reference":
            return columns + 1 + target.crossbar.reference_columns
        case _:
            return columns + 1


def cell_cycles(tile: TileImage, target: Target) -> tuple[int, int]:
    """Cycles to write a tile's cells row by row, and how many cells those are."""
    columns = tile_columns(tile, target)
    batches = ceil_div(columns, target.cells_written_at_once)
    cycles = target.cycles(tile.rows * batches * target.device.t_write_ns)
    return max(1, cycles), tile.rows * columns


def converted_channels(read: TileRead, tile: TileImage) -> list[tuple[range, int]]:
    """(channels, bits) of all conversions, slice by slice; the unit column comes last."""
    after = tile.channel0 + tile.outputs * tile.slices
    found = [
        (range(tile.channel0 + s, after, tile.slices), read.bits[s])
        for s in range(tile.slices)
        if read.converted[s]
    ]
    if tile.encoding != "differential":
        found.append((range(after, after + 1), read.bits[0]))
    return found


def vec_elements(vec: Vec) -> int:
    """Elements that the vector unit works through: those of the larger of dst and a.

    A product of two activations works through one for each multiplication.
    """
    if vec.op == "matmul" and vec.a is not None:
        return vec.dst.elements * (vec.a.dims[-1].count if vec.a.dims else 1)
    return max(vec.dst.elements, vec.a.elements if vec.a is not None else 0)


def vec_cycles(vec: Vec, target: Target) -> int:
    unit = target.vector
    batches = ceil_div(vec_elements(vec), unit.lanes)
    return batches * unit.element_cycles(vec.op) + unit.op_latency_cycles(vec.op)


def route(source: int, target_core: int, target: Target) -> Route:
    """Links of the XY route: along the row first, then along the column."""
    x, y = target.mesh.position(source)
    to_x, to_y = target.mesh.position(target_core)
    stops = [source]
    while x != to_x:
        x += 1 if to_x > x else -1
        stops.append(target.mesh.core_at(x, y))
    while y != to_y:
        y += 1 if to_y > y else -1
        stops.append(target.mesh.core_at(x, y))
    return tuple(pairwise(stops))
