"""Every op on many samples at once gives what it gives on each of them alone."""

from __future__ import annotations

import numpy as np
import pytest

from nmc.ir import ops
from nmc.ir.batching import AS_IS, LIFTED, MERGED, batched_kernel
from nmc.ir.graph import Array, Graph, TensorType, Value, dtype_name
from nmc.ir.interpreter import run_graph, run_graph_batch
from nmc.ir.ops import Op
from nmc.ir.types import emit

COUNT = 3


def floats(*shape: int) -> Array:
    rng = np.random.default_rng((3, *shape))
    return rng.normal(size=shape).astype(np.float32)


def stored(*shape: int, dtype: str = "u1") -> Array:
    info = np.iinfo(dtype)
    rng = np.random.default_rng((3, *shape))
    return rng.integers(info.min, info.max, shape, np.dtype(dtype), endpoint=True)


class Data:
    """An operand that differs from sample to sample, samples along the first axis."""

    def __init__(self, array: Array) -> None:
        self.array = array


IMAGE = Data(floats(COUNT, 4, 6, 6))
BYTES = Data(stored(COUNT, 4, 6, 6))
ROWS = Data(floats(COUNT, 5, 6))
WINDOW = ((1, 2), (0, 1, 1, 0), (1, 1))
POOL = ((2, 3), *WINDOW)
PER_CHANNEL = [floats(4), floats(4), floats(4), np.abs(floats(4)) + 1]
PARAMETERS = [np.arange(6, dtype=np.int32), np.full(6, 0.01, np.float32)]

VECTORISED: list[tuple[Op, list[Data | Array]]] = [
    (ops.Conv(*WINDOW, 2), [IMAGE, floats(6, 2, 2, 3), floats(6)]),
    (ops.ConvTranspose(*WINDOW, (0, 0), 2), [IMAGE, floats(4, 3, 2, 3), floats(6)]),
    (ops.QConv(*WINDOW, 2, 7), [BYTES, stored(6, 2, 2, 3, dtype="i1"), *PARAMETERS]),
    (ops.QMatMul(7), [BYTES, stored(6, 6, dtype="i1"), *PARAMETERS]),
    (ops.BatchNorm(), [IMAGE, *PER_CHANNEL]),
    (ops.InstanceNorm(), [IMAGE, *PER_CHANNEL[:2]]),
    (ops.Lrn(3), [IMAGE]),
    (ops.MaxPool(*POOL), [IMAGE]),
    (ops.AvgPool(*POOL), [IMAGE]),
    (ops.QAvgPool(*POOL, 0.5, 7, 9), [BYTES]),
    (ops.DepthToSpace(2), [IMAGE]),
    (ops.SpaceToDepth(2), [IMAGE]),
    (ops.Gelu(), [IMAGE]),
    (ops.Cast("i32"), [IMAGE]),
    (ops.Quantize(0.1, 3), [IMAGE]),
    (ops.Dequantize(0.1, 3), [BYTES]),
    (ops.FlipSign(), [BYTES]),
    (ops.Lut(), [BYTES, stored(256)]),
    (ops.Add(), [IMAGE, IMAGE]),
    (ops.Add(), [floats(2, 1, 6), ROWS]),
    (ops.Mul(), [Data(floats(COUNT, 6, 6)), IMAGE]),
    (ops.PRelu(), [IMAGE, floats(4, 1, 1)]),
    (ops.MatMul(), [IMAGE, floats(6, 2)]),
    (ops.MatMul(), [floats(2, 5), ROWS]),
    (ops.MatMul(), [IMAGE, Data(floats(COUNT, 1, 6, 5))]),
    (ops.MatMul(), [ROWS, Data(floats(COUNT, 4, 6, 5))]),
    (ops.Softmax(1), [IMAGE]),
    (ops.LogSoftmax(3), [IMAGE]),
    (ops.LayerNorm(2), [IMAGE, floats(6, 6), floats(6)]),
    (ops.Concat(1), [IMAGE, floats(1, 2, 6, 6), IMAGE]),
    (ops.ArgMax(1), [IMAGE]),
    (ops.Gather(1), [IMAGE, np.array([[3, 0]])]),
    (ops.Reduce("mean", (0, 2), False), [IMAGE]),
    (ops.QReduceMean((2, 3), True, 0.5, 7, 9), [BYTES]),
    (ops.Slice((3, 1), (-1, 5), (1, 2), (-2, 1)), [IMAGE]),
    (ops.Pad((0, 1, 0, 2, 1, 0, -1, 0), "edge"), [IMAGE]),
    (ops.Reshape((2, 72)), [IMAGE]),
    (ops.Transpose((2, 0, 3, 1)), [IMAGE]),
    (ops.Resize((1, 1, 2, 3)), [IMAGE]),
]
ONE_BY_ONE: list[tuple[Op, list[Data | Array]]] = [
    (ops.Gather(0), [floats(9, 2), Data(np.array([[1, 2], [0, 8], [5, 5]]))]),
    (ops.Expand((4, 4, 6, 6)), [IMAGE]),
    (ops.MatMul(), [ROWS, floats(6)]),
    (ops.PRelu(), [IMAGE, IMAGE]),
    (ops.Conv(*WINDOW, 1), [IMAGE, Data(floats(COUNT, 4, 2, 3))]),
]


def built(op: Op, operands: list[Data | Array]) -> tuple[Graph, dict[str, Array]]:
    graph, feeds = Graph("g"), {}
    values: list[Value] = []
    for operand in operands:
        if isinstance(operand, Data):
            shape = (1, *operand.array.shape[1:])
            type_ = TensorType(dtype_name(operand.array.dtype), shape)
            values.append(graph.add_input("x", type_))
            feeds[values[-1].name] = operand.array
        else:
            values.append(graph.constant("c", operand))
    graph.outputs.append(emit(graph, op, values, "y"))
    return graph, feeds


def named(parameter: object) -> str:
    return parameter.name if isinstance(parameter, Op) else "operands"


@pytest.mark.parametrize(("op", "operands"), VECTORISED + ONE_BY_ONE, ids=named)
def test_a_batch_is_its_samples(op: Op, operands: list[Data | Array]) -> None:
    graph, feeds = built(op, operands)
    together = run_graph_batch(graph, feeds)["y"]
    alone = [
        run_graph(graph, {name: array[i : i + 1] for name, array in feeds.items()})["y"]
        for i in range(COUNT)
    ]
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-5, atol=1e-5)
    assert together.dtype == alone[0].dtype


def flags(operands: list[Data | Array]) -> list[bool]:
    return [isinstance(operand, Data) for operand in operands]


@pytest.mark.parametrize(("op", "operands"), VECTORISED, ids=named)
def test_samples_are_computed_at_once(op: Op, operands: list[Data | Array]) -> None:
    graph, _ = built(op, operands)
    assert batched_kernel(graph.nodes[0], flags(operands)) is not None


def test_every_op_that_is_listed_is_tested() -> None:
    tested = {type(op) for op, _ in VECTORISED}
    listed = {*LIFTED, *MERGED, *(op for op in AS_IS if op is not ops.Unary)}
    assert listed <= tested
