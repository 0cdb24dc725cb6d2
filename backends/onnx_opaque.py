"""Opaque operators, written as the model had them, at the operator set version of what we write.

An operator that has changed since its model's version is brought up with onnx's version converter.
Where the converter leaves out an attribute whose default has changed, `DEFAULTS_THEN` puts it in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import onnx
from google.protobuf import json_format
from onnx import defs, helper, version_converter

from nmc.backends.onnx_builder import IR_VERSION, OPSET, Builder, value_info
from nmc.ir.diagnostics import NmcError, error
from nmc.ir.graph import Node
from nmc.ir.ops import Onnx

__all__ = ["domain_versions", "opaque", "opset_for"]

DEFAULTS_THEN: dict[str, tuple[int, dict[str, str]]] = {
    "Upsample": (
        10,
        {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    ),
    "Resize": (
        10,
        {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    ),
    "RoiAlign": (10, {"coordinate_transformation_mode": "output_half_pixel"}),
}
"""Operator: up to which version it meant this without saying so."""


def opset_for(nodes: Iterable[Node]) -> int:
    """The least version of the standard operators, from OPSET on, that has all opaque ones."""
    needed = [since(node.op) for node in nodes if is_opaque(node) and not opaque_op(node).domain]
    return max([OPSET, *needed])


def is_opaque(node: Node) -> bool:
    return isinstance(node.op, Onnx)


def opaque_op(node: Node) -> Onnx:
    if not isinstance(node.op, Onnx):
        raise TypeError(f"{node} is not opaque")
    return node.op


def since(op: object) -> int:
    """The version in which the operator took the form that it has in its model's version."""
    if not isinstance(op, Onnx):
        raise TypeError(f"{op} is not opaque")
    try:
        return int(defs.get_schema(op.op, op.version, op.domain).since_version)
    except defs.SchemaError:
        return op.version


def domain_versions(nodes: Iterable[Node]) -> dict[str, int]:
    """Versions of the other domains; NmcError if nodes need two forms of one domain."""
    found: dict[str, int] = {}
    for node in nodes:
        if not isinstance(node.op, Onnx) or not node.op.domain:
            continue
        op = node.op
        if found.setdefault(op.domain, op.version) != op.version:
            message = f"operators of domain `{op.domain}` in versions {found[op.domain]} and "
            raise refusal(node, message + f"{op.version} can't run in one step of the host")
    return found


def opaque(b: Builder, node: Node) -> None:
    """Append the node with its results' own names; NmcError if it can't be brought up."""
    proto = node_proto(node)
    if proto.domain or since(node.op) == since_at(proto.op_type, b.opset):
        b.nodes.append(proto)
        return
    for part in converted(node, proto, b.opset):
        b.nodes.append(renamed(b, part, {*proto.input, *proto.output}))


def since_at(kind: str, opset: int) -> int:
    try:
        schema = defs.get_schema(kind, opset)
    except defs.SchemaError:
        return -1
    return -1 if schema.deprecated else int(schema.since_version)


def node_proto(node: Node) -> onnx.NodeProto:
    op = opaque_op(node)
    proto = onnx.NodeProto(op_type=op.op, domain=op.domain)
    proto.input.extend("" if v is None else v.name for v in node.inputs)
    proto.output.extend(v.name for v in node.outputs)
    for attribute in json.loads(op.attributes):
        json_format.ParseDict(attribute, proto.attribute.add())
    return proto


def converted(node: Node, proto: onnx.NodeProto, opset: int) -> Sequence[onnx.NodeProto]:
    """Nodes that mean at `opset` what the node means at its own version."""
    op = opaque_op(node)
    inputs = [value_info(v.name, v.type) for v in dict.fromkeys(node.operands)]
    outputs = [value_info(v.name, v.type) for v in node.outputs]
    graph = helper.make_graph([proto], "one", inputs, outputs)
    imports = [helper.make_opsetid("", op.version)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)
    try:
        parts = version_converter.convert_version(model, opset).graph.node
    except Exception as problem:  # the converter raises RuntimeError and its own kinds
        message = f"`{op.op}` of opset {op.version} can't be brought up to opset {opset}: {problem}"
        raise refusal(node, message) from None
    until, defaults = DEFAULTS_THEN.get(op.op, (0, {}))
    if op.version <= until:
        complete(parts, defaults)
    return list(parts)


def complete(parts: Iterable[onnx.NodeProto], defaults: dict[str, str]) -> None:
    for part in parts:
        if part.op_type == "Constant":
            continue
        present = {a.name for a in part.attribute}
        missing = {name: value for name, value in defaults.items() if name not in present}
        part.attribute.extend(helper.make_attribute(n, v) for n, v in missing.items())


def renamed(b: Builder, part: onnx.NodeProto, known: set[str]) -> onnx.NodeProto:
    """The converter's own names told apart from all others."""
    for names in (part.input, part.output):
        for i, name in enumerate(names):
            if name and name not in known:
                names[i] = f"{next(iter(sorted(known)))}.{name}"
                b.taken.add(names[i])
    return part


def refusal(node: Node, message: str) -> NmcError:
    remedy = "export the model with a newer opset"
    return NmcError(error("unsupported-operator", message, node.loc, remedy=remedy))
