"""What vec operations compute, from bytes to bytes, with operands of every shape they take."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nmc.backends.simulator.functions import FUNCTIONS
from nmc.backends.simulator.machine import Machine
from nmc.ir import program as p
from nmc.ir.graph import DTYPES, Array
from nmc.ir.program_vec import RULES
from tests.backends.simulator.chips import chip, core, sram, vector

DST, A, B = 2048, 0, 1024


def result(
    op: str,
    a: Array | None,
    b: Array | None = None,
    imm: tuple[float, ...] = (),
    *,
    dtype: str = "f32",
    count: int | None = None,
    records: bool = False,
) -> Array:
    """Run one vec on dense operands of the arrays' own shapes; its result, flat."""
    size = a.size if count is None and a is not None else (count or 1)
    first = None if a is None else dense(a, A)
    second = None
    if b is not None:
        second = sram("i32", B, (len(b), 8)) if records else dense(b, B)
    vec = p.Vec(op, vector(dtype, DST, size), first, second, imm)
    images = {at: data for at, data in ((A, a), (B, b)) if data is not None}
    machine = Machine(p.Program("t", (core([vec], images=images),)), chip(), 1, 1)
    machine.run(1000)
    kind = DTYPES[dtype]
    return machine.cores[0].memory.data[0, DST : DST + size * kind.itemsize].view(kind)


def dense(array: Array, base: int) -> p.Desc:
    name = next(name for name, dtype in DTYPES.items() if dtype == array.dtype)
    dims = [(n, s) for n, s in zip(array.shape, array.strides, strict=True)]
    return sram(name, base, *dims)


def floats(*values: float) -> Array:
    return np.asarray(values, np.float32)


def ints(*values: int) -> Array:
    return np.asarray(values, np.int32)


def table(*rows: tuple[int, float]) -> Array:
    """Records of an int32 and a float32."""
    return np.array([*rows], np.dtype([("i", "<i4"), ("f", "<f4")]))


X = floats(-2.5, -0.5, 0.0, 0.3, 4.0)


def test_each_operation_has_a_function_and_a_rule() -> None:
    assert tuple(FUNCTIONS) == tuple(RULES) == p.VEC_OPS


@pytest.mark.parametrize(
    ("op", "imm", "expected"),
    [
        ("relu", (), lambda x: max(x, 0)),
        ("clip", (-1.0, 2.0), lambda x: min(max(x, -1), 2)),
        ("leaky-relu", (0.1,), lambda x: x if x >= 0 else 0.1 * x),
        ("hard-sigmoid", (0.2, 0.5), lambda x: min(max(0.2 * x + 0.5, 0), 1)),
        ("hard-swish", (), lambda x: x * min(max(x / 6 + 0.5, 0), 1)),
        ("sigmoid", (), lambda x: 1 / (1 + math.exp(-x))),
        ("tanh", (), math.tanh),
        ("exp", (), math.exp),
        ("erf", (), math.erf),
        ("gelu", (), lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2)))),
        (
            "gelu",
            (1.0,),
            lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
        ),
        ("abs", (), abs),
        ("neg", (), lambda x: -x),
        ("sign", (), lambda x: (x > 0) - (x < 0)),
    ],
)
def test_functions_of_one_operand(op: str, imm: tuple[float, ...], expected: object) -> None:
    assert callable(expected)
    wanted = np.asarray([expected(float(x)) for x in X], np.float32)
    np.testing.assert_array_max_ulp(result(op, X, imm=imm), wanted, maxulp=1)


def test_roots() -> None:
    x = floats(0.25, 2.0, 9.0)
    assert result("sqrt", x).tolist() == [0.5, np.sqrt(np.float32(2)), 3.0]
    np.testing.assert_array_max_ulp(
        result("rsqrt", x), 1 / np.sqrt(x.astype(float)).astype("f4"), 1
    )


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("add", [1, 9, -3]),
        ("sub", [-5, 5, -11]),
        ("mul", [-6, 14, -28]),
        ("div", [0, 3, -1]),
        ("min", [-2, 2, -7]),
        ("max", [3, 7, 4]),
    ],
)
def test_arithmetic_on_integers(op: str, expected: list[int]) -> None:
    a, b = ints(-2, 7, -7), ints(3, 2, 4)
    assert result(op, a, b, dtype="i32").tolist() == expected


def test_arithmetic_on_floats() -> None:
    assert result("div", X, floats(2, 2, 2, 3, 8)).tolist() == (X / floats(2, 2, 2, 3, 8)).tolist()
    assert result("mul", X, imm=(0.1,)).tolist() == (X * np.float32(0.1)).tolist()


def test_the_second_operand_is_repeated() -> None:
    """Of one element: for all; of as many as the last dimension: for each row."""
    a = ints(1, 2, 3, 4, 5, 6).reshape(2, 3)
    assert result("add", a, ints(10, 20, 30), dtype="i32").tolist() == [11, 22, 33, 14, 25, 36]
    assert result("add", a, ints(7), dtype="i32").tolist() == [8, 9, 10, 11, 12, 13]


def test_prelu() -> None:
    a = floats(-1, 2, -3, 4).reshape(2, 2)
    assert result("prelu", a, floats(0.5, 0.25)).tolist() == [-0.5, 2, -1.5, 4]


