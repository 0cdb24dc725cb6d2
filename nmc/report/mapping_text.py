"""The report of a mapping as text: layers, where they lie, ADCs, memory, the host."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from nmc.report.diagnostics import plain
from nmc.report.names import short_names
from nmc.report.summary import mapped_lines
from nmc.report.tables import fitted
from nmc.report.text import (
    BYTES,
    COUNTS,
    bar,
    count,
    line_width,
    number,
    percent,
    plural,
    same_unit,
    short,
    wrap,
)

if TYPE_CHECKING:
    from nmc.backends.report_records import AdcReport, ReportData, RingReport, StageReport

__all__ = ["alike_adcs", "crossbar_places", "ranges", "report_lines"]

ADCS_SHOWN = 12
CORES_SHOWN = 32
FULLEST_SHOWN = 12
NAME = 20
MILLION = 1_000_000
PLACES = 3
"""Layers on up to so many cores are shown crossbar by crossbar, others core by core."""

RUNS = 6
LEGEND = (
    "# is what `inspect FILE layer #` takes. It does a matrix of rows x outputs, or the vector "
    "work that is named. {copies}. For an input a copy makes so many reads, all of them together "
    "so many conversions; ADC cyc is what the busiest of the layer's ADCs needs for it as it is "
    "placed"
)
FULL = ", full the share of cells in use on its crossbars"
CUM = ", cum the share of the work of all ADCs up to this layer"


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
        ("cores" + of_many(report), core_lines(report)),
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
    """One row a layer; `cum` adds up the cycles of all ADCs, layer by layer."""
    whole = sum(stage.adc_work_cycles for stage in report.stages)
    convs, unit = conversions_texts([stage.conversions for stage in report.stages])
    rows, so_far = [], 0
    for index, stage in enumerate(report.stages):
        so_far += stage.adc_work_cycles
        on = bool(stage.tiles)
        rows.append(
            (
                str(index),
                stage.name,
                matrix_text(stage),
                copies_text(stage),
                str(len(stage.crossbars)) if on else "-",
                percent(stage.occupancy) if on else "-",
                count(stage.steps) if on else "-",
                convs[index] if on else "-",
                count(stage.adc_cycles) if on else "-",
                percent(so_far / whole) if whole else "-",
            )
        )
    made = f"convs, {unit}" if unit else "convs"
    head = ("#", "layer", "does", "copies", "xbars", "full", "reads", made, "ADC cyc", "cum")
    drop = ("full", "cum", "reads", "does")
    shown = fitted(head, rows, left=("does",), names=("layer",), drop=drop)
    legend = LEGEND.format(copies=copies_legend(report))
    legend += FULL if " full " in shown[0] else ""
    legend += CUM if shown[0].endswith("cum") else ""
    return [*shown, "", *wrap(f"{legend}.", line_width(), indent=0)]


def conversions_texts(conversions: Sequence[int]) -> tuple[list[str], str]:
    """Every digit of what is read easily, else all in one unit, which comes with them."""
    most = max(conversions, default=0)
    return same_unit(conversions, COUNTS if most >= MILLION else COUNTS[-1:])


def copies_text(stage: StageReport) -> str:
    """53/28 x 2: copies, rows whose pixels they share, and pieces of each, where there are any."""
    shared = f"/{stage.shared_rows}" if stage.share else ""
    pieces = f" x {stage.pieces}" if stage.pieces > 1 else ""
    return f"{stage.copies}{shared}{pieces}"


def copies_legend(report: ReportData) -> str:
    """What the texts of copies in a report mean; an example of its own where copies share rows."""
    sharing = next((stage for stage in report.stages if stage.share), None)
    shared = ""
    if sharing is not None:
        copies, rows = sharing.copies, sharing.shared_rows
        together = f"{copies} deal out the pixels of {plural(rows, 'row')} at a time"
        shared = f"; {copies}/{rows}: {together}"
    return f"Copies take turns at rows{shared}; x 2: each is cut into 2 pieces by channels"


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
        lines += wrap(f"{index} {names[stage.name]}: {place_text(stage)}", width, indent=4)
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


def place_text(stage: StageReport) -> str:
    """``crossbars 0-3 of core 0``; of layers on many cores: ``88 crossbars of cores 3-9, 14``."""
    way = f", by {stage.way}" if stage.way not in ("", "im2col") else ""
    if not stage.crossbars:
        plural = "units of cores" if len(stage.homes) > 1 else "unit of core"
        return f"vector {plural} {cut_ranges(stage.homes)}"
    cores = sorted({core for core, _ in stage.crossbars})
    if len(cores) <= PLACES:
        return crossbar_places(stage.crossbars) + way
    return f"{len(stage.crossbars)} crossbars of cores {cut_ranges(cores)}{way}"


def cut_ranges(numbers: Sequence[int]) -> str:
    """0-3, 5; of very many the first few runs, and how many there are."""
    parts = ranges(numbers).split(", ")
    if len(parts) <= RUNS:
        return ", ".join(parts)
    return f"{', '.join(parts[:RUNS])}, ... ({len(set(numbers))} cores)"


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
    """Busiest first; those of the same layers that do the same share a line."""
    ranked = alike_adcs(report)
    most = ranked[0][1][0].cycles if ranked else 0
    rows = [
        (
            str(adcs[0].core),
            str(adcs[0].cluster),
            str(adcs[0].adc),
            str(len(adcs)),
            count(adcs[0].conversions),
            count(adcs[0].cycles),
            bar(adcs[0].cycles / most if most else 0.0, 12),
            short(layers, 18),
        )
        for layers, adcs in ranked[:ADCS_SHOWN]
    ]
    if not rows:
        return []
    head = ("core", "cluster", "ADC", "alike", "conversions", "cycles", "", "layers")
    hidden = sum(len(adcs) for _, adcs in ranked[ADCS_SHOWN:])
    return [*fitted(head, rows, left=("", "layers"), drop=("",)), *more(hidden, "ADCs")]


def alike_adcs(report: ReportData) -> list[tuple[str, list[AdcReport]]]:
    """Layers by their numbers, and the ADCs that do the same for them; busiest first."""
    numbers = {part.name: part.layer for part in report.parts}
    alike: defaultdict[tuple[int, int, str], list[AdcReport]] = defaultdict(list)
    for adc in report.adcs:
        layers = ranges([numbers[name] for name in adc.stages])
        alike[-adc.cycles, -adc.conversions, layers].append(adc)
    return [(key[-1], adcs) for key, adcs in sorted(alike.items())]


def core_lines(report: ReportData) -> list[str]:
    """All cores if they are few, else those whose memory is fullest."""
    shown = report.cores
    if len(shown) > CORES_SHOWN:
        ranked = sorted(report.cores, key=lambda core: (-core.sram_bytes_used, core.core))
        shown = tuple(ranked[:FULLEST_SHOWN])
    rows = [
        (
            str(core.core),
            f"{core.crossbars_used} of {core.crossbars_available}",
            f"{core.sequencers_used} of {core.sequencers_available}",
            f"{kib(core.sram_bytes_used)} of {kib(core.sram_bytes_available)}",
            short(", ".join(f"{r} {kib(b)}" for r, b in roles(core.sram_bytes_by_role)), 32),
        )
        for core in shown
    ]
    if not rows:
        return []
    head = ("core", "crossbars", "sequencers", "SRAM, KiB", "most of it, KiB")
    cut = ("sequencers", "most of it, KiB")
    return [
        *fitted(head, rows, left=cut[1:], drop=cut),
        *more(len(report.cores) - len(shown), "cores"),
    ]


def kib(size: int) -> str:
    return f"{size / 1024:.1f}"


def of_many(report: ReportData) -> str:
    return ", fullest memory first" if len(report.cores) > CORES_SHOWN else ""


def roles(held: dict[str, int]) -> list[tuple[str, int]]:
    """The two largest uses of a memory."""
    return sorted(held.items(), key=lambda item: (-item[1], item[0]))[:2]


def buffer_lines(report: ReportData) -> list[str]:
    """Of each layer and what it takes the largest row buffer, largest first."""
    layers = {part.name: report.stages[part.layer].name for part in report.parts}
    held: defaultdict[tuple[str, str], list[RingReport]] = defaultdict(list)
    for stream in report.streams:
        for ring in stream.rings:
            held[stream.value, layers[ring.stage]].append(ring)
    largest = [
        (max(rings, key=ring_bytes), value, layer, len(rings))
        for (value, layer), rings in held.items()
    ]
    largest.sort(key=lambda entry: (-ring_bytes(entry[0]), entry[2]))
    largest = largest[:6]
    sizes, unit = same_unit([ring_bytes(entry[0]) for entry in largest], BYTES)
    rows = [
        (value, layer, str(ring.core), str(ring.depth), size, str(several))
        for (ring, value, layer, several), size in zip(largest, sizes, strict=True)
    ]
    head = ("of", "to", "core", "rows", unit, "of buffers")
    return fitted(head, rows, names=("of", "to")) if rows else []


def ring_bytes(ring: RingReport) -> int:
    return ring.depth * ring.row_bytes


def remark_lines(report: ReportData) -> list[str]:
    lines: list[str] = []
    for each in report.diagnostics:
        lines += wrap(f"{each.severity}[{each.code}]: {each.message}", line_width(), indent=4)
    return lines


def more(count_left: int, what: str) -> list[str]:
    return (
        [f"... and {count_left} more {what}; all are in --json and --csv"] if count_left > 0 else []
    )
