"""The small members that repeat, for readers of the file, what its other members imply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from nmc.backends.container.contents import Contents
from nmc.backends.report_data import ReportData, report_data
from nmc.ir.graph import Graph

__all__ = ["QuantEntry", "quantization_of", "report_record"]


@dataclass(frozen=True, slots=True)
class QuantEntry:
    """What the stored integers of a value mean: real = (stored - zero_point) * scale."""

    dtype: str
    scale: float
    zero_point: int


def quantization_of(graph: Graph) -> dict[str, QuantEntry]:
    """Of each activation that is quantised, by the value's name, in the graph's order."""
    return {
        v.name: QuantEntry(v.type.dtype, v.type.quant.scale, v.type.quant.zero_point)
        for v in graph.values()
        if v.type.quant is not None
    }


def report_record(contents: Contents, report: ReportData | None = None) -> Any:
    """The report's figures, as plain JSON values; of `report`, if that is known already."""
    return msgspec.to_builtins(report or report_data(contents))
