"""The two ends of a ring as its consumer sees them: rows that came, slots given back."""

from __future__ import annotations

from nmc.passes.emission.chip import ChipWriter
from nmc.passes.emission.turns import Segment
from nmc.passes.emission.writer import Writer

__all__ = ["await_rows", "await_sends", "give_back", "has_one_source"]


def has_one_source(chip: ChipWriter, index: int, number: int, core: int) -> bool:
    """Whether all rows come to a stage from one place, the ring's parent or its own relay."""
    key = (index, number, core)
    return chip.rings[key].parent >= 0 or key in chip.relays


def await_rows(chip: ChipWriter, writer: Writer, index: int, number: int, segment: Segment) -> None:
    """Wait for the rows of an operand that a firing is the first to see, whoever makes them."""
    key = (index, number, writer.core)
    ring = chip.rings[key]
    if key in chip.relays:
        writer.wait(chip.relays[key].here, segment.came[number])
    elif ring.parent >= 0:
        writer.wait(ring.sources[0].token, segment.came[number])
    else:
        for source, count in zip(ring.sources, segment.waits[number], strict=True):
            writer.wait(source.token, count)


def has_padding(chip: ChipWriter, index: int, number: int) -> bool:
    """Whether a stage fills in rows of an operand's ring itself."""
    feed = chip.schedule(index).feeds[number]
    return bool(feed.top or feed.bottom)


def await_sends(chip: ChipWriter, writer: Writer, index: int, number: int) -> None:
    """Before padding is filled in: wait until what the firing before last was done with, whose
    place padding may take, has been sent on."""
    key = (index, number, writer.core)
    if key in chip.relays and has_padding(chip, index, number):
        writer.wait(chip.relays[key].clear, 1)


def give_back(chip: ChipWriter, writer: Writer, index: int, number: int, segment: Segment) -> None:
    """Tell those who make an operand's rows which slots are free for them after a firing; not
    before the rows in them have been sent on."""
    key = (index, number, writer.core)
    ring = chip.rings[key]
    if key in chip.relays:
        sends = len(chip.children[key])
        writer.wait(chip.relays[key].sent, segment.freed[number] * sends)
        if has_padding(chip, index, number):
            writer.signal(writer.core, chip.relays[key].clear, 1)
    if ring.parent >= 0:
        (source,) = ring.sources
        writer.signal(source.core, source.credit, segment.slots[number])
    else:
        for source, count in zip(ring.sources, segment.releases[number], strict=True):
            writer.signal(source.core, source.credit, count)
