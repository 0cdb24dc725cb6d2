"""The pass `schedule-adc`: how finely and in what range each tile's channels are converted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nmc.ir.design import Design
from nmc.ir.diagnostics import Report
from nmc.ir.graph import Array, Node
from nmc.ir.interpreter import run_graph_batch
from nmc.ir.mapping import Mapping, Stage, Tile
from nmc.ir.matrices import block_matrix, nodes_by_result, tile_levels
from nmc.ir.slices import code_range, column_bounds, convert
from nmc.ir.stage_inputs import batch_of, stage_windows
from nmc.ir.target import Target
from nmc.passes.base import Pass, mapping_of

__all__ = ["ScheduleAdc", "best_step"]


@dataclass(frozen=True)
class ScheduleAdc(Pass):
    """Give every slice of every tile its ADC resolution and step; leave out what is zero.

    The copies of a layer convert alike, so that it doesn't matter which of them makes a row.  A
    slice whose levels are all zero is not converted, nor is any channel that no output uses.
    Where the ADC's range covers all that a slice's levels can show, the step is 1, the bits are as
    few as cover it, and the read is lossless.  Elsewhere the target's `adc.range` decides: `full`,
    the smallest step that never clips; `clip`, step 1; `calibrated`, the step whose conversions of
    calibration data have the least squared error, phases weighted by their significance.
    """

    name = "schedule-adc"
    needs = "placed"
    gives = "scheduled"
    cite = "Kavishwar and Shanbhag, arXiv 2507.09776 (clipping against quantisation error)"

    samples: int = 8
    windows: int = 256

    def run(self, design: Design, report: Report) -> bool:
        mapping, target = mapping_of(design), design.target
        nodes = nodes_by_result(design.graph)
        firsts = [tile for tile in mapping.tiles if mapping.stages[tile.stage].copy == 0]
        levels = _levels(mapping, firsts, nodes, target)
        asking = {
            t.stage
            for t, matrix in zip(firsts, levels, strict=True)
            if target.adc.range == "calibrated" and not _all_lossless(matrix, target)
        }
        seen = self._seen(design, [mapping.stages[i] for i in sorted(asking)])
        rng = np.random.default_rng(design.seed)
        data = {
            index: stage_windows(
                nodes[stage.nodes[0]],
                stage,
                mapping.streams[stage.operands[0].stream],
                seen,
                self.windows,
                rng,
            )
            for index, stage in enumerate(mapping.stages)
            if index in asking and seen
        }
        scheduled = [
            _scheduled(tile, matrix, data.get(tile.stage), target)
            for tile, matrix in zip(firsts, levels, strict=True)
        ]
        design.mapping = replace(mapping, tiles=tuple(_for_all_copies(mapping, scheduled)))
        return True

    def _seen(self, design: Design, stages: list[Stage]) -> dict[str, Array]:
        """What calibration data puts on the operands of these stages: u8[samples, ...]."""
        if design.calibration is None or not stages:
            return {}
        inputs = {
            v.name: batch_of(v, design.calibration.inputs[v.name][: self.samples])
            for v in design.graph.inputs
        }
        keep = {stage.operands[0].value for stage in stages}
        return run_graph_batch(design.graph, inputs, keep=keep, host=design.host)


def best_step(columns: Array, bits: int, weights: Array, encoding: str = "differential") -> int:
    """The integer step with the least squared error over channel values i64[phases, n].

    `weights` has the significance of each phase.  Steps well beyond the one that covers every
    value only lose resolution, so the search ends there.
    """
    lo, hi = int(columns.min(initial=0)), int(columns.max(initial=0))
    top = full_step(lo, hi, bits, encoding) * 5 // 4 + 1
    candidates = np.unique(np.rint(np.geomspace(1, top, num=min(top, 40))).astype(int))
    square = weights.astype(np.float64) ** 2

    def loss(step: int) -> float:
        error = (convert(columns, step, bits, encoding) - columns).astype(np.float64) ** 2
        return float((error.mean(axis=1) * square).sum())

    return int(min(candidates, key=lambda step: loss(int(step))))


def least_bits(lo: int, hi: int, most: int, encoding: str = "differential") -> int:
    """The fewest bits whose codes, at step 1, cover lo..hi; `most` if none up to it do."""
    ranges = ((bits, code_range(bits, encoding)) for bits in range(1, most))
    return next((bits for bits, (least, top) in ranges if least <= lo and hi <= top), most)


def full_step(lo: int, hi: int, bits: int, encoding: str = "differential") -> int:
    """The smallest step at which no value of lo..hi clips.

    A signed converter of one bit has no code above zero: there, what rounds to zero must do.
    """
    least, top = code_range(bits, encoding)
    above = -(-hi // top) if top else 2 * hi
    below = -(-lo // least) if least else 0
    return max(1, above, below)


def _for_all_copies(mapping: Mapping, scheduled: list[Tile]) -> Iterator[Tile]:
    """All tiles, with the conversions of the first copy's at the same place of its matrix."""

    def place(tile: Tile) -> tuple[int, ...]:
        stage = mapping.stages[tile.stage]
        return stage.output, stage.piece, tile.block, tile.row0, tile.output0

    known = {place(tile): tile for tile in scheduled}
    for tile in mapping.tiles:
        first = known[place(tile)]
        yield replace(tile, bits=first.bits, steps=first.steps, converted=first.converted)


