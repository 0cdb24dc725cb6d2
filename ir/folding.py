"""Turning nodes that depend on no input into constants."""

from __future__ import annotations

import numpy as np

from nmc.ir import ops
from nmc.ir.constants import is_dequantized_constant
from nmc.ir.graph import Node
from nmc.ir.interpreter import evaluate

__all__ = ["fold_node"]

SMALL_BYTES = 1 << 16
GROWTH = 4


def fold_node(node: Node) -> bool:
    """Make the node's results constants of the same names, if that can and should be done.

    Left alone are opaque nodes; what says what stored integers mean, so that they stay integers;
    and results above 64 KiB that take more than four times the bytes of their operands.  The
    caller drops the node from the graph's order.
    """
    if isinstance(node.op, ops.Onnx) or is_dequantized_constant(node):
        return False
    if not node.inputs or not all(v.is_constant for v in node.operands) or grows(node):
        return False
    for value, array in zip(node.outputs, evaluate(node), strict=True):
        value.data = np.ascontiguousarray(array).reshape(array.shape)
        value.producer = None
    for value in node.operands:
        value.users.pop(node, None)
    return True


def grows(node: Node) -> bool:
    size = sum(v.type.nbytes for v in node.outputs)
    return size > max(SMALL_BYTES, GROWTH * sum(v.type.nbytes for v in node.operands))
