"""Random float networks for tests of passes: small, of everything that the chip can do.

Each step takes a value that is there and adds an operation, so that branches, skips, values with
several users and results from the middle all come about.  Amplitudes are kept near 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from nmc.ir import ops
from nmc.ir.graph import Graph, TensorType, Value
from nmc.ir.types import emit

__all__ = ["Net", "random_net"]

UNARY = (
    *(ops.Relu(), ops.Clip(0.0, 1.5), ops.LeakyRelu(0.2), ops.Sigmoid(), ops.HardSigmoid()),
    *(ops.HardSwish(), ops.Tanh(), ops.Gelu(), ops.Elu(), ops.Softplus(), ops.Abs(), ops.Neg()),
)


@dataclass
class Net:
    rng: np.random.Generator
    graph: Graph = field(default_factory=lambda: Graph("random"))
    values: list[Value] = field(default_factory=list[Value])

    def emit(self, op: ops.Op, *operands: Value) -> Value:
        value = emit(self.graph, op, operands, f"{op.name}_{len(self.graph)}")
        self.values.append(value)
        return value

    def constant(self, *shape: int, scale: float = 1.0) -> Value:
        data = self.rng.standard_normal(shape) * scale
        return self.graph.constant("c", data.astype(np.float32))

    def pick(self, *choices: int) -> int:
        return int(self.rng.choice(choices))

    def images(self) -> list[Value]:
        return [v for v in self.values if len(v.type.shape) == 4]

    def image(self) -> Value:
        """Any image, but most likely a late one."""
        images = self.images()
        return images[-1 - min(int(self.rng.exponential(1.0)), len(images) - 1)]


def conv(net: Net) -> None:
    x = net.image()
    channels = x.type.shape[1]
    group = net.pick(1, 1, channels)
    outputs = channels if group > 1 else net.pick(2, 4, 6)
    k = net.pick(1, 3) if min(x.type.shape[2:]) > 2 else 1
    stride = net.pick(1, 1, 2)
    w = net.constant(outputs, channels // group, k, k, scale=(channels // group * k * k) ** -0.5)
    op = ops.Conv((stride,) * 2, (k // 2,) * 4, (1, 1), group)
    net.emit(op, x, w, net.constant(outputs, scale=0.2))


def unary(net: Net) -> None:
    net.emit(UNARY[int(net.rng.integers(len(UNARY)))], net.image())


def gate(net: Net) -> None:
    """x * sigmoid(x), in two nodes."""
    x = net.image()
    net.emit(ops.Mul(), x, net.emit(ops.Sigmoid(), x))


def scalars(net: Net) -> None:
    x = net.emit(ops.Mul(), net.image(), net.constant(1))
    net.emit(ops.Sub(), net.constant(1), x)


def per_channel(net: Net) -> None:
    x = net.image()
    op = (ops.Mul(), ops.Add(), ops.PRelu())[net.pick(0, 1, 2)]
    net.emit(op, x, net.constant(x.type.shape[1], 1, 1))


def skip(net: Net) -> None:
    x = net.image()
    partners = [v for v in net.images() if v.type.shape == x.type.shape]
    op = (ops.Add(), ops.Sub(), ops.Mul(), ops.Min(), ops.Max())[net.pick(0, 0, 1, 2, 3, 4)]
    y = net.emit(op, x, partners[int(net.rng.integers(len(partners)))])
    if net.pick(0, 1):
        net.emit(ops.Relu(), y)


def squeeze(net: Net) -> None:
    """A gate per channel, from the mean of all pixels."""
    x = net.image()
    channels = x.type.shape[1]
    mean = net.emit(ops.Reduce("mean", (2, 3)), x)
    w = net.constant(channels, channels, 1, 1, scale=channels**-0.5)
    gates = net.emit(ops.Conv((1, 1), (0,) * 4, (1, 1)), mean, w)
    net.emit(ops.Mul(), x, net.emit(ops.Sigmoid(), gates))


def concat(net: Net) -> None:
    x = net.image()
    partners = [
        v
        for v in net.images()
        if v.type.shape[2:] == x.type.shape[2:] and v.type.shape[1] + x.type.shape[1] < 20
    ]
    if partners:
        net.emit(ops.Concat(1), x, partners[int(net.rng.integers(len(partners)))])


def pool(net: Net) -> None:
    x = net.image()
    if min(x.type.shape[2:]) < 4:
        return
    if net.pick(0, 1):
        net.emit(ops.MaxPool((3, 3), (2, 2), (1, 1, 1, 1), (1, 1)), x)
    else:
        net.emit(ops.AvgPool((2, 2), (2, 2), (0, 0, 1, 1), (1, 1)), x)


def move(net: Net) -> None:
    x = net.image()
    _, c, h, w = x.type.shape
    kind = net.pick(0, 1, 2, 3)
    if kind == 0 and h * w < 64:
        net.emit(ops.Pad((0, 0, 1, 0, 0, 0, 0, 1), value=float(net.pick(0, 0, 1))), x)
    elif kind == 1 and h > 2:
        net.emit(ops.Slice((1, 0), (h, c - c // 2), (2, 1), (net.pick(1, 2), 1)), x)
    elif kind == 2 and h * w < 64:
        net.emit(ops.Resize((1, 1, 2, 2)), x)
    elif kind == 3 and c % 4 == 0:
        net.emit(ops.DepthToSpace(2, ("DCR", "CRD")[net.pick(0, 1)]), x)


def shuffle(net: Net) -> None:
    x = net.image()
    _, c, h, w = x.type.shape
    if c % 2 == 0:
        wide = net.emit(ops.Reshape((1, 2, c // 2, h, w)), x)
        turned = net.emit(ops.Transpose((0, 2, 1, 3, 4)), wide)
        net.emit(ops.Reshape((1, c, h, w)), turned)


def along_channels(net: Net) -> None:
    net.emit(ops.Softmax(1), net.image())


STEPS: tuple[Callable[[Net], None], ...] = (
    *(conv, conv, conv, unary, unary, gate, scalars, per_channel, skip, squeeze, concat),
    *(pool, move, shuffle, along_channels),
)


def head(net: Net) -> Value:
    """Tokens, a layer norm, a product; sometimes a softmax."""
    x = net.image()
    _, c, h, w = x.type.shape
    flat = net.emit(ops.Reshape((1, c, h * w)), x)
    tokens = net.emit(ops.Transpose((0, 2, 1)), flat)
    if net.pick(0, 1):
        tokens = net.emit(ops.LayerNorm(2), tokens, net.constant(c), net.constant(c))
    y = net.emit(ops.MatMul(), tokens, net.constant(c, 5, scale=c**-0.5))
    y = net.emit(ops.Add(), y, net.constant(5))
    return net.emit(ops.Softmax(2), y) if net.pick(0, 1) else y


def random_net(seed: int, steps: int) -> Graph:
    """A graph with one to three results, of `steps` steps and a head."""
    net = Net(np.random.default_rng(seed))
    net.values.append(net.graph.add_input("x", TensorType("f32", (1, 4, 8, 8))))
    for _ in range(steps):
        STEPS[int(net.rng.integers(len(STEPS)))](net)
    net.graph.outputs.append(head(net))
    for value in net.images()[1:]:
        if len(net.graph.outputs) < 3 and net.rng.random() < 0.15:
            net.graph.outputs.append(value)
    net.graph.prune()
    return net.graph
