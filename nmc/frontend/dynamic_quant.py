"""Rewrites models that quantise their activations while running, as onnxruntime's tools make them.

The chip's scales are fixed when compiling, so what such a model computes in integers is written
with the float activation and the dequantised weights; calibration then chooses the scales::

    y, s, z = DynamicQuantizeLinear(x)             a = MatMul(x, DequantizeLinear(w, 1, wz))
    a = MatMulInteger(y, w, z, wz)           ->    s = 1
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import onnx
from onnx import helper, numpy_helper

from nmc.frontend.external import subgraphs
from nmc.ir.diagnostics import Loc, Report, note

__all__ = ["static"]

PRODUCTS = {"MatMulInteger": "MatMul", "ConvInteger": "Conv"}


def static(proto: onnx.ModelProto, file: str, report: Report) -> None:
    """Rewrite a checked model in place where all users of an activation's integers are products.

    Before opset 13 the result is not quite ONNX: DequantizeLinear had no axis then.
    """
    graph = proto.graph
    dynamic = [node for node in graph.node if movable(node, graph)]
    if not dynamic:
        return
    sources = {node.output[0]: node.input[0] for node in dynamic}
    gone = {id(node) for node in dynamic}
    one = numpy_helper.from_array(np.ones((), np.float32))
    for node in dynamic:
        one.name = node.output[1]
        graph.initializer.append(one)
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type in PRODUCTS and node.input[0] in sources:
            nodes.extend(in_floats(node, sources[node.input[0]], shapes, graph))
        elif id(node) not in gone:
            nodes.append(node)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    text = f"{len(dynamic)} activations that the model quantises while running get fixed scales"
    report.add(note("calibration-needed", text, Loc(file), remedy="calibrate with real data"))


def movable(node: onnx.NodeProto, graph: onnx.GraphProto) -> bool:
    """Whether the integers and their zero point enter products of constant weights only."""
    if node.op_type != "DynamicQuantizeLinear" or node.domain:
        return False
    y, _, zero = (*node.output, "", "")[:3]
    constant = {tensor.name for tensor in graph.initializer}
    uses: Counter[str] = Counter(output.name for output in graph.output)
    for user in graph.node:
        names = [*user.input, *inner_names(subgraphs(user))]
        if user.op_type in PRODUCTS and user.input[0] == y and user.input[1] in constant:
            names.remove(y)
            if len(user.input) > 2 and user.input[2] == zero:
                names.remove(zero)
        uses.update(names)
    return not uses[y] and not (zero and uses[zero])


def inner_names(graphs: Iterable[onnx.GraphProto]) -> Iterator[str]:
    for graph in graphs:
        yield from (output.name for output in graph.output)
        for node in graph.node:
            yield from node.input
            yield from inner_names(subgraphs(node))


def in_floats(
    node: onnx.NodeProto, x: str, shapes: dict[str, tuple[int, ...]], graph: onnx.GraphProto
) -> list[onnx.NodeProto]:
    """Dequantised weights, then the product of floats, under the name of the integer one."""
    weights, zero = node.input[1], node.input[3] if len(node.input) > 3 else ""
    scale = f"{node.output[0]}.one"
    shape = shapes.get(zero, ())
    graph.initializer.append(numpy_helper.from_array(np.ones(shape, np.float32), scale))
    axis = 0 if node.op_type == "ConvInteger" else max(len(shapes[weights]) - 1, 0)
    inputs = [weights, scale, *([zero] if zero else [])]
    real = f"{node.output[0]}.weights"
    dequantize = helper.make_node("DequantizeLinear", inputs, [real], node.name, axis=axis)
    product = helper.make_node(PRODUCTS[node.op_type], [x, real], list(node.output), node.name)
    product.attribute.extend(node.attribute)
    for made in (dequantize, product):
        made.metadata_props.extend(node.metadata_props)
    return [dequantize, product]
