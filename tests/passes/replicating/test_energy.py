"""The least energy, against a plain search."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nmc.passes.replicating.energy import Leakage, energy
from nmc.passes.replicating.options import Budget, Choice, Option
from tests.passes.replicating.problems import (
    Layers,
    answers,
    check,
    held_by,
    interval_of,
    problems,
)


def spent(layers: Layers, budget: Budget, leakage: Leakage, choices: tuple[Choice, ...]) -> int:
    held = held_by(layers, choices, len(budget.held))
    leak = leakage.chip_fj + sum(n * each for n, each in zip(held, leakage.held_fj, strict=True))
    events = sum(o[c.option].energy_fj for o, c in zip(layers, choices, strict=True))
    return events + leak * interval_of(layers, budget, choices)


@given(problems(kinds=2), st.integers(0, 5), st.integers(0, 5), st.integers(0, 40))
def test_no_plan_takes_less(
    problem: tuple[Layers, Budget], chip_fj: int, held_fj: int, most: int
) -> None:
    layers, budget = problem
    leakage = Leakage(chip_fj, (held_fj, 1))
    plan = energy(layers, budget, leakage, interval_most=most)
    every = [
        spent(layers, budget, leakage, choices)
        for choices in answers(layers, budget)
        if not most or interval_of(layers, budget, choices) <= most
    ]
    assert (None if plan is None else plan.objective) == min(every, default=None)
    if plan is not None:
        check(plan, layers, budget)
        assert plan.exact
        assert plan.objective == spent(layers, budget, leakage, plan.choices)


@given(problems(kinds=1, servers=1), st.integers(0, 5), st.integers(0, 5))
def test_with_shared_servers_bound_and_plan_enclose_the_least(
    problem: tuple[Layers, Budget], chip_fj: int, held_fj: int
) -> None:
    layers, budget = problem
    leakage = Leakage(chip_fj, (held_fj,))
    plan = energy(layers, budget, leakage)
    every = [spent(layers, budget, leakage, choices) for choices in answers(layers, budget)]
    if plan is None:
        return
    check(plan, layers, budget)
    assert plan.bound <= min(every) <= plan.objective


def test_copies_pay_only_while_the_chip_leaks_more_than_they_do() -> None:
    option = Option(11, 10, (1,), energy_fj=1000)
    alone = energy([(option,)], Budget((8,)), Leakage(0, (1,)))
    hasty = energy([(option,)], Budget((8,)), Leakage(100, (1,)))
    assert alone is not None
    assert hasty is not None
    assert (alone.choices, hasty.choices) == ((Choice(0, 1),), (Choice(0, 6),))
