"""Writes part of a Graph as an ONNX model: what the host runs, or one node of it.

The same nodes give the same bytes.  Constants become initialisers; values keep their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import onnx
from onnx import helper

from nmc.backends.onnx_builder import IR_VERSION, Builder, value_info
from nmc.backends.onnx_numbers import NUMBER_RULES
from nmc.backends.onnx_opaque import domain_versions, opaque, opset_for
from nmc.backends.onnx_rules import FLOAT_RULES, Rule
from nmc.ir.diagnostics import NmcError, error
from nmc.ir.graph import Node, Value
from nmc.ir.ops import Onnx, Op

__all__ = ["RULES", "export_onnx"]

RULES: dict[type[Op], Rule] = {**FLOAT_RULES, **NUMBER_RULES}
"""How each op is spelt; every op but `Onnx` is here."""

MAX_BYTES = (1 << 31) - 1
"""What protobuf can hold."""


def export_onnx(
    nodes: Sequence[Node], inputs: Sequence[Value], outputs: Sequence[Value], name: str
) -> bytes:
    """An ONNX model that computes `outputs` from `inputs` by `nodes`, which stand in order.

    NmcError `unsupported-operator` if an opaque operator can't be written beside the others.
    """
    b = Builder(taken_names(nodes, inputs, outputs), opset_for(nodes), domain_versions(nodes))
    for value in constants(nodes, outputs):
        b.constant(value.array, name=value.name)
    for node in nodes:
        export_node(b, node)
    graph = helper.make_graph(
        b.nodes,
        name or "host",
        [value_info(v.name, v.type) for v in inputs],
        [value_info(v.name, v.type) for v in outputs],
        b.constants,
    )
    imports = [helper.make_opsetid(*item) for item in sorted({"": b.opset, **b.domains}.items())]
    model = helper.make_model(
        graph, producer_name="nmc", opset_imports=imports, ir_version=IR_VERSION
    )
    return serialized(model, name)


def export_node(b: Builder, node: Node) -> None:
    start = len(b.nodes)
    if isinstance(node.op, Onnx):
        opaque(b, node)
    else:
        RULES[type(node.op)](b, node.op, node)
        b.nodes[-1].output[0] = node.output.name
    for part in b.nodes[start:]:
        part.name = next(name for name in part.output if name)
        part.doc_string = node.loc.node


def taken_names(
    nodes: Iterable[Node], inputs: Iterable[Value], outputs: Iterable[Value]
) -> set[str]:
    inner = (v for node in nodes for v in (*node.operands, *node.outputs))
    return {v.name for v in (*inputs, *inner, *outputs)}


def constants(nodes: Iterable[Node], outputs: Iterable[Value]) -> list[Value]:
    """Each constant once, in order of first use."""
    used = (*(v for node in nodes for v in node.operands), *outputs)
    return list(dict.fromkeys(v for v in used if v.is_constant))


def serialized(model: onnx.ModelProto, name: str) -> bytes:
    size = model.ByteSize()
    if size > MAX_BYTES:
        message = f"step `{name}` of the host has {size} bytes of weights, ONNX holds {MAX_BYTES}"
        raise NmcError(error("unsupported-operator", message))
    return bytes(model.SerializeToString(deterministic=True))
