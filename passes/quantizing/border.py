"""Gives the host what recodes numbers at the border, so that these cross it as stored integers.

A float32 takes four times an integer's bytes through the memory ports, and a vector unit's time
for every element; the host touches each of them anyway as it writes inputs and reads outputs.
"""

from __future__ import annotations

from nmc.ir import ops
from nmc.ir.graph import Graph, Node, Unit
from nmc.passes.quantizing.roles import on_chip

__all__ = ["recode_on_host"]

WRITES = "the host recodes what it writes for the chip"
READS = "the host recodes what it reads from the chip"


def recode_on_host(graph: Graph) -> None:
    """Move what quantises numbers from outside the chip, and what dequantises those that leave."""
    for node in graph:
        for each in entering(graph, node):
            each.unit, each.why = Unit.HOST, WRITES
    for node in graph:
        if leaves(node):
            node.unit, node.why = Unit.HOST, READS


def entering(graph: Graph, node: Node) -> list[Node]:
    """A chip node that makes integers of numbers from outside, and what prepares them for it
    alone; nothing if the chip made the numbers."""
    if not on_chip(node) or not isinstance(node.op, ops.Quantize | ops.FlipSign):
        return []
    chain = [node]
    while on_chip(maker := chain[-1].x.producer):
        if maker is None or not isinstance(maker.op, ops.Clip | ops.Dequantize):
            return []
        if graph.sole_user(maker.output) is not chain[-1]:
            return []
        chain.append(maker)
    return [] if chain[-1].x.is_constant else chain


def leaves(node: Node) -> bool:
    """Whether a chip node takes the chip's integers for what they mean, and nobody on the chip
    takes that."""
    recodes = isinstance(node.op, ops.Dequantize | ops.FlipSign)
    inside = on_chip(node) and on_chip(node.x.producer)
    return recodes and inside and not any(map(on_chip, node.output.users))
