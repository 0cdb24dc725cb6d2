"""Which operators there are: refuses those of domains and versions that nobody here defines."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache

import onnx
from onnx import defs

from nmc.frontend.external import subgraphs
from nmc.frontend.provenance import locate
from nmc.ir.diagnostics import Diagnostic, Loc, error

__all__ = ["STANDARD", "grouped", "operator_problems"]

STANDARD = frozenset({"", "ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training"})
"""Domains of which onnx itself has the definitions."""

CONTRIBUTED = frozenset({"com.microsoft"})
"""Domains that onnxruntime adds; whether it has an operator shows when the host is asked."""

MAX_NAMES = 5
QDQ = "export with QuantizeLinear and DequantizeLinear instead (brevitas: export_onnx_qcdq)"
REMEDIES = {
    "qonnx.custom_op.general": QDQ,
    "onnx.brevitas": QDQ,
    "ai.onnx.contrib": "keep what onnxruntime-extensions does outside of the model",
    "org.pytorch.aten": "export the model again with a newer PyTorch",
    "org.pytorch._caffe2": "export the model again with a newer PyTorch",
    "com.microsoft.nchwc": "compile the model as it was before onnxruntime optimised it",
    "com.ms.internal.nhwc": "compile the model as it was before onnxruntime optimised it",
}
ADVICE = "export the model without it, or give its definition as a function in the model"

Located = tuple[onnx.NodeProto, Loc]


def operator_problems(
    proto: onnx.ModelProto, opsets: dict[str, int], file: str
) -> list[Diagnostic]:
    """One problem for each operator that nobody defines, with its number of nodes."""
    own = {(function.domain, function.name) for function in proto.functions}
    found: dict[tuple[str, str], list[Located]] = {}
    for node, loc in all_nodes(proto, file):
        key = (node.domain, node.op_type)
        if key not in own and unknown(node, opsets):
            found.setdefault(key, []).append((node, loc))
    return [problem(key, located, opsets) for key, located in found.items()]


def unknown(node: onnx.NodeProto, opsets: dict[str, int]) -> bool:
    if node.domain in CONTRIBUTED:
        return False
    if node.domain not in STANDARD:
        return True
    version = opsets.get(node.domain)
    return version is not None and not defs.has(node.op_type, version, node.domain)


def problem(key: tuple[str, str], located: list[Located], opsets: dict[str, int]) -> Diagnostic:
    domain, op = key
    locs = [loc for _, loc in located]
    if domain not in STANDARD:
        text = f"nobody here defines the operator {op} of the domain `{domain}`"
        return grouped("unknown-domain", text, locs, REMEDIES.get(domain, ADVICE))
    name = f"`{domain}`" if domain else "ONNX"
    text = f"there is no operator {op} in version {opsets[domain]} of {name}"
    close = difflib.get_close_matches(op, operators(domain), 1)
    if defs.has(op, domain):
        since = defs.get_schema(op, domain).since_version
        text += f"; it has one {'from' if since > opsets[domain] else 'in'} version {since}"
        remedy = f"export with opset_version={since} or later"
    else:
        remedy = f"did you mean {close[0]}?" if close else ADVICE
    return grouped("unsupported-operator", text, locs, remedy)


def grouped(code: str, text: str, locs: list[Loc], remedy: str) -> Diagnostic:
    """One problem that several nodes have: their number in the text, the others in a note."""
    notes = []
    if len(locs) > 1:
        text += f" ({len(locs)} nodes)"
        others = ", ".join(repr(loc.node) for loc in locs[1 : MAX_NAMES + 1])
        more = len(locs) - 1 - MAX_NAMES
        notes.append(f"also {others}{f' and {more} more' if more > 0 else ''}")
    return error(code, text, locs[0], notes=notes, remedy=remedy)


@cache
def operators(domain: str) -> list[str]:
    return sorted({schema.name for schema in defs.get_all_schemas() if schema.domain == domain})


def all_nodes(proto: onnx.ModelProto, file: str) -> Iterator[Located]:
    yield from nodes_of(proto.graph.node, file)
    for function in proto.functions:
        yield from nodes_of(function.node, file, f"{function.name}/")


def nodes_of(nodes: Iterable[onnx.NodeProto], file: str, prefix: str = "") -> Iterator[Located]:
    nodes = list(nodes)
    for node, loc in zip(nodes, locate(nodes, len(nodes), file, prefix), strict=True):
        yield node, loc
        for graph in subgraphs(node):
            for inner, place in nodes_of(graph.node, file, f"{loc.node}/"):
                yield inner, replace(place, index=loc.index, total=loc.total)
