"""What each vec operation computes, on all lanes at once; the arithmetic is `nmc.ir.numerics`.

docs/machine.md lists operands and immediates.  A function takes `Operands` and returns values
that fit the destination's shape, or that reshape to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmc.ir import numerics, ops
from nmc.ir.graph import Array, dtype_name
from nmc.ir.kernels import KERNELS

__all__ = ["FUNCTIONS", "Operands", "apply"]


@dataclass(frozen=True, slots=True)
class Operands:
    """`a` is [lanes, *dims of a]; `b` likewise, or None; `dtype` and `shape` are the target's."""

    a: Array
    b: Array | None
    imm: tuple[float, ...]
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    lanes: int

    @property
    def second(self) -> Array:
        """`b` in a shape that broadcasts against `a`: for each element, for each of the last
        dimension, or one for all.  Without b, the first immediate."""
        if self.b is None:
            return np.asarray(self.imm[0], self.a.dtype)
        return self.spread(self.b)

    def spread(self, b: Array) -> Array:
        count = b.size // self.lanes
        if count * self.lanes == self.a.size:
            return b.reshape(self.a.shape)
        return b.reshape(self.lanes, *[1] * (self.a.ndim - 2), count)

    @property
    def records(self) -> Array:
        """Records of b, one for each of the last dimension of `a` or for all of them."""
        if self.b is None:
            raise ValueError("the operation takes records")
        return self.spread(self.b)

    @property
    def inner(self) -> tuple[int, ...]:
        """The axes that reductions run over: all dimensions but the last."""
        return tuple(range(1, self.a.ndim - 1))


Function = Callable[[Operands], Array]


def apply(op: str, operands: Operands) -> Array:
    """Values of the destination, [lanes, *shape]."""
    with np.errstate(all="ignore"):
        values = FUNCTIONS[op](operands).reshape(operands.lanes, *operands.shape)
        return values if values.dtype == operands.dtype else values.astype(operands.dtype)


def binary(kernel: Callable[[Array, Array], Array]) -> Function:
    return lambda o: kernel(o.a, o.second)


def unary(make: Callable[[tuple[float, ...]], ops.Unary]) -> Function:
    return lambda o: numerics.apply_unary(make(o.imm), o.a)


def rsqrt(o: Operands) -> Array:
    return np.asarray(1 / np.sqrt(o.a.astype(np.float64))).astype(np.float32)


def prelu(o: Operands) -> Array:
    return KERNELS[ops.PRelu](ops.PRelu(), o.a, o.second)


def divide(o: Operands) -> Array:
    return KERNELS[ops.Div](ops.Div(), o.a, o.second)


# Between numbers


def biased(o: Operands) -> Array:
    """Accumulators with their channels' bias, wrapping as int32 adders do."""
    return np.asarray(o.a + o.records["bias"])


def requant(o: Operands) -> Array:
    zero_point, lo, hi = (int(value) for value in o.imm)
    return numerics.requantize(biased(o), o.records["multiplier"], zero_point, lo, hi)


def dequant(o: Operands) -> Array:
    if o.b is not None:
        return np.asarray(biased(o).astype(np.float32) * o.records["multiplier"])
    return numerics.dequantize(o.a, o.imm[0], int(o.imm[1]))


def quant(o: Operands) -> Array:
    return numerics.quantize(o.a, o.imm[0], int(o.imm[1]), dtype_name(o.dtype))


# Reductions


def reduce_sum(o: Operands) -> Array:
    if o.a.dtype.kind == "f":
        return numerics.sum_in_order(o.a, o.inner)
    return np.asarray(o.a.sum(axis=o.inner, dtype=np.int64))


def reduce_max(o: Operands) -> Array:
    return np.asarray(o.a.max(axis=o.inner))


def count(o: Operands) -> int:
    return int(np.prod([o.a.shape[axis] for axis in o.inner], dtype=np.int64))


