"""What tests of later passes share: a graph taken through the book, and the machine's answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nmc.backends.simulator import simulate
from nmc.backends.simulator.result import Result
from nmc.ir.design import Design
from nmc.ir.diagnostics import Report
from nmc.ir.graph import Array, Graph
from nmc.ir.interpreter import run_graph_batch
from nmc.ir.mapping import Mapping as Layout
from nmc.ir.target import Target
from nmc.passes.base import mapping_of
from nmc.passes.book import PASSES
from nmc.passes.replicate import Replicate
from nmc.targets import load, override
from tests.passes.designs import design_of, normal_inputs

__all__ = ["laid_out", "lowered", "roomy", "run_both"]


def roomy(overrides: Sequence[str] = (), base: str = "exact-128") -> Target:
    """A target with more of everything than a small net can need."""
    room = ["core.sram_kib=4096", "core.sequencers=256", "core.semaphores=4096"]
    return override(load(base), [*room, "core.crossbars=4", *overrides])


def lowered(
    graph: Graph, target: Target | None = None, until: str = "codegen", *, copies: bool = False
) -> Design:
    """The design after the passes up to `until`, calibrated on normal numbers; without `copies`
    each layer has one."""
    design = design_of(graph, target or roomy(), normal_inputs(graph, 8, seed=3))
    report = Report()
    for pass_ in PASSES:
        once = pass_ is Replicate and not copies
        step = Replicate(objective="crossbars") if once else pass_()
        step.run(design, report)
        report.check()
        if pass_.name == until:
            break
    return design


def laid_out(graph: Graph, target: Target | None = None, until: str = "codegen") -> Layout:
    return mapping_of(lowered(graph, target, until))


def run_both(
    design: Design, samples: int = 2, inflight: int = 1, seed: int = 7
) -> tuple[Mapping[str, Array], Mapping[str, Array], Result]:
    """Outputs of the machine and of the quantised graph's interpreter on the same inputs."""
    inputs = normal_inputs(design.graph, samples, seed)
    (program,) = design.programs
    framed = {name: array[:, None] for name, array in inputs.items()}
    result = simulate(program, design.target, framed, inflight=inflight)
    wanted = run_graph_batch(design.graph, inputs)
    got = {name: np.reshape(result.outputs[name], array.shape) for name, array in wanted.items()}
    return got, wanted, result
