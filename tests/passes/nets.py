"""Small float networks with one point each, for tests of the later passes."""

from __future__ import annotations

import numpy as np

from nmc.ir import ops
from nmc.ir.graph import Graph, TensorType, Value
from nmc.ir.types import emit

__all__ = ["Build"]


class Build:
    """Builds a graph op by op with seeded weights; `done` names the outputs."""

    def __init__(self, *shape: int, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.graph = Graph("net")
        self.x = self.graph.add_input("x", TensorType("f32", shape))

    def weight(self, *shape: int) -> Value:
        spread = max(1.0, float(np.prod(shape[1:]))) ** 0.5
        return self.graph.constant(
            "w", (self.rng.standard_normal(shape) / spread).astype(np.float32)
        )

    def emit(self, op: ops.Op, *operands: Value, name: str = "") -> Value:
        return emit(self.graph, op, operands, name or op.name)

    def conv(
        self,
        x: Value,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        pad: int = 1,
        group: int = 1,
        name: str = "conv",
    ) -> Value:
        rank = len(x.type.shape) - 2
        w = self.weight(outputs, x.type.shape[1] // group, *[kernel] * rank)
        op = ops.Conv((stride,) * rank, (pad,) * 2 * rank, (1,) * rank, group)
        return self.emit(op, x, w, self.weight(outputs), name=name)

    def relu(self, x: Value) -> Value:
        return self.emit(ops.Relu(), x)

    def dense(self, x: Value, outputs: int) -> Value:
        flat = self.emit(ops.Reshape((1, x.type.elements)), x)
        return self.emit(ops.MatMul(), flat, self.weight(x.type.elements, outputs), name="dense")

    def done(self, *outputs: Value) -> Graph:
        self.graph.outputs += outputs
        return self.graph
