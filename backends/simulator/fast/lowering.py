"""A program as tables: instructions, operands, plans and routes, numbered over all cores.

Nothing is unrolled: tables are as long as the program.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field

from nmc.backends.simulator.fast import layout as k
from nmc.backends.simulator.fast.layout import State, table
from nmc.backends.simulator.fast.plans import groups, plan_tables
from nmc.backends.simulator.machine import sram_sizes
from nmc.backends.simulator.timing import (
    PlanTiming,
    ceil_div,
    cell_cycles,
    plan_timing,
    route,
    vec_cycles,
)
from nmc.ir import program as p
from nmc.ir.diagnostics import NmcError, error
from nmc.ir.graph import DTYPES
from nmc.ir.messages import flits, nearest_port
from nmc.ir.program_spans import RECORD_OPS, Placed, operands, span, walk
from nmc.ir.target import Target

__all__ = ["Lowered", "lower"]

LINE = 64
"""Memories and held bytes begin at multiples of this."""

OPCODES: dict[type[p.Instruction], int] = {
    p.Mvm: k.OP_MVM,
    p.Vec: k.OP_VEC,
    p.Put: k.OP_PUT,
    p.Load: k.OP_LOAD,
    p.Store: k.OP_STORE,
    p.Wait: k.OP_WAIT,
    p.Signal: k.OP_SIGNAL,
    p.ProgramCells: k.OP_CELLS,
    p.Loop: k.OP_LOOP,
    p.End: k.OP_END,
    p.Halt: k.OP_HALT,
}


@dataclass(slots=True)
class Lowered:
    """The tables of one program on one target, for a number of inputs in flight.

    A lane holds the SRAM of each core, then global memory: `sram_at` and `global_at` say where,
    `lane_bytes` how much that is.  `held_sizes` are bytes by size class.
    """

    program: p.Program
    target: Target
    inflight: int
    sram_sizes: Mapping[int, int] = field(default_factory=dict[int, int])
    sram_at: dict[int, int] = field(default_factory=dict[int, int])
    global_at: int = 0
    lane_bytes: int = 0
    code: list[list[int]] = field(default_factory=list[list[int]])
    desc: list[list[int]] = field(default_factory=list[list[int]])
    instructions: list[p.Instruction] = field(default_factory=list[p.Instruction])
    first_code: list[int] = field(default_factory=list[int])
    """Of each sequencer."""
    semaphore0: dict[int, int] = field(default_factory=dict[int, int])
    """By core: the number of its first semaphore; likewise plans."""
    plan0: dict[int, int] = field(default_factory=dict[int, int])
    plans: list[PlanTiming] = field(default_factory=list[PlanTiming])
    plan_tables: tuple[State, State, State] = field(
        default_factory=lambda: (table([], 1), table([], 1), table([], 1))
    )
    crossbars: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    """(core, crossbar) to its number."""
    clusters: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """First crossbar and count of each."""
    adcs: dict[tuple[int, int, int], int] = field(default_factory=dict[tuple[int, int, int], int])
    routes: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    hops: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """First and count in `hop_of`, by route."""
    links: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    hop_of: list[int] = field(default_factory=list[int])
    memories: dict[int, int] = field(default_factory=dict[int, int])
    """Cores with a memory port, numbered."""
    classes: dict[int, int] = field(default_factory=dict[int, int])
    """Size classes by bytes."""
    adc_classes: dict[tuple[int, int, int], int] = field(
        default_factory=dict[tuple[int, int, int], int]
    )
    """ADCs of a cluster that always have the same to do have one number here."""
    place_bits: int = 0
    """What the place of a crossbar's row in its cluster takes up in keys; `key_bits`: with the
    plan's priority."""
    key_bits: int = 0
    groups: list[list[int]] = field(default_factory=list[list[int]])
    """Sequencers that share crossbars, of all that use any."""
    in_order: set[int] = field(default_factory=set[int])
    """Sequencers whose mvms are all of one plan, and so end in the order of their issue."""

    def code_range(self, sequencer: int) -> tuple[int, int]:
        """First instruction of a sequencer, and what comes after its last."""
        last = sequencer + 1 == len(self.first_code)
        after = len(self.code) if last else self.first_code[sequencer + 1]
        return self.first_code[sequencer], after

    @property
    def bar_width(self) -> int:
        """Fields of a crossbar's row, its stages included."""
        return k.X_STAGE0 + self.target.crossbar.sample_holds

    def place_of(self, crossbar: int) -> int:
        """Within its cluster, of those that hold tiles."""
        first = bisect_right(self.clusters, (crossbar, len(self.crossbars))) - 1
        return crossbar - self.clusters[first][0]


