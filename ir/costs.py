"""What computing costs, counted on the graph: multiply-accumulates per node, and whose they are."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from nmc.ir import ops
from nmc.ir.border import is_recoding
from nmc.ir.graph import Graph, Node, Unit

__all__ = ["HostShare", "host_share", "macs"]

RECURRENT = frozenset({"LSTM", "GRU", "RNN"})


def macs(node: Node) -> int:
    """Multiply-accumulates of one inference; 0 for what has no matrix.

    Products with padding count, as is usual.
    """
    match node.op:
        case ops.Conv() | ops.QConv():
            return node.output.type.elements * prod(node.operand(1).type.shape[1:])
        case ops.ConvTranspose():
            return node.x.type.elements * prod(node.operand(1).type.shape[1:])
        case ops.MatMul() | ops.QMatMul():
            return node.output.type.elements * node.x.type.shape[-1]
        case ops.Onnx(op=name) if name in RECURRENT:
            return recurrent_macs(node)
    return 0


def recurrent_macs(node: Node) -> int:
    """Both matrices, of all gates and directions, once per time step and sample."""
    steps_and_samples = prod(node.x.type.shape[:2])
    return steps_and_samples * sum(node.operand(i).type.elements for i in (1, 2))


@dataclass(frozen=True, slots=True)
class HostShare:
    """How much of a graph's work the host does; what only recodes numbers where they enter or leave
    the chip is in neither count of nodes."""

    nodes: int
    host_nodes: int
    macs: int
    host_macs: int


def host_share(graph: Graph) -> HostShare:
    """Nodes and multiply-accumulates of a partitioned graph, and how many of them the host has."""
    nodes = [node for node in graph if not is_recoding(node)]
    host = [node for node in nodes if node.unit == Unit.HOST]
    return HostShare(len(nodes), len(host), sum(map(macs, nodes)), sum(map(macs, host)))
