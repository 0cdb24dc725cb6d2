"""Lowering of normalisations and softmax."""

from __future__ import annotations

import math

import numpy as np

from nmc.frontend.call import Call, Declined, Refused, Rule
from nmc.ir import ops
from nmc.ir.graph import Value
from nmc.ir.ops import Op

__all__ = ["NORM_RULES"]


def batch_norm(call: Call) -> tuple[Value, ...]:
    if call.integer("training_mode"):
        raise Refused("it is in training mode", "export the model after model.eval()")
    if call.version < 9 and not call.integer("spatial", 1):
        raise Declined("it normalises every place apart (spatial=0)")
    op = ops.BatchNorm(call.number("epsilon", 1e-5))
    return (call.emit(op, *call.operands[:5]),)


def instance_norm(call: Call) -> Value:
    op = ops.InstanceNorm(call.number("epsilon", 1e-5))
    return call.emit(op, call.x, call.operand(1), call.operand(2))


def layer_norm(call: Call) -> Value:
    call.only_first_result()
    op = ops.LayerNorm(call.axis(-1), call.number("epsilon", 1e-5))
    shift = call.optional(2)
    return call.emit(op, call.x, call.operand(1), *([] if shift is None else [shift]))


def group_norm(call: Call) -> Value:
    """Instances of whole groups of channels; scale and shift were one per group until opset 21."""
    groups = call.integer("num_groups")
    n, c, *places = call.shape if call.rank > 1 else (1, 1)
    if groups < 1 or c % groups or call.rank < 3:
        raise Declined(f"its {groups} groups do not divide {c} channels")
    grouped = call.step(ops.Reshape((n, groups, c // groups * math.prod(places))), call.x)
    one = call.constant_value("one", np.ones(groups, np.float32))
    zero = call.constant_value("zero", np.zeros(groups, np.float32))
    norm = ops.InstanceNorm(call.number("epsilon", 1e-5))
    normal = call.reshaped(call.step(norm, grouped, one, zero), call.shape)
    scale, shift = (per_channel(call, call.operand(i), c) for i in (1, 2))
    return call.emit(ops.Add(), call.step(ops.Mul(), normal, scale), shift)


def per_channel(call: Call, value: Value, channels: int) -> Value:
    """A parameter as [C, 1, ...]; one per group is repeated for its channels."""
    shape = (channels,) + (1,) * (call.rank - 2)
    count = value.type.elements
    if count == channels:
        return call.reshaped(value, shape)
    if value.data is None:
        raise Declined("its scale and shift are computed while running")
    repeated = np.repeat(value.data.reshape(-1), channels // count)
    return call.constant_value("repeated", repeated.reshape(shape))


def rms_norm(call: Call) -> Value:
    """x / sqrt(mean of squares + epsilon) * scale."""
    call.only_first_result()
    axes = tuple(range(call.axis(-1), call.rank))
    power = call.step(ops.Reduce("mean", axes), call.step(ops.Mul(), call.x, call.x))
    epsilon = call.float_value("epsilon", call.number("epsilon", 1e-5))
    root = call.step(ops.Sqrt(), call.step(ops.Add(), power, epsilon))
    return call.emit(ops.Mul(), call.step(ops.Div(), call.x, root), call.operand(1))


def mean_variance(call: Call) -> Value:
    """(x - mean) / (sqrt(variance) + 1e-9), as ONNX defines it."""
    given = call.integers("axes") or (0, 2, 3)
    axes = tuple(sorted(call.front(axis, call.rank) for axis in given))
    centred = call.step(ops.Sub(), call.x, call.step(ops.Reduce("mean", axes), call.x))
    square = call.step(ops.Mul(), centred, centred)
    spread = call.step(ops.Sqrt(), call.step(ops.Reduce("mean", axes), square))
    return call.emit(ops.Div(), centred, call.step(ops.Add(), spread, call.float_value("e", 1e-9)))


def lrn(call: Call) -> Value:
    if call.rank < 3:
        raise Declined(f"its input has {call.rank} axes")
    op = ops.Lrn(
        call.integer("size"),
        call.number("alpha", 1e-4),
        call.number("beta", 0.75),
        call.number("bias", 1.0),
    )
    return call.emit(op, call.x)


def softmax(op: type[ops.Softmax | ops.LogSoftmax]) -> Rule:
    """Before opset 13 all axes from `axis` on were one."""

    def rule(call: Call) -> Value:
        if call.version >= 13:
            return call.emit(op(call.axis(-1)), call.x)
        axis = call.axis(1)
        if math.prod(call.shape[axis + 1 :]) == 1:
            return call.emit(op(axis), call.x)
        rows, columns = math.prod(call.shape[:axis]), math.prod(call.shape[axis:])
        flat: Op = ops.Reshape((rows, columns))
        result = call.step(op(1), call.step(flat, call.x))
        return call.emit(ops.Reshape(call.shape), result)

    return rule


NORM_RULES: dict[str, Rule] = {
    "BatchNormalization": batch_norm,
    "GroupNormalization": group_norm,
    "InstanceNormalization": instance_norm,
    "LRN": lrn,
    "LayerNormalization": layer_norm,
    "LogSoftmax": softmax(ops.LogSoftmax),
    "MeanVarianceNormalization": mean_variance,
    "RMSNormalization": rms_norm,
    "Softmax": softmax(ops.Softmax),
}
