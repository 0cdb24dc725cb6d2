"""Predicted interval, latency and loads against the simulator's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from nmc.backends.report_comparison import steady_interval
from nmc.backends.simulator.fast import run_timing
from nmc.backends.simulator.result import Result
from nmc.ir import ops, prediction
from nmc.ir.design import Design
from nmc.ir.graph import Graph
from nmc.ir.mapping import Kind
from nmc.ir.predicting.play import Played, play
from nmc.ir.prediction import Prediction, StepPrediction, predict, stage_times
from nmc.passes.base import mapping_of
from nmc.passes.replicating import shapes
from nmc.targets import load, override
from tests.passes.lowering import lowered
from tests.passes.nets import Build

INFLIGHT = 64


def straight() -> Graph:
    """Layers of falling size: the first is slowest."""
    net = Build(1, 3, 16, 16)
    value = net.relu(net.conv(net.x, 16))
    value = net.relu(net.conv(value, 32, stride=2))
    return net.done(net.dense(net.relu(net.conv(value, 32, stride=2)), 10))


def residual() -> Graph:
    net = Build(1, 8, 12, 12)
    value = net.relu(net.conv(net.x, 16))
    for _ in range(2):
        value = net.emit(ops.Add(), net.conv(net.relu(net.conv(value, 16)), 16), value)
    return net.done(value)


def pooled() -> Graph:
    net = Build(1, 4, 16, 16)
    value = net.relu(net.conv(net.x, 24))
    value = net.emit(ops.MaxPool((3, 3), (2, 2), (1, 1, 1, 1), (1, 1)), value)
    return net.done(net.relu(net.conv(value, 24, group=24)))


def tall() -> Graph:
    """Matrices of more tiles than a core holds."""
    net = Build(1, 96, 6, 6)
    return net.done(net.relu(net.conv(net.relu(net.conv(net.x, 96)), 64)))


NETS = (straight, residual, pooled, tall)


def predicted(design: Design) -> StepPrediction:
    (step,) = predict(mapping_of(design), design.graph, design.target).steps
    return step


def compiled(net: Callable[[], Graph], target: str, *, copies: bool = False) -> Design:
    small = ["core.sram_kib=1024", "mesh.width=4", "mesh.height=4", "mesh.memory_ports=[[0, 0]]"]
    return lowered(net(), override(load(target), small), copies=copies)


def simulated(design: Design, inflight: int) -> Result:
    (program,) = design.programs
    return run_timing(program, design.target, inflight)


@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize("target", ["spin-128", "isaac-ce", "hermes-256"])
@pytest.mark.parametrize("net", NETS)
def test_predicted_times_are_within_a_tenth(
    net: Callable[[], Graph], target: str, copies: bool
) -> None:
    design = compiled(net, target, copies=copies)
    expected = predicted(design)
    assert expected.latency_cycles == pytest.approx(simulated(design, 1).latency_cycles, rel=0.1)
    interval = steady_interval(simulated(design, INFLIGHT).output_cycles)
    assert expected.interval_cycles == pytest.approx(interval, rel=0.12)
    assert expected.bound_cycles <= 1.001 * expected.interval_cycles


@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize("net", NETS)
def test_loads_are_what_the_simulator_counts(net: Callable[[], Graph], copies: bool) -> None:
    design = compiled(net, "spin-128", copies=copies)
    loads, run = predicted(design).loads, simulated(design, 2)
    for place, use in run.adcs.items():
        assert 2 * loads.get(("adc", place), 0) == use.busy
    by_kind: Counter[str] = Counter()
    for (kind, _), cycles in loads.items():
        by_kind[kind] += round(2 * cycles)
    # Credits that several rows share are taken for one a row.
    assert by_kind["port"] + by_kind["memory-out"] == pytest.approx(run.events.port_flits, rel=0.02)
    assert by_kind["link"] == pytest.approx(run.events.flit_hops, rel=0.05)


def test_fewer_adcs_take_longer() -> None:
    def interval(adcs: int) -> float:
        target = override(load("exact-128"), [f"adc.adcs_per_cluster={adcs}"])
        return predicted(lowered(residual(), target)).interval_cycles

    assert interval(1) > 1.5 * interval(2)
    assert interval(2) >= interval(4)


def test_stages_are_done_one_after_the_other() -> None:
    design = compiled(straight, "spin-128")
    step = predicted(design)
    done = [stage.done_cycles for stage in step.stages]
    assert done == sorted(done)
    assert done[-1] < step.latency_cycles
    run = simulated(design, 1)
    halted = {(use.core, use.index): use.halted for use in run.sequencers}
    for use in mapping_of(design).sequencers:
        if use.role in ("post", "rows"):
            assert done[use.stage] == pytest.approx(halted[use.core, use.sequencer], rel=0.1)


def test_a_play_of_several_inputs_ends_when_its_pace_is_steady() -> None:
    design = compiled(straight, "spin-128")
    mapping = mapping_of(design)
    times = stage_times(mapping, design.graph, design.target)
    whole = play(mapping, design.target, times, 12)
    short = play(mapping, design.target, times, 50, until_steady=True)
    assert len(whole.output_cycles) == 12
    assert len(short.output_cycles) < 50
    assert short.is_steady
    assert short.interval_cycles == pytest.approx(whole.intervals[-2], rel=0.02)
    assert whole.output_cycles == tuple(sorted(whole.output_cycles))


def test_a_pace_is_not_steady_while_stages_run_ahead_of_it() -> None:
    outputs = (100.0, 200.0, 300.0, 400.0)
    ahead = Played(outputs, {0: (10.0, 90.0, 170.0, 250.0), 1: outputs})
    assert ahead.repeats
    assert not ahead.is_steady
    assert Played(outputs, {0: (10.0, 110.0, 210.0, 310.0), 1: outputs}).is_steady
    assert not Played(outputs, {0: (350.0,)}).is_steady


def test_rings_that_fill_set_no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first intervals are equal, but longer than those that follow once rings are full; so it
    is if the depthwise layer lies on crossbars."""
    monkeypatch.setattr(shapes, "is_depthwise", lambda layer: False)
    design = compiled(pooled, "spin-128", copies=True)
    cycles = simulated(design, INFLIGHT).output_cycles
    assert cycles[3] - cycles[1] > 2.2 * steady_interval(cycles)
    assert predicted(design).interval_cycles == pytest.approx(steady_interval(cycles), rel=0.08)


