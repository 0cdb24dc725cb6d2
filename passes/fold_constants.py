"""Computes now what does not depend on any input."""

from __future__ import annotations

from dataclasses import dataclass

from nmc.ir.design import Design
from nmc.ir.diagnostics import Report
from nmc.ir.folding import fold_node
from nmc.passes.base import Pass

__all__ = ["FoldConstants"]


@dataclass(frozen=True)
class FoldConstants(Pass):
    """A node whose operands are all constant becomes a constant of the same name::

        %k = add @a, @b         =>  const @k
        %y = mul %x, %k             %y = mul %x, @k

    Not folded: `dequantize` and `dequantize_axis`, so that quantised weights remain integers;
    opaque nodes; and what would grow the weights: results above 64 KiB that take more than four
    times the bytes of their operands, such as `expand` of a number to an image.
    """

    name = "fold-constants"

    def run(self, design: Design, report: Report) -> bool:
        graph = design.graph
        kept = [node for node in graph if not fold_node(node)]
        changed = len(kept) != len(graph)
        graph.nodes = kept
        return graph.prune() or changed