def _levels(
    mapping: Mapping, tiles: Sequence[Tile], nodes: dict[str, Node], target: Target
) -> list[Array]:
    """The levels of each tile; each block's matrix is cut up once."""
    matrices: dict[tuple[int, int], Array] = {}
    result: list[Array] = []
    for tile in tiles:
        key = (tile.stage, tile.block)
        if key not in matrices:
            stage = mapping.stages[tile.stage]
            matrices[key] = block_matrix(nodes[stage.nodes[0]], stage, stage.blocks[tile.block])
        result.append(tile_levels(matrices[key], tile, target))
    return result


def _all_lossless(levels: Array, target: Target) -> bool:
    low, high = column_bounds(levels, target.crossbar.dac_bits)
    lo, hi = code_range(target.adc.bits, target.crossbar.encoding)
    return bool(low.min(initial=0) >= lo and high.max(initial=0) <= hi)


def _scheduled(tile: Tile, levels: Array, windows: list[Array] | None, target: Target) -> Tile:
    bits, encoding = target.adc.bits, target.crossbar.encoding
    lows, highs = _slice_bounds(levels, target)
    steps: list[int] = []
    widths: list[int] = []
    for s, (lo, hi) in enumerate(zip(lows, highs, strict=True)):
        if encoding != "differential" and s == 0:
            hi = max(hi, tile.rows * target.crossbar.max_digit)  # the unit column is read as it is
        full = full_step(lo, hi, bits, encoding)
        steps.append(full)
        widths.append(least_bits(lo, hi, bits, encoding))
        if full > 1 and target.adc.range == "clip":
            steps[-1] = 1
        elif full > 1 and target.adc.range == "calibrated" and windows is not None:
            mine = windows[tile.block][:, tile.row0 : tile.row0 + tile.rows]
            columns = _columns(mine, levels[:, s :: target.slices], target)
            weights = 1 << (target.crossbar.dac_bits * np.arange(target.phases))
            steps[-1] = best_step(columns, bits, weights, encoding)
    return replace(
        tile,
        bits=tuple(widths),
        steps=tuple(steps),
        converted=tuple(lo < 0 or hi > 0 for lo, hi in zip(lows, highs, strict=True)),
    )


def _slice_bounds(levels: Array, target: Target) -> tuple[list[int], list[int]]:
    """Least and greatest value of any channel of each slice, none above or below zero."""
    low, high = column_bounds(levels, target.crossbar.dac_bits)
    lows = low.reshape(-1, target.slices).min(axis=0, initial=0)
    highs = high.reshape(-1, target.slices).max(axis=0, initial=0)
    return lows.tolist(), highs.tolist()


def _columns(windows: Array, levels: Array, target: Target) -> Array:
    """Channel values i64[phases, windows * channels] that these inputs produce."""
    dac = target.crossbar.dac_bits
    digits = np.stack(
        [windows >> np.uint8(dac * p) & np.uint8((1 << dac) - 1) for p in range(target.phases)]
    )
    values = np.matmul(digits.astype(np.float32), levels.astype(np.float32))
    return np.asarray(values.reshape(target.phases, -1).astype(np.int64))
