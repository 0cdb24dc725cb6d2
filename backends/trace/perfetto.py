"""Perfetto's own trace format: TrackEvents, on tracks under core and kind, with interned texts.

One cycle is written as one nanosecond, whatever the clock, so that figures stay whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import IO, Any

from nmc.backends.trace.perfetto_schema import EXPLICIT, Sequence, Type, message
from nmc.backends.trace.records import Count, Label, Slice, Trace, Track

__all__ = ["write_perfetto"]

PACKETS_AT_ONCE = 1000
SEQUENCE_ID = 1
ANNOTATIONS = ("at", "assembly", "layer", "onnx", "source")


def write_perfetto(trace: Trace, stream: IO[bytes]) -> None:
    """A Trace message; parts of it written one after the other come to the same."""
    writer = Writer(trace)
    whole = message("Trace")
    part = whole()
    for packet in writer.packets():
        part.packet.append(packet)
        if len(part.packet) == PACKETS_AT_ONCE:
            stream.write(part.SerializeToString(deterministic=True))
            part = whole()
    stream.write(part.SerializeToString(deterministic=True))


class Writer:
    """Makes the packets of a trace, tracks first, then events in order of time."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.packet = message("TracePacket")
        self.interned: dict[tuple[str, str], int] = {}
        self.uuids: list[int] = []
        self.sources: defaultdict[int, list[int]] = defaultdict(list)
        """Flows, numbered from 1, by the slice that they come from."""
        self.sinks: defaultdict[int, list[int]] = defaultdict(list)
        for number, flow in enumerate(trace.flows, 1):
            self.sources[flow.source].append(number)
            self.sinks[flow.sink].append(number)

    def packets(self) -> Iterator[Any]:
        cleared = Sequence.INCREMENTAL_STATE_CLEARED
        yield self.packet(trusted_packet_sequence_id=SEQUENCE_ID, sequence_flags=cleared)
        yield from self.descriptors()
        yield from self.events()

    # Tracks

    def descriptors(self) -> Iterator[Any]:
        """Groups, their parts, and the tracks within, each before its children."""
        above: dict[tuple[str, ...], int] = {}
        uuid = 0
        for rank, track in enumerate(self.trace.tracks):
            path: tuple[str, ...] = ()
            for name in (track.group, track.part):
                parent, path = path, (*path, name)
                if path not in above:
                    uuid += 1
                    above[path] = uuid
                    yield self.descriptor(uuid, name, rank, above.get(parent), EXPLICIT)
            uuid += 1
            self.uuids.append(uuid)
            yield self.track_descriptor(uuid, track, rank, above[path])

    def descriptor(
        self, uuid: int, name: str, rank: int, parent: int | None, ordering: int | None = None
    ) -> Any:
        packet = self.packet(trusted_packet_sequence_id=SEQUENCE_ID)
        made = packet.track_descriptor
        made.uuid, made.name, made.sibling_order_rank = uuid, name, rank
        if parent is not None:
            made.parent_uuid = parent
        if ordering is not None:
            made.child_ordering = ordering
        return packet

    def track_descriptor(self, uuid: int, track: Track, rank: int, parent: int) -> Any:
        packet = self.descriptor(uuid, track.name, rank, parent)
        if track.unit:
            packet.track_descriptor.counter.unit_name = track.unit
        return packet

    # Events

    def events(self) -> Iterator[Any]:
        """In order of time; what ends in a cycle comes before what begins."""
        slices, counts = self.trace.slices, self.trace.counts
        order = [(s.start, 2, i) for i, s in enumerate(slices)]
        order += [(s.start + s.cycles, 0, i) for i, s in enumerate(slices)]
        order += [(c.cycle, 1, i) for i, c in enumerate(counts)]
        for cycle, what, index in sorted(order):
            if what == 2:
                yield self.begin(slices[index], index)
            elif what == 0:
                yield self.event(cycle, slices[index].track, Type.SLICE_END)
            else:
                yield self.counted(counts[index])

    def counted(self, count: Count) -> Any:
        packet = self.event(count.cycle, count.track, Type.COUNTER)
        if isinstance(count.value, float):
            packet.track_event.double_counter_value = count.value
        else:
            packet.track_event.counter_value = count.value
        return packet

    def event(self, cycle: int, track: int, kind: int) -> Any:
        packet = self.packet(
            timestamp=cycle,
            trusted_packet_sequence_id=SEQUENCE_ID,
            sequence_flags=Sequence.NEEDS_INCREMENTAL_STATE,
        )
        packet.track_event.type = kind
        packet.track_event.track_uuid = self.uuids[track]
        return packet

    def begin(self, piece: Slice, index: int) -> Any:
        packet = self.event(piece.start, piece.track, Type.SLICE_BEGIN)
        event = packet.track_event
        event.name_iid = self.intern(packet, "event_names", piece.name)
        event.category_iids.append(self.intern(packet, "event_categories", piece.kind))
        event.flow_ids.extend(self.sources.get(index, ()))
        event.terminating_flow_ids.extend(self.sinks.get(index, ()))
        self.annotate(packet, self.trace.labels[piece.label])
        return packet

    def annotate(self, packet: Any, label: Label) -> None:
        for name in ANNOTATIONS:
            text = getattr(label, name)
            if text:
                packet.track_event.debug_annotations.add(
                    name_iid=self.intern(packet, "debug_annotation_names", name),
                    string_value_iid=self.intern(packet, "debug_annotation_string_values", text),
                )

    def intern(self, packet: Any, table: str, text: str) -> int:
        """The number of a text in one of the tables; the first packet that uses it brings it."""
        number = self.interned.get((table, text))
        if number is None:
            number = self.interned[table, text] = len(self.interned) + 1
            entry = getattr(packet.interned_data, table).add(iid=number)
            if table == "debug_annotation_string_values":
                entry.str = text.encode()
            else:
                entry.name = text
        return number
