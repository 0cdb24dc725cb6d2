"""What stages ask of the chip whichever cores they get: ADC and vector cycles, others' rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nmc.ir.adc_load import TileCycles, reads_per_input
from nmc.ir.graph import Array, Node
from nmc.ir.mapping import Kind, Mapping, Operand
from nmc.ir.rows import feed_of, firings, makers_of, met_chans
from nmc.ir.shares import made_pixels, parts_of
from nmc.ir.stage_time import StageTime, StageTimes
from nmc.ir.target import Target

__all__ = ["Ask", "Link", "asks_of", "links_of", "unit_columns"]


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """A stage's wants per input.

    `tiles` are their numbers in the mapping; `cycles` what each keeps the busier ADCs of its
    cluster at work (i64[tiles, ADCs of a cluster]) and `busiest` the most of them (i64[tiles]);
    `sizes` their rows and channels on a crossbar (i64[tiles, 2]); `held` for how many cycles they
    keep a crossbar's latches if nobody else wants its ADCs (i64[tiles]); `vector_cycles` what the
    stage keeps its home's vector unit; `finish_cycles` what it takes at least to finish its rows
    or to send parts of them home.
    """

    stage: int
    step: int
    layer: int
    tiles: Array
    cycles: Array
    busiest: Array
    sizes: Array
    held: Array
    vector_cycles: int
    finish_cycles: int

    @property
    def hottest(self) -> int:
        return int(self.busiest.max(initial=0))

    @property
    def largest(self) -> tuple[int, int]:
        """Rows and channels that hold any of the tiles."""
        rows, channels = self.sizes.max(axis=0, initial=0).tolist()
        return rows, channels


@dataclass(frozen=True, slots=True)
class Link:
    """Bytes that a stage (-1: global memory) sends per input to the home of another, for one of its
    operands."""

    stage: int
    operand: int
    producer: int
    bytes: int


def asks_of(mapping: Mapping, target: Target, nodes: dict[str, Node]) -> list[Ask]:
    """An Ask for each stage, in order; `nodes` by their first results."""
    mine: list[list[int]] = [[] for _ in mapping.stages]
    for number, tile in enumerate(mapping.tiles):
        mine[tile.stage].append(number)
    table, clock = TileCycles(target), StageTimes(target)
    times: dict[object, StageTime] = {}
    asks: list[Ask] = []
    for index, numbers in enumerate(mine):
        stage = mapping.stages[index]
        key = stage.output, stage.piece, firings(mapping, stage), parts_of(mapping, stage)
        if key not in times:
            tiles = [mapping.tiles[n] for n in numbers]
            times[key] = clock.of(mapping, stage, tiles, nodes)
        asks.append(_ask(mapping, target, index, numbers, table, times[key]))
    return asks


def _ask(
    mapping: Mapping,
    target: Target,
    index: int,
    numbers: list[int],
    table: TileCycles,
    time: StageTime,
) -> Ask:
    stage = mapping.stages[index]
    tiles = [mapping.tiles[n] for n in numbers]
    reads = reads_per_input(mapping, stage)
    cycles = np.zeros((len(tiles), target.adc.adcs_per_cluster), np.int64)
    if tiles:
        cycles += reads * target.phases * np.stack([table.of(t) for t in tiles])
    busiest = cycles.max(axis=1, initial=0)
    sizes = [(t.rows, t.outputs * target.slices + unit_columns(target)) for t in tiles]
    return Ask(
        index,
        stage.step,
        stage.output,
        np.array(numbers, np.int64),
        cycles,
        busiest,
        np.array(sizes, np.int64).reshape(-1, 2),
        _held(target, reads, busiest),
        int(time.firings * time.vector_cycles),
        int(time.firings * max(time.finish_cycles, time.send_cycles)),
    )


def unit_columns(target: Target) -> int:
    """Channels that a tile has beside those of its outputs."""
    return int(target.crossbar.encoding != "differential")


def _held(target: Target, reads: int, busiest: Array) -> Array:
    """Cycles for which the reads of tiles keep a crossbar: a second stage that samples holds lets
    a phase be read while another is converted."""
    reading = reads * target.phases * target.read_cycles
    if target.crossbar.sample_holds > 1:
        return np.maximum(busiest, reading)
    return busiest + reading


def links_of(mapping: Mapping) -> list[Link]:
    """Who feeds whom with how many bytes per input.

    Pieces of a copy that take the same rows are fed by the first of them, which hands them on.
    """
    links: list[Link] = []
    first: dict[tuple[int, int, tuple[int, int]], int] = {}
    for index, stage in enumerate(mapping.stages):
        for number, operand in enumerate(stage.operands):
            found = list(_feeds(mapping, index, number, operand))
            if stage.kind is Kind.MATRIX and number == 0:
                key = stage.output, stage.copy, mapping.seen_chans(operand)
                root = first.setdefault(key, index)
                if root != index:
                    found = [Link(index, 0, root, sum(link.bytes for link in found))]
            links += found
    return links


def _feeds(mapping: Mapping, index: int, number: int, operand: Operand) -> Iterator[Link]:
    """A link from each of those who make what an operand takes."""
    stream = mapping.streams[operand.stream]
    size = stream.element_bytes
    makers = makers_of(mapping, operand, feed_of(mapping, mapping.stages[index], operand))
    rows = makers.made.sum(axis=0).tolist()
    for source, count in zip(makers.sources.tolist(), rows, strict=True):
        if not stream.producers:
            pixels = count * stream.cols
            yield Link(index, number, -1, pixels * mapping.seen_chans(operand)[1] * size)
            continue
        producer = stream.producers[source]
        _, chans = met_chans(mapping, mapping.stages[producer], operand)
        pixels = count * made_pixels(mapping, mapping.stages[producer])
        yield Link(index, number, producer, pixels * chans * size)