def reduce_mean(o: Operands) -> Array:
    return numerics.sum_in_order(o.a, o.inner) / count(o)


def pool_avg(o: Operands) -> Array:
    if o.a.dtype.kind == "f":
        return numerics.sum_in_order(o.a, o.inner) / o.imm[0]
    multiplier, x_zero_point, y_zero_point = o.imm
    sums = o.a.sum(axis=o.inner, dtype=np.int64) - count(o) * int(x_zero_point)
    return numerics.requantize(sums, np.asarray(multiplier, np.float32), int(y_zero_point), 0, 255)


# Along the last dimension


def layernorm(o: Operands) -> Array:
    op = ops.LayerNorm(axis=o.a.ndim - 1, epsilon=o.imm[0])
    return KERNELS[ops.LayerNorm](op, o.a, o.records["scale"], o.records["shift"])


# Bytes


def lut(o: Operands) -> Array:
    if o.b is None:
        raise ValueError("lut takes a table")
    flat = np.take_along_axis(o.b, o.a.reshape(o.lanes, -1).astype(np.int64), axis=1)
    return flat.reshape(o.a.shape)


def fill(o: Operands) -> Array:
    value = np.asarray(o.imm[0]).astype(o.dtype)
    return np.broadcast_to(value, (o.lanes, *o.shape))


def matmul(o: Operands) -> Array:
    if o.b is None:
        raise ValueError("matmul takes two operands")
    if o.a.dtype.kind == "f":
        return np.asarray(np.matmul(o.a.astype(np.float64), o.b.astype(np.float64)))
    zeros = [int(value) for value in o.imm]
    a, b = (m.astype(np.int64) - z for m, z in zip((o.a, o.b), zeros, strict=True))
    # Products of bytes: exact in float64, which BLAS multiplies.
    return np.asarray(np.matmul(a.astype(np.float64), b.astype(np.float64))).astype(np.int64)


FUNCTIONS: dict[str, Function] = {
    "add": binary(np.add),
    "sub": binary(np.subtract),
    "mul": binary(np.multiply),
    "div": divide,
    "min": binary(np.minimum),
    "max": binary(np.maximum),
    "relu": unary(lambda imm: ops.Relu()),
    "clip": unary(lambda imm: ops.Clip(lo=imm[0], hi=imm[1])),
    "leaky-relu": unary(lambda imm: ops.LeakyRelu(alpha=imm[0])),
    "prelu": prelu,
    "hard-sigmoid": unary(lambda imm: ops.HardSigmoid(alpha=imm[0], beta=imm[1])),
    "hard-swish": unary(lambda imm: ops.HardSwish()),
    "sigmoid": unary(lambda imm: ops.Sigmoid()),
    "tanh": unary(lambda imm: ops.Tanh()),
    "exp": unary(lambda imm: ops.Exp()),
    "erf": unary(lambda imm: ops.Erf()),
    "gelu": unary(lambda imm: ops.Gelu("tanh" if imm and imm[0] == 1 else "none")),
    "sqrt": unary(lambda imm: ops.Sqrt()),
    "rsqrt": rsqrt,
    "abs": unary(lambda imm: ops.Abs()),
    "neg": unary(lambda imm: ops.Neg()),
    "sign": unary(lambda imm: ops.Sign()),
    "requant": requant,
    "dequant": dequant,
    "quant": quant,
    "cast": lambda o: o.a.astype(o.dtype),
    "reduce.sum": reduce_sum,
    "reduce.max": reduce_max,
    "reduce.mean": reduce_mean,
    "pool.max": reduce_max,
    "pool.avg": pool_avg,
    "softmax": lambda o: numerics.softmax(o.a, o.a.ndim - 1),
    "log-softmax": lambda o: numerics.log_softmax(o.a, o.a.ndim - 1),
    "layernorm": layernorm,
    "copy": lambda o: o.a.copy(),
    "fill": fill,
    "lut": lut,
    "matmul": matmul,
}
"""One for each of VEC_OPS."""
