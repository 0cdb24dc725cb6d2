"""What each vec operation takes: operands, element types, immediates, and how sizes relate.

One table, for the static check and for docs/machine.md; what the operations compute is in
`nmc.backends.simulator.functions`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from nmc.ir.program import VEC_OPS, Desc, Vec

__all__ = ["MACHINE_TYPES", "RULES", "VecRule", "vec_problems"]

MACHINE_TYPES = ("u8", "i8", "i32", "f32")

Second = Literal["none", "required", "or-immediate", "optional", "records", "table"]
Shape = Literal["each", "reduce", "matmul", "fill"]


@dataclass(frozen=True, slots=True)
class VecRule:
    """One way to use an operation.

    `types` pairs element types of a and dst that go together.  `second` is operand b: none;
    required, of a's type; or an immediate in its place; records of 8 bytes; a table of 256 u8.
    `immediates` are least and most, where b is absent.  `shape`: dst has an element for each of
    a (each), for each of a's last dimension (reduce), a matrix product, or no a (fill).
    """

    types: tuple[tuple[str, str], ...]
    second: Second = "none"
    immediates: tuple[int, int] = (0, 0)
    shape: Shape = "each"


def same(*types: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, name) for name in types)


FLOAT = same("f32")
ARITHMETIC = (VecRule(same("f32", "i32"), "or-immediate", (1, 1)),)
ORDER = (VecRule(same(*MACHINE_TYPES), "or-immediate", (1, 1)),)
UNARY = (VecRule(FLOAT),)
SIGNED = (VecRule(same("f32", "i32")),)

RULES: dict[str, tuple[VecRule, ...]] = {
    "add": ARITHMETIC,
    "sub": ARITHMETIC,
    "mul": ARITHMETIC,
    "div": ARITHMETIC,
    "min": ORDER,
    "max": ORDER,
    "relu": SIGNED,
    "clip": (VecRule(same(*MACHINE_TYPES), immediates=(2, 2)),),
    "leaky-relu": (VecRule(FLOAT, immediates=(1, 1)),),
    "prelu": (VecRule(FLOAT, "required"),),
    "hard-sigmoid": (VecRule(FLOAT, immediates=(2, 2)),),
    "hard-swish": UNARY,
    "sigmoid": UNARY,
    "tanh": UNARY,
    "exp": UNARY,
    "erf": UNARY,
    "gelu": (VecRule(FLOAT, immediates=(0, 1)),),
    "sqrt": UNARY,
    "rsqrt": UNARY,
    "abs": SIGNED,
    "neg": SIGNED,
    "sign": SIGNED,
    "requant": (VecRule((("i32", "u8"),), "records", (3, 3)),),
    "dequant": (
        VecRule((("u8", "f32"), ("i8", "f32")), immediates=(2, 2)),
        VecRule((("i32", "f32"),), "records"),
    ),
    "quant": (VecRule((("f32", "u8"), ("f32", "i8")), immediates=(2, 2)),),
    "cast": (VecRule(tuple((a, b) for a in MACHINE_TYPES for b in MACHINE_TYPES)),),
    "reduce.sum": (
        VecRule((("u8", "i32"), ("i8", "i32"), ("i32", "i32"), ("f32", "f32")), shape="reduce"),
    ),
    "reduce.max": (VecRule(same(*MACHINE_TYPES), shape="reduce"),),
    "reduce.mean": (VecRule(FLOAT, shape="reduce"),),
    "pool.max": (VecRule(same(*MACHINE_TYPES), shape="reduce"),),
    "pool.avg": (
        VecRule(same("u8"), immediates=(3, 3), shape="reduce"),
        VecRule(FLOAT, immediates=(1, 1), shape="reduce"),
    ),
    "softmax": UNARY,
    "log-softmax": UNARY,
    "layernorm": (VecRule(FLOAT, "records", (1, 1)),),
    "copy": (VecRule(same(*MACHINE_TYPES)),),
    "fill": (VecRule(same(*MACHINE_TYPES), immediates=(1, 1), shape="fill"),),
    "lut": (VecRule(same("u8"), "table"),),
    "matmul": (
        VecRule(FLOAT, "required", shape="matmul"),
        VecRule((("u8", "i32"),), "required", (2, 2), shape="matmul"),
    ),
}
"""The ways to use each of VEC_OPS."""


def vec_problems(vec: Vec) -> Iterator[str]:
    """What is wrong with the operands of a vec; nothing if one of its rules is met."""
    rules = RULES.get(vec.op)
    if rules is None:
        yield f"there is no operation `{vec.op}`; there are: {', '.join(VEC_OPS)}"
        return
    fitting = [rule for rule in rules if types_of(vec) in typings(rule)]
    if not fitting:
        known = sorted({typing for rule in rules for typing in typings(rule)})
        spelled = " or ".join(f"{a} to {dst}" if a else dst for a, dst in known)
        yield f"element types are {' to '.join(filter(None, types_of(vec)))}; it takes {spelled}"
        return
    yield from operand_problems(vec, fitting[0])
    yield from shape_problems(vec, fitting[0])


def typings(rule: VecRule) -> tuple[tuple[str, str], ...]:
    """Element types of a, empty where there is none, and dst."""
    return tuple(("", dst) for _, dst in rule.types) if rule.shape == "fill" else rule.types


def types_of(vec: Vec) -> tuple[str, str]:
    return ("" if vec.a is None else vec.a.dtype, vec.dst.dtype)


def operand_problems(vec: Vec, rule: VecRule) -> Iterator[str]:
    least, most = rule.immediates
    if rule.second == "or-immediate" and vec.b is not None:
        least = most = 0
    if not least <= len(vec.imm) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        yield f"{len(vec.imm)} immediates, it takes {wanted}"
    if rule.second == "none" and vec.b is not None:
        yield "it takes no second operand"
    if rule.second in ("required", "records", "table") and vec.b is None:
        yield "the second operand is missing"
    if vec.b is not None and vec.a is not None:
        yield from second_problems(vec.a, vec.b, rule)


def second_problems(a: Desc, b: Desc, rule: VecRule) -> Iterator[str]:
    if rule.second == "table":
        if b.dtype != "u8" or b.elements != 256:
            yield f"its table has {b.elements} elements of {b.dtype}, not 256 of u8"
        return
    if rule.second != "records" and b.dtype != a.dtype:
        yield f"the second operand is {b.dtype}, the first {a.dtype}"
    allowed = {1, last(a)} if rule.second == "records" else {1, last(a), a.elements}
    if rule.shape != "matmul" and rule.second != "none" and b.elements not in allowed:
        spelled = " or ".join(map(str, sorted(allowed)))
        yield f"the second operand has {b.elements} elements, it should have {spelled}"


def last(desc: Desc) -> int:
    return desc.dims[-1].count if desc.dims else 1


def shape_problems(vec: Vec, rule: VecRule) -> Iterator[str]:
    a, dst = vec.a, vec.dst
    if a is None or rule.shape == "fill":
        return
    if rule.shape == "matmul":
        yield from matmul_problems(a, vec.b, dst)
        return
    wanted = last(a) if rule.shape == "reduce" else a.elements
    if dst.elements != wanted:
        yield f"dst has {dst.elements} elements, it should have {wanted}"


def matmul_problems(a: Desc, b: Desc | None, dst: Desc) -> Iterator[str]:
    if b is None:
        return
    shapes = [tuple(dim.count for dim in desc.dims) for desc in (a, b, dst)]
    ranks = {len(shape) for shape in shapes}
    if len(ranks) > 1 or ranks.pop() < 2:
        yield "all operands of a product have the same number of dimensions, 2 or 3"
        return
    (*batch_a, m, k), (*batch_b, rows, n), found = shapes
    if batch_a != batch_b or k != rows or found != (*batch_a, m, n):
        yield f"{shapes[0]} times {shapes[1]} is not {shapes[2]}"
