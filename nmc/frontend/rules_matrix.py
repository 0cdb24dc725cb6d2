"""Lowering of convolutions and matrix products."""

from __future__ import annotations

import numpy as np

from nmc.frontend.call import Call, Declined, Refused, Rule
from nmc.frontend.windows import transposed_window, window
from nmc.ir import ops
from nmc.ir.graph import Value

__all__ = ["MATRIX_RULES", "conv_op", "multiplied", "scaled"]


def conv_op(call: Call, weights: Value) -> ops.Conv:
    kernel = weights.type.shape[2:]
    if call.integers("kernel_shape", kernel) != kernel:
        text = f"its kernel_shape {call.integers('kernel_shape')} is not that of {weights.type}"
        raise Refused(text, "export the model again")
    w = window(call, kernel)
    return ops.Conv(w.strides, w.pads, w.dilations, call.integer("group", 1))


def conv(call: Call) -> Value:
    op = conv_op(call, call.operand(1))
    return call.emit(op, call.x, call.operand(1), *present(call, 2))


def conv_transpose(call: Call) -> Value:
    weights = call.operand(1)
    w, extra = transposed_window(call, weights.type.shape[2:])
    op = ops.ConvTranspose(w.strides, w.pads, w.dilations, extra, call.integer("group", 1))
    return call.emit(op, call.x, weights, *present(call, 2))


def present(call: Call, index: int) -> tuple[Value, ...]:
    value = call.optional(index)
    return () if value is None else (value,)


def matmul(call: Call) -> Value:
    return call.emit(ops.MatMul(), call.x, call.operand(1))


def gemm(call: Call) -> Value:
    """alpha * A' @ B' + beta * C; factors and transposes go into constants where there are any."""
    a, b, c = call.x, call.operand(1), call.optional(2)
    alpha, beta = call.number("alpha", 1.0), call.number("beta", 1.0)
    if a.type.dtype != "f32":
        raise Declined(f"its operands are {a.type.dtype}")
    if call.integer("transA"):
        a = call.transposed(a, (1, 0))
    if call.integer("transB"):
        b = call.transposed(b, (1, 0))
    if b.is_constant:
        b, alpha = scaled(call, b, alpha), 1.0
    c = None if c is None or beta == 0 else scaled(call, c, beta)
    return multiplied(call, a, b, alpha, c)


def multiplied(call: Call, a: Value, b: Value, alpha: float, c: Value | None) -> Value:
    """alpha * (a @ b) + c as the node's result."""
    last_is_product = alpha == 1.0 and c is None
    result = (call.emit if last_is_product else call.step)(ops.MatMul(), a, b)
    if alpha != 1.0:
        factor = call.float_value("alpha", alpha)
        result = (call.emit if c is None else call.step)(ops.Mul(), result, factor)
    return result if c is None else call.emit(ops.Add(), result, c)


def scaled(call: Call, value: Value, factor: float) -> Value:
    """The value times a factor, numerically if it is a constant."""
    if factor == 1.0:
        return value
    if value.data is not None:
        return call.derived(value, "scaled", value.data * np.float32(factor))
    return call.step(ops.Mul(), value, call.float_value("factor", factor))


MATRIX_RULES: dict[str, Rule] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Gemm": gemm,
    "MatMul": matmul,
}
