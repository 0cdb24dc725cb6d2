"""The Graph: a typed, ordered dataflow of tensor operations, in single static assignment.

A `Node` applies an `Op` (frozen attributes, see `nmc.ir.ops`) to `Value`s and defines new ones.
Values know their producer and their users; the graph keeps both right, so nodes are changed only
through its methods.  Constants are values that carry `data`.  Nodes stand in topological order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
import numpy.typing as npt

from nmc.ir.diagnostics import Loc

if TYPE_CHECKING:
    from nmc.ir.ops import Op

__all__ = ["DTYPES", "Array", "Graph", "Node", "Quant", "TensorType", "Unit", "Value", "dtype_name"]

Array = npt.NDArray[Any]

DTYPES: dict[str, np.dtype[Any]] = {
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "f16": np.dtype(np.float16),
    "i8": np.dtype(np.int8),
    "i16": np.dtype(np.int16),
    "i32": np.dtype(np.int32),
    "i64": np.dtype(np.int64),
    "u8": np.dtype(np.uint8),
    "u16": np.dtype(np.uint16),
    "u32": np.dtype(np.uint32),
    "u64": np.dtype(np.uint64),
    "bool": np.dtype(np.bool_),
}
"""Element types a value may have, by the short names that the text form uses."""

_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def dtype_name(dtype: npt.DTypeLike) -> str:
    """The short name of a numpy dtype; KeyError for one that no value may have."""
    return _NAMES[np.dtype(dtype)]


class Unit:
    """Where a node runs, once partitioned."""

    CROSSBAR = "crossbar"
    VECTOR = "vector"
    HOST = "host"
    NONE = ""


@dataclass(frozen=True, slots=True)
class Quant:
    """How stored integers stand for reals: real = (stored - zero_point) * scale, per tensor."""

    scale: float
    zero_point: int

    def __str__(self) -> str:
        return f"q({self.scale!r}, {self.zero_point})"


@dataclass(frozen=True, slots=True)
class TensorType:
    """Element type, shape (all sizes known) and, for quantised activations, what integers mean."""

    dtype: str
    shape: tuple[int, ...]
    quant: Quant | None = None

    @property
    def elements(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample: without the model's leading 1, which counts samples."""
        return self.shape[1:] if self.shape[:1] == (1,) else self.shape

    @property
    def numpy(self) -> np.dtype[Any]:
        return DTYPES[self.dtype]

    @property
    def nbytes(self) -> int:
        return self.elements * self.numpy.itemsize

    def __str__(self) -> str:
        text = f"{self.dtype}[{','.join(map(str, self.shape))}]"
        return f"{text} {self.quant}" if self.quant else text


@dataclass(eq=False, slots=True)
class Value:
    """One tensor: defined by a node, given as a graph input (no producer), or constant (`data`)."""

    name: str
    type: TensorType
    data: Array | None = None
    producer: Node | None = None
    users: dict[Node, None] = field(default_factory=dict["Node", None])

    @property
    def is_constant(self) -> bool:
        return self.data is not None

    @property
    def array(self) -> Array:
        """The data of a constant."""
        if self.data is None:
            raise ValueError(f"%{self.name} is not a constant")
        return self.data

    def __repr__(self) -> str:
        return f"{'@' if self.is_constant else '%'}{self.name} : {self.type}"


@dataclass(eq=False, slots=True)
class Node:
    """One operation.  `inputs` may hold None for an optional operand that is absent.

    `origin` lists the ONNX nodes that it came from; lowering passes it on.  `unit` and `why` say
    where the node runs and for what reason, once the partition pass has decided.
    """

    op: Op
    inputs: tuple[Value | None, ...]
    outputs: tuple[Value, ...]
    origin: tuple[Loc, ...] = ()
    unit: str = Unit.NONE
    why: str = ""

    @property
    def output(self) -> Value:
        return self.outputs[0]

    @property
    def x(self) -> Value:
        """The first operand, which for most ops is the activation."""
        return self.operand(0)

    def operand(self, index: int) -> Value:
        value = self.inputs[index]
        if value is None:
            raise ValueError(f"operand {index} of {self} is absent")
        return value

    @property
    def operands(self) -> tuple[Value, ...]:
        """The operands that are present."""
        return tuple(v for v in self.inputs if v is not None)

    @property
    def loc(self) -> Loc:
        return self.origin[0] if self.origin else Loc(node=self.outputs[0].name, op=self.op.name)

    def __repr__(self) -> str:
        results = ", ".join(f"%{v.name}" for v in self.outputs)
        operands = ", ".join("none" if v is None else repr(v) for v in self.inputs)
        return f"{results} = {self.op} ({operands})"


