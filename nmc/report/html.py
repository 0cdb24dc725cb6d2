"""The report as one HTML page: figures, heat maps of the mesh, layers, what limits, remarks.

No script and nothing from elsewhere: the page can be kept, mailed, and opened anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from nmc.report.chip_text import chip_lines
from nmc.report.energy_text import figure, joules
from nmc.report.html_parts import Cell, Heat, element, heat_map, page_text, section, table_of
from nmc.report.limits_text import limit_lines
from nmc.report.mapping_text import (
    alike_adcs,
    copies_legend,
    copies_text,
    matrix_text,
    onnx_names,
    ranges,
)
from nmc.report.names import short_names
from nmc.report.runs import time_text
from nmc.report.summary import mapped_lines
from nmc.report.text import bytes_text, count, number, percent, unbroken

if TYPE_CHECKING:
    from nmc.backends.container import Contents
    from nmc.backends.energy import AreaReport
    from nmc.backends.report_records import ReportData, StageReport

__all__ = ["html_report"]

NAME = 48
ADCS_SHOWN = 20
FULL_NAMES = "Names that are cut are whole on hovering, and in --json."


def html_report(report: ReportData, contents: Contents, area: AreaReport) -> str:
    """The whole page."""
    title = f"{report.model} on {report.target}"
    parts = [
        element("header", element("h1", title), element("p", made_by(contents), klass="sub")),
        cards(report, contents),
        *limits(report),
        facts(report, contents),
        maps(report, contents),
        layers(report),
        *host(report),
        adcs(report),
        area_table(area),
        *remarks(report),
        record(contents),
    ]
    style = files("nmc.report").joinpath("report.css").read_text(encoding="utf-8")
    return page_text(title, style, *parts)


def made_by(contents: Contents) -> str:
    manifest = contents.manifest
    return f"compiled by nmc {manifest.tool_version}, seed {manifest.seed}; before any run"


# Figures


def cards(report: ReportData, contents: Contents) -> Element:
    expected, totals, clock = report.prediction, report.totals, contents.target.clock_ghz
    shown: list[tuple[str, str]] = []
    if expected.busiest:
        rate = clock * 1e9 / expected.interval_cycles if expected.interval_cycles else 0.0
        shown += [
            (
                f"{count(expected.interval_cycles)} cycles",
                f"an input, predicted: {time_text(expected.interval_cycles, clock)}, "
                f"{number(rate)} a second",
            ),
            (
                f"{count(expected.latency_cycles)} cycles",
                f"for one alone: {time_text(expected.latency_cycles, clock)}",
            ),
            (joules(expected.energy_j), "an input, predicted"),
        ]
    on_chip = totals.nodes - totals.host_nodes
    share = totals.macs_on_crossbars / totals.macs if totals.macs else 1.0
    fill = totals.cells_used / totals.cells_there if totals.cells_there else 0.0
    shown += [
        (
            f"{count(totals.crossbars_used)} of {count(totals.crossbars_available)}",
            f"crossbars, {percent(fill)} full; {totals.cores_used} of "
            f"{totals.cores_available} cores",
        ),
        (percent(share), f"of {number(totals.macs)} MACs on crossbars"),
        (f"{on_chip} of {totals.nodes}", "nodes on the chip"),
        (number(totals.conversions), "conversions an input"),
    ]
    made = (
        element("div", element("b", unbroken(big)), element("span", unbroken(what)), klass="card")
        for big, what in shown
    )
    return element("div", *made, klass="cards")


def limits(report: ReportData) -> Iterator[Element]:
    """What the terminal says of it, in a frame."""
    for line in limit_lines(report):
        key, text = line[2:15].strip(), line[15:]
        yield element(
            "div", element("b", f"{key[:1].upper()}{key[1:]} "), unbroken(text), klass="limit"
        )


def facts(report: ReportData, contents: Contents) -> Element:
    """The head of the text report as a list; its lines begin with a key of 13 columns."""
    told: list[list[str]] = []
    skipped = ("predicted", "limited by", "faster with")
    for line in (*chip_lines(contents), *mapped_lines(report)):
        key = line[2:15].strip()
        if key or not told:
            told.append([key, line[15:]])
        else:
            told[-1][1] += f" {line[15:].strip()}"
    made = element("dl")
    for key, text in told:
        if key not in skipped:
            made.append(element("dt", key))
            made.append(element("dd", unbroken(text)))
    return section("Summary", made)


# The mesh


def maps(report: ReportData, contents: Contents) -> Element:
    """Three heat maps: how busy ADCs are, how many cells are in use, how full memories are."""
    drawn = (adc_heat(report), cell_heat(report, contents), sram_heat(report))
    titles = (
        "ADCs: the busiest of each core, by the chip's busiest",
        "Crossbars: cells in use, of all cells of the core",
        "SRAM in use",
    )
    mesh = contents.target.mesh
    figures = (
        heat_map(
            f"{title}, in percent, from light to dark",
            mesh.width,
            mesh.height,
            {mesh.position(core): heat for core, heat in heats.items()},
        )
        for title, heats in zip(titles, drawn, strict=True)
    )
    return section("The mesh", element("div", *figures, klass="maps"))


def adc_heat(report: ReportData) -> dict[int, Heat]:
    most: dict[int, int] = {}
    for adc in report.adcs:
        most[adc.core] = max(most.get(adc.core, 0), adc.cycles)
    whole = max(most.values(), default=0) or 1
    return {
        core: heat(core, cycles / whole, f"busiest ADC {count(cycles)} cycles an input")
        for core, cycles in most.items()
    }


def cell_heat(report: ReportData, contents: Contents) -> dict[int, Heat]:
    target = contents.target
    whole = target.core.crossbars * target.crossbar.rows * target.crossbar.cols
    used: Counter[int] = Counter()
    for crossbar in report.crossbars:
        used[crossbar.core] += crossbar.cells_used
    names = layers_by_core(report)
    return {
        core: heat(core, cells / whole, f"{count(cells)} cells in use, by {names[core]}")
        for core, cells in used.items()
    }


def layers_by_core(report: ReportData) -> Mapping[int, str]:
    held: dict[int, set[int]] = {}
    for part in report.parts:
        for core, _ in part.crossbars:
            held.setdefault(core, set()).add(part.layer)
    return {core: f"layers {ranges(sorted(numbers))}" for core, numbers in held.items()}


def sram_heat(report: ReportData) -> dict[int, Heat]:
    return {
        core.core: heat(
            core.core,
            core.sram_bytes_used / max(1, core.sram_bytes_available),
            f"{bytes_text(core.sram_bytes_used)} of {bytes_text(core.sram_bytes_available)}",
        )
        for core in report.cores
    }


def heat(core: int, share: float, text: str) -> Heat:
    return Heat(share, f"{100 * share:.0f}", f"core {core}: {percent(share)}, {text}")


# Tables


def layers(report: ReportData) -> Element:
    names = short_names([stage.name for stage in report.stages], NAME)
    busiest = max((stage.adc_cycles for stage in report.stages), default=0) or 1
    interval = max(1, report.prediction.interval_cycles)
    limiting = {layer.layer for limit in report.prediction.limits for layer in limit.layers}
    rows = [
        (
            str(index),
            Cell(names[stage.name], layer_title(stage)),
            matrix_text(stage),
            stage.way or "-",
            copies_text(stage),
            *crossbar_cells(stage, busiest),
            Cell(count(stage.cycles), "", stage.cycles / interval),
            "yes" if index in limiting else "",
        )
        for index, stage in enumerate(report.stages)
    ]
    head = (
        "#", "layer", "does", "lies by", "copies", "crossbars", "full", "reads", "conversions",
        "ADC cycles", "cycles alone", "limits",
    )  # fmt: skip
    about = (
        f"{copies_legend(report)}. For an input a copy makes so many reads, all together so many "
        "conversions; ADC cycles are what the busiest of the layer's ADCs needs for it, cycles "
        "alone what the slowest copy takes with all units to itself, its bar a share of the "
        f"interval. {FULL_NAMES}"
    )
    left = ("layer", "does", "lies by")
    return section("Layers", table_of(head, rows, left=left), element("p", about, klass="small"))


def crossbar_cells(stage: StageReport, busiest: int) -> tuple[str | Cell, ...]:
    if not stage.tiles:
        return ("-",) * 5
    return (
        count(len(stage.crossbars)),
        Cell(percent(stage.occupancy), "", stage.occupancy),
        count(stage.steps),
        count(stage.conversions),
        Cell(count(stage.adc_cycles), "", stage.adc_cycles / busiest),
    )


def layer_title(stage: StageReport) -> str:
    origin = ", ".join(onnx_names(stage))
    return f"{stage.name}, from {origin}" if origin else stage.name


def host(report: ReportData) -> Iterator[Element]:
    rows = [
        (step.step, node.op, ", ".join(node.onnx_nodes), node.why, number(node.macs))
        for step in report.host
        for node in step.nodes
    ]
    if rows:
        head = ("step", "operator", "from", "why", "MACs")
        yield section("What the host does, and why", prose(table_of(head, rows, left=head[:4])))


def prose(made: Element) -> Element:
    """A table of texts, which may be broken."""
    made.set("class", f"{made.get('class')} prose")
    return made


def adcs(report: ReportData) -> Element:
    ranked = alike_adcs(report)
    most = ranked[0][1][0].cycles if ranked else 1
    rows = [
        (
            str(adcs[0].core),
            str(adcs[0].cluster),
            str(adcs[0].adc),
            count(len(adcs)),
            count(adcs[0].conversions),
            Cell(count(adcs[0].cycles), "", adcs[0].cycles / max(1, most)),
            layers,
        )
        for layers, adcs in ranked[:ADCS_SHOWN]
    ]
    head = ("core", "cluster", "ADC", "alike", "conversions", "cycles an input", "layers")
    rest = sum(len(adcs) for _, adcs in ranked[ADCS_SHOWN:])
    more = f"{count(rest)} more are in --json and --csv." if rest > 0 else ""
    return section(
        "ADCs, busiest first",
        table_of(head, rows, left=("layers",)),
        element("p", more, klass="small"),
    )


def area_table(area: AreaReport) -> Element:
    rows = [
        (
            row.component,
            count(row.parts),
            figure(row.each_um2),
            f"{row.mm2:.3f}",
            Cell(percent(row.mm2 / area.mm2), "", row.mm2 / area.mm2),
        )
        for row in sorted(area.rows, key=lambda row: -row.mm2)
        if row.um2
    ]
    rows.append(("all", "", "", f"{area.mm2:.3f}", Cell("100 %")))
    head = ("parts of the whole chip", "number", "um2 each", "mm2", "share")
    return section("Area", table_of(head, rows, left=head[:1]))


def remarks(report: ReportData) -> Iterator[Element]:
    if report.diagnostics:
        told = (
            element("p", element("b", f"{d.severity}[{d.code}]", klass=d.severity), f" {d.message}")
            for d in report.diagnostics
        )
        yield section("Remarks of the compiler", *told)


def record(contents: Contents) -> Element:
    """What it takes to make the file again."""
    manifest = contents.manifest
    entries: Sequence[tuple[str, str]] = (
        ("model", f"{manifest.model.name}, sha256 {manifest.model.sha256}"),
        ("target", manifest.target),
        ("pipeline", manifest.pipeline),
        ("seed", str(manifest.seed)),
        *((name, str(value)) for name, value in manifest.options.items() if value),
        ("format", f"{manifest.format} {manifest.version}, nmc {manifest.tool_version}"),
    )
    made = element("dl")
    for name, text in entries:
        made.append(element("dt", name))
        made.append(element("dd", text))
    return section("How it was made", made)
