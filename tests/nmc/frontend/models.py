"""Small ONNX models for the frontend's tests, and what onnxruntime makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from nmc.backends.host import OrtHost
from nmc.frontend import import_model
from nmc.ir.diagnostics import Diagnostic, NmcError
from nmc.ir.graph import Array, Graph
from nmc.ir.interpreter import run_graph
from nmc.ir.ops import Onnx

FLOAT = TensorProto.FLOAT
Entry = tuple[str, int, Sequence[int | str | None] | None]


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[Entry],
    outputs: Sequence[str],
    constants: Mapping[str, Array] | None = None,
    opset: int = 17,
    **domains: int,
) -> onnx.ModelProto:
    """A model whose outputs declare nothing; `com_microsoft=1` imports that domain, too."""
    tensors = [numpy_helper.from_array(a, name) for name, a in (constants or {}).items()]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(*entry) for entry in inputs],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        tensors,
    )
    imports = [helper.make_opsetid("", opset)]
    imports += [helper.make_opsetid(d.replace("_", "."), v) for d, v in domains.items()]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def single(
    op: str,
    inputs: Mapping[str, Array],
    constants: Mapping[str, Array] | None = None,
    *,
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
    domain: str = "",
    order: Sequence[str] | None = None,
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one node; its operands are the inputs, then the constants, or as `order` says."""
    names = list(order) if order is not None else [*inputs, *(constants or {})]
    node = helper.make_node(op, names, list(outputs), domain=domain, **attributes)
    entries: list[Entry] = [
        (name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for name, a in inputs.items()
    ]
    domains = {domain.replace(".", "_"): 1} if domain else {}
    return model([node], entries, [name for name in outputs if name], constants, opset, **domains)


def ort_outputs(proto: onnx.ModelProto, inputs: Mapping[str, Array]) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return list(session.run(None, dict(inputs)))


def our_outputs(proto: onnx.ModelProto, inputs: Mapping[str, Array]) -> list[Array]:
    results = run_graph(import_model(proto), inputs, host=OrtHost())
    return [results[output.name] for output in proto.graph.output]


def agree(proto: onnx.ModelProto, inputs: Mapping[str, Array]) -> None:
    """Demand that the imported graph computes what onnxruntime does; integers exactly."""
    for ours, theirs in zip(our_outputs(proto, inputs), ort_outputs(proto, inputs), strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        if theirs.dtype.kind == "f":
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_array_equal(ours, theirs)


def opaque_ops(graph: Graph) -> list[str]:
    return [node.op.op for node in graph if isinstance(node.op, Onnx)]


def problems(source: Any, **options: Any) -> tuple[Diagnostic, ...]:
    """The diagnostics with which an import fails; it must fail."""
    try:
        import_model(source, **options)
    except NmcError as failure:
        return failure.diagnostics
    raise AssertionError("the model was taken")


def problem(source: Any, **options: Any) -> Diagnostic:
    """The only diagnostic with which an import fails."""
    (found,) = problems(source, **options)
    return found


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
