"""Brings the numbers of a partitioned graph into one form before anything is calibrated.

Afterwards stored activations on the chip are u8, constants of rowwise operations are floats, and
no value is quantised, and none dequantised, twice in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from nmc.ir import ops
from nmc.ir.abilities import is_mover
from nmc.ir.constants import is_dequantized_constant, real_constant
from nmc.ir.graph import Graph, Node, Quant, Unit, Value
from nmc.passes.quantizing.edit import add, quant_of
from nmc.passes.quantizing.roles import is_matrix, is_rowwise, on_chip

__all__ = ["normalize"]


def normalize(graph: Graph) -> None:
    casts_to_dequantize(graph)
    Unsigned(graph).run()
    fold_operands(graph)
    merge_twins(graph)
    graph.prune()
    graph.sort()
    say_meanings(graph)


def casts_to_dequantize(graph: Graph) -> None:
    """A cast of stored integers takes them as reals in steps of 1."""
    for node in graph:
        if on_chip(node) and isinstance(node.op, ops.Cast):
            node.op = ops.Dequantize(1.0, 0)


@dataclass(slots=True)
class Unsigned:
    """i8 activations on the chip become u8, 128 higher; elsewhere they stay what they are."""

    graph: Graph
    raised: dict[Value, Value] = field(default_factory=dict[Value, Value])
    """u8 forms of i8 values that come from outside the chip; of the chip's own, themselves."""

    def run(self) -> None:
        for node in list(self.graph):
            if on_chip(node) and not is_dequantized_constant(node):
                self.raise_node(node)
        self.lower_leaving()

    def raise_node(self, node: Node) -> None:
        signed = [v for v in node.operands if self.is_signed(v)]
        for value in signed:
            self.graph.set_inputs(node, [self.up(v) if v is value else v for v in node.inputs])
        if signed or any(v.type.dtype == "i8" for v in node.outputs):
            node.op = raised_op(node.op)
        for value in node.outputs:
            if value.type.dtype == "i8":
                quant = value.type.quant
                quant = quant and replace(quant, zero_point=quant.zero_point + 128)
                self.graph.retype(value, dtype="u8", quant=quant)
                self.raised[value] = value

    def is_signed(self, value: Value) -> bool:
        return value in self.raised or (value.type.dtype == "i8" and not value.is_constant)

    def up(self, value: Value) -> Value:
        if value not in self.raised:
            origin = value.producer.origin if value.producer else ()
            name = f"{value.name}.unsigned"
            self.raised[value] = add(self.graph, ops.FlipSign(), [value], name, origin=origin)
        return self.raised[value]

    def lower_leaving(self) -> None:
        """What the host or the user of the model gets is i8 again, under its own name."""
        for value in [v for v, up in self.raised.items() if v is up]:
            host = [user for user in value.users if user.unit == Unit.HOST]
            if not host and value not in self.graph.outputs:
                continue
            name, value.name = value.name, self.graph.fresh(f"{value.name}.unsigned")
            origin = value.producer.origin if value.producer else ()
            down = add(self.graph, ops.FlipSign(), [value], name, origin=origin)
            down.name = name
            for user in host:
                self.graph.set_inputs(user, [down if v is value else v for v in user.inputs])
            self.graph.outputs = [down if v is value else v for v in self.graph.outputs]


def raised_op(op: ops.Op) -> ops.Op:
    match op:
        case ops.Quantize(dtype="i8", zero_point=zero):
            return replace(op, dtype="u8", zero_point=zero + 128)
        case ops.Dequantize(zero_point=zero):
            return replace(op, zero_point=zero + 128)
        case ops.Pad(value=value):
            return replace(op, value=value + 128)
    return op


def fold_operands(graph: Graph) -> None:
    """Constants of everything but matrices are floats; only a matrix can use their integers."""
    for node in list(graph):
        if not on_chip(node) or is_matrix(node) or is_dequantized_constant(node):
            continue
        for value in node.operands:
            data = None if value.is_constant else real_constant(value)
            if data is not None and (is_rowwise(node) or not is_mover(node)):
                folded = graph.constant(value.name, data)
                graph.set_inputs(node, [folded if v is value else v for v in node.inputs])


def merge_twins(graph: Graph) -> None:
    """Chip nodes that quantise or dequantise the same value in the same way become one."""
    first: dict[tuple[Value, ops.Op], Node] = {}
    for node in list(graph):
        recodes = isinstance(node.op, ops.Quantize | ops.Dequantize)
        if not on_chip(node) or not recodes or is_dequantized_constant(node):
            continue
        twin = first.setdefault((node.x, node.op), node)
        if twin is not node and node.output not in graph.outputs:
            graph.replace_uses(node.output, twin.output)


def say_meanings(graph: Graph) -> None:
    """Types of stored activations say what the integers mean, by who made them or who reads them.

    Found backwards from dequantizes, then carried forwards, so that both ends of a mover agree.
    """
    recoders = [n for n in graph if on_chip(n) and not is_dequantized_constant(n)]
    for node in recoders:
        if isinstance(node.op, ops.Dequantize):
            trace(node.x, quant_of(node.op))
    for node in recoders:
        if is_mover(node) and node.x.type.quant is not None:
            graph.retype(node.output, quant=node.x.type.quant)


def trace(value: Value, quant: Quant) -> None:
    """Write a meaning into the types of integers and of what they were moved from."""
    while value.type.quant is None and value.type.dtype in {"u8", "i8"}:
        value.type = replace(value.type, quant=quant)
        node = value.producer
        if node is None or not on_chip(node):
            return
        if isinstance(node.op, ops.FlipSign):
            shift = -128 if node.x.type.dtype == "i8" else 128
            quant = replace(quant, zero_point=quant.zero_point + shift)
        elif not is_mover(node):
            return
        value = node.x
