"""Random programs that use every instruction, and both engines' answers to them, in full."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from nmc.backends.simulator import MAX_CYCLES
from nmc.backends.simulator.fast.engine import launched, result_of, run
from nmc.backends.simulator.fast.lowering import lower
from nmc.backends.simulator.machine import Machine
from nmc.ir import program as p
from nmc.ir.diagnostics import Diagnostic, NmcError
from nmc.ir.target import Target
from tests.backends.simulator.chips import Code, chip, core, plan, sram, tile, vector

__all__ = ["TARGETS", "Answer", "fast", "programs", "reference"]

CORES = (0, 1, 5)
STREAMS = 3
IMAGE = {0: np.random.default_rng(1).integers(0, 256, 1024).astype(np.uint8)}
FRAME = 512

TARGETS = (
    chip(),
    chip(
        crossbar={"sample_holds": 2},
        adc={"adcs_per_cluster": 2, "crossbars_per_cluster": 4},
        core={"queue_depth": 1},
        shift_add={"t_ns": 0.0},
    ),
    chip(
        crossbar={"sample_holds": 3, "dac_bits": 1},
        adc={"adcs_per_cluster": 3, "crossbars_per_cluster": 4, "wiring": "blocked"},
        mesh={"t_hop_ns": 1.0, "flit_bytes": 4},
        global_memory={"t_latency_ns": 0.0},
    ),
    chip(crossbar={"dac_bits": 8, "t_read_ns": 1.0}, adc={"bits": 8, "t_conversion_ns": 4.0}),
)
"""Stages, ADCs and their wiring, queues, hops, one phase to eight; the last loses values."""


def tiles() -> list[p.TileImage]:
    """Five on each core: two share a crossbar, one lies on the cells of another."""
    levels = np.random.default_rng(2).integers(-60, 61, (len(CORES), 6, 4, 4))
    places = ((0, 0), (0, 4), (1, 0), (2, 0), (3, 0), (3, 0))
    return [
        tile(levels[n, i], crossbar, core=number, channel0=channel)
        for n, number in enumerate(CORES)
        for i, (crossbar, channel) in enumerate(places)
    ]


def plans(number: int, bits: int) -> tuple[p.ReadPlan, ...]:
    first = 6 * CORES.index(number)
    return (
        plan(first, bits=bits),
        plan(first + 1, priority=-1, bits=bits),
        plan(first + 2, first + 3, bits=bits),
        plan(first + 1, first + 2, first + 4, bits=bits),
        plan(first + 5, bits=bits),
    )


VECS: dict[str, tuple[str, str, tuple[float, ...]]] = {
    "add": ("i32", "i32", (3.0,)),
    "mul": ("i32", "i32", (7.0,)),
    "div": ("i32", "i32", (3.0,)),
    "max": ("u8", "u8", (100.0,)),
    "clip": ("i8", "i8", (-5.0, 60.0)),
    "relu": ("i32", "i32", ()),
    "copy": ("u8", "u8", ()),
    "fill": ("u8", "", (9.0,)),
    "dequant": ("f32", "u8", (0.25, 3.0)),
    "cast": ("i32", "u8", ()),
}
"""By operation: types of dst and a, immediates."""


@st.composite
def programs(draw: st.DrawFn) -> p.Program:
    """What sequencers have started is counted by semaphores 0 to 2 of their core; tokens pass only
    to sequencers that come later, so that nothing waits for ever."""
    bits = draw(st.sampled_from([16, 6]))
    sent: dict[tuple[int, int], int] = {}
    streams = {
        number: [draw(stream(number, index, sent)) for index in range(STREAMS)] for number in CORES
    }
    cores = tuple(
        core(*streams[number], number=number, images=IMAGE, plans=plans(number, bits))
        for number in CORES
    )
    return p.Program("random", cores, tuple(tiles()), frame_bytes=FRAME)


@st.composite
def stream(draw: st.DrawFn, number: int, index: int, sent: dict[tuple[int, int], int]) -> Code:
    gate = STREAMS + index
    body: Code = []
    if sent.get((number, gate)):
        body.append(p.Wait(gate, draw(st.integers(1, sent[number, gate]))))
        for _ in range(draw(st.integers(0, 6))):
            body += draw(step(number, index, 0, sent))
        return body
    depth = draw(st.integers(0, 2))
    for _ in range(draw(st.integers(1, 6))):
        body += draw(step(number, index, depth, sent))
    for _ in range(depth if body else 0):
        turns = draw(st.integers(1, 3))
        body = [p.Loop(turns), *body, p.End()]
    return body


@st.composite
def place(draw: st.DrawFn, dtype: str, base: int, count: int, depth: int) -> p.Desc:
    """`count` elements: dense, with gaps or transposed, with steps per turn, or in a ring."""
    size = 1 if dtype in ("u8", "i8") else 4
    steps = tuple(size * draw(st.integers(0, 4)) for _ in range(depth))
    match draw(st.sampled_from(["dense", "gaps", "ring"])):
        case "dense":
            return vector(dtype, base, count, loops=steps)
        case "gaps" if count % 2 == 0:
            return sram(dtype, base, (2, size), (count // 2, 3 * size), loops=steps)
        case _:
            ring = size * (count + draw(st.integers(0, 3)))
            offset = size * draw(st.integers(0, 5))
            return vector(dtype, base, count, loops=steps, ring=ring, offset=offset)


KINDS = ("mvm", "mvm", "vec", "vec", "put", "load", "store", "signal", "cells")


@st.composite
def step(
    draw: st.DrawFn, number: int, index: int, depth: int, sent: dict[tuple[int, int], int]
) -> Code:
    at = 1024 + 512 * index
    size = draw(st.integers(1, 40))
    near, far = draw(place("u8", at, size, depth)), 64 * CORES.index(number)
    world = p.Desc(p.Space.GLOBAL, "u8", far, (p.Dim(size, 1),))
    match draw(st.sampled_from(KINDS)):
        case "mvm":
            which = draw(st.integers(0, 4))
            src = draw(place("u8", 0, (4, 4, 8, 12, 4)[which], depth))
            start: Code = [p.Mvm(which, draw(place("i32", at, 4, depth)), src, index)]
        case "vec":
            return draw(vec(at, depth))
        case "put":
            to, done = draw(st.sampled_from(CORES)), draw(st.sampled_from([index, None]))
            start = [p.Put(to, vector("u8", 2600 + 64 * index, size), near, 7, done)]
            if done is None:
                return start
        case "load":
            start = [p.Load(near, world, index)]
        case "store":
            start = [p.Store(world, near, index)]
        case "cells":
            which = 6 * CORES.index(number) + draw(st.sampled_from([4, 5]))
            start = [p.ProgramCells(which, index)]
        case _:
            return draw(signal(number, index, sent)) if depth == 0 else []
    return [*start, p.Wait(index)] if draw(st.booleans()) else start


@st.composite
def signal(draw: st.DrawFn, number: int, index: int, sent: dict[tuple[int, int], int]) -> Code:
    later = [(n, i) for n in CORES for i in range(STREAMS) if (n, i) > (number, index)]
    if not later:
        return []
    to, gate = draw(st.sampled_from(later))
    n = draw(st.integers(1, 2))
    sent[to, STREAMS + gate] = sent.get((to, STREAMS + gate), 0) + n
    return [p.Signal(to, STREAMS + gate, n)]


@st.composite
def vec(draw: st.DrawFn, at: int, depth: int) -> Code:
    op = draw(st.sampled_from(sorted(VECS)))
    to, of, imm = VECS[op]
    count = draw(st.integers(1, 20))
    dst = draw(place(to, at, count, depth))
    a = sram(of, 0, *((d.count, d.stride // 4 or 1) for d in dst.dims)) if of else None
    if a is not None and of == "i32":
        a = sram(of, 0, *((d.count, 4 * max(1, d.stride // 4)) for d in dst.dims))
    return [p.Vec(op, dst, a, None, imm)]


# Answers


@dataclass(frozen=True)
class Answer:
    """All that an engine says of a program; `memories` are the bytes in the end."""

    problems: tuple[Diagnostic, ...] = ()
    output_cycles: tuple[int, ...] = ()
    sequencers: Any = None
    adcs: Any = None
    memories: tuple[bytes, ...] = ()


def reference(program: p.Program, target: Target, lanes: int = 2) -> Answer:
    made = Machine(program, target, lanes, 1)
    try:
        made.run(MAX_CYCLES)
    except NmcError as failed:
        return Answer(failed.diagnostics)
    cycles = (max(s.use.halted + 1 for s in made.sequencers),)
    memories = [made.cores[c.core].memory.data for c in program.cores] + [made.memory.data]
    uses = [asdict(s.use) for s in made.sequencers]
    return Answer((), cycles, uses, made.adc_use, tuple(m.tobytes() for m in memories))


def fast(program: p.Program, target: Target, lanes: int = 2) -> Answer:
    low = lower(program, target, 1)
    memory = launched(low, {}, lanes)
    try:
        done = run(low, memory, MAX_CYCLES, None)
    except NmcError as failed:
        return Answer(failed.diagnostics)
    result = result_of(low, done, {}, ())
    spans = [(low.sram_at[c.core], low.sram_sizes[c.core]) for c in program.cores]
    spans.append((low.global_at, program.frame_bytes))
    memories = tuple(memory[:, at : at + size].tobytes() for at, size in spans)
    uses = [asdict(use) for use in result.sequencers]
    return Answer((), result.output_cycles, uses, result.adcs, memories)
