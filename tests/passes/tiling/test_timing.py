"""The pace of reads that the cost model predicts is the simulator's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmc.ir import program as p
from nmc.ir.target import Target
from nmc.passes.tiling.timing import bits_needed, conversion_cycles, read_interval, vector_cycles
from tests.backends.simulator.chips import Code, chip, core, plan, run, tile, vector


def simulated(target: Target, rows: int, outputs: int, tiles: int) -> float:
    """Cycles from one read to the next, in the long run, of a copy alone on its core."""
    images = [tile(np.ones((rows, outputs)), number) for number in range(tiles)]
    wide = plan(*range(tiles), rows=rows, outputs=outputs)
    mvm = p.Mvm(0, vector("i32", 2048, outputs), vector("u8", 0, rows * tiles), 0)
    memory = {0: np.zeros(256, np.uint8)}

    def cycles(count: int) -> int:
        stream: Code = [*[mvm] * count, p.Wait(0, count)]
        return run(core(stream, images=memory, plans=(wide,)), tiles=images, target=target).cycles

    # Loops that close over two phases show within an even number of reads.
    return (cycles(24) - cycles(12)) / 12


@settings(max_examples=40)
@given(
    stages=st.integers(1, 2),
    dac_bits=st.sampled_from([1, 2, 4, 8]),
    read_ns=st.integers(1, 12),
    rows=st.integers(1, 8),
    outputs=st.integers(1, 16),
    tiles=st.integers(1, 2),
    bytes_per_cycle=st.integers(1, 8),
    adcs=st.integers(1, 3),
)
def test_interval_is_the_simulators(
    stages: int,
    dac_bits: int,
    read_ns: int,
    rows: int,
    outputs: int,
    tiles: int,
    bytes_per_cycle: int,
    adcs: int,
) -> None:
    target = chip(
        core={"sram_bytes_per_cycle": bytes_per_cycle, "queue_depth": 4},
        crossbar={"sample_holds": stages, "dac_bits": dac_bits, "t_read_ns": float(read_ns)},
        # A cluster for each crossbar: what its own channels ask of its ADCs.
        adc={"crossbars_per_cluster": 1, "adcs_per_cluster": adcs},
    )
    predicted = read_interval(
        target,
        np.array([-(-outputs // adcs)]),
        np.array([-(-rows * tiles // bytes_per_cycle)]),
        np.array([-(-4 * outputs // bytes_per_cycle)]),
    )
    assert predicted[0] == pytest.approx(simulated(target, rows, outputs, tiles), abs=1)


def test_bits_are_as_few_as_cover_the_rows() -> None:
    target = chip(crossbar={"cell_bits": 4, "dac_bits": 1})
    # Slices of 4 and 3 bits, of pairs: 8 rows show up to 120 and 56, and a sign.
    assert bits_needed(target, np.array([1, 8]), 0).tolist() == [5, 8]
    assert bits_needed(target, np.array([1, 8]), 1).tolist() == [4, 7]
    for rows in range(1, 9):
        bits = int(bits_needed(target, np.array([rows]), 0)[0])
        least, most = target.column_range(rows)
        assert target.code_range(bits=bits)[0] <= least <= most <= target.code_range(bits=bits)[1]
        assert target.code_range(bits=bits - 1)[1] < most


def test_conversions_of_fewer_rows_are_shorter() -> None:
    target = chip(crossbar={"cell_bits": 4, "dac_bits": 1}, adc={"bits": 8, "t_conversion_ns": 8.0})
    cycles = conversion_cycles(target)
    assert (cycles[8], cycles[1]) == (8 + 7, 5 + 4)


def test_vector_operations_take_whole_lanes() -> None:
    # Four lanes, a latency of two.
    assert [vector_cycles(chip(), "add", n) for n in (1, 4, 5)] == [3, 3, 4]
    assert vector_cycles(chip(), "div", 8) == 2 * 3 + 2