def test_requant() -> None:
    """(acc + bias) * M rounds half to even, then the zero point, then the bounds."""
    acc = ints(5, 7, -9, 1000).reshape(2, 2)
    records = table((0, 0.5), (1, 0.25))
    # 2.5 -> 2, 8 / 4 = 2; -4.5 -> -4, 1001 / 4 = 250.25 -> 250
    got = result("requant", acc, records, (10, 0, 200), dtype="u8", records=True)
    assert got.tolist() == [12, 12, 6, 200]


def test_dequant() -> None:
    assert result("dequant", np.asarray([0, 130], "u1"), imm=(0.5, 128.0)).tolist() == [-64, 1]
    got = result("dequant", ints(5, 7), table((1, 0.5), (-1, 2.0)), records=True)
    assert got.tolist() == [3, 12]


def test_quant() -> None:
    got = result("quant", floats(-9, 0.25, 0.75, 900), imm=(0.5, 3.0), dtype="u8")
    assert got.tolist() == [0, 3, 5, 255]
    assert result("quant", floats(-900, 1), imm=(1.0, 0.0), dtype="i8").tolist() == [-128, 1]


def test_cast() -> None:
    assert result("cast", floats(1.9, -1.9), dtype="i32").tolist() == [1, -1]
    assert result("cast", np.asarray([200], "u1"), dtype="f32").tolist() == [200]


CUBE = (np.arange(24).reshape(2, 3, 4) * 11 % 256).astype(np.uint8)


def test_reductions_keep_the_last_dimension() -> None:
    assert np.array_equal(result("reduce.sum", CUBE, dtype="i32", count=4), CUBE.sum((0, 1)))
    assert np.array_equal(result("reduce.max", CUBE, dtype="u8", count=4), CUBE.max((0, 1)))
    assert np.array_equal(result("pool.max", CUBE, dtype="u8", count=4), CUBE.max((0, 1)))
    real = CUBE.astype(np.float32)
    assert np.array_equal(result("reduce.sum", real, count=4), real.sum((0, 1)))
    assert np.array_equal(
        result("reduce.mean", real, count=4), real.mean((0, 1), dtype=np.float64).astype("f4")
    )


def test_average_of_stored_integers() -> None:
    """clip(rint((sum - count * zx) * M) + zy)."""
    x = np.asarray([[10, 250], [13, 255]], np.uint8)
    got = result("pool.avg", x, imm=(0.5, 10.0, 100.0), dtype="u8", count=2)
    # 3 * 0.5 = 1.5 -> 2; 485 * 0.5 = 242.5 -> 242, + 100 is over 255
    assert got.tolist() == [102, 255]
    assert result("pool.avg", x.astype("f4"), imm=(4.0,), count=2).tolist() == [23 / 4, 505 / 4]


def test_softmax_goes_along_the_last_dimension() -> None:
    x = floats(1, 2, 3, 4).reshape(2, 2)
    odds = 1 / (1 + math.exp(-1))
    np.testing.assert_allclose(result("softmax", x), [1 - odds, odds] * 2, rtol=1e-6)
    np.testing.assert_allclose(np.exp(result("log-softmax", x)), [1 - odds, odds] * 2, rtol=1e-6)


def test_layernorm() -> None:
    x = floats(1, 3, 2, 2).reshape(2, 2)
    records = np.asarray([(2.0, 1.0), (3.0, 0.0)], np.dtype([("s", "<f4"), ("h", "<f4")]))
    got = result("layernorm", x, records, (0.0625,), records=True)
    unit = 1 / math.sqrt(1 + 0.0625)
    np.testing.assert_allclose(got, [1 - 2 * unit, 3 * unit, 1, 0], rtol=1e-6)


def test_bytes() -> None:
    assert result("fill", None, imm=(7.0,), dtype="u8", count=3).tolist() == [7, 7, 7]
    squares = (np.arange(256) ** 2 % 256).astype(np.uint8)
    assert result("lut", np.asarray([2, 15], "u1"), squares, dtype="u8").tolist() == [4, 225]
    turned = CUBE.transpose(2, 0, 1)
    vec = p.Vec("copy", vector("u8", DST, 24), sram("u8", A, (4, 1), (2, 12), (3, 4)))
    machine = Machine(p.Program("t", (core([vec], images={A: CUBE}),)), chip(), 1, 1)
    machine.run(1000)
    assert np.array_equal(machine.cores[0].memory.data[0, DST : DST + 24], turned.ravel())


def test_products_of_activations() -> None:
    a, b = floats(1, 2, 3, 4).reshape(2, 2), floats(1, 0, 2, 1).reshape(2, 2)
    assert result("matmul", a, b).tolist() == [5, 2, 11, 4]
    small, other = a.astype(np.uint8), b.astype(np.uint8)
    got = result("matmul", small, other, (1.0, 1.0), dtype="i32")
    assert got.tolist() == [1, 0, 3, -2]


def test_a_result_may_overwrite_its_operand() -> None:
    """Operands are read at the start and the result written at the end: shifting by one works."""
    vec = p.Vec("copy", vector("u8", A + 1, 8), vector("u8", A, 8))
    machine = Machine(
        p.Program("t", (core([vec], images={A: np.arange(9, dtype="u1")}),)), chip(), 1, 1
    )
    machine.run(1000)
    assert machine.cores[0].memory.data[0, A : A + 9].tolist() == [0, 0, 1, 2, 3, 4, 5, 6, 7]