@dataclass(eq=False, slots=True)
class Graph:
    """Nodes in topological order, with the values that enter and leave."""

    name: str
    inputs: list[Value] = field(default_factory=list[Value])
    outputs: list[Value] = field(default_factory=list[Value])
    nodes: list[Node] = field(default_factory=list[Node])
    _names: dict[str, int] = field(default_factory=dict[str, int])

    # Building

    def fresh(self, name: str) -> str:
        """A name like `name` that no value of this graph has had: `name`, `name.1`, `name.2`."""
        if name not in self._names:
            self._names[name] = 0
            return name
        while True:
            self._names[name] += 1
            candidate = f"{name}.{self._names[name]}"
            if candidate not in self._names:
                self._names[candidate] = 0
                return candidate

    def add_input(self, name: str, type_: TensorType) -> Value:
        value = Value(self.fresh(name), type_)
        self.inputs.append(value)
        return value

    def constant(self, name: str, data: Array) -> Value:
        """A new constant; its type is the array's."""
        data = np.ascontiguousarray(data).reshape(np.shape(data))
        return Value(self.fresh(name), TensorType(dtype_name(data.dtype), data.shape), data)

    def value(self, name: str, type_: TensorType) -> Value:
        """A new value that a node is about to define."""
        return Value(self.fresh(name), type_)

    def make(
        self,
        op: Op,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value],
        origin: Iterable[Loc] = (),
    ) -> Node:
        """A node linked to its operands and results, not yet placed in the order."""
        node = Node(op, tuple(inputs), tuple(outputs), tuple(dict.fromkeys(origin)))
        for value in node.operands:
            value.users[node] = None
        for value in node.outputs:
            value.producer = node
        return node

    def append(
        self,
        op: Op,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value],
        origin: Iterable[Loc] = (),
    ) -> Node:
        node = self.make(op, inputs, outputs, origin)
        self.nodes.append(node)
        return node

    # Changing

    def set_inputs(self, node: Node, inputs: Sequence[Value | None]) -> None:
        for value in node.operands:
            value.users.pop(node, None)
        node.inputs = tuple(inputs)
        for value in node.operands:
            value.users[node] = None

    def replace_uses(self, old: Value, new: Value) -> None:
        """Whoever used `old`, the graph's outputs included, uses `new`."""
        for user in list(old.users):
            self.set_inputs(user, [new if v is old else v for v in user.inputs])
        self.outputs = [new if v is old else v for v in self.outputs]

    def unlink(self, node: Node) -> None:
        """Cut a node off its operands; the caller drops it from `nodes`."""
        for value in node.operands:
            value.users.pop(node, None)

    def is_used(self, value: Value) -> bool:
        return bool(value.users) or value in self.outputs

    def sole_user(self, value: Value) -> Node | None:
        """The one node that uses the value, or None if another does or it leaves the graph."""
        if len(value.users) != 1 or value in self.outputs:
            return None
        return next(iter(value.users))

    def prune(self) -> bool:
        """Drop nodes of which no result is used; says whether there were any."""
        outputs = set(map(id, self.outputs))
        kept: list[Node] = []
        for node in reversed(self.nodes):
            if any(v.users or id(v) in outputs for v in node.outputs):
                kept.append(node)
            else:
                self.unlink(node)
        changed = len(kept) != len(self.nodes)
        self.nodes = kept[::-1]
        return changed

    def sort(self) -> None:
        """Restore topological order, changing as little of the present order as can be."""
        position = {node: i for i, node in enumerate(self.nodes)}
        flow: nx.DiGraph[Node] = nx.DiGraph()
        flow.add_nodes_from(self.nodes)
        for node in self.nodes:
            for value in node.operands:
                if value.producer is not None:
                    flow.add_edge(value.producer, node)
        self.nodes = list(nx.lexicographical_topological_sort(flow, key=position.__getitem__))

    # Looking

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def constants(self) -> Iterator[Value]:
        """Each constant that a node or an output uses, once, in order of first use."""
        seen: set[int] = set()
        operands = (v for node in self.nodes for v in node.operands)
        for value in (*operands, *self.outputs):
            if value.is_constant and id(value) not in seen:
                seen.add(id(value))
                yield value

    def values(self) -> Iterator[Value]:
        """Inputs, then what nodes define, in order."""
        yield from self.inputs
        for node in self.nodes:
            yield from node.outputs

    def retype(self, value: Value, **changes: Any) -> None:
        value.type = replace(value.type, **changes)
