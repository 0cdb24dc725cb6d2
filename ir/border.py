"""Where numbers cross between host and chip, and which host nodes do nothing but recode them there.

The host writes a chip step's inputs into global memory, and reads its outputs there, one element
after the other in any case.  Recoding is a multiplication and a rounding more for each of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nmc.ir import ops
from nmc.ir.graph import Graph, Node, Quant, Unit, Value

__all__ = ["Crossing", "crossings", "is_recoding", "recodes_input", "recodes_output"]

PREPARING = ops.Clip | ops.Dequantize


@dataclass(frozen=True, slots=True)
class Crossing:
    """A tensor that the host recodes where it enters or leaves the chip.

    The chip knows it as the integers `stored`, everybody else as `outside`.  `quant` says what the
    integers mean; it is None where nothing says that.
    """

    outside: Value
    stored: Value
    enters: bool
    quant: Quant | None


def is_recoding(node: Node) -> bool:
    """Whether a host node turns numbers into the chip's integers, or those back, and no more."""
    return recodes_input(node) or recodes_output(node)


def recodes_input(node: Node) -> bool:
    """Whether the host makes integers for the chip here, or prepares numbers for that alone."""
    if node.unit != Unit.HOST:
        return False
    users = node.outputs[0].users
    if isinstance(node.op, ops.Quantize | ops.FlipSign):
        return any(user.unit != Unit.HOST for user in users)
    return isinstance(node.op, PREPARING) and bool(users) and all(map(recodes_input, users))


def recodes_output(node: Node) -> bool:
    """Whether the host takes the chip's integers for what they mean here."""
    if node.unit != Unit.HOST or not isinstance(node.op, ops.Dequantize | ops.FlipSign):
        return False
    maker = node.x.producer
    return maker is not None and maker.unit != Unit.HOST


def crossings(graph: Graph) -> Iterator[Crossing]:
    """All of them, in the order of the nodes that recode."""
    for node in graph:
        if isinstance(node.op, ops.Quantize | ops.Dequantize | ops.FlipSign):
            if recodes_output(node):
                yield Crossing(node.output, node.x, enters=False, quant=meaning(node, node.x))
            elif recodes_input(node) and not isinstance(node.op, PREPARING):
                quant = meaning(node, node.output)
                yield Crossing(unprepared(node), node.output, enters=True, quant=quant)


def meaning(node: Node, stored: Value) -> Quant | None:
    if isinstance(node.op, ops.Quantize | ops.Dequantize):
        return Quant(node.op.scale, node.op.zero_point)
    return stored.type.quant


def unprepared(node: Node) -> Value:
    """What an input's recoder makes its integers of, before it was prepared."""
    while (maker := node.x.producer) is not None and recodes_input(maker):
        node = maker
    return node.x
