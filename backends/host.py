"""The host: runs ONNX models with onnxruntime, on one thread and without optimisations.

Optimised kernels round differently from one version of onnxruntime to the next; what a mapping
file computes shall not change with it more than it must.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nmc.backends.onnx_export import export_onnx
from nmc.ir.diagnostics import NOWHERE, Loc, NmcError, error
from nmc.ir.graph import Array, Node
from nmc.ir.ops import Op

__all__ = ["OrtHost"]

NOISE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ")
MAX_REASON = 300

NodeKey = tuple[Node, Op, tuple[str, ...]]
"""A node with its op and the names of its operands."""


@dataclass(eq=False, slots=True)
class OrtHost:
    """Runs exported models, and single nodes for interpreters; keeps what it has loaded.

    An object of this class is a `nmc.ir.interpreter.HostRunner`.
    """

    optimize: bool = False
    sessions: dict[str, Any] = field(default_factory=dict[str, Any])
    nodes: dict[NodeKey, bytes] = field(default_factory=dict[NodeKey, bytes])

    def __call__(self, node: Node, arrays: Sequence[Array | None]) -> list[Array]:
        """Results of one node; constants among its operands are taken from the node."""
        # Passes change a node's operands, so these are part of what has been exported.
        key = (node, node.op, tuple("" if v is None else v.name for v in node.inputs))
        if key not in self.nodes:
            inputs = [v for v in dict.fromkeys(node.operands) if not v.is_constant]
            self.nodes[key] = export_onnx([node], inputs, node.outputs, node.output.name)
        given = {
            v.name: a
            for v, a in zip(node.inputs, arrays, strict=True)
            if v is not None and a is not None and not v.is_constant
        }
        results = self.run(self.nodes[key], given, node.loc)
        return [results[v.name] for v in node.outputs]

    def run(
        self, model: bytes, inputs: Mapping[str, Array], loc: Loc = NOWHERE
    ) -> dict[str, Array]:
        """Outputs of a model by name.

        NmcError `unsupported-operator` if onnxruntime refuses the model or fails in running it.
        """
        session = self.session(model, loc)
        names = [output.name for output in session.get_outputs()]
        feeds = {name: np.require(array, requirements="C") for name, array in inputs.items()}
        try:
            results = session.run(names, feeds)
        except Exception as problem:  # onnxruntime has no common base class of its errors
            raise refusal("failed", problem, loc) from None
        return {name: np.asarray(r) for name, r in zip(names, results, strict=True)}

    def session(self, model: bytes, loc: Loc = NOWHERE) -> Any:
        key = hashlib.sha256(model).hexdigest()
        if key not in self.sessions:
            try:
                self.sessions[key] = self.loaded(model)
            except Exception as problem:
                raise refusal("refuses this part of the model", problem, loc) from None
        return self.sessions[key]

    def loaded(self, model: bytes) -> Any:
        import onnxruntime

        level = onnxruntime.GraphOptimizationLevel
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.graph_optimization_level = (
            level.ORT_ENABLE_ALL if self.optimize else level.ORT_DISABLE_ALL
        )
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def refusal(what: str, problem: Exception, loc: Loc) -> NmcError:
    lines = str(problem).strip().splitlines() or ["it gives no reason"]
    reason = NOISE.sub("", lines[0])[:MAX_REASON]
    return NmcError(error("unsupported-operator", f"onnxruntime {what}: {reason}", loc))
