"""The report of a mapping as text: layers, where they lie, ADCs, memory, the host."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from nmc.report.diagnostics import plain
from nmc.report.names import short_names
from nmc.report.summary import mapped_lines
from nmc.report.text import (
    bar,
    bytes_text,
    count,
    fitted,
    line_width,
    number,
    percent,
    short,
    table,
    wrap,
)

if TYPE_CHECKING:
    from nmc.backends.report_records import ReportData, StageReport

__all__ = ["crossbar_places", "ranges", "report_lines"]

ADCS_SHOWN = 12
CORES_SHOWN = 32
NAME = 20
LEGEND = (
    "# is what `inspect FILE layer #` takes. It does a matrix of rows x outputs, or the vector "
    "work that is named. An input costs so many reads and conversions; ADC cyc is what the layer's "
    "busiest ADC needs for it at least, cum the share of all layers' ADC cyc up to this one."
)


def report_lines(
    report: ReportData,
    chip: Sequence[str] = (),
    *,
    full: bool = False,
    paint: Callable[[str, str], str] = plain,
) -> list[str]:
    """`chip` are lines on the target; `full` adds the names that were cut; `paint` dresses titles
    in a style."""
    title = paint(f"{report.model} on {report.target}", "head")
    head = [title, *chip, *mapped_lines(report)]
    sections = (
        ("layers", layer_lines(report)),
        ("where each layer lies", place_lines(report)),
        ("what the host does, and why", host_lines(report)),
        ("ADCs, busiest first", adc_lines(report)),
        ("cores", core_lines(report)),
        ("deepest row buffers", buffer_lines(report)),
        ("remarks of the compiler", remark_lines(report)),
        ("layers by their full names", name_lines(report) if full else []),
    )
    for title, lines in sections:
        if lines:
            head += ["", paint(title, "head"), "", *lines]
    return head


def stage_names(report: ReportData) -> dict[str, str]:
    """Names for tables; the narrower the terminal the shorter."""
    return short_names([s.name for s in report.stages], NAME if line_width() >= 80 else 16)


def name_lines(report: ReportData) -> list[str]:
    return [f"{i:>3}  {stage.name}" for i, stage in enumerate(report.stages)]


def layer_lines(report: ReportData) -> list[str]:
    """One row a stage; `cum` adds up the cycles of the busiest ADCs, stage by stage."""
    names = stage_names(report)
    whole = sum(stage.adc_cycles for stage in report.stages)
    rows, so_far = [], 0
    for index, stage in enumerate(report.stages):
        so_far += stage.adc_cycles
        on = bool(stage.tiles)
        rows.append(
            (
                str(index),
                names[stage.name],
                matrix_text(stage),
                str(len(stage.crossbars)) if on else "-",
                percent(stage.occupancy) if on else "-",
                count(stage.reads) if on else "-",
                count(stage.conversions) if on else "-",
                count(stage.adc_cycles) if on else "-",
                percent(so_far / whole) if whole else "-",
            )
        )
    head = ("#", "layer", "does", "xbars", "full", "reads", "convs", "ADC cyc", "cum")
    return [
        *fitted(head, rows, left=("layer", "does"), drop=("reads", "cum", "full", "does")),
        "",
        *wrap(LEGEND, line_width(), indent=0),
    ]


def matrix_text(stage: StageReport) -> str:
    """Rows x outputs of the matrix, or what else the stage does."""
    if not stage.blocks:
        return stage.kind
    rows, outputs = stage.blocks[0]
    times = f"{len(stage.blocks)} of " if len(stage.blocks) > 1 else ""
    return f"{times}{rows}x{outputs}"


def place_lines(report: ReportData) -> list[str]:
    lines: list[str] = []
    names, width = stage_names(report), line_width()
    for index, stage in enumerate(report.stages):
        place = crossbar_places(stage.crossbars) or f"vector unit of core {stage.home}"
        lines += wrap(f"{index} {names[stage.name]}: {place}", width, indent=4)
        origin = ", ".join(short(name, width - 16) for name in onnx_names(stage))
        if origin:
            lines += wrap(f"    from {origin}", width, indent=8)
    return lines


def onnx_names(stage: StageReport) -> list[str]:
    """ONNX nodes, each with the line of the user's source that it came from."""
    names: dict[str, str] = {}
    for node in stage.nodes:
        source = node.source_lines[0].partition(":  ")[0] if node.source_lines else ""
        for name in node.onnx_nodes:
            names.setdefault(name, source.split(": ")[0])
    return [f"{name} ({source})" if source else name for name, source in names.items()]


