"""The walk over a model: constants, control flow, opaque operators, names, and refusals."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nmc.frontend import import_model
from nmc.ir import ops
from nmc.ir.diagnostics import Exit, Report
from nmc.ir.graph import Array
from tests.nmc.frontend.models import (
    FLOAT,
    agree,
    model,
    noise,
    opaque_ops,
    our_outputs,
    problem,
    problems,
    single,
)


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def i64(*numbers: int) -> Array:
    return np.asarray(numbers, np.int64)


# Constants


def test_shape_arithmetic_is_computed_away() -> None:
    """x.view(x.size(0), -1) and interpolation to twice the size, as old exporters wrote them."""
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n"),
        node("Unsqueeze", "n axes", "n1"),
        node("Concat", "n1 minus", "target", axis=0),
        node("Reshape", "x target", "flat"),
        node("Shape", "flat", "fs"),
        node("ConstantOfShape", "fs", "ones", value=helper.make_tensor("v", FLOAT, [1], [1.0])),
        node("Add", "flat ones", "y"),
    ]
    constants = {"zero": np.asarray(0), "axes": i64(0), "minus": i64(-1)}
    proto = model(nodes, [("x", FLOAT, ["N", 3, 2])], ["y"], constants)
    graph = import_model(proto)
    assert [n.op for n in graph] == [ops.Reshape((1, 6)), ops.Add()]
    agree(proto, {"x": noise(1, 3, 2)})


def test_a_constant_is_any_kind_of_attribute() -> None:
    values = {
        "value": numpy_helper.from_array(noise(3)),
        "value_float": 2.5,
        "value_floats": [1.0, 2.0, 3.0],
    }
    for name, value in values.items():
        nodes = [node("Constant", "", "c", **{name: value}), node("Add", "x c", "y")]
        agree(model(nodes, [("x", FLOAT, [2, 3])], ["y"]), {"x": noise(2, 3)})


def test_a_sparse_initialiser_becomes_dense() -> None:
    proto = single("MatMul", {"x": noise(1, 4)}, order=["x", "w"])
    values = helper.make_tensor("w", FLOAT, [2], [3.0, 5.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [2], [1, 7])
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4, 2]))
    (weights,) = import_model(proto).constants()
    np.testing.assert_array_equal(weights.array, [[0, 3], [0, 0], [0, 0], [0, 5]])


def test_a_gigantic_constant_is_not_allocated() -> None:
    """Eight bytes of shape must not make us reserve eight petabytes."""
    nodes = [
        node("ConstantOfShape", "s", "c"),
        node("ReduceSum", "c", "r"),
        node("Add", "x r", "y"),
    ]
    shape = i64(1 << 20, 1 << 20, 1 << 10)
    found = problem(model(nodes, [("x", FLOAT, [1])], ["y"], {"s": shape}))
    assert found.code == "unsupported-operator"
    assert str(1 << 50) in found.message


@pytest.mark.parametrize("op", ["Expand", "Tile"])
def test_growth_is_sized_up_before_it_is_computed(op: str) -> None:
    nodes = [node(op, "c s", "big"), node("Add", "x big", "y")]
    constants = {"c": noise(1, 1), "s": i64(1 << 30, 1 << 30)}
    assert problems(model(nodes, [("x", FLOAT, [1])], ["y"], constants))


def test_random_numbers_are_not_constants() -> None:
    nodes = [node("RandomNormal", "", "r", shape=[1, 3]), node("Add", "x r", "y")]
    graph = import_model(model(nodes, [("x", FLOAT, [1, 3])], ["y"]))
    assert opaque_ops(graph) == ["RandomNormal"]


# Names


def test_values_keep_the_names_of_the_model() -> None:
    nodes = [node("Gemm", "x w c", "y", alpha=2.0), node("Identity", "y", "out")]
    constants = {"w": noise(3, 2), "c": noise(2)}
    graph = import_model(model(nodes, [("x", FLOAT, [1, 3])], ["out"], constants))
    assert [v.name for v in graph.inputs] == ["x"]
    assert [v.name for v in graph.outputs] == ["out"]


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([node("Identity", "x", "y")], ["y"]),
        (
            [node("Relu", "x", "a"), node("Identity", "a", "y"), node("Identity", "a", "z")],
            ["y", "z"],
        ),
        ([node("Relu", "x", "a"), node("Identity", "a", "y")], ["a", "y"]),
        ([node("Identity", "w", "y"), node("Relu", "x", "z")], ["y", "z", "w"]),
        ([node("Dropout", "x", "y mask")], ["y", "mask"]),
    ],
)
def test_outputs_have_their_names_whatever_they_are(
    nodes: list[onnx.NodeProto], outputs: list[str]
) -> None:
    proto = model(nodes, [("x", FLOAT, [2])], outputs, {"w": noise(2)})
    assert [v.name for v in import_model(proto).outputs] == outputs
    agree(proto, {"x": noise(2)})


def test_unused_nodes_are_dropped() -> None:
    nodes = [node("Relu", "x", "y"), node("Sigmoid", "x", "unused")]
    graph = import_model(model(nodes, [("x", FLOAT, [1])], ["y"]))
    assert [n.op for n in graph] == [ops.Relu()]


# Float widths


@pytest.mark.parametrize("element", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_other_floats_are_computed_in_float32_with_one_note(element: int) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(element)
    nodes = [node("MatMul", "x w", "a"), node("Cast", "a", "b", to=FLOAT), node("Relu", "b", "y")]
    proto = model(nodes, [("x", element, [1, 3])], ["y"], {"w": noise(3, 2).astype(dtype)})
    report = Report()
    graph = import_model(proto, report=report)
    assert {v.type.dtype for v in (*graph.values(), *graph.constants())} == {"f32"}
    assert [d.code for d in report] == ["unsupported-width"]
    assert [n.op.name for n in graph] == ["matmul", "relu"]


def test_a_large_double_stays_finite() -> None:
    """Masks are often filled with the least number; infinity would make NaN of them."""
    mask = np.asarray([-1e300, 0.0])
    proto = single("Add", {"x": np.zeros(2)}, {"m": mask})
    (value,) = import_model(proto).constants()
    assert value.array[0] == np.finfo(np.float32).min


# Narrow integers


def test_int4_weights_are_widened_and_stay_integers() -> None:
    tensor = helper.make_tensor("w", TensorProto.INT4, [2, 2], [-8, 7, 1, -1])
    nodes = [node("DequantizeLinear", "w s", "r"), node("MatMul", "x r", "y")]
    proto = model(
        nodes, [("x", FLOAT, [1, 2])], ["y"], {"s": np.asarray(0.5, np.float32)}, opset=21
    )
    proto.graph.initializer.append(tensor)
    (weights,) = import_model(proto).constants()
    assert weights.type.dtype == "i8"
    np.testing.assert_array_equal(weights.array, [[-8, 7], [1, -1]])


def test_quantising_to_int4_saturates_at_its_bounds() -> None:
    """Float weights that a QDQ pair brings to int4 are computed away with int4's own range."""
    nodes = [
        node("QuantizeLinear", "w s z", "q"),
        node("DequantizeLinear", "q s z", "r"),
        node("MatMul", "x r", "y"),
    ]
    constants = {"w": np.asarray([[100.0], [-100.0]], np.float32), "s": np.asarray(1, np.float32)}
    proto = model(nodes, [("x", FLOAT, [1, 2])], ["y"], constants, opset=21)
    proto.graph.initializer.append(helper.make_tensor("z", TensorProto.INT4, [], [0]))
    (weights,) = import_model(proto).constants()
    np.testing.assert_array_equal(weights.array, [[7], [-8]])


