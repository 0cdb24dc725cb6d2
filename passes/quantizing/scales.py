"""Scale and zero point of every value that is to be quantised.

Values that movers tie together share one: what a pooling or a slice gives are elements of what it
took.  The operands of a concatenation share its result's where nobody else uses them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import isfinite

import networkx as nx

from nmc.ir import ops
from nmc.ir.abilities import is_mover, varying
from nmc.ir.calibration import Histogram, Method, choose_range, measure, quant_of_range
from nmc.ir.design import Design
from nmc.ir.diagnostics import NmcError, Report, error, warning
from nmc.ir.graph import Graph, Node, Quant, Value
from nmc.passes.quantizing.edit import quant_of, source_of
from nmc.passes.quantizing.needs import Needs, own_quantize
from nmc.passes.quantizing.roles import on_chip

__all__ = ["Ranging", "find_scales"]


@dataclass(frozen=True, slots=True)
class Ranging:
    """How ranges are chosen from what calibration measured."""

    method: Method
    percentile: float
    bits: int


@dataclass(slots=True)
class Ties:
    """Groups of real values whose stored forms share scale and zero point."""

    links: nx.Graph[Value] = field(default_factory=nx.Graph)
    pads: dict[Value, float] = field(default_factory=dict[Value, float])
    """Results of padding, and what is padded with."""

    def groups(self, graph: Graph) -> Iterator[list[Value]]:
        """Each group in the graph's order, so that its sources come first."""
        order = {value: i for i, value in enumerate(graph.values())}
        for group in nx.connected_components(self.links):
            yield sorted(group, key=order.__getitem__)


def find_scales(
    design: Design, needs: Needs, ranging: Ranging, report: Report
) -> dict[Value, Quant]:
    """A quant for each value of `needs.cut`; NmcError `calibration-needed` if data is missing."""
    ties = find_ties(design.graph, needs)
    groups = list(ties.groups(design.graph))
    known = [known_quant(group) for group in groups]
    unknown = [group for group, quant in zip(groups, known, strict=True) if quant is None]
    found = calibrate(design, ties, unknown, ranging, report)
    quants = dict(found)
    for group, quant in zip(groups, known, strict=True):
        if quant is not None:
            quants.update(dict.fromkeys(group, quant))
    return {value: quants[value] for value in needs.cut}


# Ties


def find_ties(graph: Graph, needs: Needs) -> Ties:
    ties = Ties()
    ties.links.add_nodes_from(needs.cut)
    for node in graph:
        if not on_chip(node) or not is_mover(node) or not moves_real(needs, node):
            continue
        ties.links.add_node(node.output)
        if isinstance(node.op, ops.Pad) and isfinite(node.op.value):
            ties.pads[node.output] = node.op.value
        for value in varying(node):
            if not isinstance(node.op, ops.Concat) or is_private(graph, node, value):
                ties.links.add_edge(value, node.output)
    return ties


def moves_real(needs: Needs, node: Node) -> bool:
    return node.output.type.dtype == "f32" and node.output not in needs.real


def is_private(graph: Graph, concat: Node, value: Value) -> bool:
    """Whether nobody but the concatenation sees the value, nor, through movers, what it is of."""
    if graph.sole_user(value) is not concat or source_of(value) or own_quantize(value):
        return False
    node = value.producer
    if node is None or not on_chip(node) or not is_mover(node) or isinstance(node.op, ops.Concat):
        return True
    return all(is_private(graph, node, v) for v in varying(node))


def known_quant(group: list[Value]) -> Quant | None:
    """What the model says of a group: of its source first, else of what the group becomes."""
    for value in group:
        source = source_of(value)
        if source is not None:
            return source[1]
    hints = [quantize for value in group if (quantize := own_quantize(value))]
    if hints:
        return quant_of(hints[0].op)
    return next((q for value in group if (q := common_quant(value))), None)


def common_quant(value: Value) -> Quant | None:
    """What the model says of all operands of a concatenation, if it says the same."""
    node = value.producer
    if node is None or not isinstance(node.op, ops.Concat):
        return None
    sources = [source_of(v) for v in varying(node)]
    quants = {source[1] if source else None for source in sources}
    return quants.pop() if len(quants) == 1 else None


# Calibration


def calibrate(
    design: Design, ties: Ties, groups: list[list[Value]], ranging: Ranging, report: Report
) -> dict[Value, Quant]:
    if not groups:
        return {}
    if design.calibration is None:
        names = ", ".join(f"%{group[0].name}" for group in groups[:3])
        message = f"{len(groups)} activations have no scale, among them {names}"
        remedy = "give calibration data, or quantise the model before"
        raise NmcError(error("calibration-needed", message, remedy=remedy))
    sources = {id(group): list(sources_of(group)) for group in groups}
    values = [value for group in groups for value in sources[id(group)]]
    histograms = measure(design.graph, values, design.calibration, design.host)
    warn_of_strange(histograms, report)
    quants: dict[Value, Quant] = {}
    for group in groups:
        total = Histogram()
        for value in sources[id(group)]:
            total.merge(histograms[value])
        quant = group_quant(total, (ties.pads[v] for v in group if v in ties.pads), ranging)
        quants.update(dict.fromkeys(group, quant))
    return quants


def sources_of(group: list[Value]) -> Iterator[Value]:
    """Members whose elements are not all elements of another member."""
    members = set(group)
    for value in group:
        node = value.producer
        moved = node is not None and on_chip(node) and is_mover(node)
        if node is None or not moved or not members.issuperset(varying(node)):
            yield value


def group_quant(histogram: Histogram, pads: Iterable[float], ranging: Ranging) -> Quant:
    low, high = choose_range(histogram, ranging.method, ranging.percentile, ranging.bits)
    for value in pads:
        low, high = min(low, value), max(high, value)
    return quant_of_range(low, high, ranging.bits)


def warn_of_strange(histograms: dict[Value, Histogram], report: Report) -> None:
    strange = [(value, h.strange) for value, h in histograms.items() if h.strange]
    if strange:
        value, count = strange[0]
        message = (
            f"calibration gave {count} elements of %{value.name} that are NaN or infinite"
            f"{f', and so for {len(strange) - 1} more values' if len(strange) > 1 else ''}; "
            "they are left out"
        )
        loc = value.producer.loc if value.producer else None
        found = warning("calibration-needed", message, *([loc] if loc else []))
        report.add(found)
