"""What a report says of each layer, and of the parts (copies, and pieces of them) that it has."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as Dict
from dataclasses import dataclass
from math import prod
from typing import TypeVar

from nmc.backends.report_counts import AdcPlace, Counts
from nmc.backends.report_records import NodeReport, PartReport, StageReport
from nmc.ir.adc_load import reads_per_input
from nmc.ir.layers import Layer, layers_of
from nmc.ir.mapping import Mapping, Stage, Tile
from nmc.ir.prediction import StagePrediction

__all__ = ["LayerFigures", "adc_cycles_by", "part_reports", "stage_reports"]

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class LayerFigures:
    """What is known of all stages: the programs' counts, predictions by stage, cells by tile.

    `node` tells of a graph node by its first result; `cells`, how many cells some tiles take.
    """

    mapping: Mapping
    counts: Counts
    predicted: Dict[int, StagePrediction]
    nonzero_cells: Dict[int, int]
    cells_per_crossbar: int
    node: Callable[[str], NodeReport]
    cells: Callable[[Sequence[Tile]], int]


def part_reports(known: LayerFigures) -> Iterator[PartReport]:
    """One for each stage of the mapping."""
    mapping, counts = known.mapping, known.counts
    tiles = tiles_by_stage(mapping)
    made, busiest = counts.conversions_by_stage(), counts.busiest_by_stage()
    for number, layer in enumerate(layers_of(mapping)):
        for index in layer.stages:
            stage, expected = mapping.stages[index], known.predicted[index]
            yield PartReport(
                stage.name,
                number,
                stage.copy,
                stage.piece,
                stage.home,
                stage.cores,
                len(tiles[index]),
                places_of([mapping.tiles[i] for i in tiles[index]]),
                counts.reads[index],
                reads_per_input(mapping, stage),
                made[index],
                busiest[index],
                round(expected.time.input_cycles),
                round(expected.done_cycles),
            )


def stage_reports(known: LayerFigures, parts: Sequence[PartReport]) -> Iterator[StageReport]:
    """One for each layer; `parts` are those of all of them."""
    mapping, counts = known.mapping, known.counts
    layers = layers_of(mapping)
    numbers = {index: n for n, layer in enumerate(layers) for index in layer.stages}
    busy = adc_cycles_by(counts, lambda index: numbers[index])
    by_copy = adc_cycles_by(counts, lambda index: (numbers[index], mapping.stages[index].copy))
    of_copies: defaultdict[int, int] = defaultdict(int)
    for (number, _), cycles in by_copy.items():
        of_copies[number] = max(of_copies[number], *cycles.values())
    tiles = tiles_by_stage(mapping)
    for number, layer in enumerate(layers):
        mine = [tile for index in layer.stages for tile in tiles[index]]
        yield stage_report(
            known, layer, parts[layer.first : layer.first + layer.count], mine, busy[number],
            of_copies[number],
        )  # fmt: skip


def stage_report(
    known: LayerFigures,
    layer: Layer,
    parts: Sequence[PartReport],
    tiles: Sequence[int],
    adc_cycles: Counter[AdcPlace],
    copy_adc_cycles: int,
) -> StageReport:
    mapping = known.mapping
    stages = [mapping.stages[index] for index in layer.stages]
    first, output = stages[0], mapping.streams[stages[0].output]
    placed = [mapping.tiles[i] for i in tiles]
    crossbars = places_of(placed)
    return StageReport(
        layer.name,
        mapping.steps[first.step].name,
        first.kind,
        first.unit,
        first.way,
        first.copies,
        first.share,
        first.pieces,
        first.grid,
        tuple(known.node(name) for name in first.nodes),
        tuple(sorted({stage.home for stage in stages})),
        tuple(sorted({core for stage in stages for core in (stage.home, *stage.cores)})),
        output.value,
        output.rows,
        output.cols,
        output.chans,
        sum(stage.macs for stage in stages if stage.copy == 0),
        matrix_parts([stage for stage in stages if stage.copy == 0]),
        len(tiles),
        crossbars,
        known.cells(placed),
        sum(known.nonzero_cells[i] for i in tiles),
        len(crossbars) * known.cells_per_crossbar,
        sum(part.reads for part in parts),
        max(part.steps for part in parts),
        sum(part.conversions for part in parts),
        sum(adc_cycles.values()),
        max(adc_cycles.values(), default=0),
        copy_adc_cycles,
        max(part.cycles for part in parts),
        max(part.done_cycles for part in parts),
    )


def matrix_parts(pieces: Sequence[Stage]) -> tuple[tuple[int, int], ...]:
    """Rows and outputs of each part of a layer's matrix, of the pieces of one copy: pieces that
    read the same channels have outputs of the same part."""
    outputs: dict[tuple[int, int], int] = {}
    for stage in pieces:
        for block in stage.blocks:
            # A grid has rows for all that its outputs see, each output for its own window alone.
            rows = block.rows if stage.grid == (1, 1) else block.chans * prod(stage.window.kernel)
            outputs[block.chan0, rows] = outputs.get((block.chan0, rows), 0) + block.outputs
    return tuple((rows, wide) for (_, rows), wide in outputs.items())


def adc_cycles_by(counts: Counts, key: Callable[[int], Key]) -> defaultdict[Key, Counter[AdcPlace]]:
    """Cycles per input of each ADC, for stages that have the same key."""
    busy: defaultdict[Key, Counter[AdcPlace]] = defaultdict(Counter)
    for (_, stage, place), cycles in counts.adc_cycles.items():
        busy[key(stage)][place] += cycles
    return busy


def tiles_by_stage(mapping: Mapping) -> defaultdict[int, list[int]]:
    """Numbers of the tiles of each stage."""
    tiles: defaultdict[int, list[int]] = defaultdict(list)
    for number, tile in enumerate(mapping.tiles):
        tiles[tile.stage].append(number)
    return tiles


def places_of(tiles: Sequence[Tile]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted({(tile.core, tile.crossbar) for tile in tiles}))
