"""Fuses matrices with their biases, clips and quantizes into `qconv` and `qmatmul`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from nmc.ir import ops
from nmc.ir.constants import real_constant, stored_integers
from nmc.ir.diagnostics import Report, error, warning
from nmc.ir.graph import Array, Graph, Node, Quant, Value
from nmc.ir.target import Numbers
from nmc.passes.quantizing.edit import add, quant_of, source_of
from nmc.passes.quantizing.integers import (
    INT32_MAX,
    Weights,
    bias_integers,
    bound,
    float_weights,
    multipliers,
    stored_bound,
    stored_weights,
)
from nmc.passes.quantizing.roles import Roles, bias_vector, is_clip, on_chip

__all__ = ["Matrices"]

SAME_SCALE = 1e-5
"""A model's bias counts in steps of s_x * s_w if its scale differs by no more, relatively."""


@dataclass(frozen=True, slots=True)
class Fused:
    """A matrix with what follows it: reals that the tail adds and bounds, and who takes the result.

    `end` is the value that the fused node gives: stored as `quant`, or real where that is None.
    """

    end: Value
    biases: tuple[Array, ...]
    low: float
    high: float
    quant: Quant | None
    quantize: Node | None


@dataclass(slots=True)
class Matrices:
    """Fuses matrix after matrix; `changed` gathers those whose own integers could not be kept."""

    graph: Graph
    roles: Roles
    numbers: Numbers
    report: Report
    changed: list[tuple[Node, int]] = field(default_factory=list[tuple[Node, int]])

    def fuse(self, node: Node) -> None:
        source = source_of(node.x)
        if source is None:
            raise TypeError(f"{node} takes reals")
        stored, quant = source
        fused = follow(self.roles, self.graph, node)
        axis = 1 if isinstance(node.op, ops.MatMul) else 0
        bias = total_bias(node, fused.biases)
        weights = self.weights(node, axis, bias, quant)
        integers = own_bias(node, fused, quant, weights)
        if integers is None:
            integers = bias_integers(bias, quant.scale, weights.scale)
        self.check_bound(node, bound(weights, axis, integers, quant.zero_point, 8))
        y_scale = fused.quant.scale if fused.quant else None
        factors = multipliers(quant.scale, weights.scale, y_scale)
        self.replace(node, stored, quant, fused, (weights.data, integers, factors))

    def weights(self, node: Node, axis: int, bias: Array | None, quant: Quant) -> Weights:
        value = node.operand(1)
        bits = self.numbers.weight_bits
        stored = stored_integers(value)
        own = None if stored is None else stored_weights(stored, axis, bits)
        if own is None:
            data = real_constant(value)
            if data is None:
                raise TypeError(f"{node} has no constant weights")
            return float_weights(data, axis, bias, quant.scale, bits)
        if own.changed:
            self.changed.append((node, own.changed))
        return own

    def report_changed(self) -> None:
        """One diagnostic for all matrices whose integers had to be clipped or rescaled: a warning
        where the odd one is beyond 8 bits, an error where the machine has fewer."""
        if not self.changed:
            return
        bits = self.numbers.weight_bits
        channels = sum(count for _, count in self.changed)
        message = (
            f"integer weights of {channels} channels in {len(self.changed)} operations exceed "
            f"+-{(1 << (bits - 1)) - 1} once their zero points are taken off"
        )
        loc = self.changed[0][0].loc
        if bits == 8:
            message += "; they are clipped or rescaled"
            remedy = "quantise the weights symmetrically"
            self.report.add(warning("unsupported-width", message, loc, remedy=remedy))
        else:
            remedy = "compile the float model, or set numbers.weight_bits=8"
            self.report.add(error("unsupported-width", message, loc, remedy=remedy))

    def check_bound(self, node: Node, most: int) -> None:
        if most > INT32_MAX:
            name = node.op.name
            message = f"sums of this `{name}` can reach {most}, an accumulator holds {INT32_MAX}"
            remedy = "split the operation along its inputs, or use a smaller bias"
            self.report.add(error("accumulator-overflow", message, node.loc, remedy=remedy))

    def replace(
        self, node: Node, x: Value, quant: Quant, fused: Fused, constants: Sequence[Array]
    ) -> None:
        graph, name = self.graph, node.operand(1).name
        w, bias, factors = constants
        operands = [
            x,
            graph.constant(name, w),
            graph.constant(f"{name}.bias", bias),
            graph.constant(f"{name}.multiplier", factors),
        ]
        op = integer_op(node.op, quant, fused)
        label = f"{fused.end.name}~q" if fused.quant else f"{fused.end.name}~f"
        result = add(graph, op, operands, label, node, quant=fused.quant)
        origin = [loc for tail in (node, *self.roles.tails[node]) for loc in tail.origin]
        made = result.producer
        if made is not None:
            made.origin = tuple(dict.fromkeys(origin))
        old = fused.quantize.output if fused.quantize else fused.end
        graph.replace_uses(old, result)


