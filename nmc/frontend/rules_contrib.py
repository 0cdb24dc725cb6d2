"""Lowering of operators that onnxruntime adds (domain com.microsoft): quantised and fused ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nmc.frontend.call import Call, Declined, Rule
from nmc.frontend.rules_matrix import conv_op, multiplied, scaled
from nmc.frontend.rules_quant import (
    QUANT_RULES,
    Scaling,
    dequantized,
    quantized,
    scaling,
    stored_type,
)
from nmc.frontend.windows import window
from nmc.ir import ops
from nmc.ir.graph import Array, Value
from nmc.ir.ops import Op

__all__ = ["CONTRIB_RULES"]


def qlinear_binary(op: type[ops.Binary]) -> Rule:
    """a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero."""

    def rule(call: Call) -> Value:
        a = dequantized(call, call.x, scaling(call, 1, 2))
        b = dequantized(call, call.operand(3), scaling(call, 4, 5))
        return quantized(call, call.step(op(), a, b), scaling(call, 6, 7), stored_type(call, 7))

    return rule


def qlinear_unary(make: Callable[[Call], Op]) -> Rule:
    """x, x_scale, x_zero, y_scale, y_zero."""

    def rule(call: Call) -> Value:
        op = make(call)
        x = dequantized(call, call.x, scaling(call, 1, 2))
        return quantized(call, call.step(op, x), scaling(call, 3, 4), stored_type(call, 4))

    return rule


def global_average(call: Call) -> Op:
    if call.integer("channels_last"):
        return ops.Reduce("mean", tuple(range(1, call.rank - 1)))
    return ops.Reduce("mean", tuple(range(2, call.rank)))


def average(call: Call) -> Op:
    if call.integer("channels_last"):
        raise Declined("its channels are last")
    w = window(call, call.integers("kernel_shape") or ())
    ceil = bool(call.integer("ceil_mode")) and not w.automatic
    counts = bool(call.integer("count_include_pad"))
    return ops.AvgPool(w.kernel, w.strides, w.pads, w.dilations, ceil, counts)


def quantized_softmax(call: Call) -> Op:
    axis = call.axis(-1)
    if call.integer("opset", 13) < 13 and axis != call.rank - 1:
        raise Declined("it takes all axes from `axis` on as one")
    return ops.Softmax(axis)


def qlinear_concat(call: Call) -> Value:
    """y_scale, y_zero, then x, x_scale, x_zero for each part."""
    parts = []
    for index in range(2, len(call.inputs), 3):
        by = scaling(call, index + 1, index + 2)
        parts.append(dequantized(call, call.operand(index), by))
    axis = call.axis(0, rank=len(parts[0].type.shape))
    joined = call.step(ops.Concat(axis), *parts)
    return quantized(call, joined, scaling(call, 0, 1), stored_type(call, 1))


def qgemm(call: Call) -> Value:
    """a, a_scale, a_zero, b, b_scale, b_zero, c, y_scale, y_zero; without y_scale it gives floats.

    c is int32 at the scale of a times that of b (times alpha).
    """
    alpha = call.number("alpha", 1.0)
    by_a, by_b = scaling(call, 1, 2), scaling(call, 4, 5)
    stored_b = call.operand(3)
    axis = 0 if call.integer("transB") else 1
    a, b = dequantized(call, call.x, by_a), dequantized(call, stored_b, by_b, axis)
    a = call.transposed(a, (1, 0)) if call.integer("transA") else a
    b = call.transposed(b, (1, 0)) if call.integer("transB") else b
    result = scaled(call, call.step(ops.MatMul(), a, b), alpha)
    if (c := call.optional(6)) is not None:
        product = np.float32(alpha) * by_a.scale[0] * by_b.scale
        by_c = Scaling(product, np.zeros(product.size, np.int64))
        bias = dequantized(call, c, by_c, len(c.type.shape) - 1)
        result = call.step(ops.Add(), result, bias)
    if call.optional(7) is None:
        return result
    return quantized(call, result, scaling(call, 7, 8), stored_type(call, 8))


def fused_conv(call: Call) -> Value:
    if call.optional(3) is not None:
        raise Declined("it adds a fourth operand")
    bias = call.optional(2)
    operands = [call.x, call.operand(1), *([] if bias is None else [bias])]
    result = call.step(conv_op(call, call.operand(1)), *operands)
    return activated(call, result, call.text("activation"), call.numbers("activation_params"))


def activated(call: Call, x: Value, name: str, given: Array) -> Value:
    numbers = [float(str(number)) for number in given]
    makers: dict[str, Callable[..., Op]] = {
        "Relu": ops.Relu,
        "Sigmoid": ops.Sigmoid,
        "Tanh": ops.Tanh,
        "LeakyRelu": ops.LeakyRelu,
        "Clip": ops.Clip,
        "HardSigmoid": ops.HardSigmoid,
    }
    if name not in makers:
        raise Declined(f"its activation is {name or 'not named'}")
    try:
        op = makers[name](*numbers)
    except TypeError:
        raise Declined(f"its activation {name} has {len(numbers)} parameters") from None
    return call.emit(op, x)


def fused_matmul(call: Call) -> Value:
    if call.integer("transBatchA") or call.integer("transBatchB"):
        raise Declined("it exchanges batch axes")
    a, b = call.x, call.operand(1)
    a = swapped(call, a) if call.integer("transA") else a
    b = swapped(call, b) if call.integer("transB") else b
    return multiplied(call, a, b, call.number("alpha", 1.0), None)


def swapped(call: Call, value: Value) -> Value:
    axes = list(range(len(value.type.shape)))
    return call.transposed(value, [*axes[:-2], axes[-1], axes[-2]])


def gelu(approximate: str) -> Rule:
    def rule(call: Call) -> Value:
        bias = call.optional(1)
        x = call.x if bias is None else call.step(ops.Add(), call.x, bias)
        return call.emit(ops.Gelu(approximate), x)

    return rule


def quick_gelu(call: Call) -> Value:
    """x * sigmoid(alpha * x)."""
    inner = call.step(ops.Mul(), call.x, call.float_value("alpha", call.number("alpha", 1.702)))
    return call.emit(ops.Mul(), call.x, call.step(ops.Sigmoid(), inner))


CONTRIB_RULES: dict[str, Rule] = {
    "BiasGelu": gelu("none"),
    "DequantizeLinear": QUANT_RULES["DequantizeLinear"],
    "FastGelu": gelu("tanh"),
    "FusedConv": fused_conv,
    "FusedMatMul": fused_matmul,
    "Gelu": gelu("none"),
    "QGemm": qgemm,
    "QLinearAdd": qlinear_binary(ops.Add),
    "QLinearAveragePool": qlinear_unary(average),
    "QLinearConcat": qlinear_concat,
    "QLinearGlobalAveragePool": qlinear_unary(global_average),
    "QLinearLeakyRelu": qlinear_unary(lambda call: ops.LeakyRelu(call.number("alpha", 0.01))),
    "QLinearMul": qlinear_binary(ops.Mul),
    "QLinearSigmoid": qlinear_unary(lambda _: ops.Sigmoid()),
    "QLinearSoftmax": qlinear_unary(quantized_softmax),
    "QuantizeLinear": QUANT_RULES["QuantizeLinear"],
    "QuickGelu": quick_gelu,
}
