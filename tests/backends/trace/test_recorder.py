"""What a trace holds: every unit's work once, in its cycles, with where it comes from."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from unittest.mock import ANY

import pytest

from nmc.backends import simulator
from nmc.backends.execute import execute
from nmc.backends.simulator import simulate
from nmc.backends.trace import Trace
from nmc.backends.trace.records import Slice
from nmc.ir.diagnostics import NmcError
from tests.backends.models import compiled, inputs_for
from tests.backends.trace.runs import adc_busy, traced, traced_model


def by_track(trace: Trace) -> dict[str, list[Slice]]:
    found: dict[str, list[Slice]] = {}
    for piece in trace.slices:
        track = trace.tracks[piece.track]
        found.setdefault(f"{track.group} {track.name}", []).append(piece)
    return found


def busy(trace: Trace, kind: str) -> Counter[str]:
    cycles: Counter[str] = Counter()
    for name, slices in by_track(trace).items():
        cycles[name] = sum(s.cycles for s in slices if s.kind == kind)
    return +cycles


@pytest.mark.parametrize("model", ["chip", "shared"])
@pytest.mark.parametrize("inflight", [1, 3])
def test_adcs_are_busy_as_long_as_the_result_says(model: str, inflight: int) -> None:
    trace, done = traced_model(model, inflight)
    assert busy(trace, "convert") == adc_busy(done)


@pytest.mark.parametrize("model", ["chip", "shared"])
def test_sequencers_spend_their_cycles_as_the_result_says(model: str) -> None:
    trace, done = traced_model(model, 2)
    issued, stalls = busy(trace, "issue"), busy(trace, "stall")
    uses = [use for result in done.results for use in result.sequencers]
    wanted: Counter[str] = Counter()
    waited: Counter[str] = Counter()
    for use in uses:
        name = f"core {use.core} {use.index} {use.label}"
        wanted[name] += use.issued + use.executing
        waited[name] += sum(use.stalls.values())
    assert issued == wanted
    assert stalls == +waited


def test_a_resource_does_one_thing_at_a_time() -> None:
    trace, _ = traced_model("shared", 3)
    for name, slices in by_track(trace).items():
        for before, after in pairwise(slices):
            assert before.start + before.cycles <= after.start, name


def test_steps_follow_each_other() -> None:
    trace, done = traced_model("shared")
    first, _ = done.results
    names = {trace.labels[s.label].layer for s in trace.slices if s.start < first.cycles}
    later = {trace.labels[s.label].layer for s in trace.slices if s.start > first.cycles}
    assert any("conv1" in name or "relu1" in name for name in names)
    assert any("conv2" in name for name in later)


def test_slices_carry_layer_node_and_source() -> None:
    contents = compiled("chip")
    trace, _ = traced(contents)
    convert = [trace.labels[s.label] for s in trace.slices if s.kind == "convert"]
    assert {label.mnemonic for label in convert} == {"mvm"}
    stages = {stage.name for stage in contents.mapping.stages}
    assert {label.layer for label in convert} <= stages
    assert "/net/conv1/Conv" in {label.onnx for label in convert}
    assert any(label.source.endswith("in forward: conv1") for label in convert)


def test_flows_go_from_a_sender_to_the_wait_that_takes_its_token() -> None:
    trace, _ = traced_model("chip", 2)
    assert trace.flows
    mnemonics: Counter[str] = Counter()
    for flow in trace.flows:
        source, sink = trace.slices[flow.source], trace.slices[flow.sink]
        mnemonics[trace.labels[source.label].mnemonic] += 1
        assert trace.labels[sink.label].mnemonic == "wait"
        assert source.track != sink.track
        assert source.start < sink.start
    assert set(mnemonics) >= {"put", "signal"}


def test_queues_fill_up_to_their_depth_and_empty() -> None:
    contents = compiled("chip")
    trace, _ = traced(contents, inflight=2)
    last: dict[int, float] = {}
    for count in trace.counts:
        unit = trace.tracks[count.track].unit
        if unit == "pJ":
            continue
        assert count.value >= 0
        if unit == "instructions":
            assert count.value <= contents.target.core.queue_depth
        last[count.track] = count.value
    assert last
    assert set(last.values()) == {0}


def test_a_window_keeps_what_reaches_into_it() -> None:
    contents = compiled("chip")
    whole, _ = traced(contents)
    middle = whole.slices[len(whole.slices) // 2].start
    part, _ = traced(contents, window=(middle, middle + 300))

    def told(trace: Trace) -> list[tuple[int, int, str, str]]:
        return [
            (s.start, s.cycles, trace.tracks[s.track].name, trace.labels[s.label].at)
            for s in trace.slices
            if s.start < middle + 300 and s.start + s.cycles > middle
        ]

    assert told(part) == told(whole)
    assert len(part.slices) == len(told(part)) > 0
    assert part.left_out == 0
    # A counter that rose before the window begins with what it holds there.
    values = {whole.tracks[c.track]: c.value for c in whole.counts if c.cycle <= middle}
    begun = {part.tracks[c.track]: c.value for c in part.counts if c.cycle == middle}
    assert begun.items() <= values.items()
    assert {track for track, value in values.items() if value} <= set(begun)


def test_a_limit_is_kept_and_owned_up_to() -> None:
    contents = compiled("chip")
    whole, _ = traced(contents)
    part, _ = traced(contents, limit=500)
    assert len(part.slices) + len(part.counts) <= 500
    assert part.left_out > 0
    assert part.complete_until is not None
    until = part.complete_until
    assert [s for s in part.slices if s.start + s.cycles < until] == [
        s._replace(track=part.tracks.index(whole.tracks[s.track]), label=ANY)
        for s in whole.slices
        if s.start + s.cycles < until
    ]


def test_watching_changes_nothing() -> None:
    contents = compiled("shared")
    plain = execute(contents, inputs_for(contents, 2), inflight=2, engine="reference")
    _, watched = traced(contents, inflight=2)
    for one, other in zip(plain.results, watched.results, strict=True):
        assert one.output_cycles == other.output_cycles
        assert one.stalls == other.stalls
        assert one.events == other.events


def test_only_the_reference_engine_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    contents = compiled("chip")
    monkeypatch.setitem(simulator.ENGINES, "quick", simulator.ENGINES["reference"])
    with pytest.raises(NmcError, match="can't be traced"):
        simulate(contents.programs[0], contents.target, {}, engine="quick", attach=print)
