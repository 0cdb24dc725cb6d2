"""Asks the host, onnxruntime, whether it can run an operator, and what types it would give.

An operator without a rule of ours stays as it is and runs on the host.  A model of that one node
is loaded, not run: loading finds the kernel and infers the types, contributed operators included.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import onnx
from google.protobuf import json_format
from onnx import TensorProto, defs, helper, numpy_helper

from nmc.frontend.tensors import ELEMENT_OF, NotATensor, element_name
from nmc.ir.graph import TensorType, Value
from nmc.ir.types import MAX_ELEMENTS

__all__ = ["HostRefuses", "attributes_text", "host_types", "newest_opset", "standing_alone"]

SMALL = 1 << 12
"""Constants up to this many elements are shown to the host, for they may decide shapes."""

CERTAIN = 21
"""The oldest onnxruntime that we depend on runs this opset, IR 10."""

ORT_ELEMENTS = {"float": "FLOAT", "double": "DOUBLE"}
"""How onnxruntime names element types, where ONNX does it otherwise."""

MAX_REASON = 300

NOISE = tuple(
    re.compile(pattern)
    for pattern in (
        r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ",
        r"^Load model from .*? failed: ?",
        r"^Exception during initialization: ",
        r"^/\S+:\d+ .*?\) (?=[A-Z])",
        r"^.*?This is an invalid model\. (In Node, .* , )?",
        r"^Type Error: |^Error |^Fatal error: ",
        r" with node name ''",
    )
)


DIVISORS = frozenset(
    {
        *("kv_num_heads", "q_num_heads", "num_heads", "num_groups", "group", "blocksize"),
        *("strides", "dilations", "kernel_shape"),
    }
)
"""Attributes by which onnxruntime divides without looking; zero would end the process."""


class HostRefuses(Exception):
    """The host can't run the node, or its results have no known size; the message says which."""


@cache
def newest_opset() -> int:
    """The newest opset of ONNX for which onnxruntime stands; found out by asking it."""
    version = defs.onnx_opset_version()
    while version > CERTAIN and not loads(version):
        version -= 1
    return version


def loads(version: int) -> bool:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "one", [x], [y])
    try:
        session(graph, {"": version})
    except Exception:
        return False
    return True


def session(graph: onnx.GraphProto, opsets: dict[str, int]) -> Any:
    """An onnxruntime session of the graph, silent, not optimised, on one thread."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)  # kernels warn there, past the session's logger
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    model = helper.make_model(graph, opset_imports=imports, ir_version=10)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def versions_for(node: onnx.NodeProto, version: int) -> list[int]:
    """Versions under which the host may know the node as the model means it, newest first.

    A model may be newer than the host, and the host may lack a kernel for the newest version of
    an operator.  Another version does where the operator has not changed since, or only takes
    more element types.  HostRefuses if there is none.
    """
    if node.domain:
        return [version]
    now = defs.get_schema(node.op_type, version)
    newest = min(newest_opset(), version)
    found: list[int] = []
    while newest and defs.has(node.op_type, newest, ""):
        then = defs.get_schema(node.op_type, newest)
        if then.deprecated or form(then) != form(now):
            break
        found.append(newest)
        newest = then.since_version - 1
    if not found:
        raise HostRefuses(
            f"onnxruntime knows opset {newest_opset()}, this {node.op_type} is of opset "
            f"{now.since_version}"
        )
    return found


def form(schema: defs.OpSchema) -> tuple[object, ...]:
    """What an operator takes and gives, element types aside."""
    attributes = [
        (name, str(a.type), a.default_value.SerializeToString())
        for name, a in sorted(schema.attributes.items())
    ]
    return (
        attributes,
        [(x.name, x.option) for x in schema.inputs],
        [(y.name, y.option) for y in schema.outputs],
    )


def host_types(
    node: onnx.NodeProto, inputs: Sequence[Value | None], version: int
) -> tuple[int, list[TensorType]]:
    """Under which version the host runs the node, and the types of its results, with names or not.

    HostRefuses says why it can't.
    """
    refuse_divisors(node)
    single, entries, constants = standing_alone(node, inputs)
    results = [onnx.ValueInfoProto(name=name) for name in single.output]
    graph = helper.make_graph([single], "one", entries, results, constants)
    first: Exception | None = None
    for candidate in versions_for(node, version):
        opsets = {node.domain: candidate}
        opsets.setdefault("", min(newest_opset(), CERTAIN))
        try:
            given = session(graph, opsets).get_outputs()
        except Exception as problem:
            first = first or problem
        else:
            return candidate, [type_of(result) for result in given]
    raise HostRefuses(f"onnxruntime says: {condensed(str(first))}")


def refuse_divisors(node: onnx.NodeProto) -> None:
    for attribute in node.attribute:
        numbers = attribute.ints or [attribute.i]
        if attribute.name in DIVISORS and min(numbers) < 1:
            raise HostRefuses(f"its {attribute.name} is not positive")


def standing_alone(
    node: onnx.NodeProto, inputs: Sequence[Value | None]
) -> tuple[onnx.NodeProto, list[onnx.ValueInfoProto], list[TensorProto]]:
    """The node with names x0, y0..., entries for its operands, and its small constants."""
    single = onnx.NodeProto()
    single.CopyFrom(node)
    del single.input[:], single.output[:]
    single.input.extend("" if x is None else f"x{i}" for i, x in enumerate(inputs))
    single.output.extend(f"y{i}" for i in range(len(node.output)))
    entries: list[onnx.ValueInfoProto] = []
    constants: list[TensorProto] = []
    for index, x in enumerate(inputs):
        if x is None:
            continue
        if x.data is not None and x.data.size <= SMALL:
            constants.append(numpy_helper.from_array(x.data, f"x{index}"))
        else:
            element = ELEMENT_OF[x.type.dtype]
            entries.append(helper.make_tensor_value_info(f"x{index}", element, x.type.shape))
    return single, entries, constants


def type_of(result: Any) -> TensorType:
    """Our type of an output as onnxruntime describes it, such as tensor(int64) and [1, 'n']."""
    found = re.fullmatch(r"tensor\((\w+)\)", result.type)
    if not found or found[1] == "string":
        raise HostRefuses(f"it gives {result.type}, which no value of a graph can be")
    name = ORT_ELEMENTS.get(found[1], found[1])
    try:
        dtype = element_name(TensorProto.DataType.Value(name.upper()))
    except (NotATensor, ValueError):
        raise HostRefuses(f"it gives {name} elements, which no value can have") from None
    shape = tuple(result.shape)
    if not all(isinstance(size, int) for size in shape):
        raise HostRefuses("the size of its result is known only while running")
    if math.prod(shape) > MAX_ELEMENTS:
        raise HostRefuses(f"its result would have {math.prod(shape)} elements")
    return TensorType(dtype, shape)


def condensed(message: str) -> str:
    """What onnxruntime has to say, without where in its own source it says so."""
    text = message.strip().splitlines()[0] if message.strip() else "nothing"
    for noise in NOISE:
        text = noise.sub("", text)
    return text[:MAX_REASON].rstrip(". ")


def attributes_text(node: onnx.NodeProto) -> str:
    """The attributes as canonical JSON: sorted by name, the same text for the same node."""
    listed = [
        json_format.MessageToDict(attribute, preserving_proto_field_name=True)
        for attribute in sorted(node.attribute, key=lambda a: a.name)
    ]
    return json.dumps(listed, sort_keys=True, separators=(",", ":"))
