"""Hypothesis strategies that several tests use: random small networks as float Graphs."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from nmc.ir import ops
from nmc.ir.diagnostics import NmcError
from nmc.ir.graph import Array, Graph, TensorType, Value
from nmc.ir.types import emit

__all__ = ["float_graphs", "sample"]

Draw = st.DrawFn


def sample(value: Value, seed: int | tuple[int, ...]) -> Array:
    """Normal numbers of the value's type."""
    rng = np.random.default_rng(seed)
    numbers = np.asarray(rng.normal(size=value.type.shape))
    return numbers.astype(value.type.numpy)


def weights(draw: Draw, *shape: int) -> Array:
    """Small weights of one drawn seed, so that an example stays readable."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    spread = math.sqrt(max(1, math.prod(shape[1:])))
    return (rng.normal(size=shape) / spread).astype(np.float32)


def numbers(draw: Draw, low: int, high: int, count: int = 2) -> tuple[int, ...]:
    return tuple(draw(st.integers(low, high)) for _ in range(count))


def conv(draw: Draw, graph: Graph, x: Value) -> Value:
    channels = x.type.shape[1]
    group = draw(st.sampled_from([1, 1, channels, *([2] if channels % 2 == 0 else [])]))
    outputs = group * draw(st.integers(1, 4 if group == 1 else 2))
    kernel = numbers(draw, 1, 3)
    op = ops.Conv(numbers(draw, 1, 2), numbers(draw, 0, 2, 4), numbers(draw, 1, 2), group)
    w = graph.constant("w", weights(draw, outputs, channels // group, *kernel))
    b = graph.constant("b", weights(draw, outputs)) if draw(st.booleans()) else None
    return emit(graph, op, [x, w, b], "conv")


def max_pool(draw: Draw, graph: Graph, x: Value) -> Value:
    kernel = numbers(draw, 1, 3)
    pads = tuple(draw(st.integers(0, k - 1)) for k in kernel * 2)
    op = ops.MaxPool(kernel, numbers(draw, 1, 2), pads, (1, 1), draw(st.booleans()))
    return emit(graph, op, [x], "max_pool")


def avg_pool(draw: Draw, graph: Graph, x: Value) -> Value:
    kernel = numbers(draw, 1, 3)
    pads = tuple(draw(st.integers(0, k - 1)) for k in kernel * 2)
    flags = draw(st.booleans()), draw(st.booleans())
    op = ops.AvgPool(kernel, numbers(draw, 1, 2), pads, (1, 1), *flags)
    return emit(graph, op, [x], "avg_pool")


def unary(draw: Draw, graph: Graph, x: Value) -> Value:
    functions = [
        *(ops.Relu(), ops.Relu(), ops.Clip(0.0, 6.0), ops.LeakyRelu(0.1)),
        *(ops.Sigmoid(), ops.Tanh(), ops.HardSwish(), ops.Gelu()),
    ]
    op = draw(st.sampled_from(functions))
    return emit(graph, op, [x], op.name)


def batch_norm(draw: Draw, graph: Graph, x: Value) -> Value:
    c = x.type.shape[1]
    parameters = [weights(draw, c) for _ in range(3)]
    parameters.append(np.abs(weights(draw, c)) + np.float32(0.1))
    names = ("scale", "shift", "mean", "variance")
    constants = [graph.constant(n, p) for n, p in zip(names, parameters, strict=True)]
    return emit(graph, ops.BatchNorm(), [x, *constants], "norm")


def scaled(draw: Draw, graph: Graph, x: Value) -> Value:
    op = draw(st.sampled_from([ops.Mul(), ops.Add(), ops.Sub()]))
    factor = graph.constant("factor", weights(draw, x.type.shape[1], 1, 1) + np.float32(0.5))
    return emit(graph, op, [x, factor], op.name)


def shifted(draw: Draw, graph: Graph, x: Value) -> Value:
    pads = (0, 0, *numbers(draw, 0, 1), 0, 0, *numbers(draw, 0, 1))
    return emit(graph, ops.Pad(pads), [x], "pad")


def upsampled(draw: Draw, graph: Graph, x: Value) -> Value:
    return emit(graph, ops.Resize((1, 1, *numbers(draw, 1, 2))), [x], "resize")


def joined(draw: Draw, graph: Graph, x: Value) -> Value:
    """The value with an earlier one: added where shapes agree, else concatenated where they can."""
    mates = [v for v in graph.values() if len(v.type.shape) == 4]
    other = draw(st.sampled_from(mates))
    if other.type.shape == x.type.shape and draw(st.booleans()):
        return emit(graph, ops.Add(), [x, other], "sum")
    if other.type.shape[2:] == x.type.shape[2:]:
        return emit(graph, ops.Concat(1), [x, other], "joined")
    return x


STEPS: tuple[Callable[[Draw, Graph, Value], Value], ...] = (
    *(conv, conv, conv, max_pool, avg_pool, unary, unary),
    *(batch_norm, scaled, shifted, upsampled, joined, joined),
)


def head(draw: Draw, graph: Graph, x: Value) -> Value:
    """Flatten or average, one matrix, perhaps a softmax."""
    if draw(st.booleans()):
        x = emit(graph, ops.Reduce("mean", (2, 3), False), [x], "mean")
    else:
        x = emit(graph, ops.Reshape((1, x.type.elements)), [x], "flat")
    outputs = draw(st.integers(1, 5))
    w = graph.constant("fc.w", weights(draw, x.type.shape[1], outputs))
    x = emit(graph, ops.MatMul(), [x, w], "fc")
    x = emit(graph, ops.Add(), [x, graph.constant("fc.b", weights(draw, outputs))], "logits")
    return emit(graph, ops.Softmax(1), [x], "softmax") if draw(st.booleans()) else x


@st.composite
def float_graphs(draw: Draw, max_steps: int = 6, max_size: int = 9) -> Graph:
    """A float network: one image of one to four channels, a few steps, mostly a matrix at the end.

    Values may have further users, so that there are branches and skips; batch size is one.
    """
    graph = Graph("random")
    shape = (1, draw(st.integers(1, 4)), *numbers(draw, 1, max_size))
    x = graph.add_input("x", TensorType("f32", shape))
    for _ in range(draw(st.integers(1, max_steps))):
        step = draw(st.sampled_from(STEPS))
        try:
            x = step(draw, graph, x)
        except NmcError:
            continue  # a kernel that the image is too small for
    if draw(st.integers(0, 3)):
        x = head(draw, graph, x)
    graph.outputs.append(x)
    return graph
