"""Sizes of inputs: given by the model, by the user, or a batch of one with a note."""

from __future__ import annotations

import onnx
import pytest
from onnx import helper

from nmc.frontend import import_model
from nmc.ir.diagnostics import Exit, Report, Severity
from tests.nmc.frontend.models import FLOAT, Entry, model, problem, problems


def relus(*inputs: Entry) -> onnx.ModelProto:
    nodes = [helper.make_node("Relu", [name], [f"{name}_out"]) for name, _, _ in inputs]
    return model(nodes, inputs, [f"{name}_out" for name, _, _ in inputs])


def shapes(proto: onnx.ModelProto, **given: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    graph = import_model(proto, input_shapes=given)
    return {value.name: value.type.shape for value in graph.inputs}


IMAGE: Entry = ("x", FLOAT, ["N", 3, "h", "w"])
WORDS: Entry = ("t", FLOAT, ["N", "seq"])


def test_fixed_sizes_need_nothing() -> None:
    report = Report()
    import_model(relus(("x", FLOAT, [2, 3])), report=report)
    assert not list(report)


def test_an_open_batch_becomes_one_with_one_note() -> None:
    report = Report()
    proto = relus(("a", FLOAT, ["N", 3]), ("b", FLOAT, ["M", 3]), ("c", FLOAT, [None, 3]))
    graph = import_model(proto, report=report)
    assert [value.type.shape for value in graph.inputs] == [(1, 3)] * 3
    (note,) = report
    assert note.severity is Severity.NOTE
    assert note.code == "dynamic-shape"
    assert "a[N, 3]" in note.message
    assert "--input-shape b=<batch>,3" in note.remedy


@pytest.mark.parametrize("size", [0, -1])
def test_old_spellings_of_an_open_size(size: int) -> None:
    assert shapes(relus(("x", FLOAT, [size, 3]))) == {"x": (1, 3)}


def test_open_sizes_are_refused_with_the_flag_to_pass() -> None:
    found = problem(relus(IMAGE, WORDS))
    assert found.code == "dynamic-shape"
    assert found.exit is Exit.BAD_INPUT
    assert "--input-shape x=1,3,<h>,<w> --input-shape t=1,<seq>" in found.remedy
    assert any("seq" in note for note in found.notes)


def test_a_shape_binds_an_input_and_its_symbols_elsewhere() -> None:
    bound = shapes(relus(IMAGE, WORDS), x=(2, 3, 8, 8), seq=(5,))
    assert bound == {"x": (2, 3, 8, 8), "t": (2, 5)}


def test_an_input_of_unknown_rank() -> None:
    proto = relus(("x", FLOAT, None))
    assert problem(proto).code == "dynamic-shape"
    assert shapes(proto, x=(2, 3)) == {"x": (2, 3)}


def test_a_wrong_rank_names_both() -> None:
    found = problem(relus(IMAGE), input_shapes={"x": (1, 3)})
    assert found.code == "bad-input-shape"
    assert found.exit is Exit.USAGE
    assert "2 sizes" in found.message
    assert "x[N, 3, h, w] has 4" in found.message


def test_a_contradiction_with_the_model() -> None:
    found = problem(relus(IMAGE), input_shapes={"x": (1, 4, 8, 8)})
    assert found.code == "bad-input-shape"
    assert "size 4 on axis 1, the model fixes 3" in found.message


def test_a_contradiction_between_two_bindings() -> None:
    found = problem(relus(IMAGE, WORDS), input_shapes={"x": (1, 3, 8, 8), "t": (2, 5)})
    assert found.code == "bad-input-shape"
    assert "`N` would be 1" in found.message


def test_an_unknown_name_is_guessed() -> None:
    proto = relus(("image", FLOAT, [1, 3]))
    assert problem(proto, input_shapes={"imag": (1, 3)}).remedy == "did you mean `image`?"
    assert "image[1, 3]" in problem(proto, input_shapes={"qqq": (1, 3)}).message


def test_no_size_is_zero_or_negative() -> None:
    assert problem(relus(IMAGE), input_shapes={"x": (1, 3, 0, 8)}).code == "bad-input-shape"
    assert problem(relus(IMAGE), input_shapes={"h": (-1,)}).code == "bad-input-shape"


def test_a_symbol_has_one_size() -> None:
    assert "one size" in problem(relus(IMAGE), input_shapes={"h": (2, 3)}).message


def test_all_wrong_bindings_are_listed() -> None:
    given = {"x": (1,), "nobody": (2,), "w": (0,)}
    assert [p.code for p in problems(relus(IMAGE), input_shapes=given)] == ["bad-input-shape"] * 3


def test_initialisers_among_the_inputs_are_no_inputs() -> None:
    proto = relus(("x", FLOAT, [1]))
    proto.ir_version = 3
    proto.graph.initializer.append(helper.make_tensor("w", FLOAT, [1], [2.0]))
    proto.graph.input.append(helper.make_tensor_value_info("w", FLOAT, [1]))
    proto.graph.node[0].CopyFrom(helper.make_node("Mul", ["x", "w"], ["x_out"]))
    assert [value.name for value in import_model(proto).inputs] == ["x"]


def test_only_tensors_of_numbers_enter() -> None:
    words = relus(("x", onnx.TensorProto.STRING, [1]))
    assert problem(words).code == "unsupported-operator"
    proto = relus(("x", FLOAT, [1]))
    entry = helper.make_tensor_sequence_value_info("x", FLOAT, [1])
    proto.graph.input[0].CopyFrom(entry)
    assert "sequence" in problem(proto).message