def crossbar_places(places: Iterable[tuple[int, int]]) -> str:
    """``core 0: crossbars 0-3, 5; core 1: crossbar 2``"""
    by_core: defaultdict[int, list[int]] = defaultdict(list)
    for core, crossbar in places:
        by_core[core].append(crossbar)
    return "; ".join(
        f"core {core}: crossbar{'s' * (len(each) > 1)} {ranges(each)}"
        for core, each in sorted(by_core.items())
    )


def ranges(numbers: Sequence[int]) -> str:
    """0-3, 5"""
    parts: list[list[int]] = []
    for n in sorted(set(numbers)):
        if parts and n == parts[-1][-1] + 1:
            parts[-1].append(n)
        else:
            parts.append([n])
    return ", ".join(f"{p[0]}-{p[-1]}" if len(p) > 2 else ", ".join(map(str, p)) for p in parts)


def host_lines(report: ReportData) -> list[str]:
    lines = []
    for step in report.host:
        lines.append(
            f"step {step.step}: {number(step.macs)} MACs, {percent(step.mac_share)} of all"
        )
        for node in step.nodes:
            listed = ", ".join(short(name, 56) for name in node.onnx_nodes)
            names = f" ({listed})" if listed else ""
            lines += wrap(f"    {node.op}{names}: {node.why}", line_width(), indent=8)
    return lines


def adc_lines(report: ReportData) -> list[str]:
    numbers = {stage.name: i for i, stage in enumerate(report.stages)}
    ranked = sorted(report.adcs, key=lambda adc: (-adc.cycles, adc.core, adc.cluster, adc.adc))
    most = ranked[0].cycles if ranked else 0
    rows = [
        (
            str(adc.core),
            str(adc.cluster),
            str(adc.adc),
            count(adc.conversions),
            count(adc.cycles),
            bar(adc.cycles / most if most else 0.0, 12),
            short(ranges([numbers[name] for name in adc.stages]), 18),
        )
        for adc in ranked[:ADCS_SHOWN]
    ]
    if not rows:
        return []
    head = ("core", "cluster", "ADC", "conversions", "cycles", "", "layers")
    return [
        *fitted(head, rows, left=("", "layers"), drop=("",)),
        *more(len(ranked) - ADCS_SHOWN, "ADCs"),
    ]


def core_lines(report: ReportData) -> list[str]:
    rows = [
        (
            str(core.core),
            f"{core.crossbars_used} of {core.crossbars_available}",
            f"{core.sequencers_used} of {core.sequencers_available}",
            f"{bytes_text(core.sram_bytes_used)} of {bytes_text(core.sram_bytes_available)}",
            short(", ".join(f"{r} {bytes_text(b)}" for r, b in roles(core.sram_bytes_by_role)), 32),
        )
        for core in report.cores[:CORES_SHOWN]
    ]
    if not rows:
        return []
    head = ("core", "crossbars", "sequencers", "SRAM", "most of it")
    cut = ("sequencers", "most of it")
    return [
        *fitted(head, rows, left=cut[1:], drop=cut),
        *more(len(report.cores) - CORES_SHOWN, "cores"),
    ]


def roles(held: dict[str, int]) -> list[tuple[str, int]]:
    """The two largest uses of a memory."""
    return sorted(held.items(), key=lambda item: (-item[1], item[0]))[:2]


def buffer_lines(report: ReportData) -> list[str]:
    rings = [(ring, stream) for stream in report.streams for ring in stream.rings]
    rings.sort(key=lambda pair: (-pair[0].depth * pair[0].row_bytes, pair[0].stage))
    names = stage_names(report)
    values = short_names([stream.value for stream in report.streams], NAME)
    rows = [
        (
            values[stream.value],
            names[ring.stage],
            str(ring.core),
            str(ring.depth),
            bytes_text(ring.depth * ring.row_bytes),
        )
        for ring, stream in rings[:6]
    ]
    return table(("of", "to", "core", "rows", "size"), rows, left=(0, 1)) if rows else []


def remark_lines(report: ReportData) -> list[str]:
    lines: list[str] = []
    for each in report.diagnostics:
        lines += wrap(f"{each.severity}[{each.code}]: {each.message}", line_width(), indent=4)
    return lines


def more(count_left: int, what: str) -> list[str]:
    return (
        [f"... and {count_left} more {what}; all are in --json and --csv"] if count_left > 0 else []
    )
