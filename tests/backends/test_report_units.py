"""Contention of compiled models: by layer, and the same figures however they are summed."""

from __future__ import annotations

from collections import Counter

import pytest

from nmc.backends.execute import Execution, execute
from nmc.backends.report_units import Contention, contention
from tests.backends.models import compiled, inputs_for


def ran(model: str, inflight: int = 2) -> tuple[Execution, Contention]:
    contents = compiled(model)
    done = execute(contents, inputs_for(contents, inflight), inflight=inflight, engine="reference")
    return done, contention(done)


@pytest.mark.parametrize("model", ["chip", "shared"])
def test_kinds_sum_what_units_have(model: str) -> None:
    done, found = ran(model)
    assert found.span == sum(result.span for result in done.results)
    assert len(found.units) == sum(len(result.units) for result in done.results)
    for total in found.kinds:
        rows = [row for row in found.units if row.use.kind == total.kind]
        assert total.busy == sum(row.use.busy for row in rows)
        assert total.busy + sum(total.idle.values()) == total.available
        assert total.waited == sum(row.use.waited for row in rows)
        assert total.busiest.share == max(row.share for row in rows)
    (adcs,) = (total for total in found.kinds if total.kind == "adc")
    assert adcs.busy == sum(use.busy for result in done.results for use in result.adcs.values())


@pytest.mark.parametrize("model", ["chip", "shared"])
def test_waits_sum_what_units_have_and_come_longest_first(model: str) -> None:
    _, found = ran(model)
    by_kind: Counter[str] = Counter()
    for wait in found.waits:
        by_kind[wait.kind] += wait.cycles
    assert by_kind == Counter({t.kind: t.waited for t in found.kinds if t.waited})
    cycles = [wait.cycles for wait in found.waits]
    assert cycles == sorted(cycles, reverse=True)
    waited = [row.use.waited for row in found.units]
    assert waited == sorted(waited, reverse=True)


def test_who_waits_are_layers() -> None:
    contents = compiled("chip")
    _, found = ran("chip")
    stages = {stage.name for stage in contents.mapping.stages}
    named = {name for wait in found.waits for name in (wait.waiter, wait.holder)}
    assert len(named & stages) >= 3
    others = named - stages
    labels = {s.label for p in contents.programs for c in p.cores for s in c.sequencers}
    assert others <= labels
    # The product of the end waits for rows that the pool before it sends.
    producers = {w.holder for w in found.waits if w.kind == "semaphore" and w.waiter == "scores"}
    assert producers - {"scores"}


def test_steps_stay_apart() -> None:
    done, found = ran("shared")
    steps = {row.step for row in found.units}
    assert len(steps) == len(done.results) == 2
    spans = {row.step: row.span for row in found.units}
    assert sum(spans.values()) == found.span