def test_senders_wait_for_their_queues_to_the_port() -> None:
    design = compiled(pooled, "isaac-ce", copies=True)
    mapping, run = mapping_of(design), simulated(design, 1)
    halted = {(use.core, use.index): use.halted for use in run.sequencers}
    done = {stage.stage: stage.done_cycles for stage in predicted(design).stages}
    senders = [
        use
        for use in mapping.sequencers
        if use.role == "rows" and mapping.stages[use.stage].kind is Kind.ROWS
    ]
    assert len(senders) == 16
    expected = [done[use.stage] for use in senders]
    ended = [halted[use.core, use.sequencer] for use in senders]
    assert sum(expected) == pytest.approx(sum(ended), rel=0.1)
    assert max(expected) == pytest.approx(max(ended), rel=0.1)


def test_intervals_that_take_turns_are_a_steady_pace() -> None:
    turns = Played((10.0, 30.0, 40.0, 60.0, 70.0, 90.0, 100.0), {})
    assert turns.is_steady
    assert turns.interval_cycles == 15
    falling = Played((10.0, 30.0, 49.0, 67.0, 84.0, 100.0), {})
    assert not falling.is_steady
    assert falling.interval_cycles == 17
    assert Played((10.0,), {}).interval_cycles is None


def test_without_sharing_nothing_is_slower() -> None:
    design = compiled(residual, "spin-128")
    mapping = mapping_of(design)
    times = stage_times(mapping, design.graph, design.target)
    shared = play(mapping, design.target, times, 4).output_cycles
    calm = play(mapping, design.target, times, 4, sharing=False).output_cycles
    assert all(a <= b for a, b in zip(calm, shared, strict=True))


def test_whoever_sets_the_pace_is_busy_all_the_time() -> None:
    step = predicted(compiled(straight, "spin-128"))
    by_time = sorted(step.stages, key=lambda stage: stage.time.input_cycles)
    assert by_time[-1].busy_cycles == pytest.approx(step.interval_cycles, rel=0.01)
    for stage in by_time:
        assert stage.busy_cycles <= 1.01 * step.interval_cycles
    assert by_time[0].busy_cycles < step.interval_cycles / 2


def test_sharing_adcs_makes_layers_busy_for_longer() -> None:
    design = compiled(residual, "spin-128", copies=True)
    mapping = mapping_of(design)
    times = stage_times(mapping, design.graph, design.target)
    shared = play(mapping, design.target, times, 8).busy_cycles
    calm = play(mapping, design.target, times, 8, sharing=False).busy_cycles
    assert sum(calm.values()) < sum(shared.values())
    assert any(calm[n] < 0.9 * shared[n] for n in times)


@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize("net", NETS)
def test_what_is_too_large_to_play_is_passed_through(
    net: Callable[[], Graph], copies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    design = compiled(net, "spin-128", copies=copies)
    played = predicted(design)
    monkeypatch.setattr(prediction, "MOST_FIRINGS", 0)
    passed = predicted(design)
    assert passed.bound_cycles == played.bound_cycles <= passed.interval_cycles
    assert 0.4 * played.latency_cycles <= passed.latency_cycles <= 1.3 * played.latency_cycles


def test_a_prediction_is_the_same_every_time() -> None:
    design = compiled(residual, "spin-128", copies=True)
    mapping = mapping_of(design)
    first, second = (predict(mapping, design.graph, design.target) for _ in range(2))
    assert first == second


def test_a_model_of_the_host_alone_takes_no_cycles() -> None:
    nothing = Prediction(())
    assert nothing.interval_cycles == nothing.latency_cycles == 0
    assert nothing.stages == {}
