"""A report stays short however many copies there are, and its figures are right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nmc.backends.report_data import report_data
from nmc.backends.report_records import AdcReport, ReportData
from nmc.report.mapping_text import copies_text, cut_ranges, place_text, ranges, report_lines
from tests.backends.models import PARTS, compiled, one_copy


@pytest.fixture(scope="module")
def report() -> ReportData:
    return report_data(compiled("chip"))


def section(lines: list[str], title: str) -> list[str]:
    start = lines.index(title) + 2
    return lines[start : lines.index("", start)]


def test_a_row_for_each_layer(report: ReportData) -> None:
    assert len(report.parts) > len(report.stages)
    rows = section(report_lines(report), "layers")[2:]
    assert len(rows) == len(report.stages)
    for row, stage in zip(rows, report.stages, strict=True):
        assert f" {copies_text(stage)} " in row
    assert rows[-1].endswith("100 %")  # all the work of the ADCs


def test_copies_are_told_with_the_rows_they_share_and_their_pieces(report: ReportData) -> None:
    stage = next(s for s in report.stages if s.blocks)
    alone = replace(stage, copies=53, share=0, pieces=1, grid=(2, 4))
    assert copies_text(alone) == "53"
    assert copies_text(replace(alone, pieces=2)) == "53 x 2"
    assert copies_text(replace(alone, share=14)) == "53/28"  # 14 times the 2 rows of a read
    assert copies_text(replace(alone, share=14, pieces=2)) == "53/28 x 2"


def test_the_legend_tells_of_shared_rows_where_there_are_any() -> None:
    def legend(report: ReportData) -> str:
        return " ".join(report_lines(report)[1:]).partition("# is what")[2]

    assert "Copies take turns at rows; x 2:" in legend(report_data(one_copy("chip")))
    parts = report_data(compiled("chip", passes=PARTS))
    shared = next(stage for stage in parts.stages if stage.share)
    assert (shared.copies, shared.shared_rows, shared.pieces) == (30, 6, 1)
    assert "at rows; 30/6: 30 deal out the pixels of 6 rows at a time; x 2:" in legend(parts)


def test_shares_add_up_the_work_of_all_adcs(report: ReportData) -> None:
    work = [stage.adc_work_cycles for stage in report.stages]
    assert sum(work) == sum(adc.cycles for adc in report.adcs)
    half = next(n for n in range(len(work)) if work[n])
    row = section(report_lines(report), "layers")[2 + half]
    assert row.split("  ")[-1].strip() == f"{100 * work[half] / sum(work):.0f} %"


def test_few_cores_crossbar_by_crossbar_many_core_by_core(report: ReportData) -> None:
    stage = next(s for s in report_data(one_copy("chip")).stages if s.crossbars)
    few = replace(stage, crossbars=((3, 0), (3, 1), (5, 2)), way="im2col")
    assert place_text(few) == "core 3: crossbars 0, 1; core 5: crossbar 2"
    many = replace(stage, crossbars=tuple((core, 0) for core in (*range(4, 9), 11)), way="groups 2")
    assert place_text(many) == "6 crossbars of cores 4-8, 11, by groups 2"
    vector = replace(stage, crossbars=(), way="", homes=(2,))
    assert place_text(vector) == "vector unit of core 2"
    assert place_text(replace(vector, homes=(2, 7))) == "vector units of cores 2, 7"


def test_long_lists_are_cut() -> None:
    assert ranges([5, 1, 2, 3]) == "1-3, 5"
    assert cut_ranges(range(0, 12, 2)) == "0, 2, 4, 6, 8, 10"
    assert cut_ranges(range(0, 40, 2)) == "0, 2, 4, 6, 8, 10, ... (20 cores)"


def test_adcs_that_do_the_same_share_a_line(report: ReportData) -> None:
    name = report.parts[0].name
    adcs = tuple(AdcReport(core, 0, 0, 8, 16, (name,), {name: 8}) for core in range(30))
    odd = AdcReport(40, 1, 1, 8, 17, (name,), {name: 8})
    rows = section(report_lines(replace(report, adcs=(*adcs, odd))), "ADCs, busiest first")[2:]
    assert [row.split()[:4] for row in rows] == [["40", "1", "1", "1"], ["0", "0", "0", "30"]]


def test_of_many_cores_the_fullest_are_shown(report: ReportData) -> None:
    core = report.cores[0]
    many = tuple(replace(core, core=n, sram_bytes_used=n) for n in range(500))
    lines = report_lines(replace(report, cores=many))
    rows = section(lines, "cores, fullest memory first")
    assert [row.split()[0] for row in rows[2:5]] == ["499", "498", "497"]
    assert rows[-1].startswith("... and 488 more cores")


def test_buffers_are_counted_by_layer(report: ReportData) -> None:
    rows = section(report_lines(report), "deepest row buffers")[2:]
    assert sum(int(row.split()[-1]) for row in rows) == sum(len(s.rings) for s in report.streams)
