"""Decides where every node runs: on crossbars, on the vector unit, or on the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import networkx as nx

from nmc.ir import ops
from nmc.ir.abilities import ability, is_mover
from nmc.ir.constants import is_dequantized_constant
from nmc.ir.design import Design
from nmc.ir.diagnostics import Diagnostic, Report, error, note
from nmc.ir.graph import Graph, Node, Unit
from nmc.passes.base import Pass

__all__ = ["Partition"]

NUMBERS = (ops.Quantize, ops.Dequantize, ops.FlipSign, ops.Cast)
ALONG = "only passes numbers on, with no operation of the chip beside it"
REMEDY = "replace the operator in the model, or allow host operations"


@dataclass(frozen=True)
class Partition(Pass):
    """Every node gets its `unit` and, in `why`, the reason.

    What `nmc.ir.abilities` can't give to the chip goes to the host.  So do nodes that merely move
    or recode numbers between host nodes: taking them to the chip would cost two trips for nothing.
    Each kind of operator on the host is one diagnostic `host-operator`: a note, or an error where
    the design has `host_ops` False.
    """

    name = "partition"
    gives = "partitioned"

    def run(self, design: Design, report: Report) -> bool:
        for node in design.graph:
            verdict = ability(node)
            node.unit, node.why = verdict.unit, verdict.why
        for group in carriers(design.graph):
            if not any(touches_chip(node, group) for node in group):
                for node in group:
                    node.unit, node.why = Unit.HOST, ALONG
        settle_constants(design.graph)
        for diagnostic in host_diagnostics(design.graph, design.host_ops):
            report.add(diagnostic)
        return True


def carries(node: Node) -> bool:
    """Whether the node computes nothing: it moves elements or changes how they are stored."""
    moves = is_mover(node) and not isinstance(node.op, ops.MaxPool | ops.Reduce)
    return moves or isinstance(node.op, NUMBERS)


def carriers(graph: Graph) -> Iterator[set[Node]]:
    """Connected groups of chip nodes that compute nothing."""
    links: nx.Graph[Node] = nx.Graph()
    links.add_nodes_from(n for n in graph if n.unit != Unit.HOST and carries(n))
    for node in links:
        links.add_edges_from((node, user) for user in users(node) if user in links)
    yield from nx.connected_components(links)


def users(node: Node) -> Iterator[Node]:
    for value in node.outputs:
        yield from value.users


def touches_chip(node: Node, group: set[Node]) -> bool:
    """Whether a node next to it, outside its group, computes on the chip."""
    producers = (v.producer for v in node.operands if v.producer is not None)
    near = (*producers, *users(node))
    return any(n not in group and n.unit != Unit.HOST for n in near)


def settle_constants(graph: Graph) -> None:
    """A dequantised constant that the host needs is the host's; the chip takes its integers."""
    for node in graph:
        if is_dequantized_constant(node):
            needed = any(user.unit == Unit.HOST for user in users(node))
            node.unit = Unit.HOST if needed or node.output in graph.outputs else Unit.VECTOR


def host_diagnostics(graph: Graph, allowed: bool) -> Iterator[Diagnostic]:
    kinds: dict[tuple[str, str], list[Node]] = {}
    for node in graph:
        if node.unit == Unit.HOST and node.why != ALONG and not is_dequantized_constant(node):
            kinds.setdefault((kind(node), node.why), []).append(node)
    for (name, why), nodes in kinds.items():
        what = f"{len(nodes)} nodes" if len(nodes) > 1 else "1 node"
        message = f"`{name}` runs on the host, {what}: {why}"
        if allowed:
            yield note("host-operator", message, nodes[0].loc)
        else:
            yield error("host-operator", message, nodes[0].loc, remedy=REMEDY)


def kind(node: Node) -> str:
    return node.op.op if isinstance(node.op, ops.Onnx) else node.op.name
