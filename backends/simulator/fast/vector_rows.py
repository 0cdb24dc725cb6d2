"""Vec instructions as rows for the kernels: which loop computes each, on what, with which numbers.

Left to numpy (`BY_NUMPY`), one call for an instruction and all lanes of a group, is what needs
numpy's own bits: exp, tanh and log, of which libraries differ in the last bit (sigmoid, tanh, exp,
softmax, log-softmax, gelu in its tanh form); float products, whose order of sums is the BLAS's; and
floats to integers without saturation, where C leaves open what becomes of those that don't fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nmc.backends.simulator.fast.layout import State
from nmc.backends.simulator.functions import Operands, apply
from nmc.ir import program as p
from nmc.ir.graph import DTYPES, Array

__all__ = ["Numbers", "VectorRows", "vector_rows"]

Numbers = npt.NDArray[np.float64]

# a row
V_HOW = 0  # which loop
V_KIND = 1  # what it does to an element
V_A = 2  # element types of a, b and dst
V_B = 3
V_DST = 4
V_COUNT = 5  # elements of a
V_LAST = 6  # of its last dimension
V_OUT = 7  # elements of dst
V_SECOND = 8  # elements of b; 0 if an immediate takes its place
V_INNER = 9  # matmul: what is summed over
V_WIDTH = 10

U8, I8, I32, F32 = range(4)
TYPES = {"u8": U8, "i8": I8, "i32": I32, "f32": F32}

# how
BY_NUMPY, MOVE, FILL, LUT, INTEGERS, FLOATS, ONE_FLOAT = range(7)
REQUANT, DEQUANT, RECORDS, QUANT, CAST, FOLD, FOLD_FLOATS, LAYERNORM, MATMUL = range(7, 16)

# kinds
ADD, SUB, MUL, DIV, MIN, MAX, PRELU, RELU, CLIP, ABS, NEG, SIGN = range(12)
LEAKY, HARD_SIGMOID, HARD_SWISH, SQRT, RSQRT, ERF, GELU = range(12, 19)
SUM, HIGHEST, AVERAGE = range(19, 22)

BINARY = {
    "add": ADD,
    "sub": SUB,
    "mul": MUL,
    "div": DIV,
    "min": MIN,
    "max": MAX,
    "prelu": PRELU,
}
UNARY = {"relu": RELU, "clip": CLIP, "abs": ABS, "neg": NEG, "sign": SIGN}
UNARY_FLOAT = UNARY | {
    "leaky-relu": LEAKY,
    "hard-sigmoid": HARD_SIGMOID,
    "hard-swish": HARD_SWISH,
    "sqrt": SQRT,
    "rsqrt": RSQRT,
    "erf": ERF,
    "gelu": GELU,
}
FOLDS = {
    "reduce.sum": SUM,
    "reduce.max": HIGHEST,
    "pool.max": HIGHEST,
    "reduce.mean": AVERAGE,
    "pool.avg": AVERAGE,
}
OTHERS = {
    "copy": MOVE,
    "fill": FILL,
    "lut": LUT,
    "requant": REQUANT,
    "quant": QUANT,
    "cast": CAST,
    "layernorm": LAYERNORM,
    "matmul": MATMUL,
}

SMALL = 1 << 15
"""Zero points below this, and sums of so many bytes squared, are exact in int32."""


@dataclass(frozen=True, slots=True)
class VectorRows:
    """By number of the instruction: rows, and their immediates.  `most_bytes` is that of the
    largest operand, in four bytes an element."""

    rows: State
    numbers: Numbers
    most_bytes: int


def vector_rows(instructions: list[p.Instruction]) -> VectorRows:
    rows = np.zeros((len(instructions), V_WIDTH), np.int64)
    numbers = np.zeros((len(instructions), 3))
    most = 256
    for number, instruction in enumerate(instructions):
        if isinstance(instruction, p.Vec):
            row, immediates = vector_row(instruction)
            rows[number] = row
            numbers[number, : len(immediates)] = immediates
            most = max(most, *row[V_COUNT : V_SECOND + 1])
    return VectorRows(rows, numbers, 8 * most)


def vector_row(vec: p.Vec) -> tuple[list[int], tuple[float, ...]]:
    """The row of an instruction, and its immediates as the loop takes them."""
    row = [0] * V_WIDTH
    row[V_DST], row[V_OUT] = TYPES[vec.dst.dtype], vec.dst.elements
    if vec.a is not None:
        row[V_A], row[V_COUNT] = TYPES[vec.a.dtype], vec.a.elements
        row[V_LAST] = vec.a.dims[-1].count if vec.a.dims else 1
    if vec.b is not None:
        row[V_B], row[V_SECOND] = TYPES[vec.b.dtype], vec.b.elements
    row[V_HOW], row[V_KIND] = way(vec)
    if row[V_HOW] == MATMUL and vec.a is not None and vec.b is not None:
        row[V_INNER] = vec.a.dims[-1].count
        row[V_LAST] = vec.b.dims[-1].count
    return row, immediates_of(vec, row[V_HOW])


def way(vec: p.Vec) -> tuple[int, int]:
    """How it is computed, and of what kind."""
    floats = vec.a is not None and vec.a.dtype == "f32"
    if not suits(vec, floats):
        return BY_NUMPY, 0
    if vec.op in BINARY:
        return (FLOATS if floats else INTEGERS), BINARY[vec.op]
    if vec.op in UNARY_FLOAT:
        return (ONE_FLOAT if floats else INTEGERS), UNARY_FLOAT[vec.op]
    if vec.op in FOLDS:
        return (FOLD_FLOATS if floats else FOLD), FOLDS[vec.op]
    if vec.op == "dequant":
        return (DEQUANT if vec.b is None else RECORDS), 0
    if vec.op == "cast" and floats:
        return MOVE, 0
    return OTHERS.get(vec.op, BY_NUMPY), 0


def suits(vec: p.Vec, floats: bool) -> bool:
    """Whether the loops give numpy's bytes."""
    match vec.op:
        case "gelu":
            return not (vec.imm and vec.imm[0] == 1)
        case "cast":
            return not floats or vec.dst.dtype == "f32"
        case "matmul":
            return not floats
        case "layernorm":
            return vec.a is not None and bool(vec.a.dims)
        case "dequant" if vec.b is None:
            return abs(vec.imm[1]) < SMALL
        case "quant":
            return abs(vec.imm[1]) < SMALL
        case "pool.avg" if vec.a is not None and not floats:
            return abs(vec.imm[1]) < SMALL and vec.a.elements < SMALL
        case _:
            return True


