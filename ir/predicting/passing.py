"""The way of one input through stages that nothing holds up, for mappings too large to play.

A stage ends its firings one after the other, none before its rows have come: over all firings at
once that is a running maximum, so that one pass over the stages in order gives all times.  Rings
have room and ADCs time for all here.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nmc.ir import mapping as m
from nmc.ir.graph import Array
from nmc.ir.rows import emitted_rows, feed_of
from nmc.ir.stage_time import StageTime
from nmc.ir.target import Target

__all__ = ["passing_times"]


def passing_times(
    mapping: m.Mapping, target: Target, times: Mapping[int, StageTime]
) -> dict[int, float]:
    """When each stage of a chip step has made its last row of a lone input."""
    here: dict[int, Array] = {}
    done: dict[int, float] = {}
    for index, time in times.items():
        stage = mapping.stages[index]
        ready = np.zeros(time.firings)
        for operand in stage.operands:
            feed = feed_of(mapping, stage, operand)
            came = np.maximum.accumulate(_rows(mapping, target, operand.stream, here)[feed.rows])
            ready = np.maximum(ready, came[np.maximum(feed.needed, 1) - 1] * (feed.needed > 0))
        turns = np.arange(time.firings)
        begun = np.maximum.accumulate(ready - time.firing_cycles * turns)
        ended = begun + time.firing_cycles * turns + _firing_latency(time)
        rows = _rows(mapping, target, stage.output, here)
        firing, row = emitted_rows(mapping, stage)
        rows[row] = np.maximum(rows[row], ended[firing])
        done[index] = float(ended[-1])
    return done


def _rows(mapping: m.Mapping, target: Target, stream: int, here: dict[int, Array]) -> Array:
    """When the rows of a stream are there; those of the host come as fast as memory gives them."""
    if stream not in here:
        described = mapping.streams[stream]
        here[stream] = np.zeros(described.rows)
        if not described.producers:
            each = -(-described.row_bytes // target.global_memory.bytes_per_cycle)
            here[stream] = target.memory_latency_cycles + each * np.arange(1, described.rows + 1)
    return here[stream]


def _firing_latency(time: StageTime) -> float:
    """From a firing's begin until its rows are made."""
    reading = max((c.compute_cycles + c.latency_cycles - c.read_cycles for c in time.cores),
                  default=0.0)  # fmt: skip
    return reading + time.finish_after(True)
