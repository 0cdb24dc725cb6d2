"""Rules of types: shapes by ONNX's arithmetic, what stored integers mean, and refusals."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc.ir import ops
from nmc.ir.diagnostics import Loc, NmcError
from nmc.ir.graph import Graph, Quant, TensorType
from nmc.ir.ops import Op
from nmc.ir.types import MAX_ELEMENTS, emit, infer_types

Q = Quant(0.5, 3)
TYPE = re.compile(r"(\w+)\[([\d,]*)\]( q)?")


def parsed(text: str) -> TensorType | None:
    """`f32[1,2]`, `u8[3] q` for one with the quant Q, `none`."""
    match = TYPE.fullmatch(text)
    if match is None:
        return None
    shape = tuple(map(int, match[2].split(","))) if match[2] else ()
    return TensorType(match[1], shape, Q if match[3] else None)


def infer(op: Op, *operands: str) -> TensorType:
    (result,) = infer_types(op, [parsed(o) for o in operands])
    return result


CONV = ops.Conv((2, 1), (1, 0, 1, 2), (1, 2), 1)
POOL = ops.MaxPool((3, 3), (2, 2), (0, 0, 0, 0), (1, 1))
CEIL = ops.MaxPool((3, 3), (2, 2), (0, 0, 0, 0), (1, 1), True)
QCONV = ops.QConv((1, 1), (0,) * 4, (1, 1), 1, x_zero_point=3)


@pytest.mark.parametrize(
    ("op", "operands", "expected"),
    [
        (CONV, ["f32[1,3,9,8]", "f32[4,3,3,2]", "none"], "f32[1,4,5,8]"),
        (ops.MatMul(), ["f32[2,1,3,4]", "f32[5,4,6]"], "f32[2,5,3,6]"),
        (ops.MatMul(), ["f32[4]", "f32[4]"], "f32[]"),
        (ops.MatMul(), ["f32[2,3,4]", "f32[4]"], "f32[2,3]"),
        (ops.Add(), ["f32[2,1,3]", "f32[4,1]"], "f32[2,4,3]"),
        (POOL, ["u8[1,2,7,8] q"], "u8[1,2,3,3] q"),
        (CEIL, ["u8[1,2,7,8] q"], "u8[1,2,3,4] q"),
        (ops.Max(), ["u8[4] q", "u8[4] q"], "u8[4] q"),
        (ops.Reduce("max", (1,)), ["u8[4,2] q"], "u8[4,1] q"),
        (ops.Reduce("sum", (1,), False), ["f32[4,2]"], "f32[4]"),
        (ops.Reshape((6,)), ["u8[2,3] q"], "u8[6] q"),
        (ops.Transpose((1, 0)), ["u8[2,3] q"], "u8[3,2] q"),
        (ops.Concat(1), ["u8[2,3] q", "u8[2,1] q"], "u8[2,4] q"),
        (ops.Slice((3, 0), (-1, 2), (0, 1), (-2, 1)), ["u8[4,3] q"], "u8[2,2] q"),
        (ops.Slice((1,), (1,), (0,), (1,)), ["f32[4]"], "f32[0]"),
        (ops.Pad((1, -1, 0, 2)), ["u8[2,3] q"], "u8[3,4] q"),
        (ops.Expand((2, 1, 3)), ["u8[4,1] q"], "u8[2,4,3] q"),
        (ops.Gather(1), ["u8[2,9] q", "i64[3,4]"], "u8[2,3,4] q"),
        (ops.DepthToSpace(2), ["u8[1,8,2,3] q"], "u8[1,2,4,6] q"),
        (ops.SpaceToDepth(2), ["u8[1,2,4,6] q"], "u8[1,8,2,3] q"),
        (ops.Resize((1, 1, 2, 3)), ["u8[1,2,4,6] q"], "u8[1,2,8,18] q"),
        (ops.Cast("bool"), ["f32[3]"], "bool[3]"),
        (ops.ArgMax(1, False), ["u8[2,3] q"], "i64[2]"),
        (ops.Quantize(0.5, 3), ["f32[3]"], "u8[3] q"),
        (ops.Dequantize(0.5, 3), ["u8[3] q"], "f32[3]"),
        (QCONV, ["u8[1,2,3,3] q", "i8[4,2,3,3]", "i32[4]", "f32[4]"], "u8[1,4,1,1]"),
        (
            ops.QMatMul(3, out="f32"),
            ["u8[2,5,7]", "i8[7,4]", "i32[4]", "f32[4]"],
            "f32[2,5,4]",
        ),
        (ops.Lut(), ["u8[2,5]", "u8[256]"], "u8[2,5]"),
        (ops.LayerNorm(1), ["f32[2,5]", "f32[5]", "none"], "f32[2,5]"),
    ],
    ids=str,
)
def test_result(op: Op, operands: list[str], expected: str) -> None:
    assert infer(op, *operands) == parsed(expected)


def test_flip_sign_shifts_the_zero_point_along() -> None:
    (flipped,) = infer_types(ops.FlipSign(), [TensorType("u8", (2,), Quant(0.5, 200))])
    assert flipped == TensorType("i8", (2,), Quant(0.5, 72))
    assert infer_types(ops.FlipSign(), [flipped]) == (TensorType("u8", (2,), Quant(0.5, 200)),)


REFUSALS = [
    (CONV, ["f32[1,3,9,8]"], "bad-operands: `conv` takes 2 to 3 operands, 1 are given"),
    (CONV, ["f32[1,3,9,8]", "none"], "bad-operands: `conv` must have its operand 2"),
    (CONV, ["f32[1,3,9,8]", "f64[4,3,3,3]"], "f32[1,3,9,8] and f64[4,3,3,3], whose dtypes"),
    (CONV, ["f32[1,3,9,8]", "f32[4,2,3,3]"], "so 2 channels, but its input is f32[1,3,9,8] with 3"),
    (CONV, ["f32[1,3,9]", "f32[4,3,3]"], "bad-attribute: `conv` has 2 strides, 1 are needed"),
    (CONV, ["f32[1,3,1,8]", "f32[4,3,9,3]"], "kernel [9, 3] larger than its padded input"),
    (CONV, ["f32[1,3,9,8]", "f32[4,3,3,3]", "f32[3]"], "f32[3] as bias, where shape [4] is needed"),
    (CONV, ["f32[3,9]", "f32[4,3]"], "needs a batch, a channel and at least one spatial axis"),
    (ops.Conv((0,), (0, 0), (1,)), ["f32[1,1,4]", "f32[1,1,1]"], "strides [0], which must be"),
    (ops.Conv((1,), (0, -1), (1,)), ["f32[1,1,4]", "f32[1,1,1]"], "pads [0, -1], which must not"),
    (
        ops.Conv((1,), (0, 0), (1,), 2),
        ["f32[1,4,4]", "f32[3,2,1]"],
        "3 output channels, which 2 groups don't divide",
    ),
    (
        ops.ConvTranspose((1,), (3, 3), (1,), (0,)),
        ["f32[1,1,4]", "f32[1,1,2]"],
        "crops all of its output: sizes [-1]",
    ),
    (ops.MatMul(), ["f32[2,3]", "f32[4,5]"], "f32[2,3] and f32[4,5]: 3 columns on 4 rows"),
    (ops.MatMul(), ["f32[]", "f32[4,5]"], "a scalar has no rows"),
    (ops.Add(), ["f32[2]", "f32[3]"], "f32[2] and f32[3], whose shapes don't broadcast"),
    (ops.Add(), ["f32[2]", "i32[2]"], "f32[2] and i32[2], whose dtypes must be equal"),
    (ops.Add(), ["bool[2]", "bool[2]"], "bool[2] as operand, which must be one of"),
    (ops.PRelu(), ["f32[2]", "f32[3,2]"], "f32[3,2] as slope, which does not broadcast to f32[2]"),
    (ops.Sigmoid(), ["i32[2]"], "i32[2] as operand, which must be one of f16, f32, f64"),
    (ops.Gelu("maybe"), ["f32[2]"], "approximate 'maybe'; it is none or tanh"),
    (ops.Cast("f8"), ["f32[2]"], "casts to 'f8', which is no dtype"),
    (ops.BatchNorm(), ["f32[2,3]", *["f32[2]"] * 4], "f32[2] as parameter, where shape [3]"),
    (ops.Softmax(2), ["f32[2,3]"], "axis 2, but f32[2,3] has axes 0 to 1"),
    (ops.Reduce("median", (0,)), ["f32[2]"], "has kind 'median'; there are sum, mean"),
    (ops.Reduce("sum", (0, 0)), ["f32[2]"], "names an axis twice: [0, 0]"),
    (ops.Reshape((5,)), ["f32[2,3]"], "f32[2,3] with 6 elements can't have shape [5] with 5"),
    (ops.Reshape((-1,)), ["f32[2,3]"], "has a negative size: [-1]"),
    (ops.Transpose((0, 0)), ["f32[2,3]"], "perm [0, 0], which does not permute the 2 axes"),
    (ops.Concat(0), ["f32[2,3]", "f32[2,4]"], "f32[2,3] and f32[2,4]: other sizes differ"),
    (ops.Concat(0), ["u8[2] q", "u8[2]"], "of two kinds"),
    (ops.Concat(0), [], "takes 1 or more operands, 0 are given"),
    (ops.Slice((4,), (-1,), (0,), (-1,)), ["f32[4]"], "from 4 to -1 by -1 on axis 0, but f32[4]"),
    (ops.Slice((0,), (5,), (0,), (1,)), ["f32[4]"], "from 0 to 5 by 1 on axis 0, but f32[4]"),
    (ops.Slice((0,), (4,), (0,), (0,)), ["f32[4]"], "has step 0"),
    (ops.Slice((0,), (4,), (0,), ()), ["f32[4]"], "attributes of different lengths"),
    (ops.Pad((-3, -2)), ["f32[4]"], "crops more than there is"),
    (ops.Pad((4, 0), "reflect"), ["f32[4]"], "in mode reflect can't pad axis 0 of f32[4] by 4"),
    (ops.Pad((0, 0), "mirror"), ["f32[4]"], "has mode 'mirror'"),
    (ops.Gather(0), ["f32[4]", "f32[2]"], "f32[2] as indices, which must be one of i32, i64"),
    (ops.DepthToSpace(2), ["f32[1,6,2,2]"], "6 channels of f32[1,6,2,2] are no multiple of 4"),
    (ops.SpaceToDepth(2), ["f32[1,6,3,2]"], "block 2, which does not divide the image"),
    (ops.Resize((2,)), ["f32[1,6]"], "factors [2] for the 2 axes"),
    (ops.Quantize(0.0, 0), ["f32[2]"], "scale 0.0, which must be positive and finite"),
    (ops.Quantize(1.0, -1), ["f32[2]"], "zero point -1, which u8 can't hold"),
    (ops.Quantize(1.0, 0, "i4"), ["f32[2]"], "has dtype 'i4'; it is u8 or i8"),
    (QCONV, ["i8[1,2,3,3]", "i8[4,2,3,3]", "i32[4]", "f32[4]"], "i8[1,2,3,3] as input"),
    (ops.QMatMul(3, lo=9, hi=8), ["u8[2,7]", "i8[7,4]", "i32[4]", "f32[4]"], "lo 9, hi 8"),
    (ops.Lut(), ["u8[2]", "u8[255]"], "u8[255] as table, where shape [256] is needed"),
    (ops.Expand((65536, 65536, 2)), ["f32[1]"], f"at most {MAX_ELEMENTS} can be"),
]


@pytest.mark.parametrize(("op", "operands", "message"), REFUSALS, ids=[r[2] for r in REFUSALS])
def test_refusal_names_both_sides(op: Op, operands: list[str], message: str) -> None:
    with pytest.raises(NmcError, match=re.escape(message)) as caught:
        infer(op, *operands)
    (problem,) = caught.value.diagnostics
    assert problem.code in {"bad-operands", "bad-attribute", "shape-mismatch"}
    assert problem.message.startswith(f"`{op.name}` ")


def test_emit_appends_a_node_and_places_its_refusal() -> None:
    graph = Graph("g")
    x = graph.add_input("x", TensorType("u8", (2, 3)))
    loc = Loc(node="the table", op="Sigmoid")
    table = graph.constant("t", np.zeros(256, np.uint8))
    y = emit(graph, ops.Lut(), [x, table], "y", [loc], Q)
    assert y.type == TensorType("u8", (2, 3), Q)
    assert graph.nodes[0].origin == (loc,)
    assert list(x.users) == graph.nodes
    with pytest.raises(NmcError) as caught:
        emit(graph, ops.Softmax(0), [x], "z", [loc])
    assert caught.value.diagnostics[0].loc is loc
    assert len(graph) == 1


SIZES = st.integers(1, 12)


@given(SIZES, st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.data(), st.booleans())
def test_pools_have_the_sizes_that_onnx_infers(
    size: int, kernel: int, stride: int, dilation: int, data: st.DataObject, ceil_mode: bool
) -> None:
    pads = tuple(data.draw(st.integers(0, kernel - 1)) for _ in range(2))
    op = ops.MaxPool((kernel,), (stride,), pads, (dilation,), ceil_mode)
    node = onnx.helper.make_node(
        "MaxPool",
        ["x"],
        ["y"],
        kernel_shape=[kernel],
        strides=[stride],
        pads=pads,
        dilations=[dilation],
        ceil_mode=int(ceil_mode),
    )
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 1, size])
    y = onnx.helper.make_empty_tensor_value_info("y")
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [x], [y]))
    if (kernel - 1) * dilation + 1 > size + sum(pads):
        if not ceil_mode:  # with it, tools differ in what they make of a kernel that is too large
            with pytest.raises(NmcError, match="larger than its padded input"):
                infer(op, f"f32[1,1,{size}]")
        return
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    sizes = [d.dim_value for d in inferred.graph.output[0].type.tensor_type.shape.dim]
    assert infer(op, f"f32[1,1,{size}]").shape == tuple(sizes)