def test_quantising_activations_to_int4_is_refused() -> None:
    nodes = [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "y")]
    proto = model(nodes, [("x", FLOAT, [2])], ["y"], {"s": np.asarray(1, np.float32)}, opset=21)
    proto.graph.initializer.append(helper.make_tensor("z", TensorProto.INT4, [], [0]))
    assert "int4" in problem(proto).message


# Control flow


def branches(**captured: str) -> dict[str, onnx.GraphProto]:
    """Two branches: one doubles, one negates; they compute from a value of the outer graph."""
    entry = onnx.ValueInfoProto(name="out")
    then = helper.make_graph([node("Add", "a a", "out")], "then", [], [entry])
    other = helper.make_graph([node("Neg", "a", "out")], "else", [], [entry])
    return {"then_branch": then, "else_branch": other}


@pytest.mark.parametrize("condition", [True, False])
def test_a_constant_condition_chooses_the_branch(condition: bool) -> None:
    nodes = [node("Relu", "x", "a"), node("If", "c", "b", name="pick", **branches())]
    nodes.append(node("Sigmoid", "b", "y"))
    constants = {"c": np.asarray(condition)}
    proto = model(nodes, [("x", FLOAT, [3])], ["y"], constants)
    graph = import_model(proto)
    assert [n.op.name for n in graph] == ["relu", "add" if condition else "neg", "sigmoid"]
    side = "then" if condition else "else"
    op = "Add" if condition else "Neg"
    assert graph.nodes[1].loc.node == f"pick/{side}_branch/{op} #1"
    assert graph.nodes[1].loc.index == 2
    agree(proto, {"x": noise(3)})


