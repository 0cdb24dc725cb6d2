"""What a run says of its pace: with few inputs in flight the mean is no steady one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nmc.backends.execute import Execution, StepRun
from nmc.backends.report_units import contention
from nmc.backends.simulator import Result
from nmc.backends.simulator.result import UnitUse
from nmc.ir.mapping import StepKind
from nmc.report.runs import least_interval, pace_lines


def run_of(*steps: tuple[UnitUse, ...], inputs: int = 2) -> Any:
    """As much of a `Run` as its pace is read from."""
    results = [
        StepRun(f"{n}-chip", StepKind.CHIP, 0.1, Result({}, 900, (500, 900), (), {}, units=units))
        for n, units in enumerate(steps)
    ]
    execution = Execution({}, inputs, inputs, tuple(results), 0.1)
    return SimpleNamespace(execution=execution, contention=contention(execution))


def use(kind: str, *place: int, busy: int) -> UnitUse:
    return UnitUse(kind, place, 1, busy, {}, {})


def test_a_mean_below_what_a_unit_needs_is_called_no_steady_pace() -> None:
    run = run_of((use("adc", 3, 0, 1, busy=2000), use("vector", 3, busy=400)))
    text = " ".join(" ".join(pace_lines(run, 950)).split())
    assert text.startswith("mean of 1, NOT the steady pace, which is at least 1 000: so long the")
    assert "ADC (core 3, 0.1) is busy for each input; try --batch 8" in text


def test_a_mean_above_it_is_taken_for_what_it_is() -> None:
    run = run_of((use("adc", 3, 0, 1, busy=2000),), inputs=16)
    text = " ".join(" ".join(pace_lines(run, 130)).split())
    assert text.startswith("mean of 15: the last ones have the chip to themselves")
    assert "the ADC (core 3, 0.1) is busy for 125 of it" in text
    nothing = " ".join(" ".join(pace_lines(run_of(()), 130)).split())
    assert nothing.endswith("so many in flight take a little more")


def test_chip_steps_follow_each_other() -> None:
    run = run_of((use("adc", 0, 0, 0, busy=60),), (use("vector", 1, busy=100),))
    found = least_interval(run)
    assert (found.cycles, found.unit) == (80, "vector unit (core 1)")


@pytest.mark.parametrize("kind", ["stages", "latches", "semaphore", "mvm-queue"])
def test_what_is_held_while_waiting_bounds_nothing(kind: str) -> None:
    run = run_of((use(kind, 0, 0, busy=900), use("link", 0, 1, busy=10)))
    assert least_interval(run).cycles == 5
