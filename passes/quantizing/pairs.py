"""Puts a Quantize and Dequantizes behind every value that needs stored integers.

What results is a model as another tool's quantiser would write it; both kinds of models are fused
by the same rules afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping

from nmc.ir import ops
from nmc.ir.abilities import is_mover
from nmc.ir.graph import Graph, Node, Quant, Value
from nmc.passes.quantizing.edit import add, dequantized, quant_of, redirect
from nmc.passes.quantizing.needs import Needs, own_quantize, real_takers
from nmc.passes.quantizing.roles import Roles, is_average, on_chip

__all__ = ["insert_pairs"]


def insert_pairs(
    graph: Graph, roles: Roles, needs: Needs, quants: Mapping[Value, Quant], bits: int
) -> None:
    """Quantise each value of `needs.cut`, and give integers to who takes those of `needs.shared`.

    Where activations have fewer than 8 bits, what is to be quantised is clipped before, to what
    these bits hold.
    """
    for value, quant in quants.items():
        takers = list(real_takers(roles, value))
        stored = add(
            graph,
            ops.Quantize(quant.scale, quant.zero_point),
            [clipped(graph, value, quant, bits)],
            f"{value.name}~q",
            origin=value.producer.origin if value.producer else (),
        )
        reroute(graph, value, stored, quant, takers)
    for value in needs.shared:
        quantize = own_quantize(value)
        if quantize is not None:
            takers = list(real_takers(roles, value))
            reroute(graph, value, quantize.output, quant_of(quantize.op), takers)
    graph.sort()


def clipped(graph: Graph, value: Value, quant: Quant, bits: int) -> Value:
    node = value.producer
    kept = node is not None and on_chip(node) and (is_mover(node) or is_average(node))
    if bits == 8 or kept:
        return value  # movers keep within bounds, averages are bounded when they are fused
    top = (1 << bits) - 1
    low, high = ((n - quant.zero_point) * quant.scale for n in (0, top))
    return add(graph, ops.Clip(low, high), [value], f"{value.name}.clip")


def reroute(graph: Graph, value: Value, stored: Value, quant: Quant, takers: list[Node]) -> None:
    """Let nodes take what is dequantised from `stored` where they took `value`.

    The host takes the value itself where it did not come from the chip.
    """
    made_here = value.producer is not None and on_chip(value.producer)
    wanting = [user for user in takers if made_here or on_chip(user)]
    leaves = made_here and value in graph.outputs
    if not wanting and not leaves:
        return
    real = dequantized(graph, stored, quant, f"{value.name}~real")
    for user in wanting:
        redirect(graph, user, value, real)
    if leaves:
        graph.outputs = [real if v is value else v for v in graph.outputs]
