"""Random weights that keep activations of a deep network in range, without any training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["BATCH_NORM", "Array", "Draw", "around", "normal", "positive", "scaled"]

Array = npt.NDArray[Any]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]
"""Draws an array of a shape."""


def normal(variance: float) -> Draw:
    scale = np.float32(np.sqrt(variance))
    return lambda rng, shape: rng.standard_normal(shape, dtype=np.float32) * scale


def around(mean: float, deviation: float) -> Draw:
    return lambda rng, shape: mean + deviation * rng.standard_normal(shape)


def positive(least: float, most: float) -> Draw:
    return lambda rng, shape: rng.uniform(least, most, shape)


def scaled(draw: Draw, factor: float) -> Draw:
    return lambda rng, shape: factor * draw(rng, shape)


BATCH_NORM: dict[str, Draw] = {
    "weight": around(1.0, 0.1),
    "bias": around(0.0, 0.1),
    "running_mean": around(0.0, 0.1),
    "running_var": positive(0.8, 1.25),
}
"""The parameters of a BatchNormalization that does little, in the order of its inputs."""
