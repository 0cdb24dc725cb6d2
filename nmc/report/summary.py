"""What `nmc compile` says when it is done: a dozen lines, or the JSON that scripts rely on."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmc.report.energy_text import joules
from nmc.report.limits_text import limit_lines
from nmc.report.text import (
    bytes_text,
    count,
    line_width,
    number,
    percent,
    seconds,
    short,
    wrap,
)

if TYPE_CHECKING:
    from nmc.api import Compiled
    from nmc.backends.report_records import BorderReport, ReportData
    from nmc.ir.design import Outlook

__all__ = ["compile_data", "compile_lines", "mapped_lines"]

MOST_BORDERS = 4
"""Tensors that are named, of those that the host recodes."""


def compile_data(
    compiled: Compiled,
    path: Path,
    compile_s: float,
    peak_rss_bytes: int | None,
    outlook: Outlook | None = None,
) -> dict[str, Any]:
    """`outlook` is what ways and copies were chosen for, if they were."""
    report = compiled.report()
    totals = report.totals
    return {
        "output": str(path),
        "model": report.model,
        "target": report.target,
        "pipeline": report.pipeline,
        "seed": report.seed,
        "calibration": report.calibration,
        "calibration_random": report.calibration_random,
        "crossbars_used": totals.crossbars_used,
        "crossbars_available": totals.crossbars_available,
        "cores_used": totals.cores_used,
        "cores_available": totals.cores_available,
        "macs": totals.macs,
        "macs_on_crossbars": totals.macs_on_crossbars,
        "nodes": totals.nodes,
        "host_nodes": totals.host_nodes,
        "border": [asdict(each) for each in report.border],
        "conversions": totals.conversions,
        "adc_bound_cycles": totals.adc_bound_cycles,
        "adc_least_cycles": totals.adc_least_cycles,
        "bottleneck_steps": totals.bottleneck_steps,
        "outlook": asdict(outlook) if outlook else None,
        "predicted_interval_cycles": report.prediction.interval_cycles,
        "predicted_latency_cycles": report.prediction.latency_cycles,
        "predicted_energy_j": report.prediction.energy_j,
        "bound_cycles": report.prediction.bound_cycles,
        "busiest_unit": report.prediction.busiest,
        "limits": [asdict(limit) for limit in report.prediction.limits],
        "program_bytes": totals.program_bytes,
        "file_bytes": path.stat().st_size,
        "compile_s": compile_s,
        "peak_rss_bytes": peak_rss_bytes,
        "stages": [
            {
                "name": stage.name,
                "kind": stage.kind,
                "way": stage.way,
                "copies": stage.copies,
                "share": stage.share,
                "pieces": stage.pieces,
                "grid": stage.grid,
                "crossbars": len(stage.crossbars),
                "macs": stage.macs,
                "conversions": stage.conversions,
                "adc_cycles": stage.adc_cycles,
                "steps": stage.steps,
                "cycles": stage.cycles,
                "done_cycles": stage.done_cycles,
            }
            for stage in report.stages
        ],
    }


def compile_lines(
    compiled: Compiled,
    model: str,
    path: Path,
    compile_s: float,
    size: int,
    outlook: Outlook | None = None,
) -> list[str]:
    """`size` is the file's, `path` what to call it in the lines that tell how to go on."""
    report = compiled.report()
    head = f"{report.model} -> {path}"
    made = f"target {report.target}   seed {report.seed}   {seconds(compile_s)}"
    fits = len(head) + len(made) + 3 <= 80
    return [
        *([f"{head}   {made}"] if fits else [head, f"  {made}"]),
        *mapped_lines(report),
        *(outlook_lines(outlook) if outlook else []),
        f"  file         {bytes_text(size)}, programs {bytes_text(report.totals.program_bytes)}",
        f"  next: nmc report {path}",
        f"        nmc verify {path} --model {model} -i DATA.npz",
    ]


def outlook_lines(outlook: Outlook) -> list[str]:
    """How near the choice of ways and copies came to the best, by the model that it was made by."""
    if outlook.objective == "energy":
        value, bound = joules(outlook.value * 1e-15), joules(outlook.bound * 1e-15)
    else:
        value, bound = f"{count(outlook.value)} cycles", count(outlook.bound)
    best = "the best" if outlook.value == outlook.bound else f"at best {bound}"
    by = "by the layer model"
    text = f"  copies       for {outlook.objective}: {value}, {best} {by}"
    return wrap(text, line_width(), indent=15)


