"""Computes a node whose operands are all constants, with onnx's own reference evaluator.

Exporters spell shapes as arithmetic on constants; all of it must be gone before a graph of known
sizes can be made.  What grows from small operands is sized up before it is allocated.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from nmc.frontend.tensors import MAX_BYTES
from nmc.ir.graph import Array

__all__ = ["KEEP", "CannotFold", "fold"]

KEEP = frozenset(
    {
        *("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike"),
        *("Bernoulli", "Multinomial", "Dropout"),
        "DequantizeLinear",  # integer weights must survive
        *("If", "Loop", "Scan", "SequenceMap"),
    }
)
"""Operators that are never computed here, though their operands be constant."""


class CannotFold(Exception):
    """The node can't be computed now; the message says why."""


def fold(
    node: onnx.NodeProto, inputs: Sequence[Array | None], opsets: dict[str, int]
) -> list[Array]:
    """The results of the node; CannotFold if the evaluator can't, or they are too large."""
    check_growth(node, inputs)
    if node.op_type == "ConstantOfShape":
        return [constant_of_shape(node, inputs[0])]
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    outputs = [f"y{i}" if name else "" for i, name in enumerate(node.output)]
    single = onnx.NodeProto()
    single.CopyFrom(node)
    del single.input[:], single.output[:]
    single.input.extend(names)
    single.output.extend(outputs)
    feeds = {name: x for name, x in zip(names, inputs, strict=True) if x is not None}
    wanted = [name for name in outputs if name]
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            results = evaluator(single, feeds, wanted, opsets).run(wanted, feeds)
    except Exception as problem:
        raise CannotFold(f"{type(problem).__name__}: {problem}") from None
    if not all(isinstance(result, np.ndarray | np.generic) for result in results):
        raise CannotFold("its result is no tensor")
    return [np.asarray(result) for result in results]


def evaluator(
    node: onnx.NodeProto, feeds: dict[str, Array], wanted: list[str], opsets: dict[str, int]
) -> ReferenceEvaluator:
    def entry(name: str) -> onnx.ValueInfoProto:
        return onnx.ValueInfoProto(name=name)

    graph = onnx.helper.make_graph([node], "one", [*map(entry, feeds)], [*map(entry, wanted)])
    imports = [onnx.helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    return ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=imports))


def check_growth(node: onnx.NodeProto, inputs: Sequence[Array | None]) -> None:
    """Refuse what would give more bytes than any tensor may have."""
    estimate = GROWTH.get(node.op_type, broadcast)
    try:
        elements = estimate([np.zeros(0, np.int64) if x is None else x for x in inputs])
    except (IndexError, TypeError, ValueError, OverflowError, ZeroDivisionError):
        return  # malformed: the evaluator says how
    if elements * 8 > MAX_BYTES:
        raise CannotFold(f"its result would have about {elements:.3g} elements")


def product(shape: Array) -> float:
    return float(np.prod(shape.astype(np.float64)))


def broadcast(x: Sequence[Array]) -> float:
    return product(np.asarray(np.broadcast_shapes(*(a.shape for a in x))))


def resized(x: Sequence[Array]) -> float:
    if len(x) > 3 and x[3].size:
        return product(x[3])
    return x[0].size * product(x[2] if len(x) > 2 else x[1])


GROWTH: dict[str, Callable[[Sequence[Array]], float]] = {
    "ConstantOfShape": lambda x: product(x[0]),
    "Expand": lambda x: product(x[1]) * max(x[0].size, 1),
    "Tile": lambda x: x[0].size * product(x[1]),
    "Range": lambda x: abs(float(x[1] - x[0]) / float(x[2])),
    "Pad": lambda x: math.prod(n + 2.0 * int(np.abs(x[1]).max(initial=0)) for n in x[0].shape),
    "OneHot": lambda x: x[0].size * float(x[1].reshape(-1)[0]),
    "Resize": resized,
    "Upsample": resized,
    "Gather": lambda x: x[1].size * x[0].size / min(x[0].shape),
    "MatMul": lambda x: x[0].size * x[1].size,
    "Gemm": lambda x: x[0].size * x[1].size,
    "Einsum": lambda x: math.prod(float(a.size) for a in x),
}
"""At most how many elements an operator gives; others give what their operands broadcast to."""


def constant_of_shape(node: onnx.NodeProto, shape: Array | None) -> Array:
    """By hand, for speed: generated models have hundreds."""
    if shape is None or (shape < 0).any():
        raise CannotFold(f"{shape} is no shape")
    value = next((a.t for a in node.attribute if a.name == "value"), None)
    filler = np.zeros(1, np.float32)
    if value is not None and value.data_type != TensorProto.UNDEFINED:
        filler = numpy_helper.to_array(value).reshape(-1)
    return np.full([int(n) for n in shape.reshape(-1)], filler[0], filler.dtype)
