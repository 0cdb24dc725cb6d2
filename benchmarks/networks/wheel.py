"""The large topologies that the onnx package carries, with weights that make them compute.

Its `light_*.onnx` files have every weight as a ConstantOfShape, so that their outputs are the same
for every input.  Here each becomes an initialiser drawn for what it is used as.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from benchmarks.networks.weights import BATCH_NORM, Draw, around, normal, scaled

__all__ = ["WHEEL", "light_model", "reweighted"]

WHEEL = (
    *("bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50"),
    *("shufflenet", "squeezenet", "vgg19", "zfnet512"),
)

BRANCH_DAMPING = 0.3
LAST_DAMPING = 0.2
"""Keeps a softmax of a thousand random logits away from one and zero."""

FIRST_IR_VERSION = 4
"""The first in which initialisers need not be listed as inputs."""

Use = tuple[str, int]
"""The operator that takes a weight, and as which input."""


def light_model(name: str, seed: int = 0) -> onnx.ModelProto:
    """One of `WHEEL`, with weights drawn from `seed`.  FileNotFoundError if the package has it
    not."""
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    return reweighted(onnx.load(folder / f"light_{name}.onnx"), seed)


def reweighted(model: onnx.ModelProto, seed: int = 0) -> onnx.ModelProto:
    """A model whose ConstantOfShape nodes have become random initialisers."""
    graph = Wired.of(model)
    rng = np.random.default_rng(seed)
    made = [
        numpy_helper.from_array(
            graph.draw(node.output[0])(rng, graph.shape(node)).astype(np.float32), node.output[0]
        )
        for node in graph.constants
    ]
    kept = [node for node in model.graph.node if node.op_type != "ConstantOfShape"]
    replaced(model, kept, made)
    return model


def replaced(
    model: onnx.ModelProto, nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto]
) -> None:
    """Gives a model other nodes and further weights, and drops what nothing uses any more."""
    graph = model.graph
    used = {name for node in nodes for name in node.input}
    initializers = [t for t in (*graph.initializer, *weights) if t.name in used]
    names = {t.name for t in (*graph.initializer, *weights)}
    inputs = [value for value in graph.input if value.name not in names]
    refill(graph.node, nodes)
    refill(graph.initializer, initializers)
    refill(graph.input, inputs)
    model.ir_version = max(model.ir_version, FIRST_IR_VERSION)


def refill(container: object, items: Iterable[object]) -> None:
    """Puts other messages into a repeated field."""
    kept = list(items)
    del container[:]  # type: ignore[attr-defined]
    container.extend(kept)  # type: ignore[attr-defined]


@dataclass(slots=True)
class Wired:
    """A light model's graph with what its weights are used as."""

    constants: list[onnx.NodeProto]
    sizes: dict[str, tuple[int, ...]]
    uses: dict[str, Use] = field(default_factory=dict[str, Use])
    damped: set[str] = field(default_factory=set[str])
    last: str = ""

    @classmethod
    def of(cls, model: onnx.ModelProto) -> Wired:
        nodes = list(model.graph.node)
        initializers = model.graph.initializer
        wired = cls(
            [n for n in nodes if n.op_type == "ConstantOfShape"],
            {t.name: tuple(map(int, numpy_helper.to_array(t).ravel()))
             for t in initializers if t.data_type == onnx.TensorProto.INT64},
        )  # fmt: skip
        readers: defaultdict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in nodes:
            for i, name in enumerate(node.input):
                readers[name].append(node)
                wired.uses.setdefault(name, (node.op_type, i))
        for node in nodes:
            if node.op_type == "Unsqueeze":  # of a per-channel factor, on its way to a Mul or Add
                wired.uses[node.input[0]] = wired.uses[node.output[0]]
            if node.op_type == "Gemm":
                wired.last = node.input[1]
            joins = any(reader.op_type == "Sum" for reader in readers[node.output[0]])
            if node.op_type == "BatchNormalization" and joins:
                wired.damped.add(node.input[1])
        return wired

    def shape(self, node: onnx.NodeProto) -> tuple[int, ...]:
        return self.sizes[node.input[0]]

    def draw(self, name: str) -> Draw:
        if name in self.damped:
            return scaled(self.kind(name), BRANCH_DAMPING)
        return scaled(self.kind(name), LAST_DAMPING) if name == self.last else self.kind(name)

    def kind(self, name: str) -> Draw:
        """How values of a weight are drawn, by what it is used as."""
        match self.uses[name]:
            case ("Conv" | "Gemm", 1):
                return he_normal
            case ("BatchNormalization", i):
                return list(BATCH_NORM.values())[i - 1]
            case ("Mul", _):
                return around(1.0, 0.1)
            case _:
                return around(0.0, 0.05)


def he_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return normal(2.0 / max(1, prod(shape[1:])))(rng, shape)