def mapped_lines(report: ReportData) -> list[str]:
    """How much lies where; shared by the summary and the head of the report."""
    totals = report.totals
    on_chip = totals.nodes - totals.host_nodes
    share = totals.macs_on_crossbars / totals.macs if totals.macs else 1.0
    lines = [
        f"  mapped       {on_chip} of {totals.nodes} nodes on the chip, "
        f"{percent(share)} of {number(totals.macs)} MACs on crossbars",
        f"  host         {host_text(report)}",
        *border_lines(report),
        f"  crossbars    {totals.crossbars_used} of {totals.crossbars_available}, on "
        f"{totals.cores_used} of {totals.cores_available} cores{fill_text(report)}",
    ]
    lines += adc_lines(report)
    lines += predicted_lines(report)
    if report.cores:
        full = max(report.cores, key=lambda core: core.sram_bytes_used)
        used, there = bytes_text(full.sram_bytes_used), bytes_text(full.sram_bytes_available)
        lines.append(f"  SRAM         at most {used} of {there} a core (core {full.core})")
        busy = max(report.cores, key=lambda core: core.sequencers_used)
        lines.append(
            f"  sequencers   at most {busy.sequencers_used} of {busy.sequencers_available} "
            f"a core (core {busy.core})"
        )
    lines.append(f"  calibrated   {calibration_text(report)}")
    return [piece for line in lines for piece in wrap(line, line_width(), indent=15)]


def adc_lines(report: ReportData) -> list[str]:
    """What conversions cost, and what another placement could save at best."""
    totals = report.totals
    line = f"  ADCs         {count(totals.conversions)} conversions an input"
    if totals.adc_bound_cycles:
        line += (
            f"; the busiest ADC needs {count(totals.adc_bound_cycles)} cycles for its share, "
            f"{count(totals.adc_least_cycles)} at least wherever tiles lie"
        )
    return [line]


def predicted_lines(report: ReportData) -> list[str]:
    """What an input is expected to take and what limits that; nothing where the host does all."""
    expected = report.prediction
    if not expected.busiest:
        return []
    return [
        f"  predicted    {count(expected.interval_cycles)} cycles an input, "
        f"{count(expected.latency_cycles)} for one alone, {joules(expected.energy_j)}",
        *limit_lines(report),
    ]


def host_text(report: ReportData) -> str:
    if not report.host:
        return "no operators" if report.border else "nothing"
    ops = Counter(node.op for step in report.host for node in step.nodes)
    named = ", ".join(f"{n} {op}" if n > 1 else op for op, n in ops.items())
    share = report.totals.host_macs / report.totals.macs if report.totals.macs else 0.0
    return f"{short(named, 44)}: {percent(share)} of the MACs"


def border_lines(report: ReportData) -> list[str]:
    """What the host recodes where it enters and leaves the chip; it is in no cycles or joules."""
    shown = [border_text(each) for each in report.border[:MOST_BORDERS]]
    if len(report.border) > MOST_BORDERS:
        shown.append(f"and {len(report.border) - MOST_BORDERS} more; --json names them")
    heads = ["  border       ", *["               "] * len(shown)]
    return [head + text for head, text in zip(heads, shown, strict=False)]


def border_text(border: BorderReport) -> str:
    """`image: f32, which the host writes as u8 (scale 0.01, zero point 128)`."""
    means = ""
    if border.scale is not None:
        means = f" (scale {border.scale:.4g}, zero point {border.zero_point})"
    name = short(border.value, 28)
    if border.enters:
        return f"{name}: {border.dtype}, the host writes it as {border.stored}{means}"
    return f"{name}: {border.dtype}, the host reads it as {border.stored}{means}"


def fill_text(report: ReportData) -> str:
    totals = report.totals
    if not totals.cells_there:
        return ""
    worst = min(report.crossbars, key=lambda crossbar: crossbar.occupancy)
    share = totals.cells_used / totals.cells_there
    return f"; {percent(share)} full (worst {percent(worst.occupancy)})"


def calibration_text(report: ReportData) -> str:
    if report.calibration_random:
        return f"on {report.calibration.upper()}: accuracy may suffer"
    return f"on {report.calibration}" if report.calibration else "not needed"
