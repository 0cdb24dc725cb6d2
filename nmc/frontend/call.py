"""One ONNX node applied to values of our graph, as a lowering rule sees it.

A rule reads attributes and operands here, emits ops, and returns the node's results.  If it does
not know the node in this form, it raises `Declined`; whatever it emitted is taken back, and the
node stays an operator of the host.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from nmc.frontend.tensors import narrow
from nmc.ir import ops
from nmc.ir.diagnostics import Loc
from nmc.ir.graph import Array, Graph, Value
from nmc.ir.ops import Op
from nmc.ir.types import emit

__all__ = ["Call", "Declined", "Names", "Refused", "Rule"]

Ints = tuple[int, ...]


class Declined(Exception):
    """No rule for the node in this form; the message says what about it is not known."""


class Refused(Exception):
    """The node is not to be run by anybody; the message says why, `remedy` what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


@dataclass(slots=True)
class Names:
    """Gives new values names that no value of the ONNX model has, so that those keep theirs."""

    graph: Graph
    taken: frozenset[str]

    @classmethod
    def of(cls, graph: Graph, proto: onnx.GraphProto) -> Names:
        defined = (name for node in proto.node for name in node.output)
        given = (value.name for value in (*proto.input, *proto.initializer))
        return cls(graph, frozenset((*defined, *given)))

    def new(self, name: str) -> str:
        name = name or "value"
        while name in self.taken:
            name += "_"
        return name


@dataclass(slots=True)
class Call:
    """`inputs` are the node's operands, None where absent; `version` is that of its domain."""

    node: onnx.NodeProto
    version: int
    inputs: tuple[Value | None, ...]
    loc: Loc
    names: Names
    attributes: dict[str, onnx.AttributeProto] = field(init=False)

    def __post_init__(self) -> None:
        self.attributes = {a.name: a for a in self.node.attribute}

    # Operands

    @property
    def x(self) -> Value:
        return self.operand(0)

    def operand(self, index: int) -> Value:
        value = self.optional(index)
        if value is None:
            raise Declined(f"its input {index + 1} is absent")
        return value

    def optional(self, index: int) -> Value | None:
        return self.inputs[index] if index < len(self.inputs) else None

    @property
    def operands(self) -> list[Value]:
        return [self.operand(i) for i in range(len(self.inputs))]

    @property
    def rank(self) -> int:
        return len(self.x.type.shape)

    @property
    def shape(self) -> Ints:
        return self.x.type.shape

    def constant(self, index: int, what: str) -> Array:
        """The data of an operand that must be constant."""
        data = self.operand(index).data
        if data is None:
            raise Declined(f"its {what} is computed while running")
        return data

    def scalar(self, index: int, what: str) -> Any:
        data = self.constant(index, what)
        if data.size != 1:
            raise Declined(f"its {what} has {data.size} elements, not one")
        return data.reshape(-1)[0].item()

    def sizes(self, index: int, what: str) -> Ints:
        """A list of whole numbers that a constant operand holds."""
        return tuple(int(n) for n in self.constant(index, what).reshape(-1))

    def wants(self, index: int) -> bool:
        """Whether the node's result with this index is asked for."""
        return index < len(self.node.output) and bool(self.node.output[index])

    def only_first_result(self) -> None:
        for index in range(1, len(self.node.output)):
            if self.wants(index):
                raise Declined(f"its result {index + 1} is used")

    # Attributes

    def integer(self, name: str, default: int = 0) -> int:
        return int(self.attributes[name].i) if name in self.attributes else default

    def number(self, name: str, default: float = 0.0) -> float:
        return narrow(self.attributes[name].f) if name in self.attributes else default

    def text(self, name: str, default: str = "") -> str:
        if name not in self.attributes:
            return default
        return self.attributes[name].s.decode(errors="replace")

    def integers(self, name: str, default: Ints | None = None) -> Ints | None:
        return tuple(self.attributes[name].ints) if name in self.attributes else default

    def numbers(self, name: str) -> Array:
        given = self.attributes[name].floats if name in self.attributes else ()
        return np.asarray(given, np.float32)

    def has(self, name: str) -> bool:
        return name in self.attributes

    def axis(self, default: int, *, rank: int | None = None, name: str = "axis") -> int:
        """The attribute `axis`, counted from the front."""
        return self.front(self.integer(name, default), self.rank if rank is None else rank)

    def front(self, axis: int, rank: int) -> int:
        if not -rank <= axis < rank:
            raise Declined(f"its axis {axis} is none of {rank}")
        return axis % rank if rank else 0

    # Results

    @property
    def name(self) -> str:
        return next((name for name in self.node.output if name), "value")

    def emit(self, op: Op, *operands: Value | None, result: int = 0) -> Value:
        """Append an op whose result is the node's result with this index."""
        return emit(self.names.graph, op, operands, self.node.output[result], (self.loc,))

    def step(self, op: Op, *operands: Value | None) -> Value:
        """Append an op on the way to the result."""
        name = self.names.new(f"{self.name}.{op.name}")
        return emit(self.names.graph, op, operands, name, (self.loc,))

    def constant_value(self, what: str, data: Array) -> Value:
        return self.names.graph.constant(self.names.new(f"{self.name}.{what}"), data)

    def derived(self, value: Value, how: str, data: Array) -> Value:
        """A constant made from another one, and named after it."""
        return self.names.graph.constant(self.names.new(f"{value.name}.{how}"), data)

    def float_value(self, what: str, number: float) -> Value:
        """A scalar constant of the type of the first operand."""
        return self.constant_value(what, np.asarray(number, self.x.type.numpy))

    def reshaped(self, value: Value, shape: Sequence[int]) -> Value:
        """The value in another shape; constants right away."""
        shape = tuple(shape)
        if value.type.shape == shape:
            return value
        if value.data is not None:
            return self.derived(value, "reshaped", value.data.reshape(shape))
        return self.step(ops.Reshape(shape), value)

    def transposed(self, value: Value, perm: Sequence[int]) -> Value:
        """The value with its axes in another order; weights right away, be they stored integers."""
        perm = tuple(perm)
        if perm == tuple(range(len(perm))):
            return value
        if value.data is not None:
            return self.derived(value, "transposed", value.data.transpose(perm))
        if stored := self.stored(value):
            op, data, *others = stored
            if isinstance(op, ops.DequantizeAxis):
                op = ops.DequantizeAxis(perm.index(op.axis))
            turned = self.derived(data, "transposed", data.array.transpose(perm))
            return self.step(op, turned, *others)
        return self.step(ops.Transpose(perm), value)

    def stored(self, value: Value) -> tuple[Any, ...] | None:
        """Op and operands of a value that is the dequantised form of constant integers."""
        node = value.producer
        if node is None or not isinstance(node.op, ops.Dequantize | ops.DequantizeAxis):
            return None
        return (node.op, *node.operands) if node.x.is_constant else None

    def chain(self, op: Op, operands: Sequence[Value], last: bool = True) -> Value:
        """op(op(a, b), c)...; of a single operand just this."""
        result = operands[0]
        for index, operand in enumerate(operands[1:], start=2):
            make = self.emit if last and index == len(operands) else self.step
            result = make(op, result, operand)
        return result


Rule = Callable[[Call], Value | Sequence[Value | None]]


def as_results(given: Value | Sequence[Value | None]) -> list[Value | None]:
    """What a rule returned, as a list."""
    return [given] if isinstance(given, Value) else list(given)
