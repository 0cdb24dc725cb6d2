"""Chrome's JSON: what its viewers ask for, and the same figures as everywhere."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from itertools import pairwise
from typing import Any

import pytest

from nmc.backends.trace import Trace, write_trace
from tests.backends.trace.runs import adc_busy, traced_model


def read_back(trace: Trace) -> dict[str, Any]:
    stream = io.BytesIO()
    write_trace(trace, stream, ".json")
    parsed: dict[str, Any] = json.loads(stream.getvalue())
    return parsed


def threads(events: list[dict[str, Any]]) -> dict[tuple[int, int], str]:
    groups = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    return {
        (e["pid"], e["tid"]): f"{groups[e['pid']]} {e['args']['name']}"
        for e in events
        if e["name"] == "thread_name"
    }


def cycles(microseconds: float) -> int:
    return round(microseconds * 1000)


@pytest.mark.parametrize("model", ["chip", "shared"])
def test_adcs_add_up_and_nothing_overlaps(model: str) -> None:
    trace, done = traced_model(model, 2)
    events = read_back(trace)["traceEvents"]
    names = threads(events)
    lines: defaultdict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            line = lines[event["pid"], event["tid"]]
            line.append((cycles(event["ts"]), cycles(event["dur"])))
    assert set(lines) <= set(names)
    for line in lines.values():
        assert all(a + n <= b for (a, n), (b, _) in pairwise(sorted(line)))
    adcs = {names[key]: line for key, line in lines.items() if " ADC " in names[key]}
    assert {name: sum(n for _, n in line) for name, line in adcs.items()} == adc_busy(done)


def test_head_says_what_a_nanosecond_is() -> None:
    parsed = read_back(traced_model("chip")[0])
    assert parsed["displayTimeUnit"] == "ns"
    assert parsed["otherData"]["time"].startswith("1 ns is shown for 1 cycle")


def test_flows_bind_to_slices() -> None:
    trace, _ = traced_model("chip")
    events = read_back(trace)["traceEvents"]
    begun = {(e["pid"], e["tid"], e["ts"]) for e in events if e["ph"] == "X"}
    ends: defaultdict[int, list[str]] = defaultdict(list)
    for event in events:
        if event["ph"] in "sf":
            assert (event["pid"], event["tid"], event["ts"]) in begun
            ends[event["id"]].append(event["ph"])
    assert len(ends) == len(trace.flows)
    assert all(phases == ["s", "f"] for phases in ends.values())


def test_slices_say_where_they_come_from() -> None:
    events = read_back(traced_model("chip")[0])["traceEvents"]
    issued = [e for e in events if e["ph"] == "X" and e["cat"] == "issue" and e["name"] == "mvm"]
    assert all(e["args"]["assembly"].startswith("mvm plan") for e in issued)
    converted = [e for e in events if e["ph"] == "X" and e["cat"] == "convert"]
    assert {"/net/conv1/Conv"} <= {e["args"].get("onnx") for e in converted}
