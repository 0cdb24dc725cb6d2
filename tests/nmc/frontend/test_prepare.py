"""Models are brought into one form, or refused with a word on which rule they break."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from nmc.frontend import import_model
from nmc.ir.diagnostics import Exit, Report
from nmc.ir.graph import Array
from tests.nmc.frontend.models import (
    FLOAT,
    agree,
    model,
    noise,
    opaque_ops,
    ort_outputs,
    our_outputs,
    problem,
    problems,
    single,
)


def chain(*kinds: str, domain: str = "", opset: int = 17) -> onnx.ModelProto:
    """x through one operator after the other."""
    nodes = [
        helper.make_node(op, [f"v{i}"], [f"v{i + 1}"], domain=domain) for i, op in enumerate(kinds)
    ]
    return model(nodes, [("v0", FLOAT, [2, 3])], [f"v{len(kinds)}"], opset=opset)


def names(proto: onnx.ModelProto) -> list[str]:
    return [node.op.name for node in import_model(proto)]


# Versions


@pytest.mark.parametrize("opset", range(7, onnx.defs.onnx_opset_version() + 1))
def test_every_opset_from_7_on_is_read(opset: int) -> None:
    assert names(chain("Relu", "Tanh", opset=opset)) == ["relu", "tanh"]


def test_older_models_are_converted() -> None:
    nodes = [helper.make_node("Add", ["x", "b"], ["y"], broadcast=1, axis=1)]
    proto = model(nodes, [("x", FLOAT, [1, 3, 2])], ["y"], {"b": noise(3)}, opset=6)
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", FLOAT, [1, 3, 2]))
    proto.graph.input.append(helper.make_tensor_value_info("b", FLOAT, [3]))
    assert "add" in names(proto)


def test_older_models_that_resist_conversion_are_refused_with_the_reason() -> None:
    found = problem(single("Upsample", {"x": noise(1, 1, 2, 2)}, opset=1, width_scale=2.0))
    assert found.code in {"onnx-invalid", "unsupported-operator"}
    assert found.remedy


@pytest.mark.parametrize("field", ["opset", "ir"])
def test_a_model_from_the_future_names_both_versions(field: str) -> None:
    proto = chain("Relu", opset=99 if field == "opset" else 17)
    if field == "ir":
        proto.ir_version = 99
    found = problem(proto)
    assert found.code == "onnx-too-new"
    assert "99" in found.message
    newest = onnx.defs.onnx_opset_version() if field == "opset" else onnx.IR_VERSION
    assert f"knows {newest}" in found.message


# Domains and operators


def test_the_default_domain_may_be_listed_twice_and_by_its_other_name() -> None:
    proto = chain("Relu")
    proto.opset_import.append(helper.make_opsetid("ai.onnx", 13))
    proto.opset_import.append(helper.make_opsetid("", 17))
    assert names(proto) == ["relu"]
    assert names(chain("Relu", domain="ai.onnx")) == ["relu"]


def test_operators_of_unknown_domains_are_listed_by_kind_with_their_number() -> None:
    nodes = [
        helper.make_node("Foo", ["x"], ["a"], domain="com.acme", name="f1"),
        helper.make_node("Foo", ["a"], ["b"], domain="com.acme", name="f2"),
        helper.make_node("Quant", ["b"], ["y"], domain="qonnx.custom_op.general"),
    ]
    proto = model(nodes, [("x", FLOAT, [1])], ["y"], com_acme=1)
    foo, quant = problems(proto)
    assert {foo.code, quant.code} == {"unknown-domain"}
    assert foo.exit is Exit.UNSUPPORTED
    assert "Foo" in foo.message
    assert "`com.acme`" in foo.message
    assert "(2 nodes)" in foo.message
    assert (foo.loc.node, foo.loc.index, foo.loc.total) == ("f1", 1, 3)
    assert foo.notes == ("also 'f2'",)
    assert "QuantizeLinear" in quant.remedy


def test_an_operator_that_is_not_in_the_version_yet() -> None:
    found = problem(chain("Gelu"))
    assert found.code == "unsupported-operator"
    assert "from version 20" in found.message
    assert "opset_version=20" in found.remedy


def test_a_misspelt_operator() -> None:
    assert problem(chain("Rleu")).remedy == "did you mean Relu?"


def test_unknown_operators_and_open_sizes_are_reported_together() -> None:
    proto = chain("Rleu")
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "width"
    found = {p.code for p in problems(proto)}
    assert found == {"unsupported-operator", "dynamic-shape"}


def test_unknown_operators_inside_of_branches_are_found() -> None:
    body = helper.make_graph(
        [helper.make_node("Foo", [], ["o"], domain="com.acme")],
        "b",
        [],
        [onnx.ValueInfoProto(name="o")],
    )
    node = helper.make_node("If", ["c"], ["y"], name="if", then_branch=body, else_branch=body)
    found = problem(model([node], [("c", onnx.TensorProto.BOOL, [])], ["y"]))
    assert found.loc.node == "if/Foo #1"
    assert found.loc.index == 1


@pytest.mark.parametrize(("op", "opset"), [("Upsample", 13), ("GroupNormalization", 18)])
def test_deprecated_operators_with_a_rule_are_taken(op: str, opset: int) -> None:
    x = {"x": noise(1, 2, 3, 3)}
    if op == "Upsample":
        proto = single(op, x, {"s": np.asarray([1, 1, 2, 2], np.float32)}, opset=opset)
    else:
        proto = single(op, x, {"s": noise(1), "b": noise(1)}, opset=opset, num_groups=1)
    assert not opaque_ops(import_model(proto))


# Rules of the standard


def test_nodes_out_of_order_are_sorted() -> None:
    nodes = [helper.make_node("Neg", ["a"], ["y"]), helper.make_node("Relu", ["x"], ["a"])]
    assert names(model(nodes, [("x", FLOAT, [1])], ["y"])) == ["relu", "neg"]


def test_a_circle_is_named() -> None:
    nodes = [
        helper.make_node("Add", ["x", "b"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="second"),
    ]
    found = problem(model(nodes, [("x", FLOAT, [1])], ["b"]))
    assert found.code == "onnx-invalid"
    assert "first -> second" in found.message


def test_an_undefined_name_is_placed() -> None:
    nodes = [helper.make_node("Add", ["x", "nobody"], ["y"], name="sum")]
    found = problem(model(nodes, [("x", FLOAT, [1])], ["y"]))
    assert found.code == "onnx-invalid"
    assert "`nobody`" in found.message
    assert found.loc.node == "sum"


def test_the_checkers_words_come_with_the_node() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"], name="act", slope=0.5)]
    found = problem(model(nodes, [("x", FLOAT, [1])], ["y"]))
    assert found.code == "onnx-invalid"
    assert "Unrecognized attribute: slope" in found.message
    assert found.loc.node == "act"
    assert "\n" not in found.message


def test_two_nodes_that_define_one_name() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["x"], ["y"])]
    assert problem(model(nodes, [("x", FLOAT, [1])], ["y"])).code == "onnx-invalid"


def test_an_initialiser_with_too_little_data() -> None:
    proto = single("MatMul", {"x": noise(1, 4)}, {"w": noise(4, 3)})
    proto.graph.initializer[0].raw_data = b"123"
    assert problem(proto).code in {"onnx-invalid", "onnx-damaged"}


# Definitions by ONNX itself


def test_an_operator_that_the_host_does_not_know_is_written_out() -> None:
    if not onnx.defs.has("SwiGLU", ""):
        pytest.skip("this onnx has no operator that is newer than onnxruntime and a function")
    proto = single("SwiGLU", {"x": noise(2, 6), "gate": noise(2, 6)}, opset=28)
    kinds = names(proto)
    assert kinds
    assert "onnx" not in kinds
    assert {node.loc.op for node in import_model(proto)} == {"SwiGLU"}


# Dynamic quantisation


def test_activations_quantised_while_running_become_floats_with_integer_weights() -> None:
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node("MatMulInteger", ["q", "w", "z", "wz"], ["a"], name="product"),
        helper.make_node("Cast", ["a"], ["f"], to=FLOAT),
        helper.make_node("Mul", ["s", "ws"], ["scale"]),
        helper.make_node("Mul", ["f", "scale"], ["y"]),
    ]
    constants: dict[str, Array] = {
        "w": np.random.default_rng(0).integers(-128, 128, (8, 3)).astype(np.int8),
        "wz": np.asarray(0, np.int8),
        "ws": np.asarray(0.01, np.float32),
    }
    proto = model(nodes, [("x", FLOAT, [2, 8])], ["y"], constants)
    report = Report()
    graph = import_model(proto, report=report)
    assert [n.op.name for n in graph] == ["dequantize", "matmul", "mul"]
    assert graph.nodes[1].loc.node == "product"
    assert [d.code for d in report] == ["calibration-needed"]
    x = {"x": noise(2, 8)}
    (ours,), (theirs,) = our_outputs(proto, x), ort_outputs(proto, x)
    np.testing.assert_allclose(ours, theirs, atol=0.05 * float(np.abs(theirs).max()))


def test_activations_whose_integers_are_used_otherwise_stay_with_the_host() -> None:
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node("Cast", ["q"], ["y"], to=FLOAT),
    ]
    proto = model(nodes, [("x", FLOAT, [4])], ["y"])
    assert opaque_ops(import_model(proto)) == ["DynamicQuantizeLinear"]
    agree(proto, {"x": noise(4)})