def immediates_of(vec: p.Vec, how: int) -> tuple[float, ...]:
    """Rounded and cut to the types in which numpy takes them."""
    if how == INTEGERS and vec.op == "clip" and vec.a is not None:
        return clip_bounds(DTYPES[vec.a.dtype], vec.imm)
    if how in (INTEGERS, FLOATS) and vec.a is not None and vec.imm:
        return (float(np.asarray(vec.imm[0], DTYPES[vec.a.dtype])),)
    if how == FOLD_FLOATS and vec.op != "pool.avg" and vec.a is not None:
        return (vec.a.elements / vec.dst.elements if vec.op == "reduce.mean" else 1.0,)
    if how == FILL:
        bits = np.asarray(vec.imm[0]).astype(DTYPES[vec.dst.dtype]).reshape(1).view(np.uint8)
        return (float(int.from_bytes(bits.tobytes(), "little")),)
    return vec.imm


def clip_bounds(dtype: np.dtype[Any], imm: tuple[float, ...]) -> tuple[float, float]:
    """The bounds in integers: what becomes of the least and of the greatest."""
    info = np.iinfo(dtype)
    ends: Array = np.asarray([[info.min, info.max]], dtype)
    low, high = apply("clip", Operands(ends, None, imm, dtype, (2,), 1))[0]
    return float(low), float(high)
