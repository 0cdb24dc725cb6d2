"""Multiply-accumulates, and the host's share of them."""

from __future__ import annotations

import numpy as np

from nmc.ir import ops
from nmc.ir.costs import HostShare, host_share, macs
from nmc.ir.graph import Graph, Node, TensorType, Unit
from nmc.ir.types import emit


def made(graph: Graph) -> Node:
    return graph.nodes[-1]


def test_convolutions() -> None:
    graph = Graph("g")
    x = graph.add_input("x", TensorType("f32", (1, 4, 8, 8)))
    w = graph.constant("w", np.zeros((6, 2, 3, 3), np.float32))
    emit(graph, ops.Conv((2, 2), (1, 1, 1, 1), (1, 1), 2), [x, w], "y")
    assert macs(made(graph)) == 6 * 4 * 4 * (2 * 3 * 3)
    u = graph.constant("u", np.zeros((4, 5, 2, 2), np.float32))
    op = ops.ConvTranspose((2, 2), (0,) * 4, (1, 1), (0, 0))
    emit(graph, op, [x, u], "z")
    assert macs(made(graph)) == 4 * 8 * 8 * (5 * 2 * 2)


def test_products_of_tokens() -> None:
    graph = Graph("g")
    x = graph.add_input("x", TensorType("f32", (1, 7, 3)))
    emit(graph, ops.MatMul(), [x, graph.constant("w", np.zeros((3, 5), np.float32))], "y")
    assert macs(made(graph)) == 7 * 3 * 5


def test_recurrence_counts_both_matrices_each_step() -> None:
    graph = Graph("g")
    x = graph.add_input("x", TensorType("f32", (10, 1, 3)))
    w = graph.constant("w", np.zeros((1, 16, 3), np.float32))
    r = graph.constant("r", np.zeros((1, 16, 4), np.float32))
    y = graph.value("y", TensorType("f32", (10, 1, 1, 4)))
    graph.append(ops.Onnx("LSTM", "", 14), [x, w, r], [y])
    assert macs(made(graph)) == 10 * 16 * (3 + 4)


def test_the_hosts_share() -> None:
    graph = Graph("g")
    x = graph.add_input("x", TensorType("f32", (1, 3)))
    w = graph.constant("w", np.zeros((3, 5), np.float32))
    y = emit(graph, ops.MatMul(), [x, w], "y")
    made(graph).unit = Unit.CROSSBAR
    v = graph.constant("v", np.zeros((5, 2), np.float32))
    z = emit(graph, ops.MatMul(), [emit(graph, ops.Relu(), [y], "r"), v], "z")
    made(graph).unit = Unit.HOST
    graph.outputs.append(z)
    assert host_share(graph) == HostShare(nodes=3, host_nodes=1, macs=25, host_macs=10)
