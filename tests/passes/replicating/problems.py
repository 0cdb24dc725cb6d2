"""Small problems of choosing ways and copies, and the plain search over all answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

from hypothesis import strategies as st

from nmc.passes.replicating.options import Budget, Choice, Option, Plan

__all__ = ["Layers", "answers", "held_by", "interval_of", "least", "problems"]

Layers = list[tuple[Option, ...]]


@st.composite
def problems(draw: st.DrawFn, kinds: int = 1, servers: int = 0) -> tuple[Layers, Budget]:
    """Up to three layers of up to three options of at most five firings."""
    option = st.builds(
        Option,
        firings=st.integers(1, 5),
        cycles=st.integers(1, 9),
        held=st.tuples(*[st.integers(0, 4)] * kinds),
        work=st.tuples(*[st.integers(0, 12)] * servers),
        copies_most=st.integers(0, 4),
        lead=st.integers(0, 5),
        energy_fj=st.integers(0, 60),
    )
    layers = draw(st.lists(st.lists(option, min_size=1, max_size=3), min_size=1, max_size=3))
    budget = Budget(
        tuple(draw(st.integers(0, 14)) for _ in range(kinds)),
        tuple(draw(st.integers(1, 3)) for _ in range(servers)),
    )
    return [tuple(options) for options in layers], budget


def answers(layers: Layers, budget: Budget) -> Iterator[tuple[Choice, ...]]:
    """Every choice of options and copies that the chip can hold."""
    each = [
        [
            Choice(number, copies)
            for number, option in enumerate(options)
            for copies in range(1, option.most + 1)
        ]
        for options in layers
    ]
    for choices in product(*each):
        held = held_by(layers, choices, len(budget.held))
        if all(need <= have for need, have in zip(held, budget.held, strict=True)):
            yield choices


def held_by(layers: Layers, choices: tuple[Choice, ...], kinds: int) -> tuple[int, ...]:
    taken = [(options[c.option], c.copies) for options, c in zip(layers, choices, strict=True)]
    return tuple(sum(o.held[kind] * copies for o, copies in taken) for kind in range(kinds))


def time_of(option: Option, copies: int) -> int:
    return -(-option.firings // copies) * option.cycles


def interval_of(layers: Layers, budget: Budget, choices: tuple[Choice, ...]) -> int:
    taken = [(options[c.option], c.copies) for options, c in zip(layers, choices, strict=True)]
    busy = [
        -(-sum(o.work[kind] for o, _ in taken) // count)
        for kind, count in enumerate(budget.servers)
    ]
    return max([*busy, *(time_of(o, copies) for o, copies in taken)])


def least(layers: Layers, budget: Budget, cost: Callable[[tuple[Choice, ...]], int]) -> int | None:
    return min((cost(choices) for choices in answers(layers, budget)), default=None)


def check(plan: Plan, layers: Layers, budget: Budget) -> None:
    """A plan says the truth about itself, and the chip holds it."""
    assert plan.held == held_by(layers, plan.choices, len(budget.held))
    assert all(need <= have for need, have in zip(plan.held, budget.held, strict=True))
    assert plan.interval == interval_of(layers, budget, plan.choices)
    for options, choice in zip(layers, plan.choices, strict=True):
        assert 1 <= choice.copies <= options[choice.option].most
    assert plan.bound <= plan.objective
