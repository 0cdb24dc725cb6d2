"""What tests of passes share: a design around a graph, on an exact target."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from nmc.ir.design import Calibration, Design
from nmc.ir.graph import Array, Graph
from nmc.ir.target import Target
from nmc.targets import load


def design_of(
    graph: Graph,
    target: Target | None = None,
    calibration: Mapping[str, Array] | None = None,
    host_ops: bool = True,
) -> Design:
    """`calibration` has samples merged into the first axis of what the graph takes."""
    data = Calibration(dict(calibration), "test") if calibration is not None else None
    return Design(graph, target or exact_target(), data, host_ops=host_ops)


@cache
def exact_target(input_bits: int = 8, weight_bits: int = 8) -> Target:
    overrides = [f"numbers.input_bits={input_bits}", f"numbers.weight_bits={weight_bits}"]
    return load("exact-128", overrides)


def kinds(graph: Graph) -> list[str]:
    return [node.op.name for node in graph]


def normal_inputs(graph: Graph, samples: int, seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {
        v.name: rng.standard_normal((samples * v.type.shape[0], *v.type.shape[1:])).astype(
            np.float32
        )
        for v in graph.inputs
    }
