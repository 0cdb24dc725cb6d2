"""Which accumulators of a matrix stage become which outputs of a row, run by run.

Cores may each have a part of the sums; what the same cores add up is finished together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from nmc.ir import mapping as m
from nmc.ir.stage_memory import CoreOutputs

__all__ = ["Adder", "ColumnRun", "column_runs"]


@dataclass(frozen=True, slots=True)
class Adder:
    """Where a core's part of a run begins within the accumulators of one of its reads, and how far
    the next pixel's lies from there."""

    core: int
    at: int
    stride: int


@dataclass(frozen=True, slots=True)
class ColumnRun:
    """`count` outputs from the stage's `first` on, of `pixels` neighbouring pixels of each read
    from number `pixel` on, in `reads` reads of a run of pixels: what `adders` have, added up."""

    pixel: int
    pixels: int
    reads: int
    first: int
    count: int
    adders: tuple[Adder, ...]

    @property
    def elements(self) -> int:
        return self.reads * self.pixels * self.count


Spans = Sequence[tuple[int, CoreOutputs]]
"""What each core has of a block's columns."""


def column_runs(
    stage: m.Stage, outputs: Mapping[int, Sequence[CoreOutputs]], row: int
) -> list[ColumnRun]:
    """What makes output row number `row` of a firing; `outputs` are each core's read plans."""
    spans: dict[int, list[tuple[int, CoreOutputs]]] = {}
    for core, parts in outputs.items():
        for part in parts:
            spans.setdefault(part.block, []).append((core, part))
    runs: list[ColumnRun] = []
    for number, block in enumerate(stage.blocks):
        for run in _of_block(stage, block, spans.get(number, []), row):
            if runs and _stands_beside(runs[-1], run):
                runs[-1] = replace(runs[-1], count=runs[-1].count + run.count)
            else:
                runs.append(run)
    return runs


def _of_block(stage: m.Stage, block: m.Block, spans: Spans, row: int) -> Iterator[ColumnRun]:
    """The runs of a block, each over as many pixels as it can be."""
    growing: dict[int, ColumnRun] = {}
    for pixel in range(min(stage.grid[1], stage.pixels)):
        for run in _of_pixel(stage, block, spans, row, pixel):
            before = growing.get(run.first)
            if before is not None and _goes_on(before, run):
                growing[run.first] = replace(before, pixels=before.pixels + 1)
                continue
            if before is not None:
                yield before
            growing[run.first] = run
    yield from growing.values()


def _of_pixel(
    stage: m.Stage, block: m.Block, spans: Spans, row: int, pixel: int
) -> Iterator[ColumnRun]:
    """The runs of one pixel of a read: its outputs, cut wherever a core's part begins or ends."""
    number = row * stage.grid[1] + pixel
    low, high = number * block.outputs, (number + 1) * block.outputs
    ends = (edge for _, p in spans for edge in (p.output0, p.output0 + p.outputs))
    edges = {low, high, *(edge for edge in ends if low < edge < high)}
    reads = -(-(stage.pixels - pixel) // stage.grid[1])
    for first, stop in pairwise(sorted(edges)):
        adders = tuple(
            Adder(core, _place(part, block, first), part.stride)
            for core, part in spans
            if part.output0 <= first and stop <= part.output0 + part.outputs
        )
        if adders:
            output = block.output0 - stage.chan0 + first - low
            yield ColumnRun(pixel, 1, reads, output, stop - first, adders)


def _place(part: CoreOutputs, block: m.Block, column: int) -> int:
    """Where a column's accumulator lies within those of a read."""
    pixel, output = divmod(column, block.outputs)
    pixel0, output0 = divmod(part.output0, block.outputs)
    return part.at + (pixel - pixel0) * part.stride + output - output0


def _goes_on(before: ColumnRun, run: ColumnRun) -> bool:
    """Whether a run is what another one is, a pixel further on."""
    same = (before.count, before.reads) == (run.count, run.reads)
    follows = before.pixel + before.pixels == run.pixel
    ahead = tuple(
        replace(adder, at=adder.at + before.pixels * adder.stride) for adder in before.adders
    )
    return same and follows and ahead == run.adders


def _stands_beside(before: ColumnRun, run: ColumnRun) -> bool:
    """Whether a run has the outputs that follow another's, of the next block."""
    same = (before.pixel, before.pixels, before.reads) == (run.pixel, run.pixels, run.reads)
    follows = before.first + before.count == run.first
    if run.pixels == 1:  # strides don't matter
        ahead = [(adder.core, adder.at + before.count) for adder in before.adders]
        return same and follows and ahead == [(adder.core, adder.at) for adder in run.adders]
    moved = tuple(replace(adder, at=adder.at + before.count) for adder in before.adders)
    return same and follows and moved == run.adders
