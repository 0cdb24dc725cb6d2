"""Limits in words: who sets the interval, and what would help."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nmc.backends.report_data import report_data
from nmc.backends.report_records import LimitingLayer, LimitReport, ReportData
from nmc.report.limits_text import limit_lines
from tests.backends.models import compiled

SLOW = LimitingLayer(2, "skip", "adc", 6, True, 12288, 8232, (0,))
LIMIT = LimitReport(
    "0-chip", "layers", "adc", 12288, "ADC 1 of core 3", 10240, 0, 0, (SLOW,), 8232, 2
)


def report_with(*limits: LimitReport) -> ReportData:
    report = report_data(compiled("chip"))
    assert len(report.stages) > 2
    return replace(report, prediction=replace(report.prediction, limits=limits))


def told(*limits: LimitReport) -> list[str]:
    return limit_lines(report_with(*limits))


def test_a_layer_is_named_with_what_it_would_take_alone_and_who_holds_it_up() -> None:
    limited, faster = told(LIMIT)
    other = report_with().stages[0].name
    assert limited == (
        f"  limited by   layer 2 conv2/Conv, always busy converting: 12 288 cycles an input, "
        f"8 232 if it were alone; its ADCs also serve layer 0 {other}"
    )
    assert "so many more cores (--mesh) that it shares less, but layer 2" in faster
    assert "needs 8 232 cycles alone" in faster
    assert "adc.adcs_per_cluster" in faster


def test_a_layer_that_nobody_holds_up_is_not_compared_with_itself() -> None:
    limited, _ = told(replace(LIMIT, layers=(replace(SLOW, alone_cycles=12200),)))
    assert "alone" not in limited


def test_more_cores_are_not_advised_where_they_do_nothing() -> None:
    _, faster = told(replace(LIMIT, floor_cycles=12288))
    assert "another way for layer 2 conv2/Conv to lie (--plan)" in faster
    assert "not with more cores, since each of its" in faster
    _, faster = told(replace(LIMIT, always="units", kind="memory", units=1, units_there=1))
    assert "with  a wider memory (global_memory.bytes_per_cycle)" in faster
    assert faster.endswith("; not with more cores")
    for low in (
        replace(LIMIT, floor_layer=-1, floor_cycles=0),
        replace(LIMIT, floor_cycles=400),
    ):
        _, faster = told(low)
        assert "so many more cores (--mesh) that it shares less;" in faster
        _, faster = told(replace(low, always="units", units=2, units_there=4))
        assert "faster with  more cores (--mesh);" in faster


@pytest.mark.parametrize(
    ("units", "there", "says"),
    [
        (120, 256, "120 of 256 ADCs, always busy: 10 240 cycles an input (ADC 1 of core 3 is one)"),
        (1, 0, "1 ADC, always busy: 10 240 cycles an input (ADC 1 of core 3)"),
    ],
)
def test_units_are_counted_and_one_is_named(units: int, there: int, says: str) -> None:
    limited, _ = told(replace(LIMIT, always="units", units=units, units_there=there))
    assert says in limited
    assert limited.endswith("uses it" if units == 1 else "uses them")


def test_where_nothing_is_always_busy_the_nearest_is_told_with_its_share() -> None:
    limited, _ = told(replace(LIMIT, always="nothing", kind="memory", unit_cycles=12300, layers=()))
    assert "no unit is always busy; nearest is the ADC 1 of core 3, 100 %" in limited
    layer = replace(SLOW, busy_cycles=11059)
    limited, _ = told(replace(LIMIT, always="nothing", layers=(layer,)))
    assert "nearest is layer 2 " in limited
    assert limited.endswith(", 90 %")


def test_several_steps_are_told_apart() -> None:
    lines = told(LIMIT, replace(LIMIT, step="2-chip"))
    assert [line.split()[2:4] for line in lines] == [["step", "0-chip:"]] * 2 + [
        ["step", "2-chip:"]
    ] * 2


def test_every_kind_of_limit_has_its_remedy() -> None:
    units = ("adc", "array", "vector", "port", "link", "memory", "memory-out")
    for kind in units:
        assert told(replace(LIMIT, always="units", kind=kind, units=2, units_there=4))[1]
    for part in ("adc", "reads", "sums", "vector", "sequencer"):
        layer = replace(SLOW, part=part)
        limited, faster = told(replace(LIMIT, kind=part, layers=(layer,)))
        assert "always busy" in limited
        assert faster
