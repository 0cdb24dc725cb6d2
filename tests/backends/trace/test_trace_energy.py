"""Counters of energy: they grow, in bounded number, to what the energy report says."""

from __future__ import annotations

from itertools import pairwise

import pytest

from nmc.backends.energy import EnergyReport
from nmc.backends.energy.runs import energy_of_run
from nmc.backends.trace import Trace
from nmc.backends.trace.recorder import ENERGY_SAMPLES
from nmc.backends.trace.records import Count
from tests.backends.models import compiled
from tests.backends.trace.runs import traced, traced_model


def curves(trace: Trace) -> dict[str, list[Count]]:
    found: dict[str, list[Count]] = {}
    for each in trace.counts:
        track = trace.tracks[each.track]
        if track.unit == "pJ":
            name = track.name if track.group == "chip" else track.group
            found.setdefault(name, []).append(each)
    return found


def ends(trace: Trace) -> dict[str, float]:
    return {name: values[-1].value for name, values in curves(trace).items()}


def about(pj: float) -> object:
    return pytest.approx(pj, rel=1e-9, abs=0.001)  # values are rounded to fJ


@pytest.mark.parametrize("inflight", [1, 3])
@pytest.mark.parametrize("model", ["chip", "shared"])
def test_curves_end_at_what_the_report_says(model: str, inflight: int) -> None:
    """`shared` has two chip steps, so that the second goes on where the first ended."""
    trace, done = traced_model(model, inflight)
    report: EnergyReport = energy_of_run(compiled(model), done)
    found = ends(trace)
    assert found["all"] == about(report.total_pj)
    for component, pj in report.by_component_pj.items():
        assert found.get(component, 0.0) == about(pj)
    cores = {int(name.removeprefix("core ")) for name in found if name.startswith("core ")}
    assert cores == {c.core for program in compiled(model).programs for c in program.cores}
    for core in cores:
        assert found[f"core {core}"] == about(report.by_core_pj[core])


@pytest.mark.parametrize("model", ["chip", "shared"])
def test_curves_never_fall_and_are_bounded(model: str) -> None:
    trace, _ = traced_model(model, 2)
    for name, values in curves(trace).items():
        assert 2 <= len(values) <= ENERGY_SAMPLES, name
        assert all(a.cycle < b.cycle and a.value < b.value for a, b in pairwise(values)), name


def test_components_add_up_in_every_cycle() -> None:
    trace, _ = traced_model("chip")
    found = curves(trace)
    whole = {c.cycle: c.value for c in found.pop("all")}
    parts = {n: {c.cycle: c.value for c in v} for n, v in found.items() if "core" not in n}
    now = dict.fromkeys(parts, 0.0)
    for cycle, pj in whole.items():
        now |= {name: values[cycle] for name, values in parts.items() if cycle in values}
        assert sum(now.values()) == pytest.approx(pj, abs=0.001 * len(now))


def test_fewer_samples_lie_on_the_same_curve() -> None:
    contents = compiled("chip")
    fine, coarse = (traced(contents, limit=limit)[0] for limit in (1_000_000, 6000))
    many, few = (dict(c[::2] for c in curves(t)["all"]) for t in (fine, coarse))
    assert 4 < len(few) < len(many)
    for cycle in few.keys() & many.keys():
        assert few[cycle] == many[cycle]
    assert len(few.keys() & many.keys()) >= len(few) // 2
    assert len(coarse.slices) + len(coarse.counts) <= 6000


def test_a_window_begins_with_what_was_spent_before() -> None:
    contents = compiled("chip")
    whole, _ = traced(contents)
    values = curves(whole)["all"]
    middle = values[len(values) // 2]
    part, _ = traced(contents, window=(middle.cycle, middle.cycle + 1000))
    seen = curves(part)["all"]
    assert seen[0].value == middle.value
    assert all(middle.cycle <= c.cycle < middle.cycle + 1000 for c in seen)
    assert [c[::2] for c in seen] == [
        c[::2] for c in values if middle.cycle <= c.cycle < middle.cycle + 1000
    ]


def test_a_trace_of_few_events_has_no_curves() -> None:
    trace, _ = traced(compiled("chip"), limit=500)
    assert not curves(trace)
