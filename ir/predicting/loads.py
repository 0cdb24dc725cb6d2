"""How many cycles of one input every unit of the chip is busy, once tiles and rings have places.

Nothing can be faster than its busiest unit: the most of these is a bound for the interval.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise

from nmc.ir import mapping as m
from nmc.ir.messages import flits, nearest_port
from nmc.ir.rows import Feed, emissions, feed_of, makers_of, met_chans
from nmc.ir.shares import made_pixels
from nmc.ir.stage_time import CoreTime, StageTime
from nmc.ir.target import Target

__all__ = ["Loads", "Unit", "unit_loads"]

Unit = tuple[str, tuple[int, ...]]
"""A kind and a place: `adc` (core, cluster, ADC), `array` (core, crossbar), `vector` (core),
`port` (core), `link` (from core, to core), `memory` and `memory-out` (core at whose router it is);
the names of `UnitUse` in simulated runs."""

Loads = Mapping[Unit, float]


def unit_loads(
    mapping: m.Mapping, target: Target, times: Mapping[int, StageTime], step: int
) -> Loads:
    """Busy cycles per input of all units that one chip step uses; `times` of its stages."""
    loads: dict[Unit, float] = defaultdict(float)
    for index, time in times.items():
        home = mapping.stages[index].home
        loads["vector", (home,)] += time.firings * time.vector_cycles
        for part in time.cores:
            _reads(loads, part, time.firings, target)
    traffic = _traffic(mapping, target, times, step, loads)
    for (source, core), count in traffic.items():
        loads["port", (source,)] += count
        _links(loads, source, core, count, target)
    return {unit: cycles for unit, cycles in loads.items() if cycles}


def _reads(loads: dict[Unit, float], core: CoreTime, firings: int, target: Target) -> None:
    for adc, cycles in core.adc_cycles.items():
        loads["adc", adc] += firings * cycles
    for crossbar in core.crossbars:
        loads["array", (core.core, crossbar)] += firings * core.phases * target.read_cycles
    loads["vector", (core.core,)] += firings * core.fill_cycles


def _traffic(
    mapping: m.Mapping,
    target: Target,
    times: Mapping[int, StageTime],
    step: int,
    loads: dict[Unit, float],
) -> Counter[tuple[int, int]]:
    """Flits per input from each core to each other; what memory does is added to `loads`."""
    sent: Counter[tuple[int, int]] = Counter()
    for ring in mapping.rings:
        stage = mapping.stages[ring.stage]
        if stage.step == step:
            _rows(mapping, ring, stage, target, sent, loads)
    for index, time in times.items():
        stage = mapping.stages[index]
        for core in time.cores:
            if core.core != stage.home:
                times_sent = time.firings * time.runs
                sent[core.core, stage.home] += times_sent * flits(core.part_bytes, target)
                sent[stage.home, core.core] += times_sent
        stream = mapping.streams[stage.output]
        rows = int(emissions(mapping, stage).sum()) * len(stream.sinks)
        if rows:
            port = nearest_port(stage.home, target)
            pixels = made_pixels(mapping, stage)
            nbytes = pixels * mapping.made_chans(stage)[1] * stream.element_bytes
            sent[stage.home, port] += rows * flits(nbytes, target)
            _memory(loads, stage.home, port, rows, nbytes, 1, target)
    return sent


def _rows(
    mapping: m.Mapping,
    ring: m.Ring,
    stage: m.Stage,
    target: Target,
    sent: Counter[tuple[int, int]],
    loads: dict[Unit, float],
) -> None:
    """Rows into a ring, and the credits that go back."""
    operand = stage.operands[ring.operand]
    stream = mapping.streams[operand.stream]
    feed = feed_of(mapping, stage, operand)
    whole = stream.cols * mapping.seen_chans(operand)[1] * stream.element_bytes
    rows = len(feed.rows)
    if ring.parent >= 0:
        _messages(sent, mapping.rings[ring.parent].core, ring, rows, flits(whole, target), feed)
        return
    if not stream.producers:
        port = nearest_port(ring.core, target)
        sent[ring.core, port] += rows
        _memory(loads, ring.core, port, rows, whole, flits(whole, target), target)
        return
    makers = makers_of(mapping, operand, feed)
    for source, rows in zip(makers.sources.tolist(), makers.made.sum(axis=0).tolist(), strict=True):
        producer = mapping.stages[stream.producers[source]]
        chans = met_chans(mapping, producer, operand)[1]
        nbytes = made_pixels(mapping, producer) * chans * stream.element_bytes
        _messages(sent, producer.home, ring, rows, flits(nbytes, target), feed)


def _messages(
    sent: Counter[tuple[int, int]], source: int, ring: m.Ring, rows: int, size: int, feed: Feed
) -> None:
    """Rows from one core, and what tells it that there is room again."""
    sent[source, ring.core] += rows * size
    if source != ring.core:
        sent[ring.core, source] += min(rows, len(feed.needed))


def _memory(
    loads: dict[Unit, float],
    core: int,
    port: int,
    rows: int,
    row_bytes: int,
    answer_flits: int,
    target: Target,
) -> None:
    """Rows that cross a memory port, and the answers that it sends back into the mesh."""
    width = target.global_memory.bytes_per_cycle
    loads["memory", (port,)] += rows * -(-row_bytes // width)
    loads["memory-out", (port,)] += rows * answer_flits
    _links(loads, port, core, rows * answer_flits, target)


def _links(loads: dict[Unit, float], source: int, core: int, count: float, target: Target) -> None:
    for link in pairwise(_route(source, core, target)):
        loads["link", link] += count


def _route(source: int, core: int, target: Target) -> Iterable[int]:
    """Cores along the XY route, both ends included."""
    (x, y), (to_x, to_y) = target.mesh.position(source), target.mesh.position(core)
    across = range(x, to_x, 1 if to_x > x else -1)
    down = range(y, to_y, 1 if to_y > y else -1)
    yield from (target.mesh.core_at(column, y) for column in across)
    yield from (target.mesh.core_at(to_x, row) for row in down)
    yield core
