"""Small models that tests of backends compile: one for the chip alone, one that the host shares."""

from __future__ import annotations

from functools import cache

import numpy as np

from nmc.backends.container import Contents, ModelInfo, contents_of
from nmc.backends.host import OrtHost
from nmc.ir import ops
from nmc.ir.design import Calibration, Design
from nmc.ir.diagnostics import Loc, Report, warning
from nmc.ir.graph import Array, Graph, TensorType, Value
from nmc.ir.types import emit
from nmc.pipeline import Pipeline
from nmc.targets import load

__all__ = ["chip_model", "compiled", "inputs_for", "shared_model"]


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).normal(0, 0.3, shape).astype(np.float32)


def conv(graph: Graph, x: Value, outputs: int, name: str, group: int = 1) -> Value:
    chans = x.type.shape[1] // group
    seed = len(graph.nodes)
    weights = graph.constant(f"{name}.w", normal(seed, outputs, chans, 3, 3))
    bias = graph.constant(f"{name}.b", normal(seed + 1, outputs))
    loc = Loc(node=f"/net/{name}/Conv", op="Conv", source=f"net.py:{seed + 3} in forward: {name}")
    op = ops.Conv((1, 1), (1, 1, 1, 1), (1, 1), group)
    return emit(graph, op, [x, weights, bias], name, [loc])


def chip_model() -> Graph:
    """Convolutions, one of them depthwise, a skip connection, a pool and a product."""
    graph = Graph("chip")
    x = graph.add_input("image", TensorType("f32", (1, 3, 6, 5)))
    first = emit(graph, ops.Relu(), [conv(graph, x, 8, "conv1")], "relu1")
    depthwise = conv(graph, first, 8, "conv2", group=8)
    added = emit(graph, ops.Add(), [depthwise, first], "skip")
    pool = ops.MaxPool((2, 2), (2, 2), (0, 0, 0, 0), (1, 1))
    pooled = emit(graph, pool, [added], "pool")
    flat = emit(graph, ops.Reshape((1, 48)), [pooled], "flat")
    matrix = graph.constant("fc.w", normal(9, 48, 5))
    graph.outputs = [emit(graph, ops.MatMul(), [flat, matrix], "scores")]
    return graph


def shared_model() -> Graph:
    """Chip, host, chip: a running sum in the middle, which only the host knows."""
    graph = Graph("shared")
    x = graph.add_input("image", TensorType("f32", (1, 3, 4, 4)))
    first = emit(graph, ops.Relu(), [conv(graph, x, 4, "conv1")], "relu1")
    axis = graph.constant("axis", np.array(2, np.int64))
    summed = graph.value("summed", first.type)
    graph.append(
        ops.Onnx("CumSum", "", 14), [first, axis], [summed], [Loc(node="sum", op="CumSum")]
    )
    graph.outputs = [conv(graph, summed, 6, "conv2"), summed]
    return graph


ONE_COPY = (
    "@front, quantize{border=%s}, stage, tile, replicate{objective=crossbars}, place, "
    "schedule-adc, buffers, codegen"
)
"""The pipeline in which each layer is one stage, called like it."""

PARTS = (
    "@front, quantize, stage, tile, replicate{rows=parts}, place, schedule-adc, buffers, codegen"
)
"""The pipeline in which copies make parts of rows wherever that is faster."""


@cache
def compiled(
    model: str, target: str = "spin-128", *overrides: str, passes: str = "@default"
) -> Contents:
    """`chip` or `shared`, compiled; the same object each time."""
    graph = chip_model() if model == "chip" else shared_model()
    data = np.random.default_rng(7).normal(0, 1, (6, *graph.inputs[0].type.shape[1:]))
    calibration = Calibration({"image": data.astype(np.float32)}, "random:7", random=True)
    design = Design(graph, load(target, overrides), calibration, seed=3, host=OrtHost())
    pipeline = Pipeline.parse(passes).resolved(3)
    report = Report()
    pipeline.run(design, report)
    report.add(warning("random-calibration", "made up", Loc(file="some/where/model.onnx")))
    return contents_of(
        design,
        model=ModelInfo(f"{model}.onnx", "ab" * 32),
        pipeline=str(pipeline),
        tool_version="9.9",
        options={"set": overrides},
        diagnostics=report,
    )


def one_copy(model: str, border: str = "chip") -> Contents:
    """`chip` or `shared`, each layer of which is one stage; recoding, too, unless the host does
    it."""
    return compiled(model, passes=ONE_COPY % border)


def inputs_for(contents: Contents, samples: int, seed: int = 1) -> dict[str, Array]:
    """[samples, *one sample] for each input."""
    rng = np.random.default_rng(seed)
    return {
        v.name: rng.normal(0, 1, (samples, *v.type.shape[1:])).astype(v.type.numpy)
        for v in contents.graph.inputs
    }
