"""What cores send each other per input, once stages have their cores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nmc.ir.adc_load import reads_per_input
from nmc.ir.graph import Array
from nmc.ir.mapping import Mapping, Stage
from nmc.passes.placing.asks import Link
from nmc.passes.placing.packing import Packing

__all__ = ["Traffic", "traffic_of"]

ACCUMULATOR_BYTES = 4


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """Bytes per input between cores, either way, and between each core and global memory.

    Core n exchanges `bytes[first[n]:first[n + 1]]` with the cores `others[first[n]:first[n + 1]]`,
    and `memory[n]` with its memory port.
    """

    first: Array
    others: Array
    bytes: Array
    memory: Array


def traffic_of(packing: Packing, links: Sequence[Link]) -> Traffic:
    """Rows to rings, partial sums to homes, and what comes from global memory and goes there."""
    mapping, count = packing.needs.mapping, packing.rooms.target.cores
    memory = np.zeros(count)
    senders, takers, sizes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]

    def add(sender: int, there: Array, size: Array) -> None:
        senders.append(np.full(len(there), sender))
        takers.append(there)
        sizes.append(np.broadcast_to(size, there.shape))

    taken = np.zeros(len(mapping.stages))
    for link in links:
        home = packing.cores[link.stage][:1]
        taken[link.stage] += link.bytes * (link.operand == 0)
        if link.producer < 0:
            memory[home] += link.bytes
        else:
            add(int(packing.cores[link.producer][0]), home, np.array([float(link.bytes)]))
    for index, cores in packing.cores.items():
        stage = mapping.stages[index]
        memory[cores[0]] += _stored_bytes(mapping, stage)
        if len(cores) > 1:  # what its matrix works on goes out to them, partial sums come back
            sums = packing.sums[index][1:] * (reads_per_input(mapping, stage) * ACCUMULATOR_BYTES)
            add(int(cores[0]), cores[1:], taken[index] + sums)
    return _gathered(np.concatenate(senders), np.concatenate(takers), np.concatenate(sizes), memory)


def _stored_bytes(mapping: Mapping, stage: Stage) -> float:
    """What a stage sends to global memory for an input."""
    stream = mapping.streams[stage.output]
    pixels = stream.rows * stream.cols * len(stream.sinks)
    return pixels * mapping.made_chans(stage)[1] * stream.element_bytes / stage.copies


def _gathered(senders: Array, takers: Array, sizes: Array, memory: Array) -> Traffic:
    """One entry for each pair of cores, at either of them."""
    count = len(memory)
    apart = senders != takers
    one = np.concatenate([senders[apart], takers[apart]])
    other = np.concatenate([takers[apart], senders[apart]])
    pairs, where = np.unique(one * count + other, return_inverse=True)
    bytes_ = np.bincount(where, np.tile(sizes[apart], 2), len(pairs))
    first = np.searchsorted(pairs // max(count, 1), np.arange(count + 1))
    return Traffic(first, pairs % max(count, 1), bytes_, memory)
