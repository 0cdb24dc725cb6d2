"""Depthwise convolutions on the vector unit: strips of the kernel, a product each, added up.

A product takes channels as a batch: pixels x taps of a strip by these taps x outputs of a channel.
Weights are bytes there, WEIGHT_ZERO more than the numbers that they stand for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nmc.ir.graph import Array, Node
from nmc.ir.mapping import Kind, Stage
from nmc.ir.ops import QConv

__all__ = ["WEIGHT_ZERO", "Strips", "is_depthwise", "on_vector_unit", "strip_weights", "strips_of"]

WEIGHT_ZERO = 128


@dataclass(frozen=True, slots=True)
class Strips:
    """A kernel as `count` strips of `taps` elements each, which lie `along` an axis of it: 0 for
    columns, 1 for rows."""

    along: int
    count: int
    taps: int


def strips_of(kernel: tuple[int, int]) -> Strips:
    """The fewest strips: rows of the kernel, or columns where it is higher than wide."""
    height, width = kernel
    return Strips(0, width, height) if height > width else Strips(1, height, width)


def is_depthwise(node: Node) -> bool:
    """Whether each output of a convolution of integers sees one channel, of several."""
    return isinstance(node.op, QConv) and node.op.group == node.x.type.shape[1] > 1


def on_vector_unit(stage: Stage, nodes: Mapping[str, Node]) -> bool:
    """Whether a stage is a convolution that the vector unit computes."""
    is_window = stage.kind is Kind.WINDOW and stage.anchored
    return is_window and isinstance(nodes[stage.nodes[0]].op, QConv)


def strip_weights(anchor: Node, kernel: tuple[int, int]) -> Array:
    """u8[strips, channels, taps, outputs of a channel]."""
    weights = anchor.operand(1).array
    chans = anchor.x.type.shape[1]
    taps = weights.reshape(chans, -1, *kernel).transpose(2, 3, 0, 1)
    if strips_of(kernel).along == 0:
        taps = taps.swapaxes(0, 1)
    shifted = taps.swapaxes(1, 2).astype(np.int16) + WEIGHT_ZERO
    return np.ascontiguousarray(shifted.astype(np.uint8))
