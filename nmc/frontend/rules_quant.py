"""Lowering of quantised operators: stored integers stay, what they mean becomes an op.

The QLinear operators are written out as dequantise, compute in float, quantise: the same form that
QuantizeLinear and DequantizeLinear nodes have, so later passes see only one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nmc.frontend.call import Call, Declined, Rule
from nmc.frontend.rules_matrix import conv_op
from nmc.frontend.tensors import NotATensor, element_name
from nmc.ir import ops
from nmc.ir.graph import Array, Value

__all__ = ["QUANT_RULES", "Scaling", "dequantized", "quantized", "scaling"]

STORED = frozenset({"u8", "i8"})
INTEGERS = {"u8": np.uint8, "i8": np.int8, "i32": np.int32}


@dataclass(frozen=True, slots=True)
class Scaling:
    """Scale f32 and zero point of equal length; one element, or one for each place on an axis."""

    scale: Array
    zero_point: Array

    @property
    def whole(self) -> bool:
        return self.scale.size == 1


def scaling(call: Call, scale: int, zero_point: int) -> Scaling:
    """The scaling that two constant operands give; an absent zero point is 0."""
    scales = call.constant(scale, "scale")
    if scales.ndim > 1:
        raise Declined("it scales by blocks")
    flat = scales.astype(np.float32).reshape(-1)
    if not (np.isfinite(flat).all() and (flat > 0).all()):
        raise Declined("its scale is not positive")
    zeros = np.zeros(flat.size, np.int64)
    if call.optional(zero_point) is not None:
        given = call.constant(zero_point, "zero point").reshape(-1)
        if given.size not in {1, flat.size}:
            raise Declined(f"it has {given.size} zero points for {flat.size} scales")
        zeros = np.broadcast_to(given, flat.shape)
    return Scaling(flat, zeros)


def dequantized(call: Call, x: Value, by: Scaling, axis: int = 0, *, last: bool = False) -> Value:
    """The reals that stored integers stand for."""
    make = call.emit if last else call.step
    if x.type.dtype not in INTEGERS:
        raise Declined(f"it dequantises {x.type.dtype}")
    if by.whole:
        return make(ops.Dequantize(float(by.scale[0]), int(by.zero_point[0])), x)
    if not x.is_constant:
        raise Declined("it dequantises computed values with more than one scale")
    if by.scale.size != x.type.shape[axis]:
        raise Declined(f"it has {by.scale.size} scales for axis {axis} of {x.type}")
    scale = call.constant_value("scale", by.scale)
    zero = call.constant_value("zero_point", by.zero_point.astype(x.type.numpy))
    return make(ops.DequantizeAxis(axis), x, scale, zero)


def quantized(call: Call, x: Value, by: Scaling, dtype: str) -> Value:
    """Stored integers as the node's result."""
    if not by.whole:
        raise Declined("it quantises with more than one scale")
    if dtype not in STORED:
        raise Declined(f"it quantises to {dtype}")
    return call.emit(ops.Quantize(float(by.scale[0]), int(by.zero_point[0]), dtype), x)


def stored_type(call: Call, zero_point: int) -> str:
    """Element type of a result, which is that of its zero point."""
    value = call.optional(zero_point)
    return "u8" if value is None else value.type.dtype


def quantize_linear(call: Call) -> Value:
    if call.integer("block_size"):
        raise Declined("it scales by blocks")
    dtype = stored_type(call, 2)
    if call.optional(2) is None and call.integer("output_dtype"):
        dtype = named(call.integer("output_dtype"))
    x = call.x
    if x.type.dtype == "i32":
        x = call.step(ops.Cast("f32"), x)
    return quantized(call, x, scaling(call, 1, 2), dtype)


def named(element: int) -> str:
    try:
        return element_name(element)
    except NotATensor as problem:
        raise Declined(f"its result {problem}") from None


def dequantize_linear(call: Call) -> Value:
    x = call.x
    if x.data is not None and not storable(call, x):
        return call.derived(x, "real", unpacked(call, x.data))
    by = scaling(call, 1, 2)
    axis = 0 if by.whole else call.axis(1)
    return dequantized(call, x, by, axis, last=True)


def storable(call: Call, x: Value) -> bool:
    """Whether constants can stay stored as they are, with positive scales per tensor or axis."""
    scale = call.constant(1, "scale")
    return x.type.dtype in INTEGERS and scale.ndim < 2 and bool((scale > 0).all())


def unpacked(call: Call, data: Array) -> Array:
    """The reals of constants that are stored in a way that the chip does not have."""
    scale, block = call.constant(1, "scale").astype(np.float32), call.integer("block_size")
    zero = np.zeros_like(scale)
    if call.optional(2) is not None:
        zero = call.constant(2, "zero point").astype(np.float32)
    if scale.size > 1:
        axis = call.axis(1)
        scale, zero = (along(a, data.shape, axis, block) for a in (scale, zero))
    try:
        return np.asarray((data.astype(np.float32) - zero) * scale)
    except ValueError:
        raise Declined(f"its {scale.size} scales do not fit {list(data.shape)}") from None


def along(parameter: Array, shape: tuple[int, ...], axis: int, block: int) -> Array:
    """A parameter per place on an axis, or per block of places, so that it broadcasts."""
    if block:
        repeated = np.repeat(parameter, block, axis)
        return repeated[tuple(slice(n) for n in shape)]
    return parameter.reshape([-1 if i == axis else 1 for i in range(len(shape))])


def qlinear_conv(call: Call) -> Value:
    """x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias."""
    by_x, by_w, by_y = scaling(call, 1, 2), scaling(call, 4, 5), scaling(call, 6, 7)
    op = conv_op(call, call.operand(3))
    operands = [dequantized(call, call.x, by_x), dequantized(call, call.operand(3), by_w)]
    bias = call.optional(8)
    if bias is not None:
        product = by_x.scale[0] * by_w.scale
        operands.append(dequantized(call, bias, Scaling(product, np.zeros(product.size, np.int64))))
    return quantized(call, call.step(op, *operands), by_y, stored_type(call, 7))


def qlinear_matmul(call: Call) -> Value:
    """a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero."""
    by_a, by_b, by_y = scaling(call, 1, 2), scaling(call, 4, 5), scaling(call, 6, 7)
    b = call.operand(3)
    a = dequantized(call, call.x, by_a)
    product = call.step(ops.MatMul(), a, dequantized(call, b, by_b, len(b.type.shape) - 1))
    return quantized(call, product, by_y, stored_type(call, 7))


QUANT_RULES: dict[str, Rule] = {
    "DequantizeLinear": dequantize_linear,
    "QLinearConv": qlinear_conv,
    "QLinearMatMul": qlinear_matmul,
    "QuantizeLinear": quantize_linear,
}
