"""Which real values of a partitioned graph must exist as stored integers, and which stay real.

A matrix takes integers; so does everything else, except that a matrix's own result may stay real
on its way to a softmax, to the host or out of the graph, also through reshapes and transposes, and
a rowwise result to the host or out.  Values that the model itself quantises need nothing new.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from nmc.ir import ops
from nmc.ir.constants import is_dequantized_constant
from nmc.ir.graph import Graph, Node, Value
from nmc.passes.quantizing.edit import source_of
from nmc.passes.quantizing.roles import Roles, is_clip, is_matrix, is_view, on_chip

__all__ = ["Needs", "find_needs", "own_quantize", "real_takers"]


@dataclass(slots=True)
class Needs:
    """What `find_needs` found, each in the graph's order.

    `cut`: values that need a new quantize.  `shared`: values that the model quantises, but that
    some chip node takes unquantised; it will take what the model quantised.  `real`: values of
    the chip that stay real for all who take them so.
    """

    cut: dict[Value, None] = field(default_factory=dict[Value, None])
    shared: dict[Value, None] = field(default_factory=dict[Value, None])
    real: set[Value] = field(default_factory=set[Value])


def own_quantize(value: Value) -> Node | None:
    """The first quantize on the chip that takes the value."""
    return next((u for u in value.users if is_quantize(u)), None)


def is_quantize(node: Node) -> bool:
    return on_chip(node) and isinstance(node.op, ops.Quantize)


def find_needs(graph: Graph, roles: Roles) -> Needs:
    needs = Needs()
    for value in graph.values():
        if value.type.dtype == "f32" and not is_interior(roles, value):
            settle(graph, roles, needs, value)
    return needs


def is_interior(roles: Roles, value: Value) -> bool:
    """Whether the value lies between a matrix or rowwise node and the end of its tail, or is
    dequantised already."""
    node = value.producer
    if node is None:
        return False
    inside = (node in roles.tails or node in roles.inner) and value not in roles.ends
    return inside or source_of(value) is not None or is_dequantized_constant(node)


def settle(graph: Graph, roles: Roles, needs: Needs, value: Value) -> None:
    made_here = value.producer is not None and on_chip(value.producer)
    takers = list(real_takers(roles, value))
    if not made_here:
        takers = [user for user in takers if on_chip(user)]
    elif may_stay_real(roles, needs, value) and all(takes_real(roles, value, u) for u in takers):
        needs.real.add(value)
        return
    if takers or (made_here and value in graph.outputs):
        (needs.cut if own_quantize(value) is None else needs.shared)[value] = None


def real_takers(roles: Roles, value: Value) -> Iterator[Node]:
    """Nodes that use the value as a real number.

    Steps of a function take its root, not what lies between.
    """
    for user in value.users:
        steps = value in roles.roots and roles.is_function(user)
        if not is_quantize(user) and not steps:
            yield user


def may_stay_real(roles: Roles, needs: Needs, value: Value) -> bool:
    """Results of matrices (but a relu is cheapest in integers), rowwise results, views of both."""
    head = roles.ends.get(value)
    if head is not None:
        return not is_matrix(head) or not any(map(is_clip, roles.tails[head]))
    node = value.producer
    return node is not None and is_view(node) and node.x in needs.real


def takes_real(roles: Roles, value: Value, user: Node) -> bool:
    """Whether a node may take the real value as it is."""
    if not on_chip(user):
        return True
    if isinstance(user.op, ops.Softmax | ops.LogSoftmax):
        return from_matrix(roles, value)
    if not is_view(user) or own_quantize(user.output) is not None:
        return False
    return all(takes_real(roles, value, further) for further in user.output.users)


def from_matrix(roles: Roles, value: Value) -> bool:
    head = roles.ends.get(value)
    if head is not None:
        return is_matrix(head)
    node = value.producer
    return node is not None and is_view(node) and from_matrix(roles, node.x)
