"""Both engines account for units alike: busy and idle cycles, waits, and whom for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nmc.backends.execute import execute
from nmc.backends.simulator import MAX_CYCLES, Result
from nmc.backends.simulator.fast import run_timing
from nmc.backends.simulator.machine import Machine
from nmc.ir import program as p
from nmc.ir.diagnostics import NmcError
from nmc.ir.target import Target
from tests.backends.models import compiled, inputs_for
from tests.backends.simulator.chips import Code, chip, core, plan, run, tile, vector
from tests.backends.simulator.fast.programs import TARGETS, programs

IMAGE = {0: np.arange(256, dtype=np.uint8)}


@settings(max_examples=100)
@given(programs(), st.sampled_from(TARGETS))
def test_random_programs(program: p.Program, target: Target) -> None:
    machine = Machine(program, target, 1, 1)
    try:
        machine.run(MAX_CYCLES)
    except NmcError:
        assume(False)
    quick = run_timing(program, target, 1, meter=True)
    assert quick.units == machine.units
    assert quick.span == machine.span


@pytest.mark.parametrize("inflight", [1, 3])
@pytest.mark.parametrize("model", ["chip", "shared"])
def test_compiled_models(model: str, inflight: int) -> None:
    contents = compiled(model)
    inputs = inputs_for(contents, inflight)
    slow, quick = (
        execute(contents, inputs, inflight=inflight, engine=engine).results
        for engine in ("reference", "fast")
    )
    for one, other in zip(slow, quick, strict=True):
        assert other.units == one.units
        assert other.span == one.span
        kinds = {use.kind for use in other.units}
        assert kinds >= {"adc", "stages", "vector", "memory", "semaphore"}


def crowd(streams: int) -> tuple[p.Program, Target]:
    """Many sequencers that all share one ADC: most pairs of them meet there."""
    target = chip(core={"sequencers": streams, "queue_depth": 3, "crossbars": 4})
    bodies: list[Code] = [
        [
            p.Loop(3 + i % 5),
            p.Mvm(i % 4, vector("i32", 1024 + 64 * i, 4), vector("u8", 0, 4), i % 8),
            p.Vec("relu", vector("i32", 0, 1 + i), vector("i32", 0, 1 + i)),
            p.End(),
        ]
        for i in range(streams)
    ]
    target = replace(target, adc=replace(target.adc, crossbars_per_cluster=4))
    plans = tuple(plan(i, priority=i % 2) for i in range(4))
    tiles = tuple(tile(np.eye(4), i) for i in range(4))
    return p.Program("crowd", (core(*bodies, images=IMAGE, plans=plans),), tiles), target


@pytest.mark.parametrize("streams", [2, 48])
def test_many_that_wait_for_each_other(streams: int) -> None:
    """More different waits than the table has room for at first."""
    program, target = crowd(streams)
    machine = Machine(program, target, 1, 1)
    machine.run(MAX_CYCLES)
    assert run_timing(program, target, 1, meter=True).units == machine.units


def test_timing_alone_is_metered_only_if_asked() -> None:
    program, target = crowd(3)
    assert run_timing(program, target, 1).units == ()
    assert run_timing(program, target, 1).span == run_timing(program, target, 1, meter=True).span


def test_both_engines_say_why_an_adc_waits() -> None:
    only = core(
        [p.Mvm(0, vector("i32", 1024, 4), vector("u8", 0, 4), 0), p.Wait(0)],
        images=IMAGE,
        plans=(plan(0),),
    )
    results: list[Result] = [
        run(only, tiles=[tile(np.eye(4))], engine=engine) for engine in ("reference", "fast")
    ]
    for result in results:
        (adc,) = (use for use in result.units if use.kind == "adc")
        assert adc.idle == {"fill": 1, "nothing-to-do": 7, "read": 6}
