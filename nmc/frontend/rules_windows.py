"""Lowering of pooling and of reductions."""

from __future__ import annotations

from nmc.frontend.call import Call, Declined, Rule
from nmc.frontend.windows import Window, window
from nmc.ir import ops
from nmc.ir.graph import Value

__all__ = ["WINDOW_RULES"]

FLOATS = frozenset({"f32"})


def pool_window(call: Call) -> tuple[Window, bool]:
    """The window, and whether a last partial one counts."""
    w = window(call, call.integers("kernel_shape") or ())
    return w, bool(call.integer("ceil_mode")) and not w.automatic


def max_pool(call: Call) -> Value:
    call.only_first_result()
    w, ceil = pool_window(call)
    return call.emit(ops.MaxPool(w.kernel, w.strides, w.pads, w.dilations, ceil), call.x)


def average_pool(call: Call) -> Value:
    w, ceil = pool_window(call)
    counts = bool(call.integer("count_include_pad"))
    return call.emit(ops.AvgPool(w.kernel, w.strides, w.pads, w.dilations, ceil, counts), call.x)


def global_pool(kind: str) -> Rule:
    def rule(call: Call) -> Value:
        if call.rank < 3:
            raise Declined(f"its input has {call.rank} axes")
        return call.emit(ops.Reduce(kind, tuple(range(2, call.rank))), call.x)

    return rule


def global_lp_pool(call: Call) -> Value:
    order = call.integer("p", 2)
    if order not in {1, 2}:
        raise Declined(f"its norm is of order {order}")
    return call.emit(ops.Reduce(f"l{order}", tuple(range(2, call.rank))), call.x)


def reduction(kind: str) -> Rule:
    """Axes were an attribute until opset 13 (sum) or 18 (others); none means all of them."""

    def rule(call: Call) -> Value:
        if call.x.type.dtype == "bool":
            raise Declined("it reduces truth values")
        given = call.integers("axes")
        if given is None:
            given = () if call.optional(1) is None else call.sizes(1, "list of axes")
        if not given and call.integer("noop_with_empty_axes"):
            axes: tuple[int, ...] = ()
        else:
            axes = tuple(sorted(call.front(a, call.rank) for a in given)) or (*range(call.rank),)
        return call.emit(ops.Reduce(kind, axes, bool(call.integer("keepdims", 1))), call.x)

    return rule


def arg_max(call: Call) -> Value:
    return call.emit(arg_op(call), call.x)


def arg_min(call: Call) -> Value:
    """Where the negative is largest; of floats only, as not every integer has a negative."""
    if call.x.type.dtype not in FLOATS:
        raise Declined(f"it searches {call.x.type.dtype}")
    return call.emit(arg_op(call), call.step(ops.Neg(), call.x))


def arg_op(call: Call) -> ops.ArgMax:
    keeps, last = bool(call.integer("keepdims", 1)), bool(call.integer("select_last_index"))
    return ops.ArgMax(call.axis(0), keeps, last)


REDUCTIONS = {
    "ReduceL1": "l1",
    "ReduceL2": "l2",
    "ReduceLogSum": "log_sum",
    "ReduceLogSumExp": "log_sum_exp",
    "ReduceMax": "max",
    "ReduceMean": "mean",
    "ReduceMin": "min",
    "ReduceProd": "prod",
    "ReduceSum": "sum",
    "ReduceSumSquare": "sum_square",
}

WINDOW_RULES: dict[str, Rule] = {
    "ArgMax": arg_max,
    "ArgMin": arg_min,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_pool("mean"),
    "GlobalLpPool": global_lp_pool,
    "GlobalMaxPool": global_pool("max"),
    "MaxPool": max_pool,
    **{name: reduction(kind) for name, kind in REDUCTIONS.items()},
}
