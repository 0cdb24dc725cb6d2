"""Brings a model into one form, or refuses it: known operators, one opset each, no functions.

What the standard leaves to the tools is tolerated: domains listed twice, `ai.onnx` for the default
domain, nodes out of order, a graph without a name.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import networkx as nx
import onnx
from onnx import defs, inliner, version_converter

from nmc.frontend.domains import operator_problems
from nmc.frontend.external import inner_tensors, is_external, subgraphs
from nmc.frontend.judging import condensed, judge
from nmc.frontend.provenance import locate
from nmc.frontend.reading import ReadModel
from nmc.ir.diagnostics import Diagnostic, Loc, NmcError, error

__all__ = ["captures", "normalise_domains", "prepare"]

MAX_NODES = 1_000_000

OLDEST = 7
"""Before opset 7 broadcasting had other rules; such models are converted."""


def prepare(model: ReadModel) -> tuple[onnx.ModelProto, dict[str, int]]:
    """The model with functions inlined and nodes in order, and the version of each domain.

    Works on a copy.  NmcError lists what is wrong with the model.
    """
    proto, file = onnx.ModelProto(), model.file
    proto.CopyFrom(model.proto)
    opsets = normalise_domains(proto)
    if problems := [*version_problems(proto, opsets, file)]:
        raise NmcError(*problems)
    if problems := operator_problems(proto, opsets, file):
        raise NmcError(*problems)
    for tensor in filter(is_external, inner_tensors(proto)):
        tensor.CopyFrom(model.companions.resolve(tensor))
    if proto.functions:
        proto = inlined(proto, file)
        opsets = normalise_domains(proto)
    sort_nodes(proto.graph, file)
    if opsets.get("", OLDEST) < OLDEST:
        proto = converted(proto, opsets[""], file)
        opsets[""] = OLDEST
    judge(proto, file)
    return proto, opsets


def normalise_domains(proto: onnx.ModelProto) -> dict[str, int]:
    """Name the default domain "" everywhere, each domain once; its newest version counts."""
    opsets: dict[str, int] = {}
    for entry in proto.opset_import:
        domain = plain_domain(entry.domain)
        opsets[domain] = max(entry.version, opsets.get(domain, 0))
    if not opsets and proto.ir_version < 3:
        opsets[""] = 1
    del proto.opset_import[:]
    proto.opset_import.extend(onnx.helper.make_opsetid(d, v) for d, v in sorted(opsets.items()))
    normalise_nodes(proto.graph.node)
    for function in proto.functions:
        normalise_nodes(function.node)
    if not proto.graph.name:
        proto.graph.name = "graph"
    return opsets


def normalise_nodes(nodes: Iterable[onnx.NodeProto]) -> None:
    for node in nodes:
        node.domain = plain_domain(node.domain)
        for graph in subgraphs(node):
            normalise_nodes(graph.node)


def plain_domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def version_problems(
    proto: onnx.ModelProto, opsets: dict[str, int], file: str
) -> Iterable[Diagnostic]:
    versions = {
        "the IR": (proto.ir_version, onnx.IR_VERSION),
        "the operator set of ONNX": (opsets.get("", 0), defs.onnx_opset_version()),
        "the operator set ai.onnx.ml": (opsets.get("ai.onnx.ml", 0), defs.onnx_ml_opset_version()),
    }
    for what, (used, newest) in versions.items():
        if used > newest:
            text = f"{file} uses version {used} of {what}; onnx {onnx.__version__} knows {newest}"
            remedy = "export with opset_version=21, or upgrade: pip install -U onnx onnxruntime"
            yield error("onnx-too-new", text, Loc(file), remedy=remedy)


def inlined(proto: onnx.ModelProto, file: str) -> onnx.ModelProto:
    try:
        count = nodes_when_inlined(proto)
    except RecursionError:
        count = math.inf
    if count > MAX_NODES:
        text = f"the model's functions call each other into more than {MAX_NODES} nodes"
        if count == math.inf:
            text = "the model's functions call themselves, or are nested too deeply"
        raise NmcError(error("onnx-invalid", text, Loc(file)))
    try:
        return inliner.inline_local_functions(proto, True)
    except Exception as problem:
        text = f"the model's own functions can't be put in place: {condensed(str(problem))}"
        raise NmcError(error("onnx-invalid", text, Loc(file))) from None


def nodes_when_inlined(proto: onnx.ModelProto) -> float:
    """How many nodes there will be, infinite if a function calls itself; a few lines of nested
    calls can stand for more than any memory holds."""
    functions = {(function.domain, function.name): function for function in proto.functions}
    counts: dict[tuple[str, str], float] = {}

    def total(nodes: Iterable[onnx.NodeProto]) -> float:
        return sum(cost(node) for node in nodes)

    def cost(node: onnx.NodeProto) -> float:
        inner = sum(total(graph.node) for graph in subgraphs(node))
        key = (node.domain, node.op_type)
        if key not in functions:
            return 1 + inner
        if key not in counts:
            counts[key] = math.inf  # for as long as we are inside of it
            counts[key] = total(functions[key].node)
        return counts[key] + inner

    return total(proto.graph.node)


def converted(proto: onnx.ModelProto, version: int, file: str) -> onnx.ModelProto:
    try:
        return version_converter.convert_version(proto, OLDEST)
    except Exception as problem:
        text = (
            f"the model uses opset {version} of ONNX, older than {OLDEST}, "
            f"and onnx can't convert it: {condensed(str(problem))}"
        )
        remedy = "export the model again with opset_version=17"
        raise NmcError(error("onnx-invalid", text, Loc(file), remedy=remedy)) from None


def sort_nodes(graph: onnx.GraphProto, file: str) -> None:
    """Put the nodes of a graph in topological order, changing as little as can be.

    NmcError if they use what nothing defines, or feed each other in a circle.
    """
    if problems := undefined(graph, file):
        raise NmcError(*problems)
    producer = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
    needs = [
        [producer[name] for name in (*node.input, *captures(node)) if name in producer]
        for node in graph.node
    ]
    if all(earlier < i for i, before in enumerate(needs) for earlier in before):
        return
    flow: nx.DiGraph[int] = nx.DiGraph()
    flow.add_nodes_from(range(len(needs)))
    flow.add_edges_from((earlier, i) for i, before in enumerate(needs) for earlier in before)
    try:
        order = list(nx.lexicographical_topological_sort(flow))
    except nx.NetworkXUnfeasible:
        cycle = " -> ".join(
            graph.node[a].name or graph.node[a].op_type for a, _ in nx.find_cycle(flow)
        )
        text = f"nodes feed each other in a circle: {cycle}"
        raise NmcError(error("onnx-invalid", text, Loc(file))) from None
    nodes = [graph.node[i] for i in order]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def undefined(graph: onnx.GraphProto, file: str) -> list[Diagnostic]:
    """One problem for each name that is used and that nothing defines."""
    known = {value.name for value in (*graph.input, *graph.initializer)}
    known |= {sparse.values.name for sparse in graph.sparse_initializer}
    known.update(name for node in graph.node for name in node.output)
    found: dict[str, Diagnostic] = {}
    for node, loc in zip(graph.node, locate(graph.node, len(graph.node), file), strict=True):
        for name in (*node.input, *captures(node)):
            if name and name not in known and name not in found:
                text = f"the node uses `{name}`, which nothing in the model defines"
                remedy = "export the model again; was it cut by hand?"
                found[name] = error("onnx-invalid", text, loc, remedy=remedy)
    return list(found.values())


def captures(node: onnx.NodeProto) -> list[str]:
    """Names of outer values that the subgraphs of a node use, in order."""
    found: dict[str, None] = {}
    for graph in subgraphs(node):
        own = {v.name for v in (*graph.input, *graph.initializer)}
        own |= {sparse.values.name for sparse in graph.sparse_initializer}
        for inner in graph.node:
            used = dict.fromkeys((*inner.input, *captures(inner)))
            found |= {name: None for name in used if name and name not in own}
            own.update(inner.output)
        outputs = (value.name for value in graph.output)
        found |= {name: None for name in outputs if name not in own}
    return list(found)
