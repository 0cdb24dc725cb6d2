"""Activation functions: chains that are one, and those that exporters wrote out in parts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nmc.ir import ops
from nmc.ir.graph import Graph, Node, Value
from nmc.passes.canonical.padding import never_negative
from nmc.passes.canonical.rewriting import (
    Rewrite,
    become,
    constant_side,
    forward,
    made_by,
    number,
    only_made_by,
)

__all__ = ["FUNCTIONS"]

SCALARS = (ops.Mul, ops.Add)
TOLERANCE = 1e-6
DEPTH = 6


# Clipping


def bounds(op: ops.Op) -> tuple[float, float] | None:
    match op:
        case ops.Relu():
            return 0.0, math.inf
        case ops.Clip(lo=lo, hi=hi) if lo <= hi:
            return lo, hi
    return None


def clipping(lo: float, hi: float) -> ops.Op:
    return ops.Relu() if (lo, hi) == (0, math.inf) else ops.Clip(lo, hi)


def clip_of_clip(graph: Graph, node: Node) -> bool:
    """Two of relu and clip in a row are one."""
    inner = made_by(node.x, (ops.Relu, ops.Clip))
    first = bounds(inner.op) if inner else None
    second = bounds(node.op)
    if inner is None or first is None or second is None:
        return False
    lo, hi = (min(max(bound, second[0]), second[1]) for bound in first)
    return become(graph, node, clipping(lo, hi), [inner.x], [inner])


def needless_clip(graph: Graph, node: Node) -> bool:
    found = bounds(node.op)
    if found is None:
        return False
    lo, hi = found
    below = lo == -math.inf or (lo <= 0 and never_negative(node.x))
    if below and hi == math.inf:
        return forward(graph, node, node.x)
    plain = clipping(lo, hi)
    return plain != node.op and become(graph, node, plain, [node.x])


def bound_to_clip(graph: Graph, node: Node) -> bool:
    """min and max with a number are clips."""
    sides = constant_side(node)
    bound = number(sides[1]) if sides else None
    if sides is None or bound is None or math.isnan(bound):
        return False
    x = sides[0]
    if x.type.shape != node.output.type.shape:
        return False
    over = isinstance(node.op, ops.Max)
    return become(
        graph, node, clipping(bound, math.inf) if over else clipping(-math.inf, bound), [x]
    )


def plain_slope(graph: Graph, node: Node) -> bool:
    """prelu with one slope for all is leaky_relu, and without slope relu."""
    slope = node.operand(1)
    if not slope.is_constant or not slope.type.elements:
        return False
    alpha = float(slope.array.reshape(-1)[0])
    if not (slope.array == alpha).all():
        return False
    return become(graph, node, ops.LeakyRelu(alpha) if alpha else ops.Relu(), [node.x])


def no_slope(graph: Graph, node: Node) -> bool:
    op = node.op
    flat = isinstance(op, ops.LeakyRelu) and op.alpha == 0
    return flat and become(graph, node, ops.Relu(), [node.x])


# Functions written out


@dataclass(frozen=True, slots=True)
class Line:
    """scale * x + shift, with the nodes that compute it."""

    x: Value
    scale: float
    shift: float
    nodes: tuple[Node, ...] = ()


def line(graph: Graph, value: Value, depth: int = DEPTH) -> Line:
    """Looks through scales and shifts by numbers that nothing else uses."""
    node = only_made_by(graph, value, SCALARS) if depth else None
    found = line_at(graph, node, depth) if node else None
    return found or Line(value, 1.0, 0.0)


def line_at(graph: Graph, node: Node, depth: int = DEPTH) -> Line | None:
    sides = constant_side(node) if isinstance(node.op, SCALARS) else None
    c = number(sides[1]) if sides else None
    if sides is None or c is None or sides[0].type.shape != node.output.type.shape:
        return None
    inner = line(graph, sides[0], depth - 1)
    nodes = (*inner.nodes, node)
    if isinstance(node.op, ops.Mul):
        return Line(inner.x, inner.scale * c, inner.shift * c, nodes)
    return Line(inner.x, inner.scale, inner.shift + c, nodes)


@dataclass(frozen=True, slots=True)
class Ramp:
    """clip(scale * x + shift, lo, hi), with the nodes that compute it."""

    x: Value
    scale: float
    shift: float
    lo: float
    hi: float
    nodes: tuple[Node, ...]

    def scaled(self, scale: float, shift: float, nodes: tuple[Node, ...]) -> Ramp | None:
        """The ramp after another line; None if that turns it upside down."""
        if scale <= 0:
            return None
        ends = (self.lo * scale + shift, self.hi * scale + shift)
        slope = (self.scale * scale, self.shift * scale + shift)
        return Ramp(self.x, *slope, *ends, (*self.nodes, *nodes))

    @property
    def from_zero_to_one(self) -> bool:
        return near(self.lo, 0) and near(self.hi, 1)


def ramp(graph: Graph, value: Value) -> Ramp | None:
    node = only_made_by(graph, value, (*SCALARS, ops.Clip, ops.HardSigmoid))
    return ramp_at(graph, node) if node else None


def ramp_at(graph: Graph, node: Node) -> Ramp | None:
    match node.op:
        case ops.HardSigmoid(alpha=alpha, beta=beta):
            return Ramp(node.x, alpha, beta, 0.0, 1.0, (node,))
        case ops.Clip(lo=lo, hi=hi):
            inner = line(graph, node.x)
            nodes = (*inner.nodes, node)
            return Ramp(inner.x, inner.scale, inner.shift, lo, hi, nodes)
    outer = line_at(graph, node)
    clipped = only_made_by(graph, outer.x, (ops.Clip, ops.HardSigmoid)) if outer else None
    inner_ramp = ramp_at(graph, clipped) if clipped else None
    if outer is None or inner_ramp is None:
        return None
    return inner_ramp.scaled(outer.scale, outer.shift, outer.nodes)


def near(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def hard_sigmoid(graph: Graph, node: Node) -> bool:
    """clip(a * x + b, 0, 1), also where the clip has other bounds and is scaled afterwards."""
    found = ramp_at(graph, node)
    if found is None or not found.from_zero_to_one or len(found.nodes) < 2:
        return False
    op = ops.HardSigmoid(found.scale, found.shift)
    return become(graph, node, op, [found.x], found.nodes[:-1])


@dataclass(frozen=True, slots=True)
class Product:
    """A number times values, with the nodes that multiply them, the last one first."""

    factor: float
    values: tuple[Value, ...]
    nodes: tuple[Node, ...]


def product(graph: Graph, node: Node, depth: int = DEPTH) -> Product:
    """The factors of a mul and of those muls that it alone uses."""
    factor = 1.0
    values: list[Value] = []
    nodes = [node]
    for operand in node.operands:
        c = number(operand)
        inner = only_made_by(graph, operand, ops.Mul) if depth else None
        if c is not None:
            factor *= c
        elif inner is not None:
            part = product(graph, inner, depth - 1)
            factor *= part.factor
            values += part.values
            nodes += part.nodes
        else:
            values.append(operand)
    return Product(factor, tuple(values), tuple(nodes))


def gated(graph: Graph, node: Node) -> bool:
    """x times a function of x, in any order and with numbers anywhere: hard_swish and gelu."""
    factors = product(graph, node)
    if len(factors.values) != 2 or factors.factor <= 0:
        return False
    first, second = factors.values
    for x, gate in ((first, second), (second, first)):
        if x.type.shape != node.output.type.shape:
            continue
        found = hard_swish_gate(graph, x, gate, factors.factor)
        op: ops.Op = ops.HardSwish()
        if found is None:
            found, op = gelu_gate(graph, x, gate, factors.factor), ops.Gelu()
        if found is not None:
            return become(graph, node, op, [x], [*found, *factors.nodes[:0:-1]])
    return False


def hard_swish_gate(graph: Graph, x: Value, gate: Value, factor: float) -> tuple[Node, ...] | None:
    """Nodes that make the gate, if factor * gate is clip(x / 6 + 0.5, 0, 1)."""
    found = ramp(graph, gate)
    found = found.scaled(factor, 0.0, ()) if found else None
    if found is None or found.x is not x or not found.from_zero_to_one:
        return None
    good = near(found.scale, 1 / 6) and near(found.shift, 0.5)
    return found.nodes if good else None


def gelu_gate(graph: Graph, x: Value, gate: Value, factor: float) -> tuple[Node, ...] | None:
    """Nodes that make the gate, if factor * gate is (1 + erf(x / sqrt(2))) / 2."""
    outer = line(graph, gate)
    erf = only_made_by(graph, outer.x, ops.Erf)
    if erf is None or not (near(outer.scale * factor, 0.5) and near(outer.shift * factor, 0.5)):
        return None
    inner = line(graph, erf.x)
    good = inner.x is x and near(inner.scale, math.sqrt(0.5)) and near(inner.shift, 0)
    return (*inner.nodes, erf, *outer.nodes) if good else None


FUNCTIONS: dict[type[ops.Op], tuple[Rewrite, ...]] = {
    ops.Relu: (needless_clip, clip_of_clip),
    ops.Clip: (needless_clip, clip_of_clip, hard_sigmoid),
    ops.Min: (bound_to_clip,),
    ops.Max: (bound_to_clip,),
    ops.PRelu: (plain_slope,),
    ops.LeakyRelu: (no_slope,),
    ops.Mul: (gated, hard_sigmoid),
    ops.Add: (hard_sigmoid,),
}
