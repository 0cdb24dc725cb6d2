"""Sequencers that send the rows of a ring on to others: a tree of neighbours, instead of a producer
who sends each row to every core."""

from __future__ import annotations

import numpy as np

from nmc.ir.mapping import Ring
from nmc.ir.program import Put
from nmc.passes.emission.chip import ChipWriter, RingKey
from nmc.passes.emission.turns import patterns
from nmc.passes.emission.writer import INPUT, TURN, Writer

__all__ = ["write_relay"]


def write_relay(chip: ChipWriter, key: RingKey) -> None:
    """Wait for each row of a ring, let the ring's own stage have it, and put it to its children."""
    ring, relay = chip.rings[key], chip.relays[key]
    children = [chip.rings[child] for child in chip.children[key]]
    feed = chip.feed(ring)
    made = np.ones((len(feed.rows), 1), np.bool_)
    if ring.parent < 0:
        made = chip.schedule(ring.stage).makers[ring.operand].made
    label = chip.mapping.stages[ring.stage].name
    writer = Writer(ring.core, f"{label}.relay{ring.operand}")
    with writer.loop(INPUT, 0):
        for run in patterns(made.astype(np.int64), np.zeros((len(made), 0), np.int64)):
            with writer.loop(TURN, run.count):
                for row in range(run.first, run.first + run.length):
                    for source, makes in zip(ring.sources, made[row].tolist(), strict=True):
                        writer.wait(source.token, int(makes))
                    writer.signal(ring.core, relay.here, 1)
                    for child in children:
                        _put(chip, writer, ring, child, feed.top + row, run.length, relay.sent)
    chip.add_sequencer(writer, ring.stage, f"relay{ring.operand}")


def _put(
    chip: ChipWriter, writer: Writer, ring: Ring, child: Ring, row: int, step: int, sent: int
) -> None:
    """A ring's row to the same row of a child, padding beside it left out."""
    operand = chip.operand(ring)
    stream = chip.stream(operand.stream)
    pixel = chip.mapping.seen_chans(operand)[1] * stream.element_bytes
    rows = chip.feed(ring).ring_rows
    dims = ((stream.cols * pixel // stream.element_bytes, stream.element_bytes),)
    src, dst = (
        writer.desc(
            stream.dtype,
            each.address,
            dims,
            terms={INPUT: rows * each.row_bytes, TURN: step * each.row_bytes},
            offset=row * each.row_bytes + operand.left * pixel,
            ring=each.depth * each.row_bytes,
        )
        for each in (ring, child)
    )
    (source,) = child.sources
    writer.wait(source.credit, 1)
    writer.emit(Put(child.core, dst, src, source.token, sent))
