"""What tests of later passes share: a graph taken through the book, and the machine's answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from nmc.backends.simulator import simulate
from nmc.backends.simulator.result import Result
from nmc.ir.border import is_recoding, recodes_input, recodes_output
from nmc.ir.design import Design
from nmc.ir.diagnostics import Report
from nmc.ir.graph import Array, Graph, Node, Unit
from nmc.ir.interpreter import compute, run_graph_batch
from nmc.ir.mapping import Mapping as Layout
from nmc.ir.mapping import StepKind
from nmc.ir.target import Target
from nmc.passes.base import mapping_of
from nmc.passes.book import PASSES
from nmc.passes.replicate import Replicate
from nmc.targets import load, override
from tests.passes.designs import design_of, normal_inputs

__all__ = ["chip_step", "laid_out", "lowered", "only_recodes", "roomy", "run_both", "run_machine"]


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
    got, result = run_machine(design, inputs, inflight)
    return got, run_graph_batch(design.graph, inputs), result


def run_machine(
    design: Design, inputs: Mapping[str, Array], inflight: int
) -> tuple[dict[str, Array], Result]:
    """Outputs of the only program, with what the host recodes before it and after it; samples of
    inputs and outputs are along the first axis."""
    (program,) = design.programs
    env = {name: array[:, None] for name, array in inputs.items()}
    by_host = [node for node in design.graph if node.unit == Unit.HOST]
    recode((node for node in by_host if recodes_input(node)), env)
    result = simulate(program, design.target, env, inflight=inflight)
    env |= result.outputs
    recode((node for node in by_host if recodes_output(node)), env)
    outputs = {v.name: env[v.name] for v in design.graph.outputs}
    return {
        name: a.reshape(len(a) * a.shape[1], *a.shape[2:]) for name, a in outputs.items()
    }, result


def recode(nodes: Iterable[Node], env: dict[str, Array]) -> None:
    """What the host does at the border, sample by sample; arrays are [samples, *one]."""
    for node in nodes:
        rows = [compute(node, [row], None)[0] for row in env[node.x.name]]
        env[node.output.name] = np.stack(rows)


def chip_step(mapping: Layout) -> int:
    """The number of the chip's only step."""
    (index,) = (i for i, step in enumerate(mapping.steps) if step.kind is StepKind.CHIP)
    return index


def only_recodes(design: Design) -> bool:
    """Whether the host computes nothing, and the chip does all in one step."""
    kinds = [step.kind for step in mapping_of(design).steps]
    by_host = (node for node in design.graph if node.unit == Unit.HOST)
    return kinds.count(StepKind.CHIP) == 1 and all(map(is_recoding, by_host))
