"""Sequencers that meet in one cluster: the fast engine lets it lag behind, and nobody notices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmc.backends.simulator import MAX_CYCLES
from nmc.backends.simulator.fast import run_timing
from nmc.backends.simulator.fast.lowering import lower
from nmc.backends.simulator.fast.plans import most_pairs
from nmc.backends.simulator.machine import Machine
from nmc.ir import program as p
from nmc.ir.target import Target
from tests.backends.simulator.chips import Code, chip, core, plan, tile, vector
from tests.backends.simulator.fast.programs import TARGETS

IMAGE = {0: np.arange(256, dtype=np.uint8)}
LEVELS = np.eye(4)
PLANS = (
    plan(0),
    plan(1, priority=-1),
    plan(0, 1, priority=1),
    plan(2, 3),
    plan(1, 2),
    plan(3, bits=6),
)
"""One crossbar, two of a cluster, two of two clusters, where a cluster has two crossbars."""


def shared(*streams: Code) -> p.Program:
    only = core(*streams, images=IMAGE, plans=PLANS, semaphores=(0,) * 16)
    return p.Program("shared", (only,), tuple(tile(LEVELS, x) for x in range(4)))


def mvms(*which: int, own: int) -> Code:
    """Some plans, one after the other; and the end of all of them."""
    to = vector("i32", 1024 + 64 * own, 4)
    starts = [p.Mvm(n, to, vector("u8", 0, PLANS[n].input_bytes), own) for n in which]
    return [*starts, p.Wait(own, len(which))]


def later(cycles: int, stream: Code, own: int) -> Code:
    """A stream that begins after so many cycles."""
    return [p.Loop(cycles), p.Signal(0, 8 + own), p.End(), *stream] if cycles else stream


def check_same(program: p.Program, target: Target) -> None:
    machine = Machine(program, target, 1, 1)
    machine.run(MAX_CYCLES)
    quick = run_timing(program, target, 1, meter=True)
    assert quick.sequencers == tuple(s.use for s in machine.sequencers)
    assert quick.units == machine.units
    assert quick.span == machine.span
    assert run_timing(program, target, 1).sequencers == quick.sequencers


@pytest.mark.parametrize("target", range(len(TARGETS)))
@pytest.mark.parametrize("second", [(0, 0), (1, 1), (2, 1), (4, 3)])
def test_arrivals_at_every_offset(target: int, second: tuple[int, ...]) -> None:
    """The second comes before, in and after each phase of what the first has under way."""
    for cycles in range(45):
        one, other = mvms(0, 2, 0, own=0), mvms(*second, own=1)
        check_same(shared(one, later(cycles, other, 1)), TARGETS[target])


@settings(max_examples=80)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 30), st.lists(st.integers(0, len(PLANS) - 1), min_size=1, max_size=5)
        ),
        min_size=2,
        max_size=6,
    ),
    st.sampled_from(TARGETS),
)
def test_plans_that_several_sequencers_share(
    starts: list[tuple[int, list[int]]], target: Target
) -> None:
    target = replace(target, adc=replace(target.adc, crossbars_per_cluster=4))
    streams = [
        later(cycles, mvms(*which, own=own), own) for own, (cycles, which) in enumerate(starts)
    ]
    check_same(shared(*streams), target)


def test_a_program_of_too_many_pairs_is_not_metered(monkeypatch: pytest.MonkeyPatch) -> None:
    program, target = shared(mvms(0, 2, own=0), mvms(1, 2, own=1)), chip()
    pairs = most_pairs(lower(program, target, 1))
    cap = "nmc.backends.simulator.fast.state.MOST_PAIRS"
    monkeypatch.setattr(cap, pairs)
    metered = run_timing(program, target, 1, meter=True)
    assert metered.units
    monkeypatch.setattr(cap, pairs - 1)
    without = run_timing(program, target, 1, meter=True)
    assert without.units == ()
    assert without.sequencers == metered.sequencers
