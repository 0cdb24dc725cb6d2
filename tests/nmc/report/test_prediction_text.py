"""Predictions in words: in the summary, and beside a simulation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nmc.backends.report_comparison import Compared, Comparison, StageComparison, compare
from nmc.backends.report_data import report_data
from nmc.ir.layers import layers_of
from nmc.report.prediction_text import comparison_data, comparison_lines
from nmc.report.summary import predicted_lines
from tests.backends.models import compiled


def test_the_summary_says_what_to_expect_and_what_sets_it() -> None:
    report = report_data(compiled("chip"))
    predicted, limited, faster = predicted_lines(report)
    interval = f"{report.prediction.interval_cycles:,}".replace(",", " ")
    assert predicted.startswith(f"  predicted    {interval} cycles an input, ")
    assert limited.startswith("  limited by ")
    assert faster.startswith("  faster with ")


def test_a_model_of_the_host_alone_has_nothing_to_predict() -> None:
    report = report_data(compiled("chip"))
    nothing = replace(report.prediction, interval_cycles=0, busiest="", limits=())
    assert predicted_lines(replace(report, prediction=nothing)) == []


def test_a_comparison_shows_both_figures_and_how_far_they_are_apart() -> None:
    stages = (StageComparison("net/conv", 0, Compared(900, 1000)),)
    found = Comparison(
        8, Compared(1100, 1000), Compared(2000, 2000), Compared(3e-9, 2e-9), 0.5, stages
    )
    lines = comparison_lines(found)
    assert [
        line.split()[-3:] for line in lines if line[:7] in ("interva", "latency", "energy ")
    ] == [
        ["1", "000", "+10.0%"],
        ["2", "000", "+0.0%"],
        ["3", "2", "+50.0%"],
    ]
    assert lines[-1].split()[1:] == ["900", "1", "000", "-10.0%"]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("model", ["chip", "shared"])
def test_the_json_of_a_comparison_has_a_figure_for_each_stage(model: str) -> None:
    contents = compiled(model)
    data = comparison_data(compare(contents, 4))
    layers = [layer.name for layer in layers_of(contents.mapping)]
    assert [stage["name"] for stage in data["stages"]] == layers
    for compared in (data["interval_cycles"], data["latency_cycles"], data["energy_j"]):
        assert compared["error"] == pytest.approx(compared["predicted"] / compared["simulated"] - 1)
