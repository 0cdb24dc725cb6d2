"""Strips of a kernel: which there are, and that their weights are all of its weights."""

from __future__ import annotations

import numpy as np
import pytest

from nmc.ir import ops
from nmc.ir.depthwise import WEIGHT_ZERO, Strips, is_depthwise, strip_weights, strips_of
from nmc.ir.graph import Graph, Node, TensorType
from nmc.ir.types import emit


def convolution(chans: int, each: int, kernel: tuple[int, ...], group: int) -> Node:
    graph, rng = Graph("net"), np.random.default_rng(5)
    x = graph.add_input("x", TensorType("u8", (1, chans, *[8] * len(kernel))))
    shape = (chans * each, chans // group, *kernel)
    w = graph.constant("w", rng.integers(-127, 128, shape).astype(np.int8))
    bias = graph.constant("b", np.zeros(chans * each, np.int32))
    scale = graph.constant("m", np.ones(chans * each, np.float32))
    rank = len(kernel)
    op = ops.QConv((1,) * rank, (0,) * 2 * rank, (1,) * rank, group, 7)
    node = emit(graph, op, [x, w, bias, scale], "y").producer
    assert node is not None
    return node


@pytest.mark.parametrize(
    ("kernel", "strips"),
    [
        ((3, 3), Strips(1, 3, 3)),
        ((1, 5), Strips(1, 1, 5)),
        ((5, 1), Strips(0, 1, 5)),
        ((4, 2), Strips(0, 2, 4)),
        ((1, 1), Strips(1, 1, 1)),
    ],
)
def test_the_fewest_strips(kernel: tuple[int, int], strips: Strips) -> None:
    assert strips_of(kernel) == strips


@pytest.mark.parametrize("kernel", [(3, 3), (2, 4), (4, 2), (5,)])
@pytest.mark.parametrize("each", [1, 3])
def test_a_weight_lies_where_its_tap_is(kernel: tuple[int, ...], each: int) -> None:
    node = convolution(6, each, kernel, 6)
    height, width = (*kernel, 1)[:2]
    found = strip_weights(node, (height, width)).astype(np.int16) - WEIGHT_ZERO
    weights = node.operand(1).array.reshape(6, each, height, width)
    upright = height > width
    for (chan, output, row, col), weight in np.ndenumerate(weights):
        strip, tap = (col, row) if upright else (row, col)
        assert found[strip, chan, tap, output] == weight


def test_depthwise_are_those_of_one_channel_each() -> None:
    assert is_depthwise(convolution(6, 2, (3, 3), 6))
    assert not is_depthwise(convolution(6, 1, (3, 3), 3))
    assert not is_depthwise(convolution(6, 1, (3, 3), 1))
    assert not is_depthwise(convolution(1, 4, (3, 3), 1))
