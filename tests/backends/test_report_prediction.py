"""Predicted energy and the comparison with a run."""

from __future__ import annotations

import pytest

from nmc.backends.energy import energy_of
from nmc.backends.energy.runs import mac_count
from nmc.backends.report_comparison import Compared, compare, steady_interval
from nmc.backends.report_data import report_data
from nmc.backends.report_limits import unit_text
from nmc.backends.report_prediction import predicted_energy, program_events
from nmc.backends.simulator.fast import run_timing
from nmc.ir.layers import layers_of
from tests.backends.models import compiled


@pytest.mark.parametrize("model", ["chip", "shared"])
@pytest.mark.parametrize("inputs", [1, 3])
def test_events_of_a_program_are_those_of_its_simulation(model: str, inputs: int) -> None:
    contents = compiled(model)
    for program in contents.programs:
        run = run_timing(program, contents.target, inputs)
        cores = {core.core: core for core in program.cores}
        counted = {
            core: list(program_events(program, cores[core], contents.target, inputs))
            for core in cores
        }
        assert run.sequencers
        for use in run.sequencers:
            assert counted[use.core][use.index] == use.events, use.label


@pytest.mark.parametrize("model", ["chip", "shared"])
def test_energy_is_exact_where_the_time_is(model: str) -> None:
    contents = compiled(model)
    runs = [(p, run_timing(p, contents.target, 3)) for p in contents.programs]
    simulated = energy_of(runs, contents.target, mac_count(contents.mapping))
    expected = predicted_energy(contents, [run.cycles for _, run in runs], 3)
    assert expected.energy_j == pytest.approx(simulated.energy_j, rel=1e-12)
    assert expected.by_layer_j == pytest.approx(simulated.by_layer_j)


@pytest.mark.parametrize("model", ["chip", "shared"])
def test_comparison_with_a_run(model: str) -> None:
    contents = compiled(model)
    found = compare(contents, 32)
    assert abs(found.interval_cycles.error) < 0.1
    assert abs(found.latency_cycles.error) < 0.1
    assert abs(found.energy_j.error) < 0.05
    assert 0 < found.busiest_share <= 1
    layers = [layer.name for layer in layers_of(contents.mapping)]
    assert [stage.name for stage in found.stages] == layers
    report = report_data(contents).prediction
    assert report.interval_cycles == round(found.interval_cycles.predicted)
    assert report.latency_cycles == round(found.latency_cycles.predicted)
    assert 0 < report.bound_cycles <= report.interval_cycles
    assert report.busiest
    assert report.energy_j > 0


def test_the_first_outputs_and_the_last_ones_are_no_steady_pace() -> None:
    assert steady_interval([100, 150, 170, 180, 190, 200, 210, 220, 225, 230]) == 10
    assert steady_interval([100, 130]) == 30


def test_an_error_is_a_share_of_what_was_simulated() -> None:
    assert Compared(110, 100).error == pytest.approx(0.1)
    assert Compared(1, 0).error == 0


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        (("adc", (3, 1, 0)), "ADC 0 of cluster 1 of core 3"),
        (("array", (3, 1)), "crossbar 1 of core 3"),
        (("vector", (2,)), "vector unit of core 2"),
        (("link", (2, 3)), "link from core 2 to 3"),
        (("port", (4,)), "port of core 4"),
        (("memory-out", (0,)), "memory port at core 0"),
    ],
)
def test_units_by_name(unit: tuple[str, tuple[int, ...]], text: str) -> None:
    assert unit_text(unit) == text
