"""Lowering of classical models (domain ai.onnx.ml) that are matrices underneath."""

from __future__ import annotations

import numpy as np

from nmc.frontend.call import Call, Declined, Rule
from nmc.frontend.rules_matrix import multiplied
from nmc.ir import ops
from nmc.ir.graph import Value

__all__ = ["ML_RULES"]


def floats(call: Call) -> Value:
    """The first operand as f32 rows."""
    if call.rank != 2:
        raise Declined(f"its input has {call.rank} axes")
    return call.x if call.x.type.dtype == "f32" else call.step(ops.Cast("f32"), call.x)


def affine(call: Call, outputs: int, intercepts: str, finish: bool) -> Value:
    """x @ coefficients.T + intercepts."""
    x = floats(call)
    weights = call.numbers("coefficients")
    if outputs < 1 or weights.size != outputs * call.shape[1]:
        raise Declined(f"it has {weights.size} coefficients for {outputs} outputs")
    b = call.constant_value("coefficients", weights.reshape(outputs, -1).T)
    offset = call.numbers(intercepts)
    c = call.constant_value("intercepts", offset) if offset.any() else None
    if finish:
        return multiplied(call, x, b, 1.0, c)
    product = call.step(ops.MatMul(), x, b)
    return product if c is None else call.step(ops.Add(), product, c)


def linear_regressor(call: Call) -> Value:
    if call.text("post_transform", "NONE") not in {"NONE", ""}:
        raise Declined(f"it ends with {call.text('post_transform')}")
    return affine(call, call.integer("targets", 1), "intercepts", finish=True)


def linear_classifier(call: Call) -> list[Value | None]:
    """Scores of more than two classes, or of two with a row each; labels are looked up."""
    labels = call.integers("classlabels_ints") or ()
    rows = call.numbers("intercepts").size
    if len(labels) != rows or rows < 2:
        raise Declined(f"it has {len(labels)} integer labels for {rows} rows")
    scores = affine(call, rows, "intercepts", finish=False)
    transform = call.text("post_transform", "NONE") or "NONE"
    ends: dict[str, ops.Op | None] = {
        "NONE": None,
        "SOFTMAX": ops.Softmax(1),
        "LOGISTIC": ops.Sigmoid(),
    }
    if transform not in ends:
        raise Declined(f"it ends with {transform}")
    end = ends[transform]
    best = call.step(ops.ArgMax(1, False), scores)
    table = call.constant_value("labels", np.asarray(labels, np.int64))
    label = call.emit(ops.Gather(0), table, best)
    if not call.wants(1):
        return [label]
    return [label, scores if end is None else call.emit(end, scores, result=1)]


def scaler(call: Call) -> Value:
    """(x - offset) * scale."""
    x, result = floats(call), None
    for name, op in (("offset", ops.Sub()), ("scale", ops.Mul())):
        if (given := call.numbers(name)).size:
            value = call.constant_value(name, given)
            result = (call.step if name == "offset" else call.emit)(op, result or x, value)
    return result or x


ML_RULES: dict[str, Rule] = {
    "LinearClassifier": linear_classifier,
    "LinearRegressor": linear_regressor,
    "Scaler": scaler,
}
