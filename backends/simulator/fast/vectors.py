"""The vector unit's operations: loops over dense elements in the arithmetic of `nmc.ir.numerics`.

Bytes and words are computed in int32, which wraps; functions of one float in float64, rounded once.
Nothing is contracted or reassociated.  Of zeros that differ in sign the second is the greater and
the lesser one, as numpy has it.  What is left to numpy, and why: `vector_rows`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nmc.backends.simulator.fast import vector_rows as v
from nmc.backends.simulator.fast.jit import copy_bytes, inlined
from nmc.backends.simulator.fast.layout import State
from nmc.backends.simulator.fast.vector_rows import Numbers

__all__ = ["Place", "Scratch", "compute", "place_in", "scratch"]

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]

ROOT_2 = math.sqrt(2)


class Place(NamedTuple):
    """The same memory as bytes, int32 and float32: [lanes, ...]."""

    bytes: Bytes
    words: Words
    floats: Floats


def place_in(memory: Bytes) -> Place:
    """`memory` is u8[lanes, bytes], a multiple of 4 of them."""
    return Place(memory, memory.view(np.int32), memory.view(np.float32))


class Scratch(NamedTuple):
    """Operands of a vec, dense, for each lane of a block; and, for one lane, words: bytes made
    wide, second operands spread out, results before they are cut."""

    a: Place
    b: Place
    x: Words
    y: Words
    y_floats: Floats
    out: Words


def scratch(lanes: int, nbytes: int) -> Scratch:
    """Room for operands of `nbytes`, a multiple of 8, in each of `lanes`."""
    a, b = (place_in(np.zeros((lanes, nbytes), np.uint8)) for _ in range(2))
    x, y, out = (np.zeros(nbytes // 4, np.int32) for _ in range(3))
    return Scratch(a, b, x, y, y.view(np.float32), out)


@inlined
def compute(
    row: State, imm: Numbers, s: Scratch, lanes: int, to: Place, first: int, region: int
) -> None:
    """The result of a vec in some lanes, from operands in the scratch to the bytes from `region`
    on, a multiple of 4, of the lanes from `first` on."""
    how, held = row[v.V_HOW], Place(to.bytes[first:], to.words[first:], to.floats[first:])
    item = 1 if row[v.V_DST] <= v.I8 else 4
    for lane in range(lanes):
        if how == v.REQUANT or how == v.RECORDS:
            by_records(row, imm, s, lane, held, region)
        elif how >= v.INTEGERS and row[v.V_A] != v.F32:
            on_integers(row, imm, s, lane, held, region)
        elif how >= v.INTEGERS:
            on_floats(row, imm, s, lane, held, region)
        elif how == v.MOVE:
            copy_bytes(held.bytes, lane, region, s.a.bytes, lane, 0, item * row[v.V_OUT])
        elif how == v.LUT:
            for n in range(row[v.V_OUT]):
                held.bytes[lane, region + n] = s.b.bytes[lane, s.a.bytes[lane, n]]
        else:
            fill(int(imm[0]), item, held.bytes[lane, region : region + item * row[v.V_OUT]])


@inlined
def fill(bits: int, item: int, to: Bytes) -> None:
    for n in range(len(to)):
        to[n] = np.uint8((bits >> (8 * (n % item))) & 255)


# Integers


@inlined
def on_integers(row: State, imm: Numbers, s: Scratch, lane: int, to: Place, region: int) -> None:
    how, kind = row[v.V_HOW], row[v.V_KIND]
    x, y, out = s.x[: row[v.V_COUNT]], s.y[: row[v.V_SECOND]], s.out[: row[v.V_OUT]]
    widen(row[v.V_A], s.a, lane, x)
    widen(row[v.V_B], s.b, lane, y)
    if how == v.INTEGERS:
        low, high = int(imm[0]), int(imm[1])
        if row[v.V_SECOND] == 0:
            s.y[0] = low
        spread(row, s.y)
        for n in range(len(out)):
            out[n] = word_of(kind, x[n], s.y[n], low, high)
    elif how == v.FOLD:
        fold_words(kind, imm, x, out)
    elif how == v.MATMUL:
        multiply_words(row, imm, x, y, out)
    elif how == v.DEQUANT:
        zero_point, scale = np.int32(imm[1]), np.float32(imm[0])
        for n in range(len(x)):
            value = np.float32(np.int32(x[n] - zero_point)) * scale
            to.floats[lane, region // 4 + n] = value
        return
    else:
        out = x
    narrow(row[v.V_DST], out, to, lane, region)


@inlined
def widen(kind: int, of: Place, lane: int, to: Words) -> None:
    if kind == v.U8:
        for n in range(len(to)):
            to[n] = of.bytes[lane, n]
    elif kind == v.I8:
        for n in range(len(to)):
            to[n] = np.int8(of.bytes[lane, n])
    else:
        for n in range(len(to)):
            to[n] = of.words[lane, n]


@inlined
def narrow(kind: int, words: Words, to: Place, lane: int, region: int) -> None:
    if kind <= v.I8:
        for n in range(len(words)):
            to.bytes[lane, region + n] = np.uint8(words[n] & 255)
    elif kind == v.I32:
        for n in range(len(words)):
            to.words[lane, region // 4 + n] = words[n]
    else:
        for n in range(len(words)):
            to.floats[lane, region // 4 + n] = np.float32(words[n])


@inlined
def spread(row: State, y: Words) -> None:
    """Make one element for each of a from one for all, or one for each of its last dimension."""
    second = max(row[v.V_SECOND], 1)
    back = 1 if second == 1 else row[v.V_LAST]
    for n in range(second, row[v.V_COUNT]):
        y[n] = y[n - back]


@inlined
def word_of(kind: int, a: int, b: int, low: int, high: int) -> int:
    """What an operation makes of one or two elements, cut to int32 by the caller."""
    if kind == v.ADD:
        return a + b
    if kind == v.SUB:
        return a - b
    if kind == v.MUL:
        return a * b
    if kind == v.MIN:
        return min(a, b)
    if kind == v.MAX:
        return max(a, b)
    if kind == v.RELU:
        return max(a, 0)
    if kind == v.CLIP:
        return min(max(a, low), high)
    return sign_or_quotient(kind, a, b)


@inlined
def sign_or_quotient(kind: int, a: int, b: int) -> int:
    """A quotient is that of `nmc.ir.kernels.divide`, of what leaves int32, too; by zero it is 0."""
    if kind == v.ABS:
        return abs(a)
    if kind == v.NEG:
        return -a
    if kind == v.SIGN:
        return (a > 0) - (a < 0)
    if b == 0:
        return 0
    q = int(np.int32(abs(a))) // int(np.int32(abs(b)))
    return -q if (a < 0) != (b < 0) else q


@inlined
def fold_words(kind: int, imm: Numbers, x: Words, out: Words) -> None:
    """Over all dimensions but the last."""
    last = len(out)
    for n in range(last):
        out[n] = x[n]
    for first in range(last, len(x), last):
        for n in range(last):
            if kind == v.HIGHEST:
                out[n] = max(out[n], x[first + n])
            else:
                out[n] += x[first + n]
    if kind == v.AVERAGE:
        centre = np.int32(imm[1]) * (len(x) // last)
        multiplier, zero_point = np.float32(imm[0]), np.float32(imm[2])
        for n in range(last):
            value = np.rint(np.float32(np.int32(out[n] - centre)) * multiplier) + zero_point
            out[n] = saturated(value, np.float32(0), np.float32(255))


@inlined
def saturated(value: Any, low: Any, high: Any) -> Any:
    """As `numerics.saturate`: not a number becomes `low`."""
    if not value > low:
        value = low
    if not value < high:
        value = high
    return np.int32(value)


@inlined
def multiply_words(row: State, imm: Numbers, x: Words, y: Words, out: Words) -> None:
    """[.., m, k] times [.., k, n]."""
    inner, last = row[v.V_INNER], row[v.V_LAST]
    zero_x, zero_y = np.int32(imm[0]), np.int32(imm[1])
    for n in range(len(y)):
        y[n] -= zero_y
    rows = len(x) // inner
    per = rows // (len(y) // (inner * last))
    for r in range(rows):
        to = out[r * last : (r + 1) * last]
        for n in range(last):
            to[n] = 0
        for i in range(inner):
            value = np.int32(x[r * inner + i] - zero_x)
            first = (r // per * inner + i) * last
            for n in range(last):
                to[n] += value * y[first + n]


# Records


@inlined
def by_records(row: State, imm: Numbers, s: Scratch, lane: int, to: Place, region: int) -> None:
    """Accumulators with bias and multiplier, one for each of the last dimension or for all."""
    last, count = row[v.V_LAST], row[v.V_COUNT]
    step = 0 if row[v.V_SECOND] == 1 else 2
    bias, multiplier = s.x[:last], s.y_floats[:last]
    for n in range(last):
        bias[n] = s.b.words[lane, step * n]
        multiplier[n] = s.b.floats[lane, step * n + 1]
    zero_point, low, high = np.float32(imm[0]), np.float32(imm[1]), np.float32(imm[2])
    for first in range(0, count, last):
        x = s.a.words[lane, first : first + last]
        if row[v.V_HOW] == v.REQUANT:
            codes = to.bytes[lane, region + first : region + first + last]
            for n in range(last):
                value = np.float32(np.int32(x[n] + bias[n])) * multiplier[n]
                code = saturated(np.rint(value) + zero_point, low, high)
                codes[n] = np.uint8(code & 255)
        else:
            floats = to.floats[lane, region // 4 + first : region // 4 + first + last]
            for n in range(last):
                floats[n] = np.float32(np.int32(x[n] + bias[n])) * multiplier[n]


# Floats


@inlined
def on_floats(row: State, imm: Numbers, s: Scratch, lane: int, to: Place, region: int) -> None:
    how, count = row[v.V_HOW], row[v.V_COUNT]
    x = s.a.floats[lane, :count]
    if how == v.QUANT:
        quantize(row[v.V_DST], imm, x, to.bytes[lane, region : region + count])
        return
    out = to.floats[lane, region // 4 : region // 4 + row[v.V_OUT]]
    if how == v.FLOATS:
        widen(v.I32, s.b, lane, s.y[: row[v.V_SECOND]])  # their bits
        if row[v.V_SECOND] == 0:
            s.y_floats[0] = imm[0]
        spread(row, s.y)
        kind = row[v.V_KIND]
        for n in range(count):
            out[n] = float_of(kind, x[n], s.y_floats[n])
    elif how == v.ONE_FLOAT:
        kind, low, high = row[v.V_KIND], imm[0], imm[1]
        for n in range(count):
            out[n] = np.float32(curve_of(kind, np.float64(x[n]), low, high))
    elif how == v.FOLD_FLOATS:
        fold_floats(row[v.V_KIND], imm[0], x, out)
    elif how == v.LAYERNORM:
        step = 0 if row[v.V_SECOND] == 1 else 2
        for first in range(0, count, row[v.V_LAST]):
            after = first + row[v.V_LAST]
            normalize(x[first:after], imm[0], s.b.floats[lane], step, out[first:after])


@inlined
def quantize(kind: int, imm: Numbers, x: Floats, out: Bytes) -> None:
    scale, zero_point = np.float32(imm[0]), np.float32(imm[1])
    low = np.float32(0) if kind == v.U8 else np.float32(-128)
    high = low + np.float32(255)
    for n in range(len(out)):
        # The sum is exact where it matters: past 2^24 the bounds decide.
        code = saturated(np.rint(x[n] / scale) + zero_point, low, high)
        out[n] = np.uint8(code & 255)


@inlined
def float_of(kind: int, a: Any, b: Any) -> Any:
    """What an operation makes of two float32."""
    if kind == v.ADD:
        return a + b
    if kind == v.SUB:
        return a - b
    if kind == v.MUL:
        return a * b
    if kind == v.DIV:
        return a / b
    if kind == v.MIN:
        return lesser(a, b)
    if kind == v.MAX:
        return greater(a, b)
    return a if a >= 0 else a * b


@inlined
def lesser(a: Any, b: Any) -> Any:
    return a if a < b or a != a else b


@inlined
def greater(a: Any, b: Any) -> Any:
    return a if a > b or a != a else b


@inlined
def within(x: Any, low: float, high: float) -> Any:
    return lesser(greater(x, low), high)


@inlined
def curve_of(kind: int, x: float, p: float, q: float) -> float:
    """What an operation with immediates p and q makes of a float64."""
    if kind == v.RELU:
        return greater(x, 0.0)
    if kind == v.CLIP:
        return within(x, p, q)
    if kind == v.ABS:
        return abs(x)
    if kind == v.NEG:
        return -x
    if kind == v.SIGN:
        # Not a number stays; of zeros the sign goes.
        return 1.0 if x > 0 else -1.0 if x < 0 else x + 0.0
    if kind == v.LEAKY:
        return x if x >= 0 else p * x
    return bent(kind, x, p, q)


@inlined
def bent(kind: int, x: float, p: float, q: float) -> float:
    if kind == v.HARD_SIGMOID:
        return within(p * x + q, 0.0, 1.0)
    if kind == v.HARD_SWISH:
        return x * within(1 / 6 * x + 0.5, 0.0, 1.0)
    if kind == v.SQRT:
        return math.sqrt(x)
    if kind == v.RSQRT:
        return 1 / math.sqrt(x)
    if kind == v.ERF:
        return math.erf(x)
    return 0.5 * x * (1 + math.erf(x / ROOT_2))


@inlined
def fold_floats(kind: int, divisor: float, x: Floats, out: Floats) -> None:
    """Over all dimensions but the last; sums in order, in float64."""
    last = len(out)
    for n in range(last):
        if kind == v.HIGHEST:
            value = x[n]
            for i in range(n + last, len(x), last):
                value = greater(value, x[i])
            out[n] = value
        else:
            total = np.float64(x[n])
            for i in range(n + last, len(x), last):
                total += np.float64(x[i])
            out[n] = np.float32(total / divisor)


@inlined
def normalize(x: Floats, epsilon: float, records: Floats, step: int, out: Floats) -> None:
    """layernorm of one row, sums in order."""
    mean = np.float64(x[0])
    for n in range(1, len(x)):
        mean += np.float64(x[n])
    mean /= len(x)
    variance = (np.float64(x[0]) - mean) * (np.float64(x[0]) - mean)
    for n in range(1, len(x)):
        centred = np.float64(x[n]) - mean
        variance += centred * centred
    size = np.sqrt(variance / len(x) + epsilon)
    for n in range(len(x)):
        scale, shift = np.float64(records[step * n]), np.float64(records[step * n + 1])
        out[n] = np.float32((np.float64(x[n]) - mean) / size * scale + shift)
