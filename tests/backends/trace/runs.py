"""Traced runs that the tests of traces look at."""

from __future__ import annotations

from nmc.backends.container import Contents
from nmc.backends.execute import Execution, execute
from nmc.backends.trace import MAX_EVENTS, Recorder, Trace
from tests.backends.models import compiled, inputs_for

__all__ = ["adc_busy", "traced", "traced_model"]


def traced(
    contents: Contents,
    *,
    inflight: int = 1,
    window: tuple[int, int] | None = None,
    limit: int = MAX_EVENTS,
) -> tuple[Trace, Execution]:
    recorder = Recorder(contents, window=window, limit=limit)
    inputs = inputs_for(contents, inflight)
    done = execute(contents, inputs, inflight=inflight, engine="reference", attach=recorder.attach)
    return recorder.trace(), done


def traced_model(model: str, inflight: int = 1) -> tuple[Trace, Execution]:
    """`chip` or `shared` of tests.backends.models."""
    return traced(compiled(model), inflight=inflight)


def adc_busy(done: Execution) -> dict[str, int]:
    """By `core C ADC K.N`, the busy cycles that the results report, all steps together."""
    busy: dict[str, int] = {}
    for result in done.results:
        for (core, cluster, index), use in result.adcs.items():
            name = f"core {core} ADC {cluster}.{index}"
            if use.busy:
                busy[name] = busy.get(name, 0) + use.busy
    return busy
