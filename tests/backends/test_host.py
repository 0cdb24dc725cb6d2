"""The host runs nodes and models with onnxruntime, quietly, and says what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from nmc.backends.host import OrtHost
from nmc.backends.onnx_export import export_onnx
from nmc.ir import ops
from nmc.ir.diagnostics import Exit, Loc, NmcError
from nmc.ir.graph import Graph, TensorType
from nmc.ir.interpreter import run_graph, run_graph_batch
from nmc.ir.types import emit


def cumulative() -> Graph:
    """An opaque sum along axis 1, between nodes of ours."""
    graph = Graph("sums")
    x = graph.add_input("x", TensorType("f32", (1, 4)))
    first = emit(graph, ops.Neg(), [x], "first")
    axis = graph.constant("axis", np.array(1))
    summed = graph.value("summed", first.type)
    graph.append(ops.Onnx("CumSum", "", 14), [first, axis], [summed], [Loc(node="sum")])
    graph.outputs = [emit(graph, ops.Abs(), [summed], "y")]
    return graph


X = np.array([[1, 2, 3, 4]], np.float32)


def test_interpreters_run_opaque_nodes_on_it() -> None:
    np.testing.assert_array_equal(
        run_graph(cumulative(), {"x": X}, host=OrtHost())["y"], [[1, 3, 6, 10]]
    )
    batch = run_graph_batch(cumulative(), {"x": np.concatenate([X, 2 * X])}, host=OrtHost())
    np.testing.assert_array_equal(batch["y"], [[1, 3, 6, 10], [2, 6, 12, 20]])


def test_what_is_loaded_once_is_kept() -> None:
    host, graph = OrtHost(), cumulative()
    for _ in range(3):
        run_graph(graph, {"x": X}, host=host)
    assert len(host.sessions) == 1


def test_a_node_whose_operands_change_is_exported_anew() -> None:
    host, graph = OrtHost(), cumulative()
    run_graph(graph, {"x": X}, host=host)
    node = graph.nodes[1]
    graph.set_inputs(node, [graph.inputs[0], node.inputs[1]])
    graph.nodes[0], graph.nodes[1] = graph.nodes[1], graph.nodes[0]
    np.testing.assert_array_equal(run_graph(graph, {"x": X}, host=host)["y"], [[1, 3, 6, 10]])


def test_views_and_scalars_go_in_as_they_are() -> None:
    graph = Graph("views")
    x = graph.add_input("x", TensorType("f32", (3, 2)))
    s = graph.add_input("s", TensorType("f32", ()))
    graph.outputs = [emit(graph, ops.Mul(), [x, s], "y"), emit(graph, ops.Neg(), [s], "z")]
    model = export_onnx(graph.nodes, graph.inputs, graph.outputs, "views")
    view = np.arange(6, dtype=np.float32).reshape(2, 3).T
    result = OrtHost().run(model, {"x": view, "s": np.array(2, np.float32)})
    np.testing.assert_array_equal(result["y"], 2 * view)
    assert result["z"].shape == ()


def test_what_onnxruntime_refuses(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NmcError, match="onnxruntime refuses") as caught:
        OrtHost().run(b"no model", {}, Loc(node="here"))
    (problem,) = caught.value.diagnostics
    assert problem.code == "unsupported-operator"
    assert problem.loc.node == "here"
    assert caught.value.exit is Exit.UNSUPPORTED
    assert capfd.readouterr().err == ""


def test_what_fails_while_running(capfd: pytest.CaptureFixture[str]) -> None:
    graph = cumulative()
    model = export_onnx(graph.nodes, graph.inputs, graph.outputs, "sums")
    with pytest.raises(NmcError, match="onnxruntime failed") as caught:
        OrtHost().run(model, {"x": np.zeros((7, 7), np.float32)})
    assert len(caught.value.diagnostics[0].message) < 400
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("optimize", [False, True])
def test_optimisation_is_a_choice(optimize: bool) -> None:
    graph = cumulative()
    model = export_onnx(graph.nodes, graph.inputs, graph.outputs, "sums")
    host = OrtHost(optimize)
    np.testing.assert_array_equal(host.run(model, {"x": X})["y"], [[1, 3, 6, 10]])
    options = host.session(model).get_session_options()
    assert options.intra_op_num_threads == options.inter_op_num_threads == 1
    assert (options.graph_optimization_level.name == "ORT_ENABLE_ALL") is optimize
