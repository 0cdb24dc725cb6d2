"""The least modelled latency, against a plain search."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nmc.passes.replicating.latency import latency
from nmc.passes.replicating.options import Budget, Choice, Option
from tests.passes.replicating.problems import Layers, check, least, problems


def modelled(layers: Layers, segments: list[list[int]], choices: tuple[Choice, ...]) -> int:
    total = 0
    for numbers in segments:
        taken = [(layers[i][choices[i].option], choices[i].copies) for i in numbers]
        total += max(-(-o.firings // copies) * o.cycles for o, copies in taken)
        total += sum(-(-o.lead // copies) * o.cycles for o, copies in taken)
    return total


@given(problems())
def test_one_segment_is_solved_exactly(problem: tuple[Layers, Budget]) -> None:
    layers, budget = problem
    segments = [list(range(len(layers)))]
    plan = latency(layers, segments, budget)
    expected = least(layers, budget, lambda choices: modelled(layers, segments, choices))
    assert (plan and plan.objective) == expected
    if plan is not None:
        check(plan, layers, budget)
        assert plan.objective == modelled(layers, segments, plan.choices)
        assert plan.exact


@given(problems(kinds=2), st.booleans())
def test_bound_and_plan_lie_on_either_side_of_the_least(
    problem: tuple[Layers, Budget], apart: bool
) -> None:
    layers, budget = problem
    numbers = list(range(len(layers)))
    segments = [[i] for i in numbers] if apart else [numbers]
    plan = latency(layers, segments, budget)
    expected = least(layers, budget, lambda choices: modelled(layers, segments, choices))
    if plan is None:
        assert expected is None
        return
    check(plan, layers, budget)
    assert expected is not None
    assert plan.bound <= expected <= plan.objective == modelled(layers, segments, plan.choices)


def test_a_long_lead_is_worth_copies_that_the_interval_does_not_need() -> None:
    slow, first = Option(8, 10, (1,), lead=1), Option(8, 5, (1,), lead=8)
    plan = latency([(first,), (slow,)], [[0, 1]], Budget((10,)))
    assert plan is not None
    # 10 crossbars: eight turns of 5 in one, of 10 in two: 10 + 10 + 5, or 20 + 10 + 10.
    assert plan.objective == min(
        max(-(-8 // a) * 5, -(-8 // b) * 10) + -(-8 // a) * 5 + 10
        for a in range(1, 9)
        for b in range(1, 9)
        if a + b <= 10
    )
