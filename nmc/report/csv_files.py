"""The report as CSV files, one a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmc.backends.report_records import (
    AdcReport,
    BorderReport,
    CoreReport,
    CrossbarReport,
    HostReport,
    NoteReport,
    PartReport,
    StageReport,
    StreamReport,
    Totals,
)
from nmc.output import keep_inputs, make_folder, write_text

if TYPE_CHECKING:
    from nmc.backends.report_records import ReportData

__all__ = ["write_csv"]

TABLES: dict[str, type] = {
    "stages": StageReport,
    "parts": PartReport,
    "crossbars": CrossbarReport,
    "adcs": AdcReport,
    "cores": CoreReport,
    "streams": StreamReport,
    "host": HostReport,
    "border": BorderReport,
    "diagnostics": NoteReport,
}


def write_csv(report: ReportData, folder: Path, source: Path) -> list[Path]:
    """One file a table of the report, and `totals.csv`; the paths written.

    `source` is the mapping file, which no table may replace.
    """
    keep_inputs([folder / f"{name}.csv" for name in (*TABLES, "totals")], [source])
    make_folder(folder)
    tables: dict[str, Sequence[Any]] = {name: getattr(report, name) for name in TABLES}
    tables["totals"] = [report.totals]
    paths = []
    for name, records in tables.items():
        path = folder / f"{name}.csv"
        write_text(path, csv_text(TABLES.get(name, Totals), records))
        paths.append(path)
    return paths


def csv_text(kind: type, records: Sequence[Any]) -> str:
    """A head, also of no records, and a line a record; lists are joined by blanks."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([item.name for item in fields(kind)])
    for record in records:
        writer.writerow([cell(value) for value in asdict(record).values()])
    return stream.getvalue()


def cell(value: Any) -> Any:
    if isinstance(value, dict):
        return " ".join(f"{name}={part}" for name, part in value.items())
    if not isinstance(value, tuple | list):
        return value
    if value and isinstance(value[0], dict):
        return " ".join(str(part.get("name") or part.get("label") or part) for part in value)
    return " ".join(":".join(map(str, p)) if isinstance(p, tuple | list) else str(p) for p in value)