def follow(roles: Roles, graph: Graph, head: Node) -> Fused:
    """What can be computed with the matrix: all of its tail if one quantize takes the end, else
    only the biases."""
    tail = roles.tails[head]
    biases = [b for node in tail if (b := bias_vector(head, node)) is not None]
    end = roles.end(head)
    quantize = graph.sole_user(end)
    if quantize is None or not on_chip(quantize) or not isinstance(quantize.op, ops.Quantize):
        plain = [node for node in tail if not is_clip(node)]
        end = plain[-1].output if plain else head.output
        return Fused(end, tuple(biases), -np.inf, np.inf, None, None)
    low, high = -np.inf, np.inf
    for node in tail:
        bounds = clip_bounds(node.op)
        low, high = max(low, bounds[0]), min(high, bounds[1])
    return Fused(end, tuple(biases), low, high, quant_of(quantize.op), quantize)


def clip_bounds(op: ops.Op) -> tuple[float, float]:
    match op:
        case ops.Relu():
            return 0.0, np.inf
        case ops.Clip(lo=lo, hi=hi):
            return lo, hi
    return -np.inf, np.inf


def total_bias(node: Node, further: Sequence[Array]) -> Array | None:
    """All that is added to the matrix's results, in reals."""
    own = node.inputs[2] if len(node.inputs) > 2 else None
    first = None if own is None else real_constant(own)
    parts = [part.astype(np.float64) for part in (first, *further) if part is not None]
    return np.sum(parts, axis=0) if parts else None


def own_bias(node: Node, fused: Fused, quant: Quant, weights: Weights) -> Array | None:
    """The model's own integers, if all its bias is one such constant in steps of s_x * s_w."""
    values = [v for v in (*node.inputs[2:], *bias_operands(node, fused)) if v is not None]
    stored = stored_integers(values[0]) if len(values) == 1 else None
    if stored is None or weights.changed or stored.data.dtype != np.int32:
        return None
    steps = np.float32(quant.scale) * weights.scale
    if not np.allclose(stored.scale.reshape(-1), steps, rtol=SAME_SCALE, atol=0):
        return None
    centred = np.clip(stored.centred.reshape(-1), -INT32_MAX - 1, INT32_MAX)
    return np.broadcast_to(centred, steps.shape).astype(np.int32)


def bias_operands(node: Node, fused: Fused) -> Iterator[Value]:
    """Constants that tail nodes between the matrix and the end add to it; of a subtraction, none
    that could be taken as it is."""
    value = fused.end
    while value is not node.output and value.producer is not None:
        tail = value.producer
        value = tail.x
        if isinstance(tail.op, ops.Add | ops.Sub):
            constants = [v for v in tail.operands if real_constant(v) is not None]
            value = next(v for v in tail.operands if v not in constants)
            yield from constants if isinstance(tail.op, ops.Add) else (tail.output, tail.output)


def integer_op(op: ops.Op, x: Quant, fused: Fused) -> ops.QConv | ops.QMatMul:
    y, lo, hi, out = 0, 0, 255, "f32"
    if fused.quant is not None:
        y, out = fused.quant.zero_point, "u8"
        lo, hi = (stored_bound(bound, fused.quant) for bound in (fused.low, fused.high))
    if isinstance(op, ops.MatMul):
        return ops.QMatMul(x.zero_point, y, lo, hi, out)
    if not isinstance(op, ops.Conv):
        raise TypeError(f"{op} is no matrix")
    return ops.QConv(op.strides, op.pads, op.dilations, op.group, x.zero_point, y, lo, hi, out)
