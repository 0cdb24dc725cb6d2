"""The least bottleneck, against a plain search; and what is left over is spent on the slowest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc.passes.replicating import knapsack
from nmc.passes.replicating.choose import least_held, spread, throughput
from nmc.passes.replicating.options import Budget, Choice, Option
from tests.passes.replicating.problems import (
    Layers,
    answers,
    check,
    held_by,
    interval_of,
    least,
    problems,
)

every_kind = st.sampled_from([(1, 0), (2, 0), (1, 1), (2, 2)]).flatmap(
    lambda kinds: problems(*kinds)
)


@given(every_kind)
def test_no_plan_has_a_shorter_interval(problem: tuple[Layers, Budget]) -> None:
    layers, budget = problem
    plan = throughput(layers, budget)
    expected = least(layers, budget, lambda choices: interval_of(layers, budget, choices))
    assert (plan and plan.interval) == expected
    if plan is not None:
        check(plan, layers, budget)
        assert plan.exact


@given(problems(kinds=1))
def test_of_the_plans_with_that_interval_it_holds_least(problem: tuple[Layers, Budget]) -> None:
    layers, budget = problem
    plan = throughput(layers, budget)
    if plan is not None:
        assert plan.held[0] == min(
            held_by(layers, choices, 1)[0]
            for choices in answers(layers, budget)
            if interval_of(layers, budget, choices) == plan.interval
        )


@given(problems(kinds=2, servers=1))
def test_a_search_that_is_cut_short_says_so(problem: tuple[Layers, Budget]) -> None:
    layers, budget = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(knapsack, "ROUNDS", 0)
        patch.setattr(knapsack, "MOST_PAIRS", 2)
        plan = throughput(layers, budget)
    expected = least(layers, budget, lambda choices: interval_of(layers, budget, choices))
    if plan is not None and expected is not None:
        check(plan, layers, budget)
        assert plan.bound <= expected <= plan.interval


@given(every_kind)
def test_spreading_makes_no_layer_slower_and_leaves_the_slowest_no_wish(
    problem: tuple[Layers, Budget],
) -> None:
    layers, budget = problem
    plan = throughput(layers, budget)
    if plan is None:
        return
    wide = spread(layers, budget, plan)
    check(wide, layers, budget)
    assert wide.interval == plan.interval

    def times(choices: tuple[Choice, ...]) -> list[int]:
        return [
            -(-o[c.option].firings // c.copies) * o[c.option].cycles
            for o, c in zip(layers, choices, strict=True)
        ]

    before, after = times(plan.choices), times(wide.choices)
    assert all(a <= b for a, b in zip(after, before, strict=True))
    # One more step for any layer alone does not fit any more.
    for i, options in enumerate(layers):
        for number, option in enumerate(options):
            for copies in range(1, option.most + 1):
                other = (*wide.choices[:i], Choice(number, copies), *wide.choices[i + 1 :])
                held = held_by(layers, other, len(budget.held))
                fits = all(need <= have for need, have in zip(held, budget.held, strict=True))
                in_time = interval_of(layers, budget, other) <= plan.interval
                assert not (fits and in_time and times(other)[i] < after[i])


def test_windows_and_copies_are_weighed_together() -> None:
    im2col, window = Option(16, 1, (2,)), Option(4, 1, (5,))
    # Eleven crossbars: five copies of im2col take four steps, two of the window two.
    plan = throughput([(im2col, window)], Budget((11,)))
    assert plan is not None
    assert (plan.choices, plan.interval, plan.held) == ((Choice(1, 2),), 2, (10,))


def test_shared_servers_bound_the_interval_whatever_the_copies() -> None:
    quick, sparing = Option(8, 1, (1,), (80,)), Option(8, 4, (1,), (40,))
    plan = throughput([(quick, sparing)], Budget((8,), (4,)))
    assert plan is not None
    assert (plan.interval, plan.choices) == (10, (Choice(1, 4),))


def test_what_does_not_fit_is_counted() -> None:
    layers: Layers = [(Option(4, 1, (3, 50)), Option(4, 1, (5, 20))), (Option(1, 1, (2, 10)),)]
    assert throughput(layers, Budget((4, 100))) is None
    assert least_held(layers, 2) == (5, 30)


def test_options_and_budget_must_agree() -> None:
    with pytest.raises(ValueError, match="different things"):
        throughput([(Option(4, 1, (3,)),)], Budget((4, 100)))
