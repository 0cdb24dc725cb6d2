"""What a paused machine looks like, in lines of text: sequencers, loops, semaphores, queues."""

from __future__ import annotations

from collections.abc import Iterator

from nmc.backends.program_places import CodePlace, ProgramPlaces
from nmc.backends.simulator.core import Core
from nmc.backends.simulator.machine import Machine
from nmc.backends.simulator.sequencer import Sequencer
from nmc.ir.program import INPUTS, End, Loop, Wait
from nmc.ir.program_text import instruction_text

__all__ = [
    "assembly_lines",
    "loop_lines",
    "queue_lines",
    "semaphore_lines",
    "sequencer_lines",
    "status",
    "where_lines",
]


def status(sequencer: Sequencer, cycle: int) -> str:
    """What a sequencer does now: before the cycle begins."""
    if sequencer.halted:
        return f"halted in cycle {sequencer.use.halted}"
    if sequencer.asked:
        return "the vector unit has its vec, or will take it up"
    if sequencer.due > cycle:
        return f"in its vec until cycle {sequencer.due}"
    instruction = sequencer.operations[sequencer.pc].instruction
    if isinstance(instruction, Wait):
        holds = sequencer.core.semaphores[instruction.sem].value
        if holds < instruction.n:
            return f"waits: sem {instruction.sem} holds {holds} of {instruction.n}"
    if sequencer.due < cycle:
        return "waits for a place in a queue"
    return "about to issue"


def where_lines(sequencer: Sequencer, places: ProgramPlaces, cycle: int) -> Iterator[str]:
    """The instruction at pc with all that is known of its origin."""
    place = places.at(sequencer.core.index, sequencer.index, sequencer.pc)
    yield f"{place.name} {place.label}: {place.assembly}"
    yield f"  {status(sequencer, cycle)}"
    yield f"  {place.member}:{place.line}"
    yield from origin_lines(place)


def origin_lines(place: CodePlace) -> Iterator[str]:
    if place.layer:
        yield f"  layer {place.layer}, its {place.role}"
    for loc in place.nodes:
        yield f"  ONNX node '{loc.node}' ({loc.op})"
        if loc.source:
            yield f"    {loc.source}"


def assembly_lines(sequencer: Sequencer, around: int) -> Iterator[str]:
    """The code around pc, with `>` before the instruction that is next."""
    depth = 0
    for pc, operation in enumerate(sequencer.operations):
        instruction = operation.instruction
        depth -= isinstance(instruction, End)
        if abs(pc - sequencer.pc) <= around:
            mark = ">" if pc == sequencer.pc else " "
            yield f"{mark} {pc:>4}  {'  ' * depth}{instruction_text(instruction)}"
        depth += isinstance(instruction, Loop)


def sequencer_lines(machine: Machine, cycle: int) -> Iterator[str]:
    for each in machine.sequencers:
        name = f"{each.core.index}.{each.index}:{each.pc}"
        yield f"{name:<10} {each.use.label}: {status(each, cycle)}"


def loop_lines(sequencer: Sequencer) -> Iterator[str]:
    """Each loop around pc: which turn of how many, counted from 1."""
    heads: list[int] = []
    for pc, operation in enumerate(sequencer.operations[: sequencer.pc]):
        if isinstance(operation.instruction, Loop):
            heads.append(pc)
        elif isinstance(operation.instruction, End):
            heads.pop()
    for pc, (iteration, count) in zip(heads, sequencer.loops, strict=True):
        instruction = sequencer.operations[pc].instruction
        over = isinstance(instruction, Loop) and instruction.count == INPUTS
        name = "input" if over else "turn"
        yield f"{sequencer.core.index}.{sequencer.index}:{pc} {name} {iteration + 1} of {count}"


def semaphore_lines(core: Core, places: ProgramPlaces) -> Iterator[str]:
    """Every semaphore that holds something or is waited for, and what it counts."""
    meanings = ring_semaphores(places, core.index)
    for index, semaphore in enumerate(core.semaphores):
        waiters = [f"{core.index}.{n}" for n in sorted(semaphore.waiters)]
        if semaphore.value or waiters:
            meaning = f"  {meanings[index]}" if index in meanings else ""
            waiting = f"  {', '.join(waiters)} waits" if waiters else ""
            yield f"core {core.index} sem {index} = {semaphore.value}{meaning}{waiting}"


def ring_semaphores(places: ProgramPlaces, core: int) -> dict[int, str]:
    """What the semaphores of rings count."""
    mapping, meanings = places.mapping, {}
    for ring in mapping.rings:
        stage = mapping.stages[ring.stage]
        if mapping.steps[stage.step].name == places.step:
            name = f"of ring{ring.operand} of {stage.name}"
            for source in ring.sources:
                if ring.core == core and source.token >= 0:
                    meanings[source.token] = f"(rows {name})"
                if source.core == core and source.credit >= 0:
                    meanings[source.credit] = f"(free slots {name})"
    return meanings


def queue_lines(machine: Machine, core: Core) -> Iterator[str]:
    """What waits for the units of a core."""
    depth = machine.target.core.queue_depth
    for each in machine.sequencers:
        if each.core is core:
            mvms = core.mvms.queues[each.index].tasks
            held = {"mvm": len(mvms), "noc": each.queued["noc"], "dma": each.queued["dma"]}
            filled = ", ".join(f"{unit} {n} of {depth}" for unit, n in held.items() if n)
            if filled:
                yield f"{core.index}.{each.index} {each.use.label}: {filled}"
            for task in mvms:
                text = instruction_text(each.operations[task.origin.pc].instruction)
                yield f"  {core.index}.{each.index}:{task.origin.pc} {text}"
    yield from unit_lines(machine, core)


def unit_lines(machine: Machine, core: Core) -> Iterator[str]:
    for name, unit in (("vector unit", core.vector), ("NoC port", core.port)):
        if unit.waiting:
            yield f"core {core.index} {name}: {len(unit.waiting)} in wait"
    for (number, cluster, index), adc in machine.adcs.items():
        if number == core.index and adc.waiting:
            yield f"core {number} ADC {cluster}.{index}: {len(adc.waiting)} bursts in wait"
