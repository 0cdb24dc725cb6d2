"""What was predicted beside what a simulation took: a table, and the JSON of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nmc.report.tables import fitted
from nmc.report.text import count, table

if TYPE_CHECKING:
    from nmc.backends.report_comparison import Compared, Comparison

__all__ = ["comparison_data", "comparison_lines"]


def comparison_lines(found: Comparison) -> list[str]:
    """The figures of the whole model, then when each layer is done with a lone input."""
    rows = [
        ("interval, cycles", *cells(found.interval_cycles)),
        ("latency of a lone input", *cells(found.latency_cycles)),
        ("energy of an input, nJ", *cells(found.energy_j, 1e9)),
    ]
    head = (f"{found.inputs} inputs in flight", "predicted", "simulated", "difference")
    stages = [(stage.name, *cells(stage.done_cycles)) for stage in found.stages]
    return [
        *table(head, rows, left=(0,)),
        "",
        *fitted(("lone input done by", *head[1:]), stages, names=("lone input done by",)),
    ]


def cells(compared: Compared, unit: float = 1.0) -> tuple[str, str, str]:
    predicted, simulated = compared.predicted * unit, compared.simulated * unit
    return count(predicted), count(simulated), f"{compared.error:+.1%}"


def comparison_data(found: Comparison) -> dict[str, Any]:
    return {
        "inputs": found.inputs,
        "interval_cycles": figure(found.interval_cycles),
        "latency_cycles": figure(found.latency_cycles),
        "energy_j": figure(found.energy_j),
        "busiest_adc_share": found.busiest_share,
        "stages": [
            {"name": stage.name, "step": stage.step, "done_cycles": figure(stage.done_cycles)}
            for stage in found.stages
        ],
    }


def figure(compared: Compared) -> dict[str, float]:
    return {
        "predicted": compared.predicted,
        "simulated": compared.simulated,
        "error": compared.error,
    }
