"""Lets onnx's checker judge a model, forgiving what harms nobody.

The checker sees a copy: types that inputs and outputs lack are filled in, large and external
tensors are left out (their sizes are checked when they are read), and operators that their own
version calls deprecated, but for which there are rules, pass as those of another domain.
"""

from __future__ import annotations

import re

import onnx
from onnx import checker, defs, helper

from nmc.frontend.external import is_external
from nmc.frontend.provenance import locate
from nmc.frontend.rules import RULES
from nmc.ir.diagnostics import Loc, NmcError, error

__all__ = ["condensed", "judge"]

LARGE_BYTES = 1 << 20
MAX_TEXT = 300
ASIDE = "nmc.deprecated"
NODE_OF_MESSAGE = re.compile(r"Name: (?P<name>.*?) OpType: (?P<op>\w+)")
NOISE = (
    re.compile(r"^\[[\w ]+\] |\(op_type:\w*(, node name: [^)]*)?\):? ?"),
    re.compile(r"^.*?\.(cc|h):\d+:? ?[\w ]*?: "),
)


def judge(proto: onnx.ModelProto, file: str) -> None:
    """NmcError `onnx-invalid` with the checker's words and, if it names one, the node."""
    try:
        checker.check_model(forgiving_copy(proto))
    except Exception as problem:  # of several unrelated classes
        message = str(problem)
        text = f"the model breaks a rule of ONNX: {condensed(message)}"
        remedy = "export the model again, or ask its exporter's authors"
        loc = place(proto, message, file)
        raise NmcError(error("onnx-invalid", text, loc, remedy=remedy)) from None


def place(proto: onnx.ModelProto, message: str, file: str) -> Loc:
    """The node that a message of the checker names, or just the file."""
    found = NODE_OF_MESSAGE.search(message)
    nodes = proto.graph.node
    if found:
        places = zip(nodes, locate(nodes, len(nodes), file), strict=True)
        for node, loc in places:
            if (node.name, node.op_type) == (found["name"], found["op"]):
                return loc
    return Loc(file)


def forgiving_copy(proto: onnx.ModelProto) -> onnx.ModelProto:
    graph = onnx.GraphProto(name=proto.graph.name)
    graph.node.extend(proto.graph.node)
    graph.input.extend(completed(value) for value in proto.graph.input)
    graph.output.extend(completed(value) for value in proto.graph.output)
    graph.sparse_initializer.extend(proto.graph.sparse_initializer)
    inputs = {value.name for value in graph.input}
    for tensor in proto.graph.initializer:
        if not is_external(tensor) and len(tensor.raw_data) < LARGE_BYTES:
            graph.initializer.append(tensor)
        elif tensor.name not in inputs:
            entry = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            graph.input.append(entry)
    versions = {entry.domain: entry.version for entry in proto.opset_import}
    for node in graph.node:
        if is_deprecated(node, versions):
            node.domain = ASIDE
    copy = onnx.ModelProto(ir_version=proto.ir_version, graph=graph)
    copy.opset_import.extend([*proto.opset_import, helper.make_opsetid(ASIDE, 1)])
    return copy


def completed(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    """The entry with the type or the shape that it lacks."""
    kind = value.type.WhichOneof("value")
    has_shape = kind == "tensor_type" and value.type.tensor_type.HasField("shape")
    if has_shape or kind not in {None, "tensor_type"}:
        return value
    element = value.type.tensor_type.elem_type if kind else onnx.TensorProto.FLOAT
    return helper.make_tensor_value_info(value.name, element, [])


def is_deprecated(node: onnx.NodeProto, versions: dict[str, int]) -> bool:
    if (node.domain, node.op_type) not in RULES or node.domain not in versions:
        return False
    try:
        return bool(defs.get_schema(node.op_type, versions[node.domain], node.domain).deprecated)
    except defs.SchemaError:
        return False


def condensed(message: str) -> str:
    """The first line of a message of onnx, without its decoration."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    text = lines[0] if lines else "no reason given"
    for noise in NOISE:
        text = noise.sub("", text)
    return text[:MAX_TEXT].rstrip(". ")
