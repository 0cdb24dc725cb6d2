"""Flows that share units: who gets how much, and when everyone is done."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc.ir.predicting.events import Events
from nmc.ir.predicting.sharing import Ask, Flow, level


def ends(flows: Sequence[tuple[float, float, Sequence[Ask]]]) -> list[float]:
    """When flows (begin, cycles alone, asks) end."""
    events, done = Events(), [inf] * len(flows)

    def note(number: int) -> None:
        begin, cycles, asks = flows[number]
        events.run(Flow(lambda cycle: done.__setitem__(number, cycle), cycles, tuple(asks)), begin)

    for number in range(len(flows)):
        note(number)
    events.go(1000, lambda _: False)
    return done


def test_a_unit_with_enough_for_all_slows_nobody() -> None:
    assert level([(0.2, 2.0), (0.3, 2.0)]) == inf


def test_who_asks_for_less_gets_it_and_the_others_share_the_rest() -> None:
    # A tenth of the unit is asked for by the first; the other two share nine tenths.
    assert level([(0.1, 1.0), (1.0, 1.0), (2.0, 1.0)]) == pytest.approx(0.45)


def test_equal_visits_not_equal_time() -> None:
    # Bursts of 3 and 1 cycles in turn: both come to a visit every 4 cycles.
    assert level([(1.0, 3.0), (1.0, 1.0)]) == pytest.approx(0.25)


def test_alone_a_flow_takes_its_own_time() -> None:
    assert ends([(5.0, 100.0, (("adc", 0.5, 1.0),))]) == [105.0]


def test_two_that_want_all_of_a_unit_take_twice_as_long() -> None:
    asks = (("adc", 1.0, 1.0),)
    assert ends([(0.0, 100.0, asks), (0.0, 100.0, asks)]) == pytest.approx([200.0, 200.0])


def test_the_rest_goes_faster_once_one_has_finished() -> None:
    asks = (("adc", 1.0, 1.0),)
    assert ends([(0.0, 50.0, asks), (0.0, 100.0, asks)]) == pytest.approx([100.0, 150.0])


def test_one_that_is_held_up_elsewhere_leaves_its_share_to_others() -> None:
    # The first reads on both units, the second only on the busy one, the third only on the other.
    both: tuple[Ask, ...] = (("a", 1.0, 1.0), ("b", 1.0, 1.0))
    crowd = [(0.0, 300.0, (("a", 1.0, 1.0),)) for _ in range(3)]
    *_, other = ends([(0.0, 300.0, both), *crowd, (0.0, 300.0, (("b", 1.0, 1.0),))])
    # The first gets a quarter of `a`, so three quarters of `b` are free.
    assert other == pytest.approx(400.0)


@given(
    st.lists(
        st.tuples(
            st.floats(0, 50),
            st.floats(1, 100),
            st.sets(st.sampled_from("abc"), min_size=1),
            st.floats(0.1, 1.0),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_no_unit_does_more_than_it_can_and_nobody_is_faster_than_alone(
    drawn: list[tuple[float, float, set[str], float]],
) -> None:
    flows: list[tuple[float, float, list[Ask]]] = [
        (begin, cycles, [(unit, share, 1.0) for unit in sorted(units)])
        for begin, cycles, units, share in drawn
    ]
    done = ends(flows)
    for (begin, cycles, _), end in zip(flows, done, strict=True):
        assert end >= begin + cycles - 1e-6
    for unit in "abc":
        asked = [(b, c * asks[0][1], e) for (b, c, asks), e in zip(flows, done, strict=True)
                 if unit in {u for u, _, _ in asks}]  # fmt: skip
        if asked:
            work = sum(cycles for _, cycles, _ in asked)
            assert max(e for *_, e in asked) >= min(b for b, *_ in asked) + work - 1e-6


def test_events_of_one_cycle_happen_in_the_order_in_which_they_were_asked_for() -> None:
    events, seen = Events(), list[int]()
    for number in range(5):
        events.at(3.0, lambda _, n=number: seen.append(n))  # type: ignore[misc]
    events.at(1.0, lambda _: seen.append(-1))
    events.go(1000, lambda _: False)
    assert seen == [-1, 0, 1, 2, 3, 4]


def test_looking_ends_a_play_early() -> None:
    events, seen = Events(), list[float]()
    for cycle in range(100):
        events.at(float(cycle), seen.append)
    events.go(10, lambda passed: passed >= 30)
    assert len(seen) == 29