def lower(program: p.Program, target: Target, inflight: int) -> Lowered:
    """NmcError `bad-program` if an operand leaves global memory."""
    low = Lowered(program, target, inflight)
    lay_memory(low)
    number_crossbars(low)
    number_tables(low)
    for core in program.cores:
        for sequencer in core.sequencers:
            low.first_code.append(len(low.code))
            for placed in walk(sequencer.instructions):
                check_global(low, core.core, sequencer.label, placed)
                low.instructions.append(placed.instruction)
                low.code.append(instruction_row(low, core.core, placed.instruction))
    low.plan_tables = plan_tables(low)
    low.groups = groups(low)
    return low


def aligned(size: int) -> int:
    return ceil_div(size, LINE) * LINE


def lay_memory(low: Lowered) -> None:
    low.sram_sizes = sram_sizes(low.program, low.inflight)
    top = 0
    for core, size in low.sram_sizes.items():
        low.sram_at[core] = top
        top += aligned(size)
    low.global_at = top
    low.lane_bytes = max(LINE, top + aligned(low.program.frame_bytes * low.inflight))


def check_global(low: Lowered, core: int, label: str, placed: Placed) -> None:
    """Operands in global memory stay within the frames: kernels do not look."""
    for operand in operands(placed.instruction):
        if operand.desc.space is not p.Space.GLOBAL:
            continue
        first, after = span(operand, placed.counts, low.inflight)
        if first < 0 or after > low.program.frame_bytes * low.inflight:
            message = (
                f"core {core} {label} pc {placed.pc}: "
                f"bytes {first}..{after - 1} of global memory are not there"
            )
            raise NmcError(error("bad-program", message))


