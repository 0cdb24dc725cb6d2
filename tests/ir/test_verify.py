"""The verifier: a sound graph passes, and each thing that can be wrong is found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given

from nmc.ir import ops
from nmc.ir.diagnostics import Exit, Loc, NmcError
from nmc.ir.graph import Graph, Quant, TensorType
from nmc.ir.types import emit
from nmc.ir.verify import check_graph, verify_graph
from tests.strategies import float_graphs


def sound() -> Graph:
    graph = Graph("g")
    x = graph.add_input("x", TensorType("f32", (2, 3)))
    c = graph.constant("c", np.ones((2, 3), np.float32))
    y = emit(graph, ops.Add(), [x, c], "y", [Loc(node="n1", op="Add")])
    q = emit(graph, ops.Quantize(0.5, 3), [y], "q", [Loc(node="n2", op="Quantize")])
    graph.outputs.append(emit(graph, ops.Reshape((6,)), [q], "z"))
    return graph


def reversed_order(graph: Graph) -> None:
    graph.nodes.reverse()


def two_names(graph: Graph) -> None:
    graph.nodes[0].output.name = "x"


def lost_user(graph: Graph) -> None:
    graph.inputs[0].users.clear()


def stale_user(graph: Graph) -> None:
    graph.inputs[0].users[graph.nodes[1]] = None


def wrong_producer(graph: Graph) -> None:
    graph.nodes[0].output.producer = graph.nodes[1]


def produced_input(graph: Graph) -> None:
    graph.inputs[0].producer = graph.nodes[0]


def computed_constant(graph: Graph) -> None:
    graph.nodes[0].output.data = np.ones((2, 3), np.float32)


def wrong_type(graph: Graph) -> None:
    graph.retype(graph.nodes[0].output, shape=(3, 2))


def wrong_quant(graph: Graph) -> None:
    graph.retype(graph.nodes[1].output, quant=Quant(0.25, 3))


def quant_lost_on_the_way(graph: Graph) -> None:
    graph.retype(graph.nodes[2].output, quant=None)


def quant_of_floats(graph: Graph) -> None:
    graph.retype(graph.inputs[0], quant=Quant(0.25, 3))


def quant_out_of_range(graph: Graph) -> None:
    graph.nodes[1].op = ops.Lut()
    graph.set_inputs(graph.nodes[1], [graph.add_input("u", TensorType("u8", (2, 3)))])
    graph.retype(graph.nodes[1].output, quant=Quant(0.25, 256))


def quant_of_nothing(graph: Graph) -> None:
    graph.retype(graph.nodes[1].output, quant=Quant(0.0, 0))


def wrong_data(graph: Graph) -> None:
    graph.nodes[0].operand(1).data = np.ones((2, 3), np.float64)


def missing_output(graph: Graph) -> None:
    graph.outputs.append(graph.value("w", TensorType("f32", ())))


def two_results(graph: Graph) -> None:
    node = graph.nodes[0]
    extra = graph.value("w", TensorType("f32", ()))
    node.outputs, extra.producer = (*node.outputs, extra), node


BREAKS: list[tuple[Callable[[Graph], None], str]] = [
    (reversed_order, "undefined-name: `reshape` uses %q, which no earlier node defines"),
    (two_names, "duplicate-name: 2 values are named %x"),
    (lost_user, "invariant: %x lacks 1 of its users and lists 0 that are none"),
    (stale_user, "invariant: %x lacks 0 of its users and lists 1 that are none"),
    (wrong_producer, "invariant: %y names another producer"),
    (produced_input, "invariant: %x is given, but has a producer"),
    (computed_constant, "invariant: %y is computed, but has data"),
    (wrong_type, "shape-mismatch: `add` gives f32[2,3], but its result is f32[3,2]"),
    (wrong_quant, "`quantize` gives u8[2,3] q(0.5, 3), but its result is u8[2,3] q(0.25, 3)"),
    (quant_lost_on_the_way, "`reshape` gives u8[6] q(0.5, 3), but its result is u8[6]"),
    (quant_of_floats, "bad-value: %x is f32[2,3] q(0.25, 3); only u8 and i8 have a scale"),
    (quant_out_of_range, "bad-value: %q is u8[2,3] q(0.25, 256); its zero point does not fit"),
    (quant_of_nothing, "bad-value: %q is u8[2,3] q(0.0, 0); its scale must be above zero"),
    (wrong_data, "shape-mismatch: @c is f32[2,3], its data float64[2,3]"),
    (missing_output, "undefined-name: output %w is not defined by any node"),
    (two_results, "bad-operands: `add` has 2 results, it should have 1"),
]


def test_a_sound_graph_has_no_problems() -> None:
    assert verify_graph(sound()) == []
    check_graph(sound(), after="nothing")


@pytest.mark.parametrize(("damage", "message"), BREAKS, ids=[b[0].__name__ for b in BREAKS])
def test_damage_is_found(damage: Callable[[Graph], None], message: str) -> None:
    graph = sound()
    damage(graph)
    found = [f"{d.code}: {d.message}" for d in verify_graph(graph)]
    assert any(message in text for text in found), found


def test_the_pass_that_did_it_is_blamed() -> None:
    graph = sound()
    wrong_type(graph)
    with pytest.raises(NmcError, match=r"invariant: after `fuse`: `add` gives") as caught:
        check_graph(graph, after="fuse")
    assert caught.value.exit is Exit.BUG
    (problem,) = caught.value.diagnostics
    assert problem.loc.node == "n1"
    assert len(problem.notes) == len(verify_graph(graph)) - 1


@given(float_graphs())
def test_random_networks_are_sound(graph: Graph) -> None:
    assert verify_graph(graph) == []
