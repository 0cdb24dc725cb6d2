"""Each vec operation of the fast engine against the reference engine: same bytes, from operands of
every type, in every layout, with the numbers that break things."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from nmc.backends.simulator.fast.vector_rows import BY_NUMPY, V_HOW, vector_row
from nmc.ir import program as p
from nmc.ir.graph import DTYPES, Array
from nmc.ir.program_check import check_references
from nmc.ir.program_vec import RULES, VecRule
from tests.backends.simulator.chips import chip, core, sram
from tests.backends.simulator.fast.programs import fast, reference

LANES = 3
A, B, DST = 0, 1536, 2560
TARGET = chip()

SPECIAL = np.array(
    [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 127.5, 128.5, 255.5, 1e-45, -1e-40, 3e38, -3e38,
     2.0**24, 2.0**31, -(2.0**31), 16777217.0, np.inf, -np.inf, np.nan],
    np.float32,
)  # fmt: skip
EXTREMES = np.array([0, 1, -1, 2**31 - 1, -(2**31), 2**24 + 1, -(2**24) - 1, 127, -128], np.int32)

SHAPES = ((40,), (5, 8), (2, 4, 6), (3, 1), (33,), (1, 1, 16))

IMMEDIATES: dict[str, tuple[tuple[float, ...], ...]] = {
    "clip": ((-3.7, 100.2), (0.0, 6.0), (-1e9, 1e9)),
    "leaky-relu": ((0.1,),),
    "hard-sigmoid": ((0.2, 0.5),),
    "gelu": ((), (1.0,)),
    "requant": ((3.0, 0.0, 255.0), (128.0, 128.0, 200.0)),
    "dequant": ((0.0173, 12.0), (3.0, -128.0)),
    "quant": ((0.0173, 12.0), (0.5, -3.0)),
    "layernorm": ((1e-5,),),
    "fill": ((9.0,), (-7.0,)),
}
BY_TYPE: dict[tuple[str, str], tuple[tuple[float, ...], ...]] = {
    ("pool.avg", "u8"): ((0.013, 7.0, 3.0),),
    ("pool.avg", "f32"): ((6.0,),),
    ("matmul", "u8"): ((5.0, 128.0),),
}
SECOND = {
    "u8": (3.0, 100.0, 0.0),
    "i8": (3.0, -7.0, 0.0),
    "i32": (3.0, -7.0, 0.0),
    "f32": (0.1, -7.0, 0.0),
}
"""In the place of operand b."""


def ways(op: str) -> list[tuple[VecRule, str, str]]:
    return [(rule, a, dst) for rule in RULES[op] for a, dst in rule.types]


CASES = [(op, rule, a, dst) for op in RULES for rule, a, dst in ways(op)]


def values(dtype: str, count: int, rng: np.random.Generator) -> Array:
    """Numbers of all sizes, and the special ones."""
    picked: Array
    special: Array
    if dtype == "f32":
        wide = rng.normal(size=count) * 10.0 ** rng.integers(-3, 8, count)
        picked, special = wide.astype(np.float32), SPECIAL
    elif dtype == "i32":
        picked = rng.integers(-(10**6), 10**6, count).astype(np.int32) >> rng.integers(0, 18, count)
        special = EXTREMES
    else:
        info = np.iinfo(DTYPES[dtype])
        return rng.integers(info.min, info.max + 1, count).astype(DTYPES[dtype])
    chosen = rng.random(count) < 0.3
    return np.where(chosen, rng.choice(special, count), picked).astype(DTYPES[dtype])


def records(op: str, count: int, rng: np.random.Generator) -> Array:
    first = values("f32" if op == "layernorm" else "i32", count, rng)
    second = (rng.normal(size=count) * 10.0 ** rng.integers(-6, 1, count)).astype(np.float32)
    if op != "layernorm" and count > 2:
        second[:3] = np.inf, np.nan, -0.0
    return np.stack([first.view(np.int32), second.view(np.int32)], axis=1)


def desc(dtype: str, base: int, shape: tuple[int, ...], layout: str, size: int = 0) -> p.Desc:
    """Dense, with gaps, or dense in a ring that it does not begin in."""
    item = size or DTYPES[dtype].itemsize
    gap = 2 if layout == "gaps" else 1
    steps = [item * gap * int(np.prod(shape[n + 1 :])) for n in range(len(shape))]
    dims = list(zip(shape, steps, strict=True))
    if layout != "ring":
        return sram(dtype, base, *dims)
    count = int(np.prod(shape))
    return sram(dtype, base, *dims, ring=item * (count + 1), offset=item * (count // 2))


def second_of(op: str, rule: VecRule, a: p.Desc, layout: str, which: int) -> p.Desc | None:
    """Operand b: one element, one for each of the last dimension, or one for each."""
    last = a.dims[-1].count
    dims = tuple(dim.count for dim in a.dims)
    if rule.shape == "matmul":
        return desc(a.dtype, B, (*dims[:-2], last, 3), layout)
    shape = (dims, (last,), (1,))[which % 3]
    match rule.second:
        case "table":
            return desc("u8", B, (256,), "dense")
        case "records":
            return desc("i32", B, ((last,), (1,))[which % 2], "dense", 8)
        case "required" | "or-immediate":
            return desc(a.dtype, B, shape, layout)
        case _:
            return None


def vecs(op: str, rule: VecRule, of: str, to: str) -> list[p.Vec]:
    """The operation in all layouts of its operands."""
    given = BY_TYPE.get((op, of)) or IMMEDIATES.get(op)
    found: list[p.Vec] = []
    for (n, shape), layout in product(enumerate(SHAPES), ("dense", "gaps", "ring")):
        if rule.shape == "matmul" and len(shape) < 2:
            continue
        a = desc(of, A, shape, layout)
        out = {"reduce": shape[-1:], "matmul": (*shape[:-1], 3)}.get(rule.shape, shape)
        dst = desc(to, DST, out, ("dense", "ring", "gaps")[n % 3])
        first = None if rule.shape == "fill" else a
        b = second_of(op, rule, a, layout, n)
        choices = given or ((),)
        imm = choices[n % len(choices)]
        if b is not None and rule.second != "records" and rule.shape != "matmul":
            imm = ()
        if op == "dequant" and b is not None:
            imm = ()
        found.append(p.Vec(op, dst, first, b, imm))
        if rule.second == "or-immediate":
            found.append(p.Vec(op, dst, first, None, (SECOND[of][n % 3],)))
    return found


def assert_same(vec: p.Vec, rng: np.random.Generator) -> None:
    images: dict[int, Array] = {DST: values("u8", 1024, rng)}
    if vec.a is not None:
        images[A] = values(vec.a.dtype, 1024 // DTYPES[vec.a.dtype].itemsize, rng)
    if vec.b is not None:
        size = DTYPES[vec.b.dtype].itemsize
        special = vec.op in ("requant", "layernorm") or (vec.op == "dequant")
        images[B] = records(vec.op, 64, rng) if special else values(vec.b.dtype, 1024 // size, rng)
    program = p.Program("one", (core([vec], images=images),))
    assert not check_references(program, TARGET)
    (mine, *_), (theirs, *_) = (run(program, TARGET, LANES).memories for run in (fast, reference))
    kind = np.float32 if vec.dst.dtype == "f32" else np.uint8
    # Not a number is one thing, whatever its other bits: they tell which of two came first.
    got, wanted = (np.frombuffer(memory, np.uint8).reshape(LANES, -1) for memory in (mine, theirs))
    both_nan = np.zeros(got.shape, np.bool_)
    if kind is np.float32:
        nan = np.isnan(got.view(np.float32)) & np.isnan(wanted.view(np.float32))
        both_nan = np.repeat(nan, 4, axis=1)
    assert ((got == wanted) | both_nan).all(), vec


@pytest.mark.parametrize(
    ("op", "rule", "of", "to"), CASES, ids=[f"{op}-{a}-{to}" for op, _, a, to in CASES]
)
def test_same_bytes_as_the_reference_engine(op: str, rule: VecRule, of: str, to: str) -> None:
    for seed, vec in enumerate(vecs(op, rule, of, to)):
        assert_same(vec, np.random.default_rng(seed))


def test_what_is_left_to_numpy() -> None:
    left = {
        (op, of, to)
        for op, rule, of, to in CASES
        for vec in vecs(op, rule, of, to)
        if vector_row(vec)[0][V_HOW] == BY_NUMPY
    }
    floats = {"sigmoid", "tanh", "exp", "gelu", "softmax", "log-softmax", "matmul"}
    casts = {("cast", "f32", to) for to in ("u8", "i8", "i32")}
    assert left == {(op, "f32", "f32") for op in floats} | casts
