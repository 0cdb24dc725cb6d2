"""What part each chip node plays: matrix, average, mover, rowwise operation, function of one value.

Float operations that integers swallow are found here.  A *tail* follows a matrix (constant bias,
relu, clip) or a rowwise operation (relu, clip, operations with constants).  A *function* is any
net of elementwise nodes whose only variable is one tensor, its *root*: x * sigmoid(x) is one,
however it is spelt, and one table of 256 entries computes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from nmc.ir import ops
from nmc.ir.abilities import varying
from nmc.ir.constants import is_dequantized_constant, real_constant
from nmc.ir.graph import Array, Graph, Node, Unit, Value

__all__ = [
    "Roles",
    "bias_vector",
    "find_roles",
    "is_average",
    "is_matrix",
    "is_rowwise",
    "is_view",
    "on_chip",
    "users_on_chip",
]

ROWWISE = (ops.Binary, ops.Softmax, ops.LogSoftmax, ops.LayerNorm)


def on_chip(node: Node | None) -> bool:
    return node is not None and node.unit != Unit.HOST


def users_on_chip(value: Value) -> Iterator[Node]:
    yield from (user for user in value.users if on_chip(user))


def is_matrix(node: Node) -> bool:
    return isinstance(node.op, ops.Conv | ops.MatMul)


def is_average(node: Node) -> bool:
    sums = isinstance(node.op, ops.Reduce) and node.op.kind in {"mean", "sum"}
    return sums or isinstance(node.op, ops.AvgPool)


def is_view(node: Node) -> bool:
    return isinstance(node.op, ops.Reshape | ops.Transpose)


def is_rowwise(node: Node) -> bool:
    return isinstance(node.op, ROWWISE)


@dataclass(slots=True)
class Roles:
    """`tails`: of each matrix and rowwise node, what follows it and is computed with it.

    `roots`: of each value that a function computes, the function's variable.
    """

    tails: dict[Node, list[Node]] = field(default_factory=dict[Node, list[Node]])
    roots: dict[Value, Value] = field(default_factory=dict[Value, Value])
    inner: set[Node] = field(default_factory=set[Node])
    ends: dict[Value, Node] = field(default_factory=dict[Value, Node])
    """The last value of each matrix or rowwise node with its tail, and that node."""

    def end(self, head: Node) -> Value:
        tail = self.tails.get(head)
        return tail[-1].output if tail else head.output

    def is_function(self, node: Node) -> bool:
        return node.output in self.roots


def find_roles(graph: Graph) -> Roles:
    """Roles of the chip nodes of a float graph, which may have Quantize and Dequantize nodes."""
    roles = Roles()
    for node in graph:
        if not on_chip(node) or node in roles.inner or is_dequantized_constant(node):
            continue
        root = root_of(roles, node)
        if root is not None:
            roles.roots[node.output] = root
        elif is_matrix(node) or is_rowwise(node):
            tail = list(tail_of(graph, node))
            roles.tails[node] = tail
            roles.inner.update(tail)
            roles.ends[roles.end(node)] = node
    return roles


# Functions of one value


def root_of(roles: Roles, node: Node) -> Value | None:
    """The variable of the function that ends in this node; None if it is no such function."""
    if node.output.type.dtype != "f32" or not is_elementwise(node):
        return None
    roots = {roles.roots.get(value, value) for value in varying(node)}
    if len(roots) != 1:
        return None
    (root,) = roots
    same_shape = all(v.type.shape == node.output.type.shape for v in varying(node))
    return root if same_shape and root.type.shape == node.output.type.shape else None


def is_elementwise(node: Node) -> bool:
    """Whether every element depends on the same element of the variable operands alone."""
    if isinstance(node.op, ops.Unary):
        return True
    constants = [real_constant(v) for v in node.operands]
    return isinstance(node.op, ops.Binary) and all(c is None or c.size == 1 for c in constants)


# Tails


def tail_of(graph: Graph, head: Node) -> Iterator[Node]:
    node = head
    while is_matrix(head) and (user := next_on_chip(graph, node)) and is_bias(head, user):
        yield user
        node = user
    while (user := next_on_chip(graph, node)) and continues(head, user):
        yield user
        node = user


def continues(head: Node, user: Node) -> bool:
    """Whether the node can be computed with the head before anything is stored."""
    if isinstance(head.op, ops.Binary):
        scales = isinstance(user.op, ops.Binary) and len(varying(user)) == 1
        return is_clip(user) or (scales and user.output.type.shape == head.output.type.shape)
    return is_matrix(head) and is_clip(user)


def next_on_chip(graph: Graph, node: Node) -> Node | None:
    user = graph.sole_user(node.output)
    return user if user is not None and on_chip(user) else None


def is_clip(node: Node) -> bool:
    return isinstance(node.op, ops.Relu | ops.Clip) and node.output.type.dtype == "f32"


def is_bias(head: Node, node: Node) -> bool:
    return bias_vector(head, node) is not None


def bias_vector(head: Node, node: Node) -> Array | None:
    """f32[outputs] that the node adds to the matrix's results; None if it does something else."""
    shape = head.output.type.shape
    if not isinstance(node.op, ops.Add | ops.Sub) or node.output.type.shape != shape:
        return None
    constants = [c for c in map(real_constant, node.operands) if c is not None]
    if len(constants) != 1 or (isinstance(node.op, ops.Sub) and real_constant(node.x) is not None):
        return None
    axis = len(shape) - 1 if isinstance(head.op, ops.MatMul) else 1
    sizes = (1,) * (len(shape) - constants[0].ndim) + constants[0].shape
    if any(n > 1 for i, n in enumerate(sizes) if i != axis):
        return None
    vector = np.broadcast_to(constants[0].reshape(-1), (shape[axis],))
    return np.negative(vector) if isinstance(node.op, ops.Sub) else vector
