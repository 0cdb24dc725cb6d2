"""A stage's matrix times its gathered windows is the convolution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nmc.ir import ops
from nmc.ir.graph import Graph, Quant, TensorType
from nmc.ir.interpreter import run_graph
from nmc.ir.mapping import Block, Kind, Operand, Role, Stage, Stream, Window
from nmc.ir.matrices import block_matrix, weight_sums
from nmc.ir.stage_inputs import block_inputs, reach, read_windows, stage_windows

TAKEN = Stream("x", 0, "u8", 6, 5, 4)


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
    windows = stage_windows(graph.nodes[0], stage, TAKEN, {"x": x}, 1000, rng)
    for block, vectors in zip(blocks, windows, strict=True):
        matrix = block_matrix(graph.nodes[0], stage, block).astype(np.int64)
        sums = (vectors.astype(np.int64) - 3) @ matrix
        there = wanted[block.output0 : block.output0 + block.outputs]
        np.testing.assert_array_equal(sums.T, there)


@pytest.mark.parametrize("grid", [(1, 2), (2, 1), (2, 3), (3, 4)])
@pytest.mark.parametrize(
    ("group", "parts"),
    [(1, [(0, 4, 0, 6)]), (1, [(0, 4, 2, 3)]), (2, [(0, 2, 0, 3), (2, 2, 3, 3)]),
     (2, [(0, 4, 1, 4)])],
)  # fmt: skip
def test_reads_of_a_grid_give_several_outputs(
    grid: tuple[int, int], group: int, parts: list[tuple[int, int, int, int]]
) -> None:
    """Windows of all reads times the matrix are the accumulators, those beyond the output too."""
    graph = conv_graph(group, 4, 6)
    x = np.random.default_rng(1).integers(0, 256, (2, 4, 6, 5)).astype(np.uint8)
    wanted = np.stack([run_graph(graph, {"x": one[None]})["y"][0] for one in x])
    stage = replace(stage_of((), ((4, 1),)), grid=grid)
    made = Stream("y", 0, "u8", 3, 4, 6)
    bottom, right = reach(stage, TAKEN, made)
    stage = replace(stage, operands=(replace(stage.operands[0], bottom=bottom, right=right),))
    windows = read_windows(graph.nodes[0], stage, TAKEN, x)
    assert windows.shape[:3] == (2, -(-3 // grid[0]), -(-4 // grid[1]))
    places = int(np.prod(stage.read_window.kernel))
    for chan0, chans, output0, outputs in parts:
        block = Block(chan0, chans, output0, outputs, places * chans)
        matrix = block_matrix(graph.nodes[0], stage, block).astype(np.int64)
        assert matrix.shape == (block.rows, grid[0] * grid[1] * outputs)
        vectors = block_inputs(windows.reshape(-1, *windows.shape[3:]), block)
        sums = (vectors.astype(np.int64) - 3) @ matrix
        image = sums.reshape(*windows.shape[:3], *grid, outputs).transpose(0, 5, 1, 3, 2, 4)
        image = image.reshape(2, outputs, windows.shape[1] * grid[0], -1)[:, :, :3, :4]
        there = wanted[:, output0 : output0 + outputs]
        np.testing.assert_array_equal(image, there)


def test_sums_of_weights_are_those_of_the_columns() -> None:
    graph = conv_graph(2, 4, 6)
    stage = stage_of((), ((4, 1),))
    matrix = block_matrix(graph.nodes[0], stage, Block(0, 4, 0, 6, 24))
    sums = matrix.sum(axis=0, dtype=np.int64)
    np.testing.assert_array_equal(weight_sums(graph.nodes[0]), sums)
    np.testing.assert_array_equal(weight_sums(graph.nodes[0], slice(1, 3)), sums[1:3])


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
    rng = np.random.default_rng(0)
    (vectors,) = stage_windows(graph.nodes[0], stage, TAKEN, {"x": x}, 7, rng)
    assert vectors.shape == (7, 24)
