"""What follows from a target: cycles, counts, bit slices, ranges, cells, costs."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from nmc import targets
from nmc.ir.program import VEC_OPS
from nmc.ir.target import Encoding, Target
from nmc.ir.target_costs import murmann_area_um2, murmann_e_pj


@pytest.fixture(scope="module")
def spin() -> Target:
    return targets.load("spin-128")


def changed(target: Target, *overrides: str) -> Target:
    return targets.override(target, overrides)


def test_cycles_are_times_rounded_up(spin: Target) -> None:
    slow = changed(spin, "clock_ghz=0.3", "crossbar.t_read_ns=10", "global_memory.t_latency_ns=1")
    assert (slow.read_cycles, slow.memory_latency_cycles) == (3, 1)
    assert (spin.read_cycles, spin.hop_cycles, spin.shift_add_cycles) == (10, 2, 1)


def test_cycles_are_exact_in_decimals(spin: Target) -> None:
    assert math.ceil(2.2 * 25) == 56  # what floats would make of it
    assert changed(spin, "clock_ghz=2.2", "crossbar.t_read_ns=25").read_cycles == 55


@pytest.mark.parametrize(("bits", "cycles"), [(8, 4), (6, 3), (5, 3), (1, 1), (None, 4)])
def test_conversion_time_goes_with_its_bits(spin: Target, bits: int | None, cycles: int) -> None:
    assert changed(spin, "adc.t_conversion_ns=4").conversion_cycles(bits) == cycles


def test_counts(spin: Target) -> None:
    assert (spin.cores, spin.crossbars) == (64, 512)
    assert (spin.clusters_per_core, spin.adcs_per_core) == (2, 4)
    assert spin.mesh.position(13) == (5, 1)
    assert spin.mesh.core_at(5, 1) == 13
    assert spin.mesh.hops(0, 13) == 6


@pytest.mark.parametrize(
    ("encoding", "channels", "slices", "outputs"),
    [("differential", 64, 2, 32), ("offset", 128, 2, 63), ("reference", 120, 2, 59)],
)
def test_slices_and_outputs(
    spin: Target, encoding: Encoding, channels: int, slices: int, outputs: int
) -> None:
    columns = 8 if encoding == "reference" else 0
    target = changed(spin, f"crossbar.encoding={encoding}", f"crossbar.reference_columns={columns}")
    assert (target.channels, target.slices) == (channels, slices)
    assert target.outputs_per_crossbar == outputs


@pytest.mark.parametrize(
    ("weight_bits", "cell_bits", "encoding", "slices"),
    [
        (8, 7, "differential", 1),
        (8, 7, "offset", 2),
        (8, 3, "differential", 3),
        (4, 4, "offset", 1),
    ],
)
def test_a_pair_needs_no_bit_for_the_sign(
    spin: Target, weight_bits: int, cell_bits: int, encoding: Encoding, slices: int
) -> None:
    target = changed(
        spin,
        *(f"numbers.weight_bits={weight_bits}", f"crossbar.cell_bits={cell_bits}"),
        "device.preset=ideal",
    )
    assert target.slices_for(encoding) == slices


def test_phases_round_up(spin: Target) -> None:
    assert (spin.phases, changed(spin, "crossbar.dac_bits=3").phases) == (8, 3)


def test_wiring_spreads_channels_over_all_adcs(spin: Target) -> None:
    assert [spin.adc_of_channel(c) for c in range(4)] == [0, 1, 0, 1]
    blocked = changed(spin, "adc.wiring=blocked")
    assert [blocked.adc_of_channel(c) for c in (0, 31, 32, 63)] == [0, 0, 1, 1]
    assert blocked.adc_of_channel(64, "offset") == 1


@pytest.mark.parametrize("encoding", ["differential", "offset", "reference"])
@pytest.mark.parametrize(("dac_bits", "cell_bits"), [(1, 1), (1, 4), (2, 3)])
def test_column_range_is_what_columns_reach(
    spin: Target, encoding: Encoding, dac_bits: int, cell_bits: int
) -> None:
    """Against the columns themselves, at the extremes of inputs and levels."""
    target = changed(
        spin,
        *(f"crossbar.dac_bits={dac_bits}", f"crossbar.cell_bits={cell_bits}"),
        "device.preset=ideal",
    )
    rows, top = 5, (1 << cell_bits) - 1
    x = np.array(np.meshgrid(*[[0, (1 << dac_bits) - 1]] * rows)).reshape(rows, -1)
    level = np.array(np.meshgrid(*[[0, top]] * rows)).reshape(rows, -1)
    sums = x.T @ level
    match encoding:
        case "differential":
            reached = sums.max() * np.array([-1, 1])
        case "offset":
            reached = np.array([0, sums.max()])
        case "reference":
            shifted = x.T @ (level - (1 << (cell_bits - 1)))
            reached = np.array([shifted.min(), shifted.max()])
    assert target.column_range(rows, encoding) == tuple(reached)


@pytest.mark.parametrize(
    ("encoding", "bits", "rows", "lossless"),
    [
        ("differential", 12, 128, True),
        ("differential", 12, 136, True),
        ("differential", 12, 137, False),
        ("differential", 11, 128, False),
        ("offset", 11, 128, True),
        ("offset", 11, 137, False),
        ("reference", 12, 256, True),
        ("reference", 12, 257, False),
    ],
)
def test_lossless(spin: Target, encoding: Encoding, bits: int, rows: int, lossless: bool) -> None:
    assert changed(spin, f"adc.bits={bits}").lossless(rows, encoding) is lossless


def test_low_levels_need_fewer_codes(spin: Target) -> None:
    assert not spin.lossless(128)
    assert spin.lossless(127, max_level=1)
    assert not spin.lossless(128, max_level=1)


def test_exact_wants_lossless_reads_and_an_ideal_device(spin: Target) -> None:
    exact = targets.load("exact-128")
    assert exact.exact
    assert not spin.exact
    assert not changed(exact, "crossbar.rows=256").exact
    assert not changed(exact, "device.preset=dw_spin_memristor").exact


def test_vector_operations_fall_back_to_the_default(spin: Target) -> None:
    vector = spin.vector
    assert vector.element_cycles("div") == 4
    assert vector.element_cycles("add") == vector.cycles_per_element["default"] == 1
    assert vector.op_latency_cycles("softmax") == 24
    assert all(vector.element_cycles(op) >= 1 for op in VEC_OPS)
    assert all(spin.costs.vector.element_e_pj(op) >= 0 for op in VEC_OPS)


def test_conductances_run_from_g_min_to_g_max(spin: Target) -> None:
    device = spin.device
    assert (device.g_min_us, device.range_us) == (4.0, 6.0)
    assert device.conductance_us(0, 16) == pytest.approx(4.0)
    assert device.conductance_us(15, 16) == pytest.approx(10.0)
    assert targets.load("exact-128").device.g_min_us == 0


def test_cell_read_energy_is_v2_g_t(spin: Target) -> None:
    # 100 kohm, 0.1 V, 10 ns: 1 fJ (and 10 fJ at 10 kohm).
    assert spin.e_cell_read_pj(15) == pytest.approx(1e-3)
    assert spin.e_cell_read_pj(15, digit=0) == 0


def test_writing_is_bounded_by_the_current(spin: Target) -> None:
    assert spin.cells_written_at_once == 128
    assert changed(spin, "crossbar.write_current_max_ma=1").cells_written_at_once == 33
    # 2.4 pulses of 155 ns a row, 128 rows: 0.05 ms.
    assert spin.t_program_crossbar_ns == pytest.approx(128 * 2.4 * 155)
    assert spin.device.e_write_pj == pytest.approx(5.76)


def test_lifetime_under_swapping(spin: Target) -> None:
    years = spin.device.write_lifetime_s(1000) / 3.15e7
    assert years == pytest.approx(1e14 / 2400 / 3.15e7)
    assert math.isinf(spin.device.write_lifetime_s(0))


@pytest.mark.parametrize(
    ("bits", "node_nm", "rate_hz", "e_pj", "area_um2"),
    [
        (4, 22, 100e6, 0.457, 1828),
        (8, 28, 100e6, 1.33, 3200),
        (8, 32, 1.28e9, 1.93, 6469),
        (10, 65, 1.28e9, 62.2, 36965),
    ],
)
def test_adc_model_gives_the_published_figures(
    bits: int, node_nm: float, rate_hz: float, e_pj: float, area_um2: float
) -> None:
    """Figures measured with the authors' own implementation, hwcomponents-adc 1.0.21."""
    assert murmann_e_pj(bits, rate_hz, node_nm) == pytest.approx(e_pj, rel=5e-3)
    assert murmann_area_um2(bits, rate_hz, node_nm) == pytest.approx(area_um2, rel=1e-3)


def test_adc_models_differ_as_stated(spin: Target) -> None:
    isaac = changed(spin, "adc.model=isaac")
    assert (isaac.adc.e_conversion_pj(), isaac.adc.area_um2) == (1.67, 1200)
    assert isaac.adc.e_conversion_pj(2) == 0.79
    table = changed(
        spin, "adc.model=table", "adc.table_e_pj={8=2.0, 4=1.0}", "adc.table_area_um2.8=9"
    )
    assert [table.adc.e_conversion_pj(bits) for bits in (3, 4, 5, 8)] == [1.0, 1.0, 2.0, 2.0]
    assert table.adc.area_um2 == 9


def test_adc_leakage_is_a_share_of_full_rate_power(spin: Target) -> None:
    assert spin.adc.leak_uw == 0
    leaky = changed(spin, "adc.leak_share=0.2")
    assert leaky.adc.leak_uw == pytest.approx(0.2 * leaky.adc.e_conversion_pj() * 1e-12 * 1e9 * 1e6)


def test_targets_are_values(spin: Target) -> None:
    assert spin == targets.load("spin-128")
    assert hash(spin) == hash(targets.load("spin-128"))
    assert dataclasses.replace(spin, clock_ghz=2.0) != spin
