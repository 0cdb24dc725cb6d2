"""Tables of networks and of costs: from children's results to what is printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import networks_table, peak_memory, scaling
from benchmarks.harness import Child
from benchmarks.networks import build
from benchmarks.simulated import steady_interval
from benchmarks.steps import Bench
from nmc.backends.simulator import Result


def result(*ends: int) -> Result:
    return Result({}, max(ends), ends, (), {})


def test_the_steady_interval_leaves_the_edges_out() -> None:
    assert steady_interval(result(500, 610, 700, 800, 900, 930, 940)) == 100
    assert steady_interval(result(500, 640)) == 140


def test_columns_that_no_row_has_are_left_out() -> None:
    rows: list[dict[str, Any]] = [
        {"network": "a", "compile_s": 1.25, "exact": True},
        {"network": "b", "failure": "compile: too-many-tiles: 9 | 8\nmore"},
    ]
    assert networks_table.markdown(rows).splitlines() == [
        "| network | compile s | exact | failure |",
        "| --- | --- | --- | --- |",
        "| a | 1.2 | yes |  |",
        "| b |  |  | compile: too-many-tiles: 9 \\| 8 more |",
    ]


def test_predictions_are_held_against_what_was_simulated() -> None:
    row = {"predicted_interval_cycles": 110, "interval_cycles": 100.0, "latency_cycles": 7}
    found = networks_table.prediction_errors(row)
    assert found == {"interval_prediction_error": pytest.approx(0.1)}


def test_a_failed_step_says_which_it_was() -> None:
    child = Child(4, 1.5, 2048, failure="too-many-tiles: 9 of 8")
    assert networks_table.taken("compile", child, ["macs"]) == {
        "compile_wall_s": 1.5,
        "compile_peak_rss_bytes": 2048,
        "failure": "compile: too-many-tiles: 9 of 8",
    }


def test_exponents_are_slopes_of_logarithms() -> None:
    rows = [
        {"parameters": n, "compile_s": 3 * n**1.5, "simulate_s": 2.0 * n} for n in (10, 40, 160)
    ]
    assert scaling.exponent(rows, "compile_s") == pytest.approx(1.5)
    assert scaling.exponent(rows, "simulate_s") == pytest.approx(1.0)
    assert scaling.exponent(rows[:1], "simulate_s") is None
    assert scaling.exponent(rows, "file_bytes") is None
    assert [row["parameters"] for row in scaling.largest(rows[::-1])] == [40, 160]


def test_arguments_after_two_dashes_are_the_compilers() -> None:
    options = networks_table.options_of(["resnet18", "--mesh", "4x4", "--", "--seed", "3"])
    assert (options.networks, options.mesh) == (["resnet18"], ["4x4"])
    assert options.further == ["--seed", "3"]


# Whole runs, of a network that is compiled in a second


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("networks") / "small.onnx"
    path.write_bytes(build("mobilenet_v1", 32, 0.25).SerializeToString())
    return path


def test_a_table_of_a_network(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    networks_table.main([str(small), "missing.onnx", "--mesh", "1x1", "--mesh", "16x16", "--json"])
    done, failed = json.loads(capsys.readouterr().out)["networks"]
    assert done["network"] == "small"
    assert done["mesh"] == "16x16"  # a single core is not enough
    assert done["exact"] is True
    assert done["interval_cycles"] <= done["latency_cycles"]
    assert 0 < done["busiest_adc_utilization"] <= 1
    assert done["compile_peak_rss_bytes"] > 0
    assert "failure" not in done
    assert failed["failure"].startswith("compile: ")
    assert "missing.onnx" in failed["failure"]
    assert small.exists()  # files that were given stay


@pytest.mark.slow
def test_peaks_of_a_network(small: Path, tmp_path: Path) -> None:
    peaks = peak_memory.measure(str(small), Bench(tmp_path, meshes=["16x16"]), samples=1)
    rss = peaks["peak_rss_bytes"]
    assert list(rss) == ["bare", "compile", "run"]
    assert rss["bare"] < rss["compile"]
    assert peaks["model_bytes"] == small.stat().st_size


@pytest.mark.slow
def test_costs_at_two_widths(capsys: pytest.CaptureFixture[str]) -> None:
    scaling.main(
        ["--network", "mobilenet_v1", "--size", "32", "--widths", "0.25", "0.5", "--mesh", "16x16"]
    )
    table = capsys.readouterr().out
    assert table.startswith("| width | x0.25 | x0.5 | exponent | of the last |")
    assert "| parameters | 470,072 | 1,331,592 |" in table
