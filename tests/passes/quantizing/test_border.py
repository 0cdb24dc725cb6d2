"""Who recodes numbers that enter and leave the chip, and that it changes no result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest

from nmc.ir import ops
from nmc.ir.border import crossings, is_recoding
from nmc.ir.diagnostics import Report
from nmc.ir.graph import Graph, TensorType, Unit, Value
from nmc.ir.interpreter import run_graph_batch
from nmc.ir.types import emit
from nmc.ir.verify import verify_graph
from nmc.passes.partition import Partition
from nmc.passes.quantize import Quantize
from tests.passes.designs import design_of, exact_target, normal_inputs
from tests.passes.nets import Build


def quantized(graph: Graph, border: Literal["host", "chip"] = "host", bits: int = 8) -> Graph:
    target = exact_target(input_bits=bits)
    design = design_of(graph, target, normal_inputs(graph, 16))
    report = Report()
    Partition().run(design, report)
    Quantize(border=border).run(design, report)
    report.check()
    assert verify_graph(graph) == []
    return graph


def by_host(graph: Graph) -> list[str]:
    return [node.op.name for node in graph if node.unit == Unit.HOST]


def relu_net() -> Graph:
    net = Build(1, 3, 6, 6)
    return net.done(net.relu(net.conv(net.x, 4)))


def viewed_net() -> Graph:
    """What leaves is a reshape of a transposition, which the chip does on integers."""
    net = Build(1, 3, 6, 6)
    turned = net.emit(ops.Transpose((0, 2, 3, 1)), net.relu(net.conv(net.x, 4)))
    return net.done(net.emit(ops.Reshape((1, 144)), turned))


def early_net() -> Graph:
    """One result leaves in the middle, which the chip goes on with."""
    net = Build(1, 3, 6, 6)
    first = net.relu(net.conv(net.x, 4))
    return net.done(first, net.relu(net.conv(first, 2)))


def softmax_net() -> Graph:
    net = Build(1, 6)
    return net.done(net.emit(ops.Softmax(1), net.dense(net.x, 4)))


def table_net() -> Graph:
    """The input goes to a convolution and to a function."""
    net = Build(1, 3, 6, 6)
    return net.done(net.conv(net.x, 4), net.emit(ops.Sigmoid(), net.x))


def twin_net() -> Graph:
    """Two results that come to be one: recoding again changes nothing."""
    net = Build(1, 3, 6, 6)
    results = [net.conv(net.x, 4)]
    for _ in range(2):
        stored = net.emit(ops.Quantize(0.02, 128), results[-1])
        results.append(net.emit(ops.Dequantize(0.02, 128), stored))
    return net.done(*results[1:])


NETS: dict[str, tuple[Callable[[], Graph], list[str]]] = {
    "relu": (relu_net, ["quantize", "dequantize"]),
    "views": (viewed_net, ["quantize", "dequantize"]),
    "twins": (twin_net, ["quantize", "dequantize", "dequantize"]),
    "early result": (early_net, ["quantize", "dequantize", "dequantize"]),
    "softmax stays real": (softmax_net, ["quantize"]),
    "two users": (table_net, ["quantize", "dequantize"]),
}


@pytest.mark.parametrize("name", NETS)
def test_the_host_recodes_what_crosses(name: str) -> None:
    make, wanted = NETS[name]
    graph = quantized(make())
    assert sorted(by_host(graph)) == sorted(wanted)
    assert all(is_recoding(node) for node in graph if node.unit == Unit.HOST)
    assert all("recodes" in node.why for node in graph if node.unit == Unit.HOST)


@pytest.mark.parametrize("name", NETS)
def test_no_float_enters_the_chip(name: str) -> None:
    graph = quantized(NETS[name][0]())
    outside = [v for v in graph.values() if v.producer is None or v.producer.unit == Unit.HOST]
    for value in outside:
        takers = [user for user in value.users if user.unit != Unit.HOST]
        assert not takers or value.type.dtype == "u8"


@pytest.mark.parametrize("bits", [8, 5])
@pytest.mark.parametrize("name", NETS)
def test_both_borders_give_the_same(name: str, bits: int) -> None:
    on_host, on_chip = (quantized(NETS[name][0](), border, bits) for border in ("host", "chip"))
    assert by_host(on_chip) == []
    assert list(crossings(on_chip)) == []
    inputs = normal_inputs(on_host, 4, seed=9)
    wanted = run_graph_batch(on_chip, inputs)
    for output, array in run_graph_batch(on_host, inputs).items():
        np.testing.assert_array_equal(array, wanted[output])


def test_narrow_inputs_are_clipped_by_the_host_too() -> None:
    graph = quantized(relu_net(), bits=5)
    assert by_host(graph) == ["clip", "quantize", "dequantize"]
    (entering, _) = crossings(graph)
    assert entering.outside is graph.inputs[0]


def signed(graph: Graph, x: Value) -> Value:
    """A product of stored integers, as a model brings it, and its integers again."""
    real = emit(graph, ops.Dequantize(0.5, 3), [x], "real")
    weights = graph.constant("w", np.eye(4, dtype=np.float32))
    product = emit(graph, ops.MatMul(), [real, weights], "product")
    return emit(graph, ops.Quantize(0.5, 3, "i8"), [product], "y")


def test_signed_integers_are_raised_and_lowered_by_the_host() -> None:
    graph = Graph("g")
    x = graph.add_input("x", TensorType("i8", (1, 4)))
    graph.outputs = [signed(graph, x)]
    design = design_of(graph)
    Partition().run(design, Report())
    Quantize().run(design, Report())
    assert by_host(graph) == ["flip_sign", "flip_sign"]
    assert [c.enters for c in crossings(graph)] == [True, False]
    given = np.array([[-128, -1, 0, 127]], np.int8)
    np.testing.assert_array_equal(run_graph_batch(graph, {"x": given})["y"], given)


def test_what_the_chip_makes_it_recodes_itself() -> None:
    net = Build(1, 4, 6, 6)
    first = net.relu(net.conv(net.x, 4))
    graph = quantized(net.done(net.conv(net.emit(ops.Add(), first, net.conv(first, 4)), 2)))
    inside = [n for n in graph if isinstance(n.op, ops.Quantize | ops.Dequantize)]
    assert by_host(graph) == ["quantize"]
    assert len(inside) > 2
