"""Small edits of a partitioned graph, all of which say the unit of what they add."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nmc.ir import ops
from nmc.ir.diagnostics import Loc
from nmc.ir.graph import Graph, Node, Quant, Unit, Value
from nmc.ir.types import emit

__all__ = ["add", "dequantized", "quant_of", "redirect", "source_of"]

WHY = "between reals and stored integers"


def add(
    graph: Graph,
    op: ops.Op,
    inputs: Sequence[Value | None],
    name: str,
    like: Node | None = None,
    *,
    origin: Iterable[Loc] = (),
    quant: Quant | None = None,
) -> Value:
    """The result of a new chip node, in the unit and for the reason of `like`, or recoding numbers.

    The caller sorts the graph in the end.
    """
    value = emit(graph, op, inputs, name, like.origin if like else origin, quant)
    node = graph.nodes[-1]
    node.unit, node.why = (like.unit, like.why) if like else (Unit.VECTOR, WHY)
    return value


def dequantized(graph: Graph, stored: Value, quant: Quant, name: str) -> Value:
    """A new dequantize of stored integers."""
    origin = stored.producer.origin if stored.producer else ()
    op = ops.Dequantize(quant.scale, quant.zero_point)
    return add(graph, op, [stored], name, origin=origin)


def redirect(graph: Graph, user: Node, old: Value, new: Value) -> None:
    """One user takes `new` where it took `old`."""
    graph.set_inputs(user, [new if v is old else v for v in user.inputs])


def quant_of(op: ops.Op) -> Quant:
    """What the integers of a quantize's result, or of a dequantize's operand, mean."""
    if not isinstance(op, ops.Quantize | ops.Dequantize):
        raise TypeError(f"{op} has no scale")
    return Quant(op.scale, op.zero_point)


def source_of(value: Value) -> tuple[Value, Quant] | None:
    """The stored integers that a real value is dequantised from on the chip, and their meaning."""
    node = value.producer
    if node is None or node.unit == Unit.HOST or not isinstance(node.op, ops.Dequantize):
        return None
    if node.x.is_constant:
        return None
    return node.x, quant_of(node.op)
