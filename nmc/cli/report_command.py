"""`nmc report`: how a compiled model lies on the chip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from nmc.cli.session import Session, common


@click.command("report")
@click.argument("file", metavar="OUT.nmc")
@click.option(
    "--html", "page", metavar="FILE", help="Write the report as one HTML page too; no network."
)
@click.option("--csv", "folder", metavar="DIR", help="Write the tables as CSV files into DIR too.")
@click.option(
    "--simulate",
    "inputs",
    metavar="N",
    type=click.IntRange(min=3),
    help="Simulate N inputs in flight, and show what was predicted beside it.",
)
@common
def command(
    session: Session, file: str, page: str | None, folder: str | None, inputs: int | None
) -> int:
    """Tell which layer lies on which crossbars, how full they are, how often each ADC converts,
    how much memory each core uses, what runs on the host and why, and the chip's area.
    """
    from dataclasses import asdict

    from nmc.api import load
    from nmc.backends.energy import area_of
    from nmc.backends.report_comparison import compare
    from nmc.output import check_writable, keep_inputs, write_text
    from nmc.report.chip_text import changes, chip_lines, unsourced
    from nmc.report.csv_files import write_csv
    from nmc.report.energy_text import area_data, area_lines
    from nmc.report.mapping_text import report_lines
    from nmc.report.prediction_text import comparison_data, comparison_lines

    keep_inputs([page], [file])
    if page:
        check_writable(Path(page))
    compiled = load(file)
    report, area = compiled.report(), area_of(compiled.target)
    if page:
        from nmc.report.html import html_report

        write_text(Path(page), html_report(report, compiled.contents, area))
    written = write_csv(report, Path(folder), Path(file)) if folder else []
    told = report_lines(
        report, chip_lines(compiled.contents), full=session.verbosity > 0, paint=session.paint
    )
    lines = [*told, "", session.paint("area", "head"), "", *area_lines(area)]
    found: dict[str, Any] = asdict(report) | {"area": area_data(area)}
    if inputs is not None and compiled.contents.programs:
        compared = compare(compiled.contents, inputs)
        lines += ["", session.paint("predicted and simulated", "head"), ""]
        lines += comparison_lines(compared)
        found["simulated"] = comparison_data(compared)
    lines += [f"written: {path}" for path in (*([page] if page else []), *written)]
    # The session's own list is of this command; what the compiler said keeps a name of its own.
    found["remarks"] = found.pop("diagnostics")
    found |= {
        "target_changes": changes(compiled.contents),
        "target_unsourced": unsourced(compiled.contents),
    }
    files = {"html": page, "csv": [str(p) for p in written]}
    return session.result({"file": file, **found, **files}, lines)
