"""Each node of the graph says which ONNX node it is from, and which line of the user's if known."""

from __future__ import annotations

import onnx
import pytest
from onnx import helper

from nmc.frontend import import_model
from nmc.frontend.provenance import source_line
from nmc.ir.diagnostics import Loc
from tests.nmc.frontend.models import FLOAT, model, noise

STACK = """File "/usr/site-packages/torch/nn/modules/module.py", line 1751, in _call_impl
    return forward_call(*args, **kwargs)
File "/home/me/net/model.py", line 17, in forward
    x = torch.relu(self.fc1(x))
File "/usr/lib/python3/site-packages/torch/functional.py", line 9, in relu
    return handle(x)
"""


def node(stack: str = "", doc: str = "") -> onnx.NodeProto:
    made = helper.make_node("Relu", ["x"], ["y"])
    made.doc_string = doc
    if stack:
        made.metadata_props.add(key="pkg.torch.onnx.stack_trace", value=stack)
        made.metadata_props.add(key="namespace", value="Net/fc1")
    return made


@pytest.mark.parametrize(
    ("stack", "line"),
    [
        (STACK, "model.py:17 in forward: x = torch.relu(self.fc1(x))"),
        (
            "File model.py, line 17, in forward, x = torch.relu(x)",
            "model.py:17 in forward: x = torch.relu(x)",
        ),
        ('File "C:\\me\\model.py", line 3, in <module>', "model.py:3 in <module>"),
        ('File "a.py", line 3', "a.py:3"),
        ("nothing of the kind", ""),
        ('File "', ""),
    ],
)
def test_the_exporters_stack(stack: str, line: str) -> None:
    assert source_line(node(stack)) == line


@pytest.mark.parametrize(
    ("doc", "line"),
    [
        (
            "/opt/site-packages/torch/nn/functional.py(1457): relu\n/home/me/net.py(8): forward\n",
            "net.py:8 in forward",
        ),
        ("# net.py:8:0", "net.py:8"),
        ("Applies the rectifier.", ""),
    ],
)
def test_the_doc_string_of_old_exporters(doc: str, line: str) -> None:
    assert source_line(node(doc=doc)) == line


def test_only_library_frames_are_better_than_none() -> None:
    frames = ('File "/torch/a.py", line 1, in f', 'File "/torch/b.py", line 2, in g')
    stack = "\n".join(frames)
    assert source_line(node(stack)) == "b.py:2 in g"


def test_every_node_has_its_place() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="first"),
        helper.make_node("Conv", ["a", "w"], ["b"]),
        helper.make_node("Gemm", ["f", "g", "c"], ["y"], transB=1),
    ]
    nodes.insert(2, helper.make_node("Flatten", ["b"], ["f"]))
    nodes[1].metadata_props.add(key="pkg.torch.onnx.stack_trace", value=STACK)
    weights = {"w": noise(2, 2, 1, 1), "g": noise(3, 8), "c": noise(3)}
    proto = model(nodes, [("x", FLOAT, [1, 2, 2, 2])], ["y"], weights)
    graph = import_model(proto)
    line = "model.py:17 in forward: x = torch.relu(self.fc1(x))"
    expected = [
        Loc(file="<ModelProto>", node="first", op="Conv", index=1, total=4),
        Loc(file="<ModelProto>", node="Conv #2", op="Conv", index=2, total=4, source=line),
        Loc(file="<ModelProto>", node="Flatten #1", op="Flatten", index=3, total=4),
        Loc(file="<ModelProto>", node="Gemm #1", op="Gemm", index=4, total=4),
        Loc(file="<ModelProto>", node="Gemm #1", op="Gemm", index=4, total=4),
    ]
    assert [n.origin for n in graph] == [(loc,) for loc in expected]
