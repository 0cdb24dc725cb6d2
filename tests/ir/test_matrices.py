"""A stage's matrix times its gathered windows is the convolution."""

from __future__ import annotations

import numpy as np
import pytest

from nmc.ir import ops
from nmc.ir.graph import Graph, Quant, TensorType
from nmc.ir.interpreter import run_graph
from nmc.ir.mapping import Block, Kind, Operand, Role, Stage, Window
from nmc.ir.matrices import block_matrix
from nmc.ir.stage_inputs import stage_windows


def conv_graph(group: int, channels: int, outputs: int) -> Graph:
    """An integer convolution whose result is its accumulators, as floats."""
    rng = np.random.default_rng(5)
    graph = Graph("g")
    x = graph.add_input("x", TensorType("u8", (1, channels, 6, 5), Quant(1.0, 3)))
    w = rng.integers(-127, 128, (outputs, channels // group, 3, 2)).astype(np.int8)
    op = ops.QConv((2, 1), (1, 0, 1, 1), (1, 2), group, x_zero_point=3, out="f32")
    y = graph.value("y", TensorType("f32", (1, outputs, 3, 4)))
    constants = [
        graph.constant("w", w),
        graph.constant("b", np.zeros(outputs, np.int32)),
        graph.constant("m", np.ones(outputs, np.float32)),
    ]
    graph.append(op, [x, *constants], [y])
    graph.outputs.append(y)
    return graph


def stage_of(blocks: tuple[Block, ...], reading: tuple[tuple[int, int], ...]) -> Stage:
    return Stage(
        name="y",
        step=0,
        kind=Kind.MATRIX,
        nodes=("y",),
        forms=((),),
        anchored=True,
        operands=(Operand(0, Role.MAIN, "x", 1, 0, 1, 1, 3),),
        output=1,
        unit="crossbar",
        window=Window((3, 2), (2, 1), (1, 2)),
        reading=reading,
        blocks=blocks,
    )


@pytest.mark.parametrize(
    ("group", "blocks"),
    [
        (1, (Block(0, 4, 0, 6, 24),)),
        (2, (Block(0, 4, 0, 6, 24),)),
        (2, (Block(0, 2, 0, 3, 12), Block(2, 2, 3, 3, 12))),
    ],
)
def test_windows_times_matrices_are_the_accumulators(group: int, blocks: tuple[Block, ...]) -> None:
    graph = conv_graph(group, 4, 6)
    x = np.random.default_rng(1).integers(0, 256, (1, 4, 6, 5)).astype(np.uint8)
    wanted = run_graph(graph, {"x": x})["y"][0].reshape(6, -1)
    stage = stage_of(blocks, ((4, 1),))
    rng = np.random.default_rng(0)
    windows = stage_windows(graph.nodes[0], stage, {"x": x}, 1000, rng)
    for block, vectors in zip(blocks, windows, strict=True):
        matrix = block_matrix(graph.nodes[0], stage, block).astype(np.int64)
        sums = (vectors.astype(np.int64) - 3) @ matrix
        there = wanted[block.output0 : block.output0 + block.outputs]
        np.testing.assert_array_equal(sums.T, there)


def test_channels_in_another_order_move_the_rows() -> None:
    graph = conv_graph(1, 4, 6)
    block = Block(0, 4, 0, 6, 24)
    plain = block_matrix(graph.nodes[0], stage_of((block,), ((4, 1),)), block)
    shuffled = block_matrix(graph.nodes[0], stage_of((block,), ((2, 1), (2, 2))), block)
    rows = plain.reshape(6, 4, 6)[:, [0, 2, 1, 3]]
    np.testing.assert_array_equal(shuffled, rows.reshape(24, 6))


def test_no_more_windows_than_asked_for() -> None:
    graph = conv_graph(1, 4, 6)
    x = np.zeros((3, 4, 6, 5), np.uint8)
    stage = stage_of((Block(0, 4, 0, 6, 24),), ((4, 1),))
    (vectors,) = stage_windows(graph.nodes[0], stage, {"x": x}, 7, np.random.default_rng(0))
    assert vectors.shape == (7, 24)
