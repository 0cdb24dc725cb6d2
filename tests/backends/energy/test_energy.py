"""Energy of runs: conservation, attribution, and each price times its events."""

from __future__ import annotations

from functools import cache

import pytest

from nmc.backends.energy import (
    COMPONENTS,
    UNATTRIBUTED,
    EnergyReport,
    MacCount,
    Scope,
    energy_of,
    energy_of_run,
    mac_count,
)
from nmc.backends.energy.cells import digit_activity, mean_level
from nmc.backends.energy.ledger import powered_cores, powered_routers
from nmc.backends.execute import Execution, execute
from nmc.backends.report_data import report_data
from nmc.backends.simulator.result import Events
from nmc.ir.layers import layer_names
from nmc.ir.program import Program
from nmc.ir.target import Target
from nmc.targets import load
from tests.backends.models import compiled, inputs_for

LEAKY = load("spin-128", ["adc.leak_share=0.2", "costs.cell.leak_uw=0.01"])


@cache
def run(model: str, inputs: int, samples: int = 0) -> Execution:
    contents = compiled(model)
    return execute(contents, inputs_for(contents, samples or inputs), inflight=inputs)


def report(
    model: str, inputs: int, target: Target = LEAKY, activity: float | None = None
) -> EnergyReport:
    pairs = zip(compiled(model).programs, run(model, inputs).results, strict=True)
    return energy_of(list(pairs), target, MacCount(1000, 200), activity=activity)


@pytest.fixture(params=[("chip", 1), ("chip", 3), ("shared", 2)], ids=str)
def some(request: pytest.FixtureRequest) -> EnergyReport:
    model, inputs = request.param
    return report(model, inputs)


# Conservation


def test_components_layers_and_cores_sum_to_the_total(some: EnergyReport) -> None:
    total = some.total_pj
    assert total > 0
    assert list(some.by_component_pj) == list(COMPONENTS)
    assert sum(some.by_component_pj.values()) == pytest.approx(total, rel=1e-12)
    assert sum(some.by_layer_pj.values()) == pytest.approx(total, rel=1e-12)
    assert sum(some.by_core_pj.values()) == pytest.approx(total, rel=1e-12)
    assert some.dynamic_pj + some.leakage_pj == pytest.approx(total, rel=1e-12)
    assert some.scope_pj(Scope.SYSTEM) == pytest.approx(total, rel=1e-12)
    assert sum(some.by_component_j.values()) == pytest.approx(some.energy_j, rel=1e-12)
    assert sum(some.by_layer_j.values()) == pytest.approx(some.energy_j, rel=1e-12)


def by_hand(events: Events, target: Target) -> dict[str, float]:
    """Events times cost, apart from the ledger; reads of cells are tested by themselves."""
    costs = target.costs
    return {
        "dacs": events.dac_row_phases * costs.dac.e_pj,
        "sample-holds": events.sample_holds * costs.sample_hold.e_pj,
        "adcs": sum(n * target.adc.e_conversion_pj(b) for b, n in events.conversions.items()),
        "shift-adds": events.shift_adds * costs.shift_add.e_pj,
        "vector": sum(
            n * costs.vector.e_pj.get(op, costs.vector.e_pj["default"])
            for op, n in events.vector_elements.items()
        ),
        "sram": (events.sram_bytes_read + events.sram_bytes_written) * costs.sram.e_pj,
        "noc": events.flit_hops * costs.noc.e_pj,
        "global-memory": (events.global_bytes_read + events.global_bytes_written)
        * costs.global_memory.e_pj,
        "cell-writes": events.cells_written * target.device.e_write_pj,
    }


@pytest.mark.parametrize(("model", "inputs"), [("chip", 3), ("shared", 2)])
def test_events_times_cost_are_the_dynamic_energy(model: str, inputs: int) -> None:
    found = report(model, inputs)
    expected = by_hand(Events.total(r.events for r in run(model, inputs).results), LEAKY)
    dynamic = {
        name: pj - found.leakage_by_component_pj.get(name, 0.0)
        for name, pj in found.by_component_pj.items()
        if name != "cells"
    }
    assert dynamic == pytest.approx(expected, rel=1e-9, abs=1e-6)
    assert expected["adcs"] > 0
    assert expected["vector"] > 0


@pytest.mark.parametrize(("model", "inputs"), [("chip", 1), ("shared", 2)])
def test_power_times_time_is_the_leakage(model: str, inputs: int) -> None:
    found = report(model, inputs)
    expected = 0.0
    for program, result in zip(compiled(model).programs, run(model, inputs).results, strict=True):
        seconds = result.cycles / (LEAKY.clock_ghz * 1e9)
        watt = leaking_watt(program, LEAKY)
        expected += watt * seconds * 1e12
    assert found.leakage_pj == pytest.approx(expected, rel=1e-9)
    assert found.mean_power_w * found.time_ns * 1e3 == pytest.approx(found.total_pj)


def leaking_watt(program: Program, target: Target) -> float:
    costs, crossbar, core = target.costs, target.crossbar, target.core
    each_core = (
        core.crossbars
        * (
            crossbar.rows * crossbar.cols * costs.cell.leak_uw
            + crossbar.rows * costs.dac.leak_uw
            + crossbar.cols // 2 * crossbar.sample_holds * costs.sample_hold.leak_uw
        )
        + target.adcs_per_core * (target.adc.leak_uw + costs.shift_add.leak_uw)
        + target.vector.lanes * costs.vector.leak_uw
        + core.sram_kib * costs.sram.leak_uw
    )
    routers = len(powered_routers(program, target)) * costs.noc.leak_uw
    return (len(powered_cores(program)) * each_core + routers) * 1e-6


# Attribution


