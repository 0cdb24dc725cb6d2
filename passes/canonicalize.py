"""Brings graphs into normal form, so that later passes meet each thing in one shape only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nmc.ir import ops
from nmc.ir.design import Design
from nmc.ir.diagnostics import Report
from nmc.ir.folding import fold_node
from nmc.ir.graph import Graph, Node
from nmc.passes.base import Pass
from nmc.passes.canonical.affine import AFFINE
from nmc.passes.canonical.functions import FUNCTIONS
from nmc.passes.canonical.matrices import MATRICES
from nmc.passes.canonical.norms import NORMS
from nmc.passes.canonical.padding import PADDING
from nmc.passes.canonical.rewriting import Rewrite
from nmc.passes.canonical.shapes import SHAPES

__all__ = ["Canonicalize"]

MAX_SWEEPS = 200

# What recognises larger patterns stands before what would change their parts.
BOOK: tuple[Mapping[type[ops.Op], tuple[Rewrite, ...]], ...] = (
    *(FUNCTIONS, NORMS, AFFINE, PADDING, SHAPES, MATRICES),
)
REWRITES: dict[type[ops.Op], tuple[Rewrite, ...]] = {
    op: tuple(rewrite for rules in BOOK for rewrite in rules.get(op, ())) for op in ops.OPS
}


@dataclass(frozen=True)
class Canonicalize(Pass):
    """The same function up to float rounding, in fewer and more regular nodes::

        %p = pad %x {pads=[0,0,1,1,0,0,1,1]}
        %c = conv %p, @w {pads=[0,0,0,0]}
        %n = batch_norm %c, @scale, @shift, @mean, @variance
        %y = max %n, @zero
                                                                =>
        %n = conv %x, @w.1, @c.bias {pads=[1,1,1,1]}
        %y = relu %n

    Constants are folded. Scales and shifts of channels, batch_norm above all, go into the weights
    before them, or become a mul and an add. Padding goes into the windows after it. Activations
    stand on the left of matrices. Moves of elements that undo each other vanish, others sink
    towards the outputs. Activation functions and layer_norm that were exported in parts are put
    together. Quantised weights stay integers. Dead nodes are dropped.

    Rewrites go by patterns of ops, never by names, and each is tried at every node until none
    applies.
    """

    name = "canonicalize"

    def run(self, design: Design, report: Report) -> bool:
        graph = design.graph
        changed = graph.prune()
        for _ in range(MAX_SWEEPS):
            if not sweep(graph):
                return changed
            changed = True
        raise RuntimeError(f"canonicalize has no end on graph {graph.name!r}")


def sweep(graph: Graph) -> bool:
    """Try everything once at each node; the graph is pruned and sorted afterwards."""
    folded = fold(graph)
    changed = False
    for node in list(graph.nodes):
        if alive(graph, node):
            changed |= any(rewrite(graph, node) for rewrite in REWRITES[type(node.op)])
    if changed:
        graph.prune()
        graph.sort()
    return changed or folded


def fold(graph: Graph) -> bool:
    kept = [node for node in graph if not fold_node(node)]
    changed = len(kept) != len(graph)
    graph.nodes = kept
    return changed


def alive(graph: Graph, node: Node) -> bool:
    """Whether the node still computes what is used; rewrites before it may have made it vain."""
    return any(v.producer is node and graph.is_used(v) for v in node.outputs)
