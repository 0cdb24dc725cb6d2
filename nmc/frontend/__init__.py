"""The ONNX frontend: any valid model in, a graph or diagnostics out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

from nmc.frontend.call import Names
from nmc.frontend.dynamic_quant import static
from nmc.frontend.importer import Importer
from nmc.frontend.prepare import prepare
from nmc.frontend.reading import ReadModel, Source, read_model
from nmc.frontend.restamp import onnxruntime_source
from nmc.frontend.scope import Values
from nmc.frontend.sizes import input_types
from nmc.ir.diagnostics import Diagnostic, NmcError, Report
from nmc.ir.graph import Graph

__all__ = ["ReadModel", "Source", "import_model", "onnxruntime_source", "read_model"]


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
    bindings = input_shapes or {}
    try:
        proto, opsets = prepare(model)
    except NmcError as failure:
        raise NmcError(*failure.diagnostics, *size_problems(model, bindings)) from None
    static(proto, model.file, report)
    inputs = input_types(proto.graph, bindings, model.file, report)
    graph = Graph(PurePath(model.file).stem if model.companions.folder else proto.graph.name)
    values = Values(graph, model.file, model.companions)
    importer = Importer(graph, opsets, values, Names.of(graph, proto.graph))
    importer.run(proto.graph, inputs)
    importer.report(report)
    return graph


def size_problems(model: ReadModel, bindings: Mapping[str, tuple[int, ...]]) -> list[Diagnostic]:
    """What is wrong with the sizes of the inputs, for a model that has other problems, too."""
    try:
        input_types(model.proto.graph, bindings, model.file, Report())
    except NmcError as failure:
        return list(failure.diagnostics)
    return []
