"""How many slots each ring wants so that the pipeline keeps its pace.

The token game (`nmc.ir.token_game`) finds the depths with which nothing waits for ever.  A skip
connection that is only that deep still holds its producer up, since what it skips takes time: with
copies, about an input's worth for each layer.  Here the rows are played in time: inputs come at the
pace of the slowest stage, rings have no end, and what each of them comes to hold is what it wants.
Without ends nothing waits for room, so that one pass over the stages in order gives all times.
"""

from __future__ import annotations

from collections.abc import Mapping as Dict
from dataclasses import replace

import numpy as np

from nmc.ir.graph import Array, Node
from nmc.ir.mapping import Mapping, Tile
from nmc.ir.rows import Feed, emitted_rows, feed_of, firings
from nmc.ir.stage_time import StageTime, StageTimes
from nmc.ir.target import Target

__all__ = ["wanted_depths"]

INPUTS = 8
"""A steady state is reached once the first has come through what a skip connection skips."""

STRETCH = 3.0
"""A stage that shares ADCs takes longer for a firing than alone, at most by this much; nor longer
than the pace leaves it."""

TRANSFER_CYCLES = 256.0
"""Assumption: from the end of a firing to the arrival of its rows."""


def wanted_depths(
    mapping: Mapping, nodes: Dict[str, Node], target: Target
) -> dict[tuple[int, int], int]:
    """Slots of the ring of each (stage, operand number); `nodes` by their first results."""
    alone = _layer_times(mapping, nodes, target)
    pace: dict[int, float] = {}
    for stage, time in zip(mapping.stages, alone, strict=True):
        pace[stage.step] = max(pace.get(stage.step, 1.0), time.input_cycles)
    arrivals = [
        np.zeros((INPUTS, stream.rows))
        if stream.producers
        else _paced(stream.rows, pace.get(stream.step, 1.0))
        for stream in mapping.streams
    ]
    wanted: dict[tuple[int, int], int] = {}
    for index, (stage, time) in enumerate(zip(mapping.stages, alone, strict=True)):
        each = time.firing_cycles
        each = max(each, min(STRETCH * each, pace[stage.step] / time.firings))
        feeds = [feed_of(mapping, stage, operand) for operand in stage.operands]
        seen = [arrivals[o.stream][:, f.rows] for o, f in zip(stage.operands, feeds, strict=True)]
        read = _ends([_ready(rows, feed) for rows, feed in zip(seen, feeds, strict=True)], each)
        ended = read + time.finish_after(emits=True)
        for number, (rows, feed) in enumerate(zip(seen, feeds, strict=True)):
            wanted[index, number] = _held(rows, feed, ended)
        firing, row = emitted_rows(mapping, stage)
        made = arrivals[stage.output]
        made[:, row] = np.maximum(made[:, row], ended[:, firing] + TRANSFER_CYCLES)
    return wanted


def _layer_times(mapping: Mapping, nodes: Dict[str, Node], target: Target) -> list[StageTime]:
    """The time of each stage; copies take that of the first one, which makes most rows."""
    times = StageTimes(target)
    tiles: dict[int, list[Tile]] = {}
    for tile in mapping.tiles:
        tiles.setdefault(tile.stage, []).append(tile)
    result: list[StageTime] = []
    for index, stage in enumerate(mapping.stages):
        if stage.copy == 0:
            result.append(times.of(mapping, stage, tiles.get(index, []), nodes))
        else:
            result.append(replace(result[-1], firings=firings(mapping, stage)))
    return result


def _paced(rows: int, pace: float) -> Array:
    """When rows from the host come: f64[inputs, rows]."""
    return np.arange(INPUTS)[:, None] * pace + np.arange(rows) * (pace / rows)


def _ready(arrived: Array, feed: Feed) -> Array:
    """When each firing has the rows that it needs: f64[inputs, firings]."""
    so_far = np.maximum.accumulate(arrived, axis=1)
    before = np.zeros((INPUTS, 1))
    return np.asarray(np.concatenate([before, so_far], axis=1)[:, feed.needed])


def _ends(ready: list[Array], each: float) -> Array:
    """When firings end that take `each` cycles one after the other: f64[inputs, firings]."""
    latest = np.max(ready, axis=0)
    index = np.arange(latest.size) * each
    begins = np.maximum.accumulate(latest.reshape(-1) - index) + index
    return np.asarray((begins + each).reshape(latest.shape))


def _held(arrived: Array, feed: Feed, ended: Array) -> int:
    """The most slots that are taken when a row comes, its own included, and one to spare."""
    index = np.arange(INPUTS)[:, None] * feed.ring_rows
    slot = (index + feed.top + np.arange(len(feed.rows))).reshape(-1)
    free = np.concatenate([[0], (index + feed.released).reshape(-1)])
    done = np.searchsorted(ended.reshape(-1), arrived.reshape(-1), side="right")
    return int((slot + 1 - free[done]).max(initial=0)) + 1