def test_branches_that_capture_computed_values_are_refused() -> None:
    nodes = [node("Relu", "x", "a"), node("If", "c", "y", name="pick", **branches())]
    proto = model(nodes, [("x", FLOAT, [3]), ("c", TensorProto.BOOL, [])], ["y"])
    found = problem(proto)
    assert found.code == "unsupported-operator"
    assert "`a` from outside" in found.message
    assert found.loc.node == "pick"


def test_branches_that_capture_constants_stay_whole() -> None:
    nodes = [node("If", "c", "b", **branches()), node("Add", "b x", "y")]
    proto = model(nodes, [("x", FLOAT, [3]), ("c", TensorProto.BOOL, [])], ["y"], {"a": noise(3)})
    assert opaque_ops(import_model(proto)) == ["If"]
    for condition in (True, False):
        agree(proto, {"x": noise(3), "c": np.asarray(condition)})


# Functions


def test_functions_of_the_model_are_put_in_place() -> None:
    body = [node("Mul", "a b", "m"), node("Relu", "m", "r")]
    function = helper.make_function(
        "com.acme", "MulRelu", ["a", "b"], ["r"], body, [helper.make_opsetid("", 17)]
    )
    call = helper.make_node("MulRelu", ["x", "w"], ["y"], domain="com.acme", name="f")
    proto = model([call], [("x", FLOAT, [2])], ["y"], {"w": noise(2)}, com_acme=1)
    proto.functions.append(function)
    assert [n.op.name for n in import_model(proto)] == ["mul", "relu"]
    agree(proto, {"x": noise(2)})


def calls(depth: int, *, circular: bool = False) -> onnx.ModelProto:
    """A function of ten calls of one of ten calls of..., `depth` deep."""
    call = helper.make_node("f0", ["x"], ["y"], domain="com.acme")
    proto = model([call], [("x", FLOAT, [2])], ["y"], com_acme=1)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.acme", 1)]
    for level in range(depth):
        last = level == depth - 1
        name = "Relu" if last and not circular else f"f{0 if last else level + 1}"
        domain = "" if name == "Relu" else "com.acme"
        values = ["a", *(f"t{i}" for i in range(9)), "b"]
        body = [helper.make_node(name, [u], [v], domain=domain) for u, v in pairwise(values)]
        proto.functions.append(
            helper.make_function("com.acme", f"f{level}", ["a"], ["b"], body, imports)
        )
    return proto


def test_functions_of_functions() -> None:
    assert len(import_model(calls(2))) == 100


@pytest.mark.parametrize(("depth", "circular"), [(12, False), (3, True)])
def test_functions_can_not_blow_up(depth: int, circular: bool) -> None:
    found = problem(calls(depth, circular=circular))
    assert found.code == "onnx-invalid"
    assert "functions call" in found.message


# Opaque operators


def test_an_operator_without_a_rule_stays_with_the_host() -> None:
    proto = single("TopK", {"x": noise(2, 5)}, {"k": i64(2)}, outputs=["v", "i"], largest=0, axis=1)
    (only,) = import_model(proto).nodes
    assert isinstance(only.op, ops.Onnx)
    assert (only.op.op, only.op.domain, only.op.version) == ("TopK", "", 17)
    assert [a["name"] for a in json.loads(only.op.attributes)] == ["axis", "largest"]
    assert [str(v.type) for v in only.outputs] == ["f32[2,2]", "i64[2,2]"]
    agree(proto, {"x": noise(2, 5)})


