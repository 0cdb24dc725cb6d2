"""The ONNX frontend: any valid model in, a graph or diagnostics out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

from nmc.frontend.call import Names
from nmc.frontend.dynamic_quant import static
from nmc.frontend.importer import Importer
from nmc.frontend.prepare import prepare
from nmc.frontend.reading import ReadModel, Source, read_model
from nmc.frontend.sizes import input_types
from nmc.ir.diagnostics import Report
from nmc.ir.graph import Graph

__all__ = ["ReadModel", "Source", "import_model", "read_model"]


def import_model(
    source: Source | ReadModel,
    *,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    report: Report | None = None,
) -> Graph:
    """The graph of an ONNX model: typed, all sizes known, operators without a rule kept opaque.

    `input_shapes` binds an input's name to a shape, or a symbol of the model to one size.  Notes
    and warnings go into `report`; NmcError lists every problem that could be found.
    """
    report = Report() if report is None else report
    model = source if isinstance(source, ReadModel) else read_model(source)
    proto, opsets = prepare(model)
    static(proto, model.file, report)
    given = {tensor.name for tensor in proto.graph.initializer}
    given |= {sparse.values.name for sparse in proto.graph.sparse_initializer}
    entries = [value for value in proto.graph.input if value.name not in given]
    inputs = input_types(entries, input_shapes or {}, model.file, report)
    graph = Graph(PurePath(model.file).stem if model.companions.folder else proto.graph.name)
    importer = Importer(graph, opsets, model.file, model.companions, Names.of(graph, proto.graph))
    importer.run(proto.graph, inputs)
    importer.report(report)
    return graph
