"""The pass `codegen`: from a placed and buffered mapping to programs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nmc.ir.design import Design
from nmc.ir.diagnostics import Report, error
from nmc.ir.mapping import Kind, Mapping, StepKind
from nmc.ir.program import Program
from nmc.ir.program_check import check_program
from nmc.passes.base import Pass, mapping_of
from nmc.passes.emission.chip import ChipWriter
from nmc.passes.emission.matrix import write_matrix_stage
from nmc.passes.emission.relaying import write_relay
from nmc.passes.emission.sending import write_feeder
from nmc.passes.emission.vector import write_vector_stage

__all__ = ["Codegen"]


@dataclass(frozen=True)
class Codegen(Pass):
    """Write one program per chip step: sequencers with hardware loops, plans, constants.

    A stage's firings become a few loops; every wait and signal follows from the row schedule that
    the token game played.  The result passes the static check of programs: bounds, semaphore
    balance, no deadlock.
    """

    name = "codegen"
    needs = "buffered"
    gives = "program"

    def run(self, design: Design, report: Report) -> bool:
        mapping = mapping_of(design)
        programs: list[Program] = []
        for step, described in enumerate(mapping.steps):
            if described.kind is StepKind.CHIP:
                chip = write_step(design, mapping, step)
                mapping = noted(mapping, chip)
                programs.append(chip.freeze())
                _check_limits(programs[-1], design, report)
        design.mapping = mapping
        design.programs = programs
        for program in programs if not report.failed else ():
            for problem in check_program(program, design.target):
                report.add(problem)
        return True


def write_step(design: Design, mapping: Mapping, step: int) -> ChipWriter:
    """Everything of one chip step.  Inputs are laid into the frame first, then outputs."""
    chip = ChipWriter(design.graph, mapping, design.target, step)
    streams = [s for s in mapping.streams if s.step == step]
    sources = {s.source.value: chip.add_io(s.source, source=True) for s in streams if s.source}
    chip.reserve_outputs()
    chip.assign_ring_semaphores()
    for index, stage in mapping.stages_of(step):
        write = write_matrix_stage if stage.kind is Kind.MATRIX else write_vector_stage
        write(chip, index)
    for key in chip.relays:
        write_relay(chip, key)
    for ring in chip.rings.values():
        stage = mapping.stages[ring.stage]
        stream = mapping.streams[stage.operands[ring.operand].stream]
        if stream.source is None or stage.step != step:
            continue
        if ring.parent < 0 and ring.sources:
            write_feeder(chip, ring, sources[stream.source.value])
    return chip


def noted(mapping: Mapping, chip: ChipWriter) -> Mapping:
    """The mapping with what codegen decided: semaphores of rings, uses of sequencers."""
    rings = tuple(chip.rings[r.stage, r.operand, r.core] for r in mapping.rings)
    return replace(mapping, rings=rings, sequencers=mapping.sequencers + tuple(chip.uses))


def _check_limits(program: Program, design: Design, report: Report) -> None:
    core_spec = design.target.core
    for core in program.cores:
        for what, used, limit, key in (
            ("sequencers", len(core.sequencers), core_spec.sequencers, "core.sequencers"),
            ("semaphores", len(core.semaphores), core_spec.semaphores, "core.semaphores"),
        ):
            if used > limit:
                report.add(
                    error(
                        "too-many-sequencers",
                        f"core {core.core} needs {used} {what}, it has {limit}",
                        remedy=f"raise {key}, or use a larger mesh (--mesh WxH)",
                    )
                )