def test_layers_are_the_stages_and_leakage_is_nobodys() -> None:
    contents, found = compiled("chip"), report("chip", 1)
    names = {stage.name for stage in contents.mapping.stages}
    assert set(found.by_layer_pj) == names | {UNATTRIBUTED}
    assert found.by_layer_pj[UNATTRIBUTED] == pytest.approx(found.leakage_pj)
    assert all(pj > 0 for pj in found.by_layer_pj.values())


def test_only_powered_cores_and_the_routers_between_cost_anything() -> None:
    program = compiled("chip").programs[0]
    found = report("chip", 1)
    routers = set(powered_routers(program, LEAKY))
    assert set(powered_cores(program)) <= routers
    assert set(found.by_core_pj) - {None} <= routers
    assert len(routers) < LEAKY.cores


def test_lanes_do_not_count_twice() -> None:
    contents = compiled("chip")
    one = run("chip", 1).results
    many = run("chip", 1, samples=5).results
    energies = [
        energy_of(
            list(zip(contents.programs, results, strict=True)), LEAKY, MacCount(1000)
        ).energy_j
        for results in (one, many)
    ]
    assert energies[0] == energies[1]


def test_an_input_costs_less_leakage_when_several_share_the_time() -> None:
    alone, three = report("chip", 1), report("chip", 3)
    assert three.dynamic_pj / 3 == pytest.approx(alone.dynamic_pj, rel=1e-9)
    assert three.leakage_pj / 3 < alone.leakage_pj
    assert three.energy_j < alone.energy_j


# Cells


def test_cells_cost_v2gt_of_their_mean_level() -> None:
    contents, found = compiled("chip"), report("chip", 1)
    program = contents.programs[0]
    reads = [charge for charge in found.charges if charge.component == "cells"]
    assert sum(c.count for c in reads) == run("chip", 1).results[0].events.cells_read
    g_min, g_max = LEAKY.device.g_min_us, LEAKY.device.g_max_us
    levels = [mean_level(tile, LEAKY) for tile in program.tiles]
    pulse = LEAKY.crossbar.read_voltage_v**2 * LEAKY.crossbar.t_read_ns * 1e-3 / 2
    low, high = (
        pulse * (g_min + level / LEAKY.crossbar.max_level * (g_max - g_min))
        for level in (min(levels), max(levels))
    )
    assert 0 < min(levels) < max(levels) < LEAKY.crossbar.max_level / 2
    assert all(low * (1 - 1e-9) <= c.e_pj <= high * (1 + 1e-9) for c in reads)


def test_activity_scales_the_array_alone() -> None:
    half, tenth = report("chip", 1), report("chip", 1, activity=0.05)
    assert half.activity == digit_activity(LEAKY) == 0.5
    dynamic = [
        r.by_component_pj["cells"] - r.leakage_by_component_pj["cells"] for r in (half, tenth)
    ]
    assert dynamic[1] == pytest.approx(dynamic[0] / 10)
    assert tenth.by_component_pj["adcs"] == half.by_component_pj["adcs"]


@pytest.mark.parametrize(("bits", "mean"), [(1, 0.5), (2, 14 / 36), (8, 1 / 3)])
def test_equally_likely_digits(bits: int, mean: float) -> None:
    target = load("spin-128", [f"crossbar.dac_bits={bits}"])
    digits = [(d / target.crossbar.max_digit) ** 2 for d in range(target.crossbar.max_digit + 1)]
    assert digit_activity(target) == pytest.approx(sum(digits) / len(digits))
    assert digit_activity(target) == pytest.approx(mean, abs=2e-3)


# Per MAC


def test_scopes_hold_one_another(some: EnergyReport) -> None:
    array, macro, system = (some.scope_pj(scope) for scope in Scope)
    assert 0 < array < macro < system
    assert list(some.fj_per_mac) == list(Scope)
    assert some.fj_per_mac[Scope.ARRAY] == pytest.approx(array * 1e3 / (1000 * some.inputs))
    assert some.fj_per_mac[Scope.SYSTEM] == pytest.approx(system * 1e3 / (1200 * some.inputs))
    assert len(some.claims) == 12


def test_without_products_there_is_nothing_to_divide_by() -> None:
    pairs = list(zip(compiled("chip").programs, run("chip", 1).results, strict=True))
    found = energy_of(pairs, LEAKY, MacCount(0, 0))
    assert found.fj_per_mac == {}
    assert found.claims == ()


def test_the_model_of_the_converter_is_named() -> None:
    found = report("chip", 1)
    assert (found.input_bits, found.weight_bits, found.adc_bits) == (8, 8, 8)
    assert found.adc_model == "murmann"


def test_no_chip_step_costs_nothing() -> None:
    found = energy_of([], LEAKY, MacCount(0))
    assert found.total_pj == found.energy_j == found.mean_power_w == 0.0


# Of a mapping file


def test_a_run_of_a_mapping_file_counts_its_own_products() -> None:
    contents, execution = compiled("shared"), run("shared", 2)
    found = energy_of_run(contents, execution, activity=0.25)
    totals = report_data(contents).totals
    assert found.macs == mac_count(contents.mapping) == MacCount(totals.macs_on_crossbars, 0)
    assert found.inputs == 2
    assert found.activity == 0.25
    assert found.time_ns == execution.cycles / contents.target.clock_ghz
    pairs = list(zip(contents.programs, execution.results, strict=True))
    layers = layer_names(contents.mapping)
    again = energy_of(pairs, contents.target, found.macs, activity=0.25, layers=layers)
    assert found == again


def test_products_on_the_vector_unit_count_for_the_whole_chip() -> None:
    count = MacCount(1000, 200)
    assert [count.counted(scope) for scope in Scope] == [1000, 1000, 1200]
