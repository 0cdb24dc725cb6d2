"""Writes a node out as simpler ones, where ONNX defines its operator by a function.

The last resort for an operator that has no rule and that the host does not know: newer operators
of ONNX usually carry such a definition.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import defs, helper, inliner

from nmc.frontend.host import standing_alone
from nmc.ir.graph import Value

__all__ = ["expanded"]


def expanded(
    node: onnx.NodeProto, inputs: Sequence[Value | None], opsets: dict[str, int]
) -> onnx.GraphProto | None:
    """A graph that computes y0, y1... from x0, x1..., or None if ONNX has no definition."""
    try:
        schema = defs.get_schema(node.op_type, opsets.get(node.domain, 1), node.domain)
    except defs.SchemaError:
        return None
    kinds = ("has_function", "has_context_dependent_function")  # which onnx's stubs leave out
    if not any(getattr(schema, kind, False) for kind in kinds):
        return None
    single, entries, constants = standing_alone(node, inputs)
    results = [onnx.ValueInfoProto(name=name) for name in single.output]
    graph = helper.make_graph([single], "one", entries, results, constants)
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    model = helper.make_model(graph, opset_imports=imports)
    try:
        inlined = inliner.inline_selected_functions(
            model, [(node.domain, node.op_type)], False, inline_schema_functions=True
        )
    except Exception:  # the inliner has no error of its own; no definition then
        return None
    same = {(entry.domain, entry.version) for entry in inlined.opset_import} <= {*opsets.items()}
    left = any(n.op_type == node.op_type and n.domain == node.domain for n in inlined.graph.node)
    return inlined.graph if same and not left else None
