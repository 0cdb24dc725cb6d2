"""How the quantised dialect is spelt in ONNX: the same integer and float32 steps, one by one.

Whole operators such as QLinearConv would round with their own kernels; spelt out, a node gives on
the host the very bytes that the Graph's interpreter and the chip give.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nmc.backends.onnx_builder import Builder
from nmc.backends.onnx_rules import Rule
from nmc.ir import ops
from nmc.ir.graph import Node
from nmc.ir.windows import reach, window_counts, window_divisors

__all__ = ["NUMBER_RULES"]


def quantize(b: Builder, op: ops.Quantize, node: Node) -> str:
    parameters = [b.scalar(op.scale, "f32"), b.scalar(op.zero_point, op.dtype)]
    return b.add("QuantizeLinear", [node.x.name, *parameters])


def dequantize(b: Builder, op: ops.Dequantize, node: Node) -> str:
    dtype = node.x.type.dtype
    scale = b.scalar(op.scale, "f32")
    if dtype != "i32":
        return b.add("DequantizeLinear", [node.x.name, scale, b.scalar(op.zero_point, dtype)])
    return wide_dequantize(b, node.x.name, b.scalar(op.zero_point, "i64"), scale)


def dequantize_axis(b: Builder, op: ops.DequantizeAxis, node: Node) -> str:
    x, scale, zero_point = node.operands
    if x.type.dtype != "i32":
        return b.add("DequantizeLinear", [v.name for v in node.operands], axis=op.axis)
    shape = b.constant([-1 if i == op.axis else 1 for i in range(len(x.type.shape))])
    zeros = b.add("Reshape", [b.cast(zero_point.name, "i64"), shape])
    return wide_dequantize(b, x.name, zeros, b.add("Reshape", [scale.name, shape]))


def wide_dequantize(b: Builder, x: str, zero_point: str, scale: str) -> str:
    """Of int32, which DequantizeLinear takes only without a zero point."""
    centred = b.add("Sub", [b.cast(x, "i64"), zero_point])
    return b.add("Mul", [b.cast(centred, "f32"), scale])


def flip_sign(b: Builder, _: ops.FlipSign, node: Node) -> str:
    up = node.x.type.dtype == "i8"
    shifted = b.add("Add", [b.cast(node.x.name, "i32"), b.scalar(128 if up else -128, "i32")])
    return b.cast(shifted, "u8" if up else "i8")


def requantized(
    b: Builder, sums: str, multiplier: str, zero_point: int, lo: int = 0, hi: int = 255
) -> str:
    """u8 of integer sums, in float32 as `nmc.ir.numerics.requantize` has it."""
    rounded = b.add("Round", [b.add("Mul", [b.cast(sums, "f32"), multiplier])])
    moved = b.add("Add", [rounded, b.scalar(zero_point, "f32")])
    return b.cast(b.add("Clip", [moved, b.scalar(lo, "f32"), b.scalar(hi, "f32")]), "u8")


def finished(b: Builder, op: ops.QConv | ops.QMatMul, node: Node, acc: str, rank: int) -> str:
    """Bias and multiplier, one of each per output channel, which has `rank` axes behind it."""
    bias, multiplier = node.operand(2), node.operand(3)
    shape = b.constant([-1, *[1] * rank])
    total = b.add("Add", [acc, b.add("Reshape", [bias.name, shape])])
    factor = b.add("Reshape", [multiplier.name, shape])
    if op.out == "f32":
        return b.add("Mul", [b.cast(total, "f32"), factor])
    return requantized(b, total, factor, op.y_zero_point, op.lo, op.hi)


def qconv(b: Builder, op: ops.QConv, node: Node) -> str:
    zero = b.scalar(op.x_zero_point, "u8")
    window = {"strides": op.strides, "pads": op.pads, "dilations": op.dilations}
    names = [node.x.name, node.operand(1).name, zero]
    acc = b.add("ConvInteger", names, group=op.group, **window)
    return finished(b, op, node, acc, len(node.x.type.shape) - 2)


def qmatmul(b: Builder, op: ops.QMatMul, node: Node) -> str:
    zero = b.scalar(op.x_zero_point, "u8")
    acc = b.add("MatMulInteger", [node.x.name, node.operand(1).name, zero])
    return finished(b, op, node, acc, 0)


def centred(b: Builder, node: Node, zero_point: int, dtype: str) -> str:
    return b.add("Sub", [b.cast(node.x.name, dtype), b.scalar(zero_point, dtype)])


def average(b: Builder, sums: str, divisors: Any, scale: float, zero_point: int) -> str:
    multiplier = np.asarray(np.float64(scale) / divisors, np.float32)
    return requantized(b, sums, b.constant(multiplier), zero_point)


def qavg_pool(b: Builder, op: ops.QAvgPool, node: Node) -> str:
    """Sums as a depthwise convolution with ones, exact in float32."""
    shape = node.x.type.shape
    ones = b.constant(np.ones((shape[1], 1, *op.kernel), np.float32))
    sums = b.add(
        "Conv",
        [centred(b, node, op.x_zero_point, "f32"), ones],
        strides=op.strides,
        pads=reaching(op, shape[2:]),
        dilations=op.dilations,
        group=shape[1],
    )
    divisors = window_divisors(
        shape[2:],
        op.kernel,
        op.strides,
        op.pads,
        op.dilations,
        op.ceil_mode,
        op.count_include_pad,
    )
    return average(b, sums, divisors, op.scale, op.y_zero_point)


def reaching(op: ops.QAvgPool, sizes: Sequence[int]) -> list[int]:
    """Pads with which a convolution has the windows that ceil_mode gives the pool."""
    rank = len(sizes)
    counts = window_counts(sizes, op.kernel, op.strides, op.pads, op.dilations, op.ceil_mode)
    ends = [
        max(
            op.pads[rank + i],
            (counts[i] - 1) * op.strides[i]
            + reach(op.kernel[i], op.dilations[i])
            - sizes[i]
            - op.pads[i],
        )
        for i in range(rank)
    ]
    return [*op.pads[:rank], *ends]


def qreduce_mean(b: Builder, op: ops.QReduceMean, node: Node) -> str:
    x = centred(b, node, op.x_zero_point, "i32")
    axes = b.constant(op.axes)
    sums = b.add("ReduceSum", [x, axes], keepdims=int(op.keepdims), noop_with_empty_axes=1)
    count = int(np.prod([node.x.type.shape[i] for i in op.axes], dtype=np.int64))
    return average(b, sums, count, op.scale, op.y_zero_point)


def lut(b: Builder, _: ops.Lut, node: Node) -> str:
    return b.add("Gather", [node.operand(1).name, b.cast(node.x.name, "i32")], axis=0)


NUMBER_RULES: dict[type[ops.Op], Rule] = {
    ops.Quantize: quantize,
    ops.Dequantize: dequantize,
    ops.DequantizeAxis: dequantize_axis,
    ops.FlipSign: flip_sign,
    ops.QConv: qconv,
    ops.QMatMul: qmatmul,
    ops.QAvgPool: qavg_pool,
    ops.QReduceMean: qreduce_mean,
    ops.Lut: lut,
}
