"""Constant operands as numbers: stored as floats, or as integers with what these mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nmc.ir import numerics, ops
from nmc.ir.graph import Array, Node, Value

__all__ = ["StoredIntegers", "is_dequantized_constant", "real_constant", "stored_integers"]


@dataclass(frozen=True, slots=True)
class StoredIntegers:
    """A constant that a model brought in integers: real = (data - zero_point) * scale.

    `scale` (f32) and `zero_point` (i64) have the rank of `data`, with size 1 along the axes that
    they don't depend on.
    """

    data: Array
    scale: Array
    zero_point: Array

    @property
    def centred(self) -> Array:
        """i64: the integers less their zero points."""
        return np.asarray(self.data.astype(np.int64) - self.zero_point)

    @property
    def real(self) -> Array:
        return numerics.dequantize(self.data, self.scale, self.zero_point)


def stored_integers(value: Value) -> StoredIntegers | None:
    """The integers behind a constant that is dequantised; None for anything else."""
    node = value.producer
    if node is None or not is_dequantized_constant(node):
        return None
    data = node.x.array
    shape = [1] * data.ndim
    match node.op:
        case ops.Dequantize(scale=scale, zero_point=zero):
            return StoredIntegers(
                data, np.full(shape, scale, np.float32), np.full(shape, zero, np.int64)
            )
        case ops.DequantizeAxis(axis=axis):
            shape[axis] = -1
    scales, zeros = node.operand(1).array, node.operand(2).array.astype(np.int64)
    return StoredIntegers(data, scales.reshape(shape), zeros.reshape(shape))


def is_dequantized_constant(node: Node) -> bool:
    """Whether the node only says what a constant's integers mean."""
    known = isinstance(node.op, ops.Dequantize | ops.DequantizeAxis)
    return known and all(v.is_constant for v in node.operands)


def real_constant(value: Value) -> Array | None:
    """The numbers of a float constant or of a dequantised one; None if they aren't constant."""
    if value.is_constant:
        return value.array
    stored = stored_integers(value)
    return None if stored is None else stored.real
