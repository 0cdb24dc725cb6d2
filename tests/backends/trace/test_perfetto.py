"""Perfetto's files, read back with the official schema of the package `perfetto`."""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nmc
from nmc.backends.execute import execute
from nmc.backends.trace import Recorder, Trace, write_trace
from nmc.backends.trace.perfetto_schema import EXPLICIT, MESSAGES, Sequence, Type
from tests.backends.trace.runs import adc_busy, traced_model

official: Any = pytest.importorskip(
    "perfetto.protos.perfetto.trace.perfetto_trace_pb2",
    reason="the package `perfetto`, which has the official schema, is not installed",
)


def read_back(trace: Trace) -> Any:
    stream = io.BytesIO()
    write_trace(trace, stream, ".pftrace")
    return official.Trace.FromString(stream.getvalue())


def slices(parsed: Any) -> list[tuple[str, int, int, Any]]:
    """(path of the track, start, end, begin event) of every slice."""
    paths: dict[int, str] = {}
    open_: dict[int, tuple[int, Any]] = {}
    found = []
    for packet in parsed.packet:
        if packet.HasField("track_descriptor"):
            made = packet.track_descriptor
            above = paths[made.parent_uuid] + " > " if made.HasField("parent_uuid") else ""
            paths[made.uuid] = above + made.name
        event, time = packet.track_event, packet.timestamp
        if event.type == official.TrackEvent.TYPE_SLICE_BEGIN:
            assert event.track_uuid not in open_, "slices overlap"
            open_[event.track_uuid] = (time, event)
        elif event.type == official.TrackEvent.TYPE_SLICE_END:
            start, begun = open_.pop(event.track_uuid)
            found.append((paths[event.track_uuid], start, time, begun))
    assert not open_
    return found


def test_excerpt_is_the_official_schema() -> None:
    scalar = {
        getattr(official.TracePacket.DESCRIPTOR.fields[0], f"TYPE_{name}"): name.lower()
        for name in ("UINT64", "UINT32", "INT64", "INT32", "FIXED64", "STRING", "BYTES", "DOUBLE")
    }
    for name, fields in MESSAGES.items():
        known = official.DESCRIPTOR.message_types_by_name[name].fields_by_name
        for field in fields:
            there = known[field.name]
            assert there.number == field.number
            assert there.is_repeated == field.repeated
            if there.message_type is not None:
                assert there.message_type.name == field.type
            elif there.enum_type is not None:
                assert field.type == "int32"
            else:
                assert scalar[there.type] == field.type
    event, packet = official.TrackEvent, official.TracePacket
    assert event.TYPE_SLICE_BEGIN == Type.SLICE_BEGIN
    assert event.TYPE_SLICE_END == Type.SLICE_END
    assert event.TYPE_COUNTER == Type.COUNTER
    assert packet.SEQ_INCREMENTAL_STATE_CLEARED == Sequence.INCREMENTAL_STATE_CLEARED
    assert packet.SEQ_NEEDS_INCREMENTAL_STATE == Sequence.NEEDS_INCREMENTAL_STATE
    assert official.TrackDescriptor.EXPLICIT == EXPLICIT


def busy_of(parsed: Any) -> Counter[str]:
    busy: Counter[str] = Counter()
    for path, start, end, _ in slices(parsed):
        core, part, *rest = path.split(" > ")
        if part == "ADCs":
            busy[f"{core} {rest[0]}"] += end - start
    return busy


@pytest.mark.parametrize("model", ["chip", "shared"])
def test_adcs_add_up_to_what_the_result_reports(model: str) -> None:
    trace, done = traced_model(model, 2)
    assert busy_of(read_back(trace)) == adc_busy(done)


def test_resnet8_adds_up_to_what_the_result_reports(shared: Path) -> None:
    compiled = nmc.compile(shared / "mlperf_ic01_resnet8_int8.onnx", "exact-128")
    recorder = Recorder(compiled.contents)
    inputs = compiled.inputs("random:1").arrays
    done = execute(compiled.contents, inputs, engine="reference", attach=recorder.attach)
    trace = recorder.trace()
    assert trace.left_out == 0
    busy = busy_of(read_back(trace))
    assert busy == adc_busy(done)
    ratio = busy.total() / (len(busy) * done.cycles)
    assert ratio == pytest.approx(done.adc_utilization)


def test_no_texts_and_tracks_are_lost() -> None:
    trace, _ = traced_model("chip")
    parsed = read_back(trace)
    names: dict[int, str] = {}
    texts: dict[int, bytes] = {}
    told = []
    for packet in parsed.packet:
        data = packet.interned_data
        names |= {entry.iid: entry.name for entry in data.event_names}
        texts |= {entry.iid: entry.str for entry in data.debug_annotation_string_values}
        if packet.track_event.type == official.TrackEvent.TYPE_SLICE_BEGIN:
            said = {
                texts[a.string_value_iid].decode() for a in packet.track_event.debug_annotations
            }
            told.append((packet.timestamp, names[packet.track_event.name_iid], said))
    assert len(told) == len(trace.slices)
    for (start, name, said), piece in zip(told, trace.slices, strict=True):
        assert (start, name) == (piece.start, piece.name)
        assert said == {text for text in trace.labels[piece.label][1:] if text}


def test_flows_have_both_ends() -> None:
    trace, _ = traced_model("chip")
    ends: defaultdict[int, list[tuple[str, int]]] = defaultdict(list)
    for _, start, _, event in slices(read_back(trace)):
        for flow in event.flow_ids:
            ends[flow].append(("source", start))
        for flow in event.terminating_flow_ids:
            ends[flow].append(("sink", start))
    assert len(ends) == len(trace.flows)
    for both in ends.values():
        (_, sent), (_, taken) = sorted(both, reverse=True)
        assert {end for end, _ in both} == {"source", "sink"}
        assert sent < taken


def test_counters_hold_what_the_trace_has() -> None:
    trace, _ = traced_model("chip")
    parsed = read_back(trace)
    counters = {
        p.track_descriptor.uuid: p.track_descriptor.name
        for p in parsed.packet
        if p.track_descriptor.HasField("counter")
    }
    values = [
        (p.timestamp, counters[e.track_uuid], getattr(e, e.WhichOneof("counter_value_field")))
        for p, e in ((p, p.track_event) for p in parsed.packet)
        if e.type == official.TrackEvent.TYPE_COUNTER
    ]
    assert values == [(c.cycle, trace.tracks[c.track].name, c.value) for c in trace.counts]


def test_packets_are_in_order_of_time_on_one_sequence() -> None:
    trace, _ = traced_model("chip")
    packets = read_back(trace).packet
    times = [p.timestamp for p in packets if p.HasField("track_event")]
    assert np.all(np.diff(times) >= 0)
    assert {p.trusted_packet_sequence_id for p in packets} == {1}
    assert packets[0].sequence_flags == official.TracePacket.SEQ_INCREMENTAL_STATE_CLEARED


def test_same_run_same_bytes() -> None:
    first, second = io.BytesIO(), io.BytesIO()
    for stream in (first, second):
        write_trace(traced_model("chip")[0], stream, ".pftrace")
    assert first.getvalue() == second.getvalue()
