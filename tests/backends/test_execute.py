"""A compiled model runs step by step, and gives what the quantised graph gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nmc.backends.execute import Execution, execute, validate_inputs
from nmc.backends.host import OrtHost
from nmc.backends.simulator import Result, simulate
from nmc.backends.simulator.machine import sram_sizes
from nmc.ir import ops
from nmc.ir.diagnostics import NmcError
from nmc.ir.graph import Array, Graph, TensorType
from nmc.ir.interpreter import run_graph
from nmc.ir.mapping import StepKind
from nmc.ir.program import Program
from nmc.ir.target import Target
from nmc.ir.types import emit
from tests.backends.models import compiled, inputs_for


def interpreted(graph: Graph, inputs: dict[str, Array], sample: int) -> dict[str, Array]:
    one = {v.name: inputs[v.name][sample].reshape(v.type.shape) for v in graph.inputs}
    return run_graph(graph, one, host=OrtHost())


@pytest.mark.parametrize("model", ["chip", "shared"])
@pytest.mark.parametrize("inflight", [1, 2])
def test_equals_the_graph_on_an_exact_machine(model: str, inflight: int) -> None:
    contents = compiled(model, "exact-128")
    inputs = inputs_for(contents, 3)
    run = execute(contents, inputs, inflight=inflight, detect_races=True)
    assert run.races == ()
    assert run.samples == 3
    for i in range(3):
        wanted = interpreted(contents.graph, inputs, i)
        assert set(run.outputs) == set(wanted)
        for name, array in wanted.items():
            np.testing.assert_array_equal(run.outputs[name][i], array[0])


@pytest.mark.parametrize("bits", [8, 5])
@pytest.mark.parametrize("border", ["host", "chip"])
def test_numbers_beyond_all_ranges_are_recoded_as_the_graph_says(border: str, bits: int) -> None:
    """Ties, both infinities, NaN and what no integer stands for; by the host and on the chip."""
    passes = f"@front, quantize{{border={border}}}, @back"
    contents = compiled("chip", "exact-128", f"numbers.input_bits={bits}", passes=passes)
    scale = next(n.op.scale for n in contents.graph if isinstance(n.op, ops.Quantize))
    ties = (np.arange(-40, 45) + 0.5) * np.float32(scale)
    odd = [np.nan, -np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45, -0.0, 0.0]
    image = np.resize(np.array([*ties, *odd], np.float32), (2, 3, 6, 5))
    run = execute(contents, {"image": image})
    for i in range(2):
        wanted = interpreted(contents.graph, {"image": image}, i)
        np.testing.assert_array_equal(run.outputs["scores"][i], wanted["scores"][0])


def test_outputs_have_samples_first() -> None:
    contents = compiled("shared")
    run = execute(contents, inputs_for(contents, 2))
    assert {name: a.shape for name, a in run.outputs.items()} == {
        v.name: (2, *v.type.shape[1:]) for v in contents.graph.outputs
    }


def test_parts_of_a_batch_give_the_same_as_the_whole() -> None:
    contents = compiled("chip")
    inputs = inputs_for(contents, 5)
    whole = execute(contents, inputs, inflight=2)
    parts = execute(contents, inputs, inflight=2, lanes_limit=1)
    np.testing.assert_array_equal(whole.outputs["scores"], parts.outputs["scores"])
    assert whole.cycles == parts.cycles


def test_steps_run_in_order_and_add_up() -> None:
    contents = compiled("shared")
    run = execute(contents, inputs_for(contents, 2), inflight=2)
    host, chip = StepKind.HOST, StepKind.CHIP
    assert [s.kind for s in run.steps] == [host, chip, host, chip]
    assert [s.result is None for s in run.steps] == [True, False, True, False]
    assert [s.recodes for s in run.steps] == [True, False, False, False]
    first, second = run.results
    assert run.cycles == first.cycles + second.cycles
    assert run.latency_cycles == first.cycles + second.latency_cycles
    assert first.interval_cycles is not None
    assert second.interval_cycles is not None
    assert run.interval_cycles == first.interval_cycles + second.interval_cycles
    assert run.instructions == first.instructions + second.instructions
    assert run.wall_s >= sum(s.wall_s for s in run.steps) > 0


def test_one_in_flight_has_no_interval() -> None:
    contents = compiled("chip")
    run = execute(contents, inputs_for(contents, 1))
    assert run.interval_cycles is None
    assert run.latency_cycles <= run.cycles


def test_stalls_are_summed_by_cause() -> None:
    contents = compiled("chip")
    run = execute(contents, inputs_for(contents, 2), inflight=2)
    (result,) = run.results
    assert sum(run.stalls.values()) == sum(sum(c.values()) for c in result.stalls.values())
    assert "wait" in run.stalls
    assert not any(cause.startswith("wait ") for cause in run.stalls)


def test_adc_utilization_is_a_share_of_the_adcs_in_use() -> None:
    contents = compiled("chip")
    run = execute(contents, inputs_for(contents, 1))
    (result,) = run.results
    active = [use for use in result.adcs.values() if use.conversions]
    assert run.adc_utilization == pytest.approx(
        sum(use.busy for use in active) / (len(active) * result.cycles)
    )
    assert 0 < run.adc_utilization <= run.busiest_adc_utilization <= 1


def test_progress_is_told_of_cycles() -> None:
    contents = compiled("chip")
    told: list[int] = []
    run = execute(contents, inputs_for(contents, 1), progress=told.append)
    assert all(0 <= cycle <= run.cycles for cycle in told)


def test_many_samples_are_run_in_parts_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    contents = compiled("chip")
    inputs = inputs_for(contents, 40)
    whole = execute(contents, inputs)
    (program,) = contents.programs
    lane = sum(sram_sizes(program, 1).values()) + program.frame_bytes
    monkeypatch.setattr("nmc.backends.execute.LANE_BYTES", 2 * lane * 7)
    lanes: list[int] = []

    def counted(program: Program, target: Target, inputs: Any, **options: Any) -> Result:
        lanes.append(len(next(iter(inputs.values()))))
        return simulate(program, target, inputs, **options)

    monkeypatch.setattr("nmc.backends.execute.simulate", counted)
    parts = execute(contents, inputs)
    assert lanes == [7] * 5 + [5]
    for name, array in whole.outputs.items():
        assert np.array_equal(parts.outputs[name], array)


def test_timing_that_depends_on_data_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    contents = compiled("chip")
    (result,) = execute(contents, inputs_for(contents, 1)).results
    calls: list[Result] = []

    def drifting(*_: object, **__: object) -> Result:
        calls.append(replace(result, output_cycles=(100 + len(calls),)))
        return calls[-1]

    monkeypatch.setattr("nmc.backends.execute.simulate", drifting)
    with pytest.raises(RuntimeError, match="timing depends on data"):
        execute(contents, inputs_for(contents, 2), lanes_limit=1)


def test_unknown_engines_are_refused() -> None:
    contents = compiled("chip")
    with pytest.raises(NmcError, match="no engine `warp`"):
        execute(contents, inputs_for(contents, 1), engine="warp")


def test_a_model_of_no_nodes_hands_its_inputs_on() -> None:
    graph = Graph("nothing")
    x = graph.add_input("x", TensorType("f32", (1, 4)))
    graph.outputs = [x]
    contents = compiled("chip")
    empty = replace(
        contents,
        graph=graph,
        mapping=replace(contents.mapping, steps=(), stages=(), streams=(), tiles=()),
        programs=(),
    )
    run = execute(empty, {"x": np.ones((3, 4), np.float32)})
    np.testing.assert_array_equal(run.outputs["x"], np.ones((3, 4)))
    assert (run.cycles, run.latency_cycles, run.interval_cycles) == (0, 0, None)
    assert run.adc_utilization == run.busiest_adc_utilization == 0


# Inputs


def two_inputs() -> Graph:
    graph = Graph("two")
    a = graph.add_input("a", TensorType("f32", (1, 3, 2)))
    b = graph.add_input("b", TensorType("i8", (4, 2)))
    graph.outputs = [emit(graph, ops.Relu(), [a], "y"), emit(graph, ops.Abs(), [b], "z")]
    return graph


def zeros(dtype: str, *shape: int) -> Array:
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("a", "b", "samples"),
    [
        (zeros("f4", 5, 3, 2), zeros("i1", 5, 4, 2), 5),
        (zeros("f4", 5, 1, 3, 2), zeros("i1", 5, 4, 2), 5),
        (zeros("f4", 3, 2), zeros("i1", 4, 2), 1),
    ],
)
def test_samples_stand_first(a: Array, b: Array, samples: int) -> None:
    result = validate_inputs(two_inputs(), {"b": b, "a": a})
    assert {name: array.shape for name, array in result.items()} == {
        "a": (samples, 3, 2),
        "b": (samples, 4, 2),
    }
    assert list(result) == ["a", "b"]


GOOD = {"a": zeros("f4", 2, 3, 2), "b": zeros("i1", 2, 4, 2)}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"a": zeros("f4", 2, 2, 3)}, "`a` must be [samples, 3, 2] of f32; the data is [2, 2, 3]"),
        ({"a": zeros("f8", 2, 3, 2)}, "[2, 3, 2] of float64"),
        ({"a": zeros("f4", 0, 3, 2)}, "[0, 3, 2] of float32"),
        ({"a": zeros("f4")}, "the data is [] of float32"),
        ({"b": zeros("i1", 3, 4, 2)}, "`a` has 2, `b` has 3"),
        ({"c": zeros("i1", 3)}, "no input `c`; it has `a`, `b`"),
        ({"a": None}, "`a` is missing"),
    ],
)
def test_inputs_that_do_not_fit(changes: dict[str, Array | None], words: str) -> None:
    given = {k: v for k, v in {**GOOD, **changes}.items() if v is not None}
    with pytest.raises(NmcError) as caught:
        validate_inputs(two_inputs(), given)
    assert {d.code for d in caught.value.diagnostics} == {"bad-data-shape"}
    assert words in str(caught.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(NmcError) as caught:
        validate_inputs(two_inputs(), {"c": zeros("f4")})
    assert len(caught.value.diagnostics) == 3


def test_execution_is_a_plain_record() -> None:
    empty = Execution({}, 1, 1, (), 0.0)
    assert (empty.cycles, empty.instructions, empty.stalls) == (0, 0, {})