def number_crossbars(low: Lowered) -> None:
    """The crossbars that hold tiles, those of a cluster next to each other; and their ADCs."""
    adc = low.target.adc
    used: dict[int, set[int]] = {core.core: set() for core in low.program.cores}
    for tile in low.program.tiles:
        used.setdefault(tile.core, set()).add(tile.crossbar)
    for core in low.program.cores:
        clusters: dict[int, list[int]] = {}
        for index in sorted(used[core.core]):
            clusters.setdefault(index // adc.crossbars_per_cluster, []).append(index)
        for cluster, members in clusters.items():
            low.clusters.append((len(low.crossbars), len(members)))
            for index in members:
                low.crossbars[core.core, index] = len(low.crossbars)
            for n in range(adc.adcs_per_cluster):
                low.adcs[core.core, cluster, n] = len(low.adcs)


def number_tables(low: Lowered) -> None:
    semaphores = 0
    for core in low.program.cores:
        low.semaphore0[core.core] = semaphores
        semaphores += len(core.semaphores)
        low.plan0[core.core] = len(low.plans)
        low.plans += [plan_timing(q, low.program.tiles, low.target) for q in core.plans]


# Instructions


def instruction_row(low: Lowered, core: int, instruction: p.Instruction) -> list[int]:
    row = [-1] * k.I_WIDTH
    row[k.I_OP] = OPCODES[type(instruction)]
    row[k.I_LOCAL] = row[k.I_STALL] = 0
    match instruction:
        case p.Mvm(plan=plan):
            row[k.I_PLAN] = low.plan0[core] + plan
            move(low, core, core, instruction, row)
            most = max(size_of(instruction.src), size_of(instruction.dst))
            row[k.I_CLASS] = size_class(low, most)
        case p.Vec():
            vec(low, core, instruction, row)
        case p.Put(core=to):
            move(low, core, to, instruction, row)
            row[k.I_ROUTE] = route_number(low, core, to)
            row[k.I_FLITS] = flits(size_of(instruction.src), low.target)
            if instruction.done is not None:
                row[k.I_DONE] = low.semaphore0[core] + instruction.done
        case p.Load() | p.Store():
            transfer(low, core, instruction, row)
        case p.ProgramCells(tile=tile):
            image = low.program.tiles[tile]
            row[k.I_N] = tile
            row[k.I_SEM] = low.semaphore0[core] + instruction.sem
            row[k.I_CYCLES] = cell_cycles(image, low.target)[0]
            row[k.I_XBAR] = low.crossbars[core, image.crossbar]
        case _:
            control(low, core, instruction, row)
    return row


def control(low: Lowered, core: int, instruction: p.Instruction, row: list[int]) -> None:
    match instruction:
        case p.Wait(sem=sem, n=n):
            row[k.I_SEM], row[k.I_N] = low.semaphore0[core] + sem, n
        case p.Signal(core=to, sem=sem, n=n):
            row[k.I_SEM], row[k.I_N] = low.semaphore0[to] + sem, n
            row[k.I_LOCAL] = int(to == core)
            row[k.I_FLITS] = 1
            row[k.I_ROUTE] = route_number(low, core, to)
        case p.Loop(count=count):
            row[k.I_N] = low.inflight if count == p.INPUTS else count
        case _:
            pass


def move(low: Lowered, core: int, to: int, what: p.Mvm | p.Put, row: list[int]) -> None:
    row[k.I_DST] = operand(low, to, what.dst)
    row[k.I_SRC] = operand(low, core, what.src)
    row[k.I_SEM] = low.semaphore0[to] + what.sem
    row[k.I_CLASS] = size_class(low, max(size_of(what.src), size_of(what.dst)))


def vec(low: Lowered, core: int, what: p.Vec, row: list[int]) -> None:
    row[k.I_CYCLES] = vec_cycles(what, low.target)
    row[k.I_DST] = operand(low, core, what.dst)
    row[k.I_CLASS] = size_class(low, size_of(what.dst))
    if what.a is not None:
        row[k.I_SRC] = operand(low, core, what.a)
    if what.b is not None:
        row[k.I_B] = operand(low, core, what.b, RECORD_OPS.get(what.op, 0))


def transfer(low: Lowered, core: int, what: p.Load | p.Store, row: list[int]) -> None:
    port = nearest_port(core, low.target)
    there = isinstance(what, p.Load)
    nbytes = size_of(what.src if there else what.dst)
    row[k.I_DST] = operand(low, core, what.dst)
    row[k.I_SRC] = operand(low, core, what.src)
    row[k.I_SEM] = low.semaphore0[core] + what.sem
    row[k.I_CLASS] = size_class(low, max(size_of(what.src), size_of(what.dst)))
    row[k.I_FLITS] = flits(size_of(what.src), low.target)
    row[k.I_CYCLES] = ceil_div(nbytes, low.target.global_memory.bytes_per_cycle)
    row[k.I_DONE] = low.memories.setdefault(port, len(low.memories))
    row[k.I_ROUTE] = route_number(low, core, port)
    row[k.I_BACK] = route_number(low, port, core)


def route_number(low: Lowered, source: int, to: int) -> int:
    """-1 for the way to the own core, which has no link."""
    if source == to:
        return -1
    if (source, to) not in low.routes:
        low.routes[source, to] = len(low.hops)
        hops = route(source, to, low.target)
        low.hops.append((len(low.hop_of), len(hops)))
        low.hop_of += [low.links.setdefault(hop, len(low.links)) for hop in hops]
    return low.routes[source, to]


def size_class(low: Lowered, size: int) -> int:
    """Sizes go up to the next power of two, from a line on, so that there are few classes."""
    rounded = max(LINE, 1 << (max(size, 1) - 1).bit_length())
    return low.classes.setdefault(rounded, len(low.classes))


# Operands


def size_of(desc: p.Desc) -> int:
    return desc.elements * DTYPES[desc.dtype].itemsize


def operand(low: Lowered, core: int, desc: p.Desc, record_bytes: int = 0) -> int:
    """The number of a new descriptor row."""
    item = record_bytes or DTYPES[desc.dtype].itemsize
    dims = merged(desc.dims)
    row = [0] * k.D_WIDTH
    row[k.D_OFFSET], row[k.D_BASE], row[k.D_RING] = desc.offset, desc.base, desc.ring
    row[k.D_ITEM], row[k.D_BYTES] = item, item * desc.elements
    for level, step in enumerate(desc.loops):
        row[k.D_LOOP0 + level] = step
    for place in range(3):
        row[k.D_COUNT0 + place] = 1
    for place, dim in zip(range(3 - len(dims), 3), dims, strict=True):
        row[k.D_COUNT0 + place], row[k.D_STEP0 + place] = dim.count, dim.stride
    near = desc.space is p.Space.SRAM
    row[k.D_AT] = low.sram_at[core] if near else low.global_at
    low.desc.append(row)
    return len(low.desc) - 1


def merged(dims: tuple[p.Dim, ...]) -> list[p.Dim]:
    """Dimensions that run on in equal steps become one; the order of elements stays."""
    result: list[p.Dim] = []
    for dim in reversed(dims):
        inner = result[0] if result else None
        if inner is not None and dim.stride == inner.count * inner.stride:
            result[0] = p.Dim(dim.count * inner.count, inner.stride)
        elif inner is not None and inner.count == 1:
            result[0] = dim
        elif dim.count > 1 or inner is None:
            result.insert(0, dim)
    return result
