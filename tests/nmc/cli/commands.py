"""What a command leaves behind, and small models to give to commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

__all__ = ["Nmc", "Outcome", "dense_bytes", "model_bytes"]


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def codes(self) -> list[str]:
        return [d["code"] for d in self.json["diagnostics"]]


Nmc = Callable[..., Outcome]


def model_bytes(
    nodes: list[onnx.NodeProto],
    shape: list[int | str],
    out: list[int | str],
    *,
    weights: dict[str, Any] | None = None,
    opsets: dict[str, int] | None = None,
) -> bytes:
    """A model with input `x` and output `y`."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
        [
            onnx.numpy_helper.from_array(np.asarray(w, np.float32), name)
            for name, w in (weights or {}).items()
        ],
    )
    imports = [helper.make_opsetid(d, v) for d, v in (opsets or {"": 17}).items()]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    return bytes(model.SerializeToString())


def dense_bytes(rows: int = 4, cols: int = 3, shape: list[int | str] | None = None) -> bytes:
    """One matrix."""
    weights = {"w": np.linspace(-1, 1, rows * cols).reshape(rows, cols)}
    node = helper.make_node("MatMul", ["x", "w"], ["y"], "dense")
    return model_bytes([node], shape or [1, rows], [1, cols], weights=weights)
