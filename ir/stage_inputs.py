"""What data puts on the rows of a stage's matrix: windows of its operand, in gather order."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nmc.ir.graph import Array, Node, Value
from nmc.ir.layout import Digit, offsets
from nmc.ir.mapping import Stage
from nmc.ir.numerics import pool_windows
from nmc.ir.ops import QConv

__all__ = ["batch_of", "stage_windows"]


def batch_of(value: Value, samples: Array) -> Array:
    """Samples [n, ...] of a graph input of shape [1, ...], as [n, ...] whichever way they came."""
    shape = value.type.shape
    return samples.reshape(-1, *shape[1:]) if shape else samples


def stage_windows(
    anchor: Node, stage: Stage, seen: Mapping[str, Array], most: int, rng: np.random.Generator
) -> list[Array]:
    """For each block of a matrix stage, up to `most` vectors u8[n, block.rows] that occurred.

    `seen` has the operand's values over several samples, along the first axis.
    """
    x = seen[stage.operands[0].value]
    order = offsets([Digit(size, stride) for size, stride in stage.reading])
    if not isinstance(anchor.op, QConv):
        rows = x.reshape(-1, anchor.x.type.shape[-1])
        return [rows[_choice(len(rows), most, rng)][:, order]]
    op = anchor.op
    kernel = anchor.operand(1).type.shape[2:]
    windows = pool_windows(x, kernel, op.strides, op.pads, op.dilations, value=op.x_zero_point)
    rank = len(kernel)
    innermost = np.moveaxis(windows, 1, -1)  # [samples, *places, *kernel, channels]
    places = innermost.shape[: 1 + rank]
    pick = np.unravel_index(_choice(int(np.prod(places)), most, rng), places)
    vectors = innermost[pick][..., order]
    return [
        vectors[..., b.chan0 : b.chan0 + b.chans].reshape(len(vectors), b.rows)
        for b in stage.blocks
    ]


def _choice(count: int, most: int, rng: np.random.Generator) -> Array:
    """Indices of at most `most` of `count` things, in order."""
    return np.sort(rng.choice(count, min(count, most), replace=False))
