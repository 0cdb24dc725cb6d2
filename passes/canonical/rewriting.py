"""What rewrites share: changing a node in place, and looking at constants and producers.

A rewrite turns the *last* node of what it matched into the new one, so that results keep their
names; what it no longer needs is pruned after the sweep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from nmc.ir.diagnostics import Loc
from nmc.ir.graph import Array, Graph, Node, Value
from nmc.ir.ops import Op
from nmc.ir.types import emit, infer_types

__all__ = [
    "Rewrite",
    "become",
    "constant_side",
    "forward",
    "made_by",
    "new_constant",
    "number",
    "only_made_by",
    "per_channel",
    "step",
]

Rewrite = Callable[[Graph, Node], bool]
"""Tries to simplify at one node; says whether it did."""


def become(
    graph: Graph,
    node: Node,
    op: Op,
    inputs: Sequence[Value | None],
    absorbed: Iterable[Node] = (),
) -> bool:
    """The node computes its result by another op; it takes over the origins of nodes absorbed."""
    types = [None if v is None else v.type for v in inputs]
    (type_,) = infer_types(op, types, node.loc)
    if type_ != replace(node.output.type, quant=type_.quant):
        raise ValueError(f"{node} can't become {op} : {type_}")
    node.op = op
    graph.set_inputs(node, inputs)
    before = (loc for other in absorbed for loc in other.origin)
    node.origin = tuple(dict.fromkeys((*before, *node.origin)))
    return True


def step(
    graph: Graph, node: Node, op: Op, inputs: Sequence[Value | None], origin: Iterable[Loc] = ()
) -> Value:
    """The result of a new node that helps to compute `node`'s; placed by the next sort."""
    return emit(graph, op, inputs, f"{node.output.name}.{op.name}", tuple(origin) or node.origin)


def forward(graph: Graph, node: Node, x: Value) -> bool:
    """The node's result is the value x, so the node goes.  An output of the graph keeps its name.

    False, and nothing is done, if that can't be: where a graph's output is its input, a constant
    or another output.
    """
    y = node.output
    if x.type != y.type:
        return False
    if y not in graph.outputs:
        graph.replace_uses(y, x)
        return True
    producer = x.producer
    if producer is None or x in graph.outputs:
        return False
    graph.unlink(node)
    graph.nodes.remove(node)
    graph.replace_uses(x, y)
    producer.outputs = tuple(y if v is x else v for v in producer.outputs)
    y.producer, x.producer = producer, None
    return True


def new_constant(graph: Graph, like: Value, data: Array) -> Value:
    """A constant in the dtype of another, named after it."""
    return graph.constant(like.name, np.asarray(data).astype(like.type.numpy))


def made_by(value: Value, kinds: type[Op] | tuple[type[Op], ...]) -> Node | None:
    """The value's producer, if it is of one of these kinds."""
    node = value.producer
    return node if node is not None and isinstance(node.op, kinds) else None


def only_made_by(graph: Graph, value: Value, kinds: type[Op] | tuple[type[Op], ...]) -> Node | None:
    """As `made_by`, if nothing else uses the value, so that its producer may be absorbed."""
    node = made_by(value, kinds)
    return node if node is not None and graph.sole_user(value) is not None else None


def constant_side(node: Node) -> tuple[Value, Value] | None:
    """Of two operands the computed one and the constant float one, if that is what they are."""
    a, b = node.operand(0), node.operand(1)
    if a.is_constant:
        a, b = b, a
    if a.is_constant or not b.is_constant or b.type.numpy.kind != "f":
        return None
    return a, b


def number(value: Value) -> float | None:
    """The value of a float constant of one element."""
    if not value.is_constant or value.type.elements != 1 or value.type.numpy.kind != "f":
        return None
    return float(value.array.reshape(-1)[0])


def per_channel(array: Array, shape: tuple[int, ...], axis: int) -> Array | None:
    """A constant that depends on the channel alone, as a float64 vector of all channels."""
    sizes = [1] * (len(shape) - array.ndim) + list(array.shape)
    if any(size != 1 for i, size in enumerate(sizes) if i != axis):
        return None
    return np.broadcast_to(array.reshape(-1).astype(np.float64), (shape[axis],))