def test_absent_operands_and_results_keep_their_places() -> None:
    shapes = {"w": (1, 12, 2), "r": (1, 12, 3), "h": (1, 1, 3), "c": (1, 1, 3)}
    constants = {name: noise(*shape) for name, shape in shapes.items()}
    order = ["x", "w", "r", "", "", "h", "c"]
    proto = single(
        "LSTM", {"x": noise(4, 1, 2)}, constants, order=order, outputs=["", "", "y"], hidden_size=3
    )
    (only,) = import_model(proto).nodes
    assert [v is None for v in only.inputs] == [False, False, False, True, True, False, False]
    assert only.outputs[2].name == "y"
    agree(proto, {"x": noise(4, 1, 2)})


def test_the_same_attributes_give_the_same_text() -> None:
    x = {"x": noise(1, 1, 4, 4)}
    texts = set()
    orders: list[dict[str, Any]] = [
        {"p": 3, "kernel_shape": [2, 2]},
        {"kernel_shape": [2, 2], "p": 3},
    ]
    for attributes in orders:
        (only,) = import_model(single("LpPool", x, **attributes)).nodes
        assert isinstance(only.op, ops.Onnx)
        texts.add(only.op.attributes)
    assert len(texts) == 1


def test_a_model_newer_than_onnxruntime_is_taken_where_operators_are_the_same() -> None:
    newest = onnx.defs.onnx_opset_version()
    proto = single("TopK", {"x": noise(2, 5)}, {"k": i64(2)}, outputs=["v", "i"], opset=newest)
    (only,) = import_model(proto).nodes
    assert isinstance(only.op, ops.Onnx)
    assert only.op.version <= newest
    assert our_outputs(proto, {"x": noise(2, 5)})[0].shape == (2, 2)


def test_contributed_operators_are_known_if_onnxruntime_knows_them() -> None:
    x = {"x": noise(2, 3)}
    proto = single("CDist", x, {"b": noise(4, 3)}, domain="com.microsoft", metric="euclidean")
    assert opaque_ops(import_model(proto)) == ["CDist"]
    agree(proto, x)
    found = problem(single("NoSuchThing", x, domain="com.microsoft"))
    assert found.code == "unsupported-operator"
    assert "NoSuchThing" in found.message


# Refusals


def test_results_of_unknown_size_are_refused_in_groups() -> None:
    nodes = [
        node("NonZero", "x", "a", name="first"),
        node("Relu", "x", "b"),
        node("NonZero", "b", "c", name="second"),
        node("Cast", "c", "d", to=FLOAT),
    ]
    found = problem(model(nodes, [("x", FLOAT, [3])], ["a", "d"]))
    assert found.code == "unsupported-operator"
    assert found.exit is Exit.UNSUPPORTED
    assert "(2 nodes)" in found.message
    assert found.loc.node == "first"
    assert found.notes == ("also 'second'",)


def test_independent_problems_are_all_found() -> None:
    nodes = [
        node("NonZero", "x", "a"),
        node("MatMul", "x w", "b", name="product"),
        node("Relu", "b", "c"),
    ]
    found = problems(model(nodes, [("x", FLOAT, [1, 3])], ["a", "c"], {"w": noise(4, 2)}))
    assert sorted(p.code for p in found) == ["shape-mismatch", "unsupported-operator"]
    (mismatch,) = (p for p in found if p.code == "shape-mismatch")
    assert mismatch.loc.node == "product"


def test_a_result_of_training_that_is_used_is_refused() -> None:
    x, s = noise(1, 2, 3), np.ones(2, np.float32)
    constants = {"s": s, "b": s, "m": s, "v": s}
    order = ["x", "s", "b", "m", "v"]
    fine = single("BatchNormalization", {"x": x}, constants, order=order)
    agree(fine, {"x": x})
    training = single(
        "BatchNormalization",
        {"x": x},
        constants,
        order=order,
        outputs=["y", "rm", "rv"],
        training_mode=1,
    )
    assert "model.eval()" in problem(training).remedy


def test_a_sequence_is_refused_with_advice() -> None:
    nodes = [
        helper.make_node("ZipMap", ["x"], ["z"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    ]
    proto = model(nodes, [("x", FLOAT, [1, 2])], ["z"], ai_onnx_ml=3)
    assert "zipmap" in problem(proto).remedy
