"""Taking times."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["best_s", "timed"]

T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Seconds, and what came of it."""
    began = time.perf_counter()
    done = work()
    return time.perf_counter() - began, done


def best_s(work: Callable[[], Any], turns: int) -> float:
    """The least of several: what disturbs a measurement only ever lengthens it."""
    return min(timed(work)[0] for _ in range(turns))
