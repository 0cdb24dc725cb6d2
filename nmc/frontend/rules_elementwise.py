"""Lowering of elementwise operators: mostly a table of which op has which attributes."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from nmc.frontend.call import Call, Declined, Refused, Rule
from nmc.frontend.tensors import NotATensor, element_name
from nmc.ir import ops
from nmc.ir.graph import Value

__all__ = ["ELEMENTWISE_RULES"]


def unary(op: type[ops.Unary]) -> Rule:
    """ONNX names the attributes as we do, with the same defaults; all of them are floats."""
    fields = dataclasses.fields(op)

    def rule(call: Call) -> Value:
        given = {f.name: call.number(f.name) for f in fields if call.has(f.name)}
        return call.emit(op(**given), call.x)

    return rule


def binary(op: type[ops.Binary]) -> Rule:
    def rule(call: Call) -> Value:
        if len(call.inputs) != 2:
            raise Declined(f"it has {len(call.inputs)} operands, not two")
        return call.emit(op(), call.x, call.operand(1))

    return rule


def variadic(op: type[ops.Binary]) -> Rule:
    def rule(call: Call) -> Value:
        return call.chain(op(), call.operands)

    return rule


def mean(call: Call) -> Value:
    if len(call.inputs) == 1:
        return call.x
    total = call.chain(ops.Add(), call.operands, last=False)
    return call.emit(ops.Mul(), total, call.float_value("share", 1 / len(call.inputs)))


def clip(call: Call) -> Value:
    """Bounds were attributes before opset 11; computed ones become maximum and minimum."""
    if call.version < 11:
        lo, hi = call.number("min", -math.inf), call.number("max", math.inf)
        return call.emit(ops.Clip(lo, hi), call.x)
    bounds = [call.optional(1), call.optional(2)]
    if all(bound is None or bound.is_constant for bound in bounds):
        lo, hi = (
            default if bound is None else bound_number(call, bound)
            for bound, default in zip(bounds, (-math.inf, math.inf), strict=True)
        )
        return call.emit(ops.Clip(lo, hi), call.x)
    result = call.x
    for bound, op, last in zip(
        bounds, (ops.Max(), ops.Min()), (bounds[1] is None, True), strict=True
    ):
        if bound is not None:
            result = (call.emit if last else call.step)(op, result, bound)
    return result


def bound_number(call: Call, bound: Value) -> float:
    if bound.array.size != 1:
        raise Declined("its bounds are no scalars")
    number = bound.array.reshape(-1)[0]
    return float(str(number)) if bound.type.dtype == "f32" else float(number)


def gelu(call: Call) -> Value:
    return call.emit(ops.Gelu(call.text("approximate", "none") or "none"), call.x)


def swish(call: Call) -> Value:
    """x * sigmoid(alpha * x)."""
    alpha = call.number("alpha", 1.0)
    inner = call.x
    if alpha != 1.0:
        inner = call.step(ops.Mul(), call.x, call.float_value("alpha", alpha))
    return call.emit(ops.Mul(), call.x, call.step(ops.Sigmoid(), inner))


def prelu(call: Call) -> Value:
    """Before opset 7 there was one slope per channel; onnx's converter leaves that shape."""
    slope = call.operand(1)
    channels = call.shape[1] if call.rank > 2 else 0
    if slope.type.shape == (channels,) and channels not in {1, call.shape[-1]}:
        slope = call.reshaped(slope, (channels,) + (1,) * (call.rank - 2))
    return call.emit(ops.PRelu(), call.x, slope)


def identity(call: Call) -> Value:
    return call.x


def dropout(call: Call) -> tuple[Value, ...]:
    """Nothing is dropped when inferring; the mask, if asked for, is all true."""
    if len(call.inputs) > 2 and bool(call.scalar(2, "training mode")):
        raise Refused("it is in training mode", "export the model after model.eval()")
    if not call.wants(1):
        return (call.x,)
    return call.x, call.constant_value("mask", np.ones(call.shape, np.bool_))


def cast(call: Call) -> Value:
    try:
        to = element_name(call.integer("to"))
    except NotATensor as problem:
        raise Declined(f"its result {problem}") from None
    return call.x if call.x.type.dtype == to else call.emit(ops.Cast(to), call.x)


def cast_like(call: Call) -> Value:
    to = call.operand(1).type.dtype
    return call.x if call.x.type.dtype == to else call.emit(ops.Cast(to), call.x)


UNARY: dict[str, type[ops.Unary]] = {
    "Abs": ops.Abs,
    "Ceil": ops.Ceil,
    "Celu": ops.Celu,
    "Elu": ops.Elu,
    "Erf": ops.Erf,
    "Exp": ops.Exp,
    "Floor": ops.Floor,
    "HardSigmoid": ops.HardSigmoid,
    "HardSwish": ops.HardSwish,
    "LeakyRelu": ops.LeakyRelu,
    "Log": ops.Log,
    "Mish": ops.Mish,
    "Neg": ops.Neg,
    "Reciprocal": ops.Reciprocal,
    "Relu": ops.Relu,
    "Round": ops.Round,
    "Selu": ops.Selu,
    "Sigmoid": ops.Sigmoid,
    "Sign": ops.Sign,
    "Softplus": ops.Softplus,
    "Softsign": ops.Softsign,
    "Sqrt": ops.Sqrt,
    "Tanh": ops.Tanh,
    "ThresholdedRelu": ops.ThresholdedRelu,
}

BINARY: dict[str, type[ops.Binary]] = {
    "Add": ops.Add,
    "Div": ops.Div,
    "Mul": ops.Mul,
    "Pow": ops.Pow,
    "Sub": ops.Sub,
}

VARIADIC: dict[str, type[ops.Binary]] = {"Max": ops.Max, "Min": ops.Min, "Sum": ops.Add}

OTHERS: dict[str, Rule] = {
    "Cast": cast,
    "CastLike": cast_like,
    "Clip": clip,
    "Dropout": dropout,
    "Gelu": gelu,
    "Identity": identity,
    "Mean": mean,
    "PRelu": prelu,
    "Swish": swish,
}

ELEMENTWISE_RULES: dict[str, Rule] = {
    **{name: unary(op) for name, op in UNARY.items()},
    **{name: binary(op) for name, op in BINARY.items()},
    **{name: variadic(op) for name, op in VARIADIC.items()},
    **OTHERS,
}
