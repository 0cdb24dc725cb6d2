"""Builds ONNX models node by node, as PyTorch's exporter would write them.

A `Net` keeps the shape of every weight, but not its values: these are drawn when the model is
asked for, so that parameters can be counted without a gigabyte of random numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.networks.weights import BATCH_NORM, Draw, normal, scaled

__all__ = ["IR_VERSION", "OPSET", "Feature", "Net", "feature_size"]

OPSET = 17
IR_VERSION = 8
RELU_GAIN = 2.0
"""Half of what a ReLU is given is lost: He's factor."""


@dataclass(frozen=True, slots=True)
class Feature:
    """A value [1, chans, size, size], or [1, chans] where `size` is 0."""

    name: str
    chans: int
    size: int


@dataclass(frozen=True, slots=True)
class Weight:
    """`learned`: counted as a parameter, which BatchNorm's statistics and constants are not."""

    name: str
    shape: tuple[int, ...]
    draw: Draw
    learned: bool = True


@dataclass(slots=True)
class Net:
    """A model in the making, of one image input."""

    name: str
    size: int
    nodes: list[onnx.NodeProto] = field(default_factory=list[onnx.NodeProto])
    weights: list[Weight] = field(default_factory=list[Weight])
    chans: int = 3

    @property
    def input(self) -> Feature:
        return Feature("input", self.chans, self.size)

    @property
    def parameters(self) -> int:
        """As PyTorch counts them."""
        return sum(prod(weight.shape) for weight in self.weights if weight.learned)

    # Layers

    def conv(
        self,
        x: Feature,
        chans: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
        gain: float = RELU_GAIN,
    ) -> Feature:
        """A convolution padded by half of its kernel."""
        pad = kernel // 2
        node = self.fresh("Conv")
        taken = x.chans // groups
        shape = (chans, taken, kernel, kernel)
        names = [self.weight(f"{node}.weight", shape, normal(gain / (taken * kernel * kernel)))]
        if bias:
            names.append(self.weight(f"{node}.bias", (chans,), normal(0.01)))
        attributes = {
            "dilations": [1, 1],
            "group": groups,
            "kernel_shape": [kernel] * 2,
            "pads": [pad] * 4,
            "strides": [stride] * 2,
        }
        size = feature_size(x.size, kernel, stride, pad)
        return self.node("Conv", [x.name, *names], chans, size, node, **attributes)

    def up_conv(self, x: Feature, chans: int) -> Feature:
        """A transposed convolution that doubles the size."""
        node = self.fresh("ConvTranspose")
        weight = self.weight(f"{node}.weight", (x.chans, chans, 2, 2), normal(RELU_GAIN / x.chans))
        bias = self.weight(f"{node}.bias", (chans,), normal(0.01))
        attributes = {
            "dilations": [1, 1],
            "group": 1,
            "kernel_shape": [2, 2],
            "pads": [0] * 4,
            "strides": [2, 2],
        }
        inputs = [x.name, weight, bias]
        return self.node("ConvTranspose", inputs, chans, 2 * x.size, node, **attributes)

    def norm(self, x: Feature, *, damping: float = 1.0) -> Feature:
        """BatchNormalization; `damping` scales branches that are added to what they left."""
        node = self.fresh("BatchNormalization")
        names = [
            self.weight(
                f"{node}.{part}",
                (x.chans,),
                scaled(draw, damping) if part in ("weight", "bias") else draw,
                learned=part in ("weight", "bias"),
            )
            for part, draw in BATCH_NORM.items()
        ]
        return self.node(
            "BatchNormalization", [x.name, *names], x.chans, x.size, node, epsilon=1e-5
        )

    def dense(self, x: Feature, chans: int, *, gain: float = RELU_GAIN) -> Feature:
        node = self.fresh("Gemm")
        weight = self.weight(f"{node}.weight", (chans, x.chans), normal(gain / x.chans))
        bias = self.weight(f"{node}.bias", (chans,), normal(0.01))
        return self.node("Gemm", [x.name, weight, bias], chans, 0, node, transB=1)

    def relu(self, x: Feature) -> Feature:
        return self.same("Relu", x)

    def relu6(self, x: Feature) -> Feature:
        bounds = [self.constant("zero", 0.0), self.constant("six", 6.0)]
        return self.node("Clip", [x.name, *bounds], x.chans, x.size)

    def sigmoid(self, x: Feature) -> Feature:
        return self.same("Sigmoid", x)

    def swish(self, x: Feature) -> Feature:
        return self.times(x, self.sigmoid(x))

    def times(self, x: Feature, by: Feature) -> Feature:
        return self.node("Mul", [x.name, by.name], x.chans, x.size)

    def plus(self, x: Feature, y: Feature) -> Feature:
        return self.node("Add", [x.name, y.name], x.chans, x.size)

    def concat(self, *parts: Feature) -> Feature:
        names = [part.name for part in parts]
        return self.node("Concat", names, sum(p.chans for p in parts), parts[0].size, axis=1)

    def max_pool(self, x: Feature, kernel: int, stride: int, *, pad: int = 0) -> Feature:
        size = feature_size(x.size, kernel, stride, pad)
        attributes: dict[str, Any] = {
            "kernel_shape": [kernel] * 2,
            "pads": [pad] * 4,
            "strides": [stride] * 2,
        }
        return self.node("MaxPool", [x.name], x.chans, size, **attributes)

    def mean(self, x: Feature) -> Feature:
        """[1, chans, 1, 1]"""
        return self.node("GlobalAveragePool", [x.name], x.chans, 1)

    def flat(self, x: Feature) -> Feature:
        return self.node("Flatten", [x.name], x.chans * x.size * x.size, 0, axis=1)

    # The parts of which layers are made

    def same(self, op: str, x: Feature) -> Feature:
        return self.node(op, [x.name], x.chans, x.size)

    def node(
        self,
        op: str,
        inputs: Sequence[str],
        chans: int,
        size: int,
        name: str = "",
        **attributes: Any,
    ) -> Feature:
        name = name or self.fresh(op)
        output = f"{name}_output"
        self.nodes.append(helper.make_node(op, inputs, [output], name=name, **attributes))
        return Feature(output, chans, size)

    def fresh(self, op: str) -> str:
        return f"{op}_{len(self.nodes)}"

    def weight(self, name: str, shape: tuple[int, ...], draw: Draw, *, learned: bool = True) -> str:
        self.weights.append(Weight(name, shape, draw, learned))
        return name

    def constant(self, name: str, value: float) -> str:
        if not any(weight.name == name for weight in self.weights):
            self.weight(name, (), lambda _, shape: np.full(shape, value), learned=False)
        return name

    def model(self, output: Feature, seed: int = 0) -> onnx.ModelProto:
        """The model with weights drawn from `seed`, in the order of its layers."""
        rng = np.random.default_rng(seed)
        image = self.input
        sizes = [1, image.chans, image.size, image.size]
        given = helper.make_tensor_value_info(image.name, TensorProto.FLOAT, sizes)
        made = helper.make_tensor_value_info(output.name, TensorProto.FLOAT, shape_of(output))
        drawn = (
            numpy_helper.from_array(w.draw(rng, w.shape).astype(np.float32), w.name)
            for w in self.weights
        )
        graph = helper.make_graph(self.nodes, self.name, [given], [made], list(drawn))
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(
            graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="nmc.benchmarks"
        )


def shape_of(value: Feature) -> list[int]:
    return [1, value.chans, value.size, value.size] if value.size else [1, value.chans]


def feature_size(size: int, kernel: int, stride: int, pad: int) -> int:
    """The size of what a window leaves.  ValueError if nothing is left."""
    left = (size + 2 * pad - kernel) // stride + 1
    if left < 1:
        raise ValueError(f"a window of {kernel} does not fit in an image of {size}: give a larger")
    return left
