"""Types of results: what each op gives for operands of given types, or why it can't take them.

One rule per op, by class; `infer_types` is the only door.  Ops that merely move stored integers
keep what these mean (`Quant`); for ops that compute new ones the caller says it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from nmc.ir import ops
from nmc.ir import types_compute as compute
from nmc.ir import types_moving as moving
from nmc.ir.diagnostics import NOWHERE, Loc, NmcError, error
from nmc.ir.graph import Graph, Quant, TensorType, Value
from nmc.ir.ops import OPS, Op
from nmc.ir.types_checks import Misfit

__all__ = ["MAX_ELEMENTS", "RULES", "Rule", "emit", "infer_types"]

MAX_ELEMENTS = 1 << 32
"""No value may have more elements: a bound on what a hostile file can make us allocate."""

MANY = 1 << 16


@dataclass(frozen=True, slots=True)
class Rule:
    """How an op types: `infer(op, *operands)` gives the result's type or raises `Misfit`.

    The op takes `least` to `most` operands; of a fixed list those from `least` on may be absent.
    """

    infer: Callable[..., TensorType]
    least: int
    most: int


def infer_types(
    op: Op, inputs: Sequence[TensorType | None], loc: Loc = NOWHERE
) -> tuple[TensorType, ...]:
    """Types of the op's results; NmcError that names both sides if the operands don't fit.

    Not for `Onnx`, whose results' types only its importer knows.
    """
    rule = RULES[type(op)]
    try:
        check_count(rule, inputs)
        result = rule.infer(op, *inputs)
        check_size(result)
    except Misfit as misfit:
        text = f"`{op.name}` {misfit.message}"
        raise NmcError(error(misfit.code, text, loc)) from None
    return (result,)


def emit(
    graph: Graph,
    op: Op,
    inputs: Sequence[Value | None],
    name: str,
    origin: Iterable[Loc] = (),
    quant: Quant | None = None,
) -> Value:
    """Append a node at the end of the graph and return its result, named like `name`.

    `quant` says what the result's integers mean, for ops that compute new ones.
    """
    origin = tuple(origin)
    types = [None if v is None else v.type for v in inputs]
    (type_,) = infer_types(op, types, origin[0] if origin else NOWHERE)
    value = graph.value(name, replace(type_, quant=quant) if quant else type_)
    graph.append(op, inputs, [value], origin)
    return value


def check_count(rule: Rule, inputs: Sequence[TensorType | None]) -> None:
    least, most = rule.least, rule.most
    if not least <= len(inputs) <= most:
        wanted = str(least)
        if least < most:
            wanted = f"{least} or more" if most == MANY else f"{least} to {most}"
        raise Misfit("bad-operands", f"takes {wanted} operands, {len(inputs)} are given")
    for index, type_ in enumerate(inputs[: most if most == MANY else least]):
        if type_ is None:
            raise Misfit("bad-operands", f"must have its operand {index + 1}, which is absent")


def check_size(type_: TensorType) -> None:
    elements = math.prod(type_.shape)
    if elements > MAX_ELEMENTS:
        message = f"would give {type_}: {elements} elements, at most {MAX_ELEMENTS} can be"
        raise Misfit("shape-mismatch", message)


RULES: dict[type[Op], Rule] = {
    **{op: Rule(compute.unary, 1, 1) for op in OPS if issubclass(op, ops.Unary)},
    **{op: Rule(compute.binary, 2, 2) for op in OPS if issubclass(op, ops.Binary)},
    ops.PRelu: Rule(compute.prelu, 2, 2),
    # matrices
    ops.Conv: Rule(compute.conv, 2, 3),
    ops.ConvTranspose: Rule(compute.conv_transpose, 2, 3),
    ops.MatMul: Rule(compute.matmul, 2, 2),
    # normalisation
    ops.BatchNorm: Rule(compute.channel_norm, 5, 5),
    ops.InstanceNorm: Rule(compute.channel_norm, 3, 3),
    ops.LayerNorm: Rule(compute.layer_norm, 2, 3),
    ops.Lrn: Rule(compute.lrn, 1, 1),
    ops.Softmax: Rule(compute.softmax, 1, 1),
    ops.LogSoftmax: Rule(compute.softmax, 1, 1),
    # pooling and reduction
    ops.MaxPool: Rule(compute.max_pool, 1, 1),
    ops.AvgPool: Rule(compute.avg_pool, 1, 1),
    ops.Reduce: Rule(compute.reduce, 1, 1),
    ops.ArgMax: Rule(compute.arg_max, 1, 1),
    # shape
    ops.Reshape: Rule(moving.reshape, 1, 1),
    ops.Transpose: Rule(moving.transpose, 1, 1),
    ops.Concat: Rule(moving.concat, 1, MANY),
    ops.Slice: Rule(moving.slice_, 1, 1),
    ops.Pad: Rule(moving.pad, 1, 1),
    ops.Expand: Rule(moving.expand, 1, 1),
    ops.Gather: Rule(moving.gather, 2, 2),
    ops.DepthToSpace: Rule(moving.depth_to_space, 1, 1),
    ops.SpaceToDepth: Rule(moving.space_to_depth, 1, 1),
    ops.Resize: Rule(moving.resize, 1, 1),
    ops.Cast: Rule(compute.cast, 1, 1),
    # numbers
    ops.Quantize: Rule(moving.quantize, 1, 1),
    ops.Dequantize: Rule(moving.dequantize, 1, 1),
    ops.DequantizeAxis: Rule(moving.dequantize_axis, 3, 3),
    ops.FlipSign: Rule(moving.flip_sign, 1, 1),
    ops.QConv: Rule(moving.qconv, 4, 4),
    ops.QMatMul: Rule(moving.qmatmul, 4, 4),
    ops.QAvgPool: Rule(moving.qavg_pool, 1, 1),
    ops.QReduceMean: Rule(moving.qreduce_mean, 1, 1),
    ops.Lut: Rule(moving.lut, 2, 2),
}
"""How each op types; every op but `Onnx` is here."""
