"""How long one copy of a stage takes for a firing and for an input, by what limits it.

Of a Mapping and a Target alone.  Before placement a matrix is taken to lie on as few cores as hold
its tiles, with the clusters of each core evenly loaded; after placement its own cores, crossbars
and conversions count.  A stage has its resources to itself here; what several want of the same
resource is the business of `nmc.ir.predicting`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from nmc.ir import mapping as m
from nmc.ir.adc_load import TileCycles
from nmc.ir.graph import Node
from nmc.ir.messages import flits
from nmc.ir.read_time import ACC_BYTES, Adc, read_time
from nmc.ir.rows import emissions, feed_of, firings, makers_of
from nmc.ir.shares import runs_of
from nmc.ir.stage_memory import CoreOutputs, core_outputs
from nmc.ir.target import Target
from nmc.ir.vector_work import Part, VectorWork, fill_work, vector_cycles, vector_work

__all__ = ["CoreTime", "StageTime", "StageTimes"]

PUT_CYCLES = 2
"""Of a sequencer: a wait for room and a put."""


@dataclass(frozen=True, slots=True)
class CoreTime:
    """One core's part in a matrix stage.

    `read_cycles`: from the start of one place's reads to that of the next's.  `latency_cycles`:
    from there until its accumulators are written.  Per firing: `compute_cycles` that its compute
    sequencer takes; `phases` in which each of its `crossbars` is read; `send_cycles` that the
    sequencer which brings partial sums home takes, in messages of `part_bytes`, one for each run
    of pixels (0 at home); `adc_cycles` of each ADC; `fill_cycles`, of the vector unit, for
    padding.
    """

    core: int
    crossbars: tuple[int, ...]
    read_cycles: int
    latency_cycles: int
    compute_cycles: float
    phases: int
    send_cycles: int
    part_bytes: int
    adc_cycles: Mapping[Adc, int]
    fill_cycles: float


@dataclass(frozen=True, slots=True)
class StageTime:
    """Cycles of one copy, which fires `firings` times in an input and emits rows in `emitting`.

    Of the sequencer that finishes and sends rows: `turn_cycles` in each firing, `emission_cycles`
    besides in each that emits, and `put_cycles` to issue what it sends; of these the vector unit
    has `vector_cycles` in the mean of all firings, for `instructions`.  `runs`: pieces in which a
    row is worked on, so that reading and finishing overlap.
    """

    firings: int
    emitting: int
    cores: tuple[CoreTime, ...]
    turn_cycles: float
    emission_cycles: float
    put_cycles: float
    vector_cycles: float
    instructions: float
    runs: int

    @property
    def finish_cycles(self) -> float:
        """Of the sequencer that finishes rows, in the mean of all firings."""
        emission = self.emission_cycles + self.put_cycles
        return self.turn_cycles + emission * self.emitting / self.firings

    @property
    def compute_cycles(self) -> float:
        """Of a firing, of the core that has most to read."""
        return max((core.compute_cycles for core in self.cores), default=0.0)

    @property
    def send_cycles(self) -> int:
        """Of a firing, of the core that has most partial sums to send."""
        return max((core.send_cycles for core in self.cores), default=0)

    @property
    def firing_cycles(self) -> float:
        """From a firing to the next: reading, sending and finishing overlap."""
        return max(self.compute_cycles, self.send_cycles, self.finish_cycles)

    @property
    def input_cycles(self) -> float:
        """From an input to the next, when nothing else holds the stage up."""
        return self.firings * self.firing_cycles

    @property
    def adc_cycles(self) -> int:
        """Of an input, of the ADC that has most to convert."""
        each = (max(core.adc_cycles.values(), default=0) for core in self.cores)
        return self.firings * max(each, default=0)

    def finish_after(self, emits: bool) -> float:
        """What is left to finish of a firing, but for sending, once all of it has been read."""
        whole = self.turn_cycles + self.emission_cycles * emits
        overlapped = self.compute_cycles * (self.runs - 1) / self.runs
        return max(whole / self.runs, whole - overlapped)


class StageTimes:
    """Times of stages on one target; keeps what stages have in common."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._tiles = TileCycles(target)

    def of(
        self,
        mapping: m.Mapping,
        stage: m.Stage,
        tiles: Sequence[m.Tile],
        nodes: Mapping[str, Node],
        *,
        outlets: float = 1.0,
    ) -> StageTime:
        """The time of a copy of a stage with these tiles.

        `nodes` by their first results; `outlets`, how many rings and outputs take each of its rows.
        """
        is_matrix = stage.kind is m.Kind.MATRIX
        if is_matrix and any(t.crossbar < 0 for t in tiles):
            stage, tiles = self.assumed(stage, tiles)
        outputs = core_outputs(stage, tiles) if is_matrix else {}
        by_core = _by_core(tiles)
        count = firings(mapping, stage)
        cores = tuple(
            self._core(mapping, stage, parts, by_core.get(core, []), core)
            for core, parts in outputs.items()
        )
        work = list(vector_work(mapping, stage, outputs, nodes))
        if not is_matrix:
            for number in range(len(stage.operands)):
                work += fill_work(mapping, stage, number)
        return self._stage(mapping, stage, cores, work, outlets, count)

    def assumed(
        self, stage: m.Stage, tiles: Sequence[m.Tile]
    ) -> tuple[m.Stage, tuple[m.Tile, ...]]:
        """The stage and its tiles as if alone on the chip, clusters taking turns."""
        each, clusters = self.target.core.crossbars, self.target.clusters_per_core
        size = self.target.adc.crossbars_per_cluster
        order = [c * size + turn for turn in range(size) for c in range(clusters)]
        order += range(clusters * size, each)
        placed = tuple(
            replace(tile, core=number // each, crossbar=order[number % each])
            for number, tile in enumerate(tiles)
        )
        cores = tuple(range(max(1, -(-len(tiles) // each))))
        return replace(stage, home=0, cores=cores), placed

    def _core(
        self,
        mapping: m.Mapping,
        stage: m.Stage,
        parts: Sequence[CoreOutputs],
        tiles: Sequence[m.Tile],
        core: int,
    ) -> CoreTime:
        time = read_time(mapping, stage, parts, tiles, self._tiles)
        every = list(runs_of(mapping, stage, mapping.streams[stage.output].rows))
        runs = sum(run.count for run in every)
        places = sum(run.count * -(-run.pixels // stage.grid[1]) for run in every)
        filling = sum(vector_cycles(w, self.target.vector) for w in fill_work(mapping, stage, 0))
        fill = filling / firings(mapping, stage)
        away = core != stage.home
        part_bytes = away * sum(p.outputs for p in parts) * stage.reads * ACC_BYTES
        issues = runs * (len(parts) + 2) + 1
        return CoreTime(
            core,
            tuple(sorted({t.crossbar for t in tiles})),
            time.period_cycles,
            time.latency_cycles,
            places * time.period_cycles + fill,
            places * self.target.phases,
            away * max(runs * flits(part_bytes, self.target), issues),
            part_bytes,
            {adc: places * cycles for adc, cycles in time.adc_cycles.items()},
            fill,
        )

    def _stage(
        self,
        mapping: m.Mapping,
        stage: m.Stage,
        cores: tuple[CoreTime, ...],
        work: Iterable[VectorWork],
        outlets: float,
        count: int,
    ) -> StageTime:
        emits = emissions(mapping, stage)
        rows = int(emits.max())
        cycles, issued = dict.fromkeys(Part, 0), dict.fromkeys(Part, 0)
        for item in work:
            cycles[item.part] += vector_cycles(item, self.target.vector)
            issued[item.part] += item.times
        every = runs_of(mapping, stage, mapping.streams[stage.output].rows) if cores else ()
        runs = sum(run.count for run in every) or 1
        often = {Part.TURN: 1.0, Part.EMISSION: (emits > 0).mean(), Part.INPUT: 1 / count}
        waits = 2 * sum(_sources(mapping, stage, operand) for operand in stage.operands)
        return StageTime(
            count,
            int((emits > 0).sum()),
            cores,
            cycles[Part.TURN] + cycles[Part.INPUT] / count + waits,
            cycles[Part.EMISSION] + runs * 3 * len(cores) + 1,
            PUT_CYCLES * rows * outlets,
            float(sum(cycles[part] * often[part] for part in Part)),
            float(sum(issued[part] * often[part] for part in Part)),
            runs,
        )


def _sources(mapping: m.Mapping, stage: m.Stage, operand: m.Operand) -> float:
    """Of a firing, those for whose rows it waits and to whom it gives slots back: one, or all who
    make parts of its rows."""
    producer = mapping.streams[operand.stream].producer
    if producer < 0 or not mapping.stages[producer].share:
        return 1.0
    feed = feed_of(mapping, stage, operand)
    return float(makers_of(mapping, operand, feed).made.sum()) / len(feed.needed)


def _by_core(tiles: Iterable[m.Tile]) -> dict[int, list[m.Tile]]:
    result: dict[int, list[m.Tile]] = {}
    for tile in tiles:
        result.setdefault(tile.core, []).append(tile)
    return result
