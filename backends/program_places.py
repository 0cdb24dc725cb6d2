"""Where an instruction comes from: its assembly line, its layer, and the ONNX nodes behind it.

Texts about a program name it as ``core 0 conv1.post pc 12``; `ProgramPlaces.named` finds the
instruction again, so that errors of the check and of every engine can be explained alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from nmc.backends.simulator.result import Race
from nmc.ir.diagnostics import Diagnostic, Loc, NmcError, error
from nmc.ir.graph import Graph, Node
from nmc.ir.mapping import Buffer, Mapping, Stage
from nmc.ir.matrices import nodes_by_result
from nmc.ir.program import CoreProgram, Desc, Instruction, Mvm, Program, ProgramCells, Space, Vec
from nmc.ir.program_spans import operands
from nmc.ir.program_text import instruction_text, print_program

if TYPE_CHECKING:
    from nmc.backends.container.contents import Contents

__all__ = ["CodePlace", "ProgramPlaces", "explained", "explained_one", "race_diagnostics"]

NAMED = re.compile(r"(?:^|: )core (\d{1,9}) (.+?) pc (\d{1,9})\b")
SEQUENCER_LINE = re.compile(r"( *)sequencer \d+ ")
CORE_LINE = re.compile(r"  core (\d+) \{")


@dataclass(frozen=True, slots=True)
class CodePlace:
    """An instruction and its origin.  `line` counts from 1 in the mapping file's member `member`.

    `layer` is empty for what belongs to no stage: the feeder of an input.  `nodes` are the ONNX
    nodes of the operation that the instruction works for, as far as that can be told; else those
    of its whole layer.
    """

    core: int
    sequencer: int
    pc: int
    label: str
    assembly: str
    member: str
    line: int
    layer: str
    role: str
    nodes: tuple[Loc, ...]

    @property
    def loc(self) -> Loc:
        first = self.nodes[0] if self.nodes else Loc()
        return replace(first, file="", member=self.member, line=self.line, excerpt=self.assembly)

    @property
    def name(self) -> str:
        """As the command line and the debugger write it: CORE.SEQ:PC."""
        return f"{self.core}.{self.sequencer}:{self.pc}"

    def __str__(self) -> str:
        """`program/0-chip.asm:40, layer conv1, from Conv '/conv1/Conv' (net.py:3)`"""
        parts = [f"{self.member}:{self.line}"]
        if self.layer:
            parts.append(f"layer {self.layer}")
        parts += [node_text(loc) for loc in self.nodes]
        return ", ".join(parts)


def node_text(loc: Loc) -> str:
    return f"from {loc.op} '{loc.node}'" + (f" ({loc.source})" if loc.source else "")


@dataclass(eq=False)
class ProgramPlaces:
    """The places of the program of the chip step that is called `step`."""

    graph: Graph
    mapping: Mapping
    step: str
    program: Program

    @staticmethod
    def of(contents: Contents, step: str) -> ProgramPlaces:
        return ProgramPlaces(contents.graph, contents.mapping, step, contents.program_of[step])

    def at(self, core: int, sequencer: int, pc: int) -> CodePlace:
        """The place of an instruction; KeyError or IndexError if there is none."""
        code = self.cores[core].sequencers[sequencer]
        instruction = code.instructions[pc]
        stage, role = self._stage(core, sequencer)
        return CodePlace(
            core,
            sequencer,
            pc,
            code.label,
            instruction_text(instruction),
            f"program/{self.step}.asm",
            self._lines[core, sequencer] + 1 + pc,
            stage.name if stage else "",
            role,
            self._nodes(stage, core, instruction) if stage else (),
        )

    def named(self, text: str) -> CodePlace | None:
        """The instruction that a text is about: `core 0 conv1.post pc 12...`, at its beginning or
        after a colon."""
        found = NAMED.search(text)
        if found is None or int(found[1]) not in self.cores:
            return None
        core, pc = int(found[1]), int(found[3])
        for index, code in enumerate(self.cores[core].sequencers):
            if code.label == found[2] and pc < len(code.instructions):
                return self.at(core, index, pc)
        return None

    @cached_property
    def cores(self) -> dict[int, CoreProgram]:
        return {core.core: core for core in self.program.cores}

    @cached_property
    def buffers(self) -> tuple[Buffer, ...]:
        """Those of this step's stages."""
        mapping = self.mapping
        return tuple(
            b
            for b in mapping.buffers
            if mapping.steps[mapping.stages[b.stage].step].name == self.step
        )

    @cached_property
    def _graph_nodes(self) -> dict[str, Node]:
        return nodes_by_result(self.graph)

    @cached_property
    def _lines(self) -> dict[tuple[int, int], int]:
        """The line of each sequencer's head in the assembly, by (core, sequencer)."""
        lines, core, count = {}, -1, 0
        for number, line in enumerate(print_program(self.program).split("\n"), start=1):
            if head := CORE_LINE.match(line):
                core, count = int(head[1]), 0
            elif SEQUENCER_LINE.match(line):
                lines[core, count] = number
                count += 1
        return lines

    def _stage(self, core: int, sequencer: int) -> tuple[Stage | None, str]:
        mapping = self.mapping
        for use in mapping.sequencers:
            at = (mapping.steps[use.step].name, use.core, use.sequencer)
            if at == (self.step, core, sequencer):
                return (mapping.stages[use.stage] if use.stage >= 0 else None), use.role
        return None, ""

    def _nodes(self, stage: Stage, core: int, instruction: Instruction) -> tuple[Loc, ...]:
        known = [name for name in self._names(stage, core, instruction) if name in stage.nodes]
        there = self._graph_nodes  # a file that is still being checked may lack some
        nodes = [there[name] for name in known or stage.nodes if name in there]
        return tuple(dict.fromkeys(loc for node in nodes for loc in node.origin if loc.node))

    def _names(self, stage: Stage, core: int, instruction: Instruction) -> Iterator[str]:
        """Nodes of a stage that an instruction works for: buffers are named after them."""
        if isinstance(instruction, Mvm | ProgramCells):
            yield stage.nodes[0]
        if isinstance(instruction, Vec):
            for operand in operands(instruction):
                kind, _, name = self._role(stage, core, operand.desc).partition(":")
                if kind == "table" and operand.role == "b":
                    yield name.rpartition(":")[0]
                elif kind == "temp" and operand.role == "dst":
                    yield name

    def _role(self, stage: Stage, core: int, desc: Desc) -> str:
        """What the buffer of an operand holds."""
        for b in self.buffers if desc.space is Space.SRAM else ():
            there = b.address <= desc.base < b.address + b.bytes
            if there and b.core == core and self.mapping.stages[b.stage] is stage:
                return b.role
        return ""


# Problems


def explained(problem: NmcError, places: ProgramPlaces) -> NmcError:
    """The same problem, with the places of the instructions that its texts name."""
    return NmcError(*(explained_one(d, places) for d in problem.diagnostics))


def explained_one(diagnostic: Diagnostic, places: ProgramPlaces) -> Diagnostic:
    found = [place for text in diagnostic.notes if (place := places.named(text))]
    first = places.named(diagnostic.message) or (found[0] if found else None)
    if first is None:
        return diagnostic
    notes = [with_place(text, places) for text in diagnostic.notes]
    if not notes and first.layer:
        notes = [f"layer {first.layer}, its {first.role}"]
    return replace(diagnostic, loc=first.loc, notes=tuple(notes))


def with_place(text: str, places: ProgramPlaces) -> str:
    place = places.named(text)
    return f"{text}\n{place}" if place else text


def race_diagnostics(races: tuple[Race, ...], places: ProgramPlaces) -> list[Diagnostic]:
    """Races as errors, each at its later instruction."""
    return [
        explained_one(
            error(
                "race", f"{race.kind}, {race.span}", notes=filter(None, (race.second, race.first))
            ),
            places,
        )
        for race in races
    ]
