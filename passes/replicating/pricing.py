"""What the objectives `latency` and `energy` ask of layers besides their times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import ceil

import numpy as np

from nmc.ir.depthwise import strips_of
from nmc.ir.mapping import Kind, Mapping, Stage, Tile
from nmc.ir.rows import emissions, feed_of
from nmc.ir.stage_memory import ACC_BYTES
from nmc.ir.target import Target
from nmc.passes.replicating.energy import Leakage
from nmc.passes.tiling.timing import bits_needed

__all__ = ["depthwise_fj", "event_fj", "lead_of", "leakage_of", "segments_of"]

FJ_PER_PJ = 1000.0

MIDDLE = 0.5
"""Assumption: what a cell's level and a row's digit are on average, of the highest."""


# Latency


def segments_of(mapping: Mapping) -> list[list[int]]:
    """The stages that stream into each other, segment by segment in the order of the data.

    A new one begins where a stage gives its first row only when it has seen all of its input, or
    needs all rows of an operand for its own first.
    """
    number: dict[int, int] = {}
    for index, stage in enumerate(mapping.stages):
        number[index] = max((n for n in _begun(mapping, stage, number)), default=0)
    found: dict[tuple[int, int], list[int]] = {}
    for index, stage in enumerate(mapping.stages):
        found.setdefault((stage.step, number[index]), []).append(index)
    return [found[key] for key in sorted(found)]


def _begun(mapping: Mapping, stage: Stage, number: dict[int, int]) -> Iterator[int]:
    """The segment in which each operand allows the stage to be."""
    for operand in stage.operands:
        stream = mapping.streams[operand.stream]
        if stream.producer < 0:
            continue
        maker = mapping.stages[stream.producer]
        emits = np.flatnonzero(emissions(mapping, maker))
        comes_last = len(emits) == 1 and emits[0] > 0
        needs_all = stream.rows > 1 and feed_of(mapping, stage, operand).needed[0] == stream.rows
        yield number[stream.producer] + int(comes_last or needs_all)


def lead_of(mapping: Mapping, index: int, stage: Stage) -> int:
    """Firings of stage number `index`, lying as `stage` says, after which each of its followers
    has the rows for its first firing."""
    emitted = np.cumsum(emissions(mapping, stage))
    needed = [
        int(feed_of(mapping, mapping.stages[n], mapping.stages[n].operands[operand]).needed[0])
        for n, operand in mapping.consumers(mapping.stages[index].output)
    ]
    rows = max(1, max(needed, default=1))
    return int(np.searchsorted(emitted, rows)) + 1


# Energy


def event_fj(
    target: Target, tiles: Iterable[Tile], reads: int, gathered_bytes: int, seen: int
) -> int:
    """Of one input that makes so many reads, what differs between ways: cells, DACs,
    sample-and-hold stages, ADCs, shift-and-add, and the bytes that reads gather.

    An output sees no more than `seen` rows, whatever a tile has; in others its cells are zero.
    Conversions count at the fewest bits that lose nothing, with cells at their middle level.
    """
    costs, phases = target.costs, target.phases
    digit, level = target.crossbar.max_digit * MIDDLE, target.crossbar.max_level * MIDDLE
    differential = target.crossbar.encoding == "differential"
    cell_pj = target.e_cell_read_pj(level, round(digit)) * (2 if differential else 1)
    each = conversion_pj(target)
    total_pj = gathered_bytes * costs.sram.e_pj
    for tile in tiles:
        channels, rows = tile.outputs * target.slices, min(tile.rows, seen)
        total_pj += phases * (
            tile.rows * costs.dac.e_pj
            + rows * channels * cell_pj
            + channels * (costs.sample_hold.e_pj + costs.shift_add.e_pj)
            + tile.outputs * each[ceil(rows * MIDDLE)]
        )
    return round(reads * total_pj * FJ_PER_PJ)


def depthwise_fj(target: Target, mapping: Mapping, stage: Stage, each: int) -> int:
    """Of one input whose convolution vector units compute, with `each` outputs a channel: what that
    takes beyond what any way does, which is to write sums once and to finish them.

    Weights are read for each run of pixels, windows for each strip of the kernel; a sum of two
    strips takes a write and an addition more.
    """
    made, strips = mapping.streams[stage.output], strips_of(stage.window.kernel)
    places = made.rows * made.cols * made.chans
    products, sums = places * strips.taps * strips.count, places * (strips.count - 1)
    weights = made.chans * strips.taps * strips.count
    runs = made.rows * made.cols // stage.pixels
    moved = products // each + runs * weights + 4 * ACC_BYTES * sums
    vector, sram = target.costs.vector, target.costs.sram
    total_pj = products * vector.element_e_pj("matmul") + sums * vector.element_e_pj("add")
    return round((total_pj + moved * sram.e_pj) * FJ_PER_PJ)


def conversion_pj(target: Target) -> list[float]:
    """Of all slices of one output in one phase, by used rows."""
    rows = np.arange(target.crossbar.rows + 1)
    at = np.array([target.adc.e_conversion_pj(bits) for bits in range(1, target.adc.bits + 1)])
    total = np.zeros(len(rows))
    for number in range(target.slices):
        total += at[bits_needed(target, rows, number) - 1]
    return [float(pj) for pj in total]


def leakage_of(target: Target, kinds: int) -> Leakage:
    """Per cycle; cores are on if they hold something, so a core's leakage is that of its
    crossbars, the first of the `kinds` of things that layers hold."""
    crossbar, core, costs = target.crossbar, target.core, target.costs
    adc_uw = target.adc.leak_uw + costs.shift_add.leak_uw
    per_crossbar_uw = (
        crossbar.rows * crossbar.cols * costs.cell.leak_uw
        + crossbar.rows * costs.dac.leak_uw
        + target.channels * crossbar.sample_holds * costs.sample_hold.leak_uw
    )
    per_core_uw = (
        target.adcs_per_core * adc_uw
        + target.vector.lanes * costs.vector.leak_uw
        + core.sram_kib * costs.sram.leak_uw
        + costs.noc.leak_uw
    )
    memory_uw = len(target.mesh.memory_ports) * costs.global_memory.leak_uw
    held_uw = per_crossbar_uw + per_core_uw / core.crossbars
    # 1 uW for 1 ns is 1 fJ.
    chip_fj, held_fj = (round(uw / target.clock_ghz) for uw in (memory_uw, held_uw))
    return Leakage(chip_fj, (held_fj, *(0,) * (kinds - 1)))


def gathered_bytes(mapping: Mapping, stage: Stage) -> int:
    """Bytes that one read of a matrix brings to its crossbars."""
    return sum(block.rows for block in stage.blocks) if stage.kind is Kind.MATRIX else 0
