"""Gathers from a mapping file which layer lies where, how full everything is, and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Dict
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from nmc.backends.report_counts import AdcPlace, Counts, Place, count, tile_numbers
from nmc.backends.report_prediction import prediction_report
from nmc.backends.report_records import (
    AdcReport,
    CoreReport,
    CrossbarReport,
    HostReport,
    NodeReport,
    NoteReport,
    ReportData,
    RingReport,
    SequencerReport,
    StageReport,
    StreamReport,
    Totals,
)
from nmc.ir.costs import host_share, macs
from nmc.ir.graph import Node, Unit
from nmc.ir.mapping import Mapping, Stage, StepKind, Stream, Tile
from nmc.ir.matrices import nodes_by_result
from nmc.ir.ops import Onnx
from nmc.ir.prediction import Prediction, StagePrediction, predict
from nmc.ir.program import Program
from nmc.ir.program_words import encode_words
from nmc.ir.target import Target

if TYPE_CHECKING:
    from nmc.backends.container.contents import Contents

__all__ = ["ReportData", "report_data"]

WORD_BYTES = 4


def report_data(contents: Contents) -> ReportData:
    """Everything that a stranger needs to judge the mapping; counts are per input."""
    sheet = Sheet(contents)
    manifest, calibration = contents.manifest, contents.manifest.calibration
    stages = tuple(sheet.stages())
    cores = tuple(sheet.cores())
    return ReportData(
        manifest.model.name,
        contents.target.name,
        manifest.pipeline,
        manifest.seed,
        calibration.origin if calibration else "",
        calibration.random if calibration else False,
        sheet.totals(stages, cores),
        prediction_report(contents, sheet.prediction),
        stages,
        tuple(sheet.crossbars()),
        tuple(sheet.adcs()),
        cores,
        tuple(sheet.streams()),
        tuple(sheet.host()),
        tuple(
            NoteReport(d.severity, d.code, d.message, d.loc.node, d.remedy)
            for d in contents.diagnostics
        ),
    )


@dataclass(slots=True)
class Sheet:
    """What all parts of the report look up."""

    contents: Contents
    mapping: Mapping = field(init=False)
    target: Target = field(init=False)
    nodes: dict[str, Node] = field(init=False)
    programs: dict[int, Program] = field(init=False)
    counts: Counts = field(init=False)
    prediction: Prediction = field(init=False)
    nonzero: dict[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.mapping, self.target = self.contents.mapping, self.contents.target
        self.nodes = nodes_by_result(self.contents.graph)
        chip = [i for i, s in enumerate(self.mapping.steps) if s.kind is StepKind.CHIP]
        self.programs = dict(zip(chip, self.contents.programs, strict=True))
        self.counts = count(self.mapping, self.programs, self.target)
        self.prediction = predict(self.mapping, self.contents.graph, self.target)
        numbers = tile_numbers(self.mapping)
        self.nonzero = {
            numbers[t.core, t.crossbar, t.row0, t.channel0]: int(np.count_nonzero(t.levels))
            for program in self.programs.values()
            for t in program.tiles
        }

    # Shares

    @property
    def cells_per_channel(self) -> int:
        return 2 if self.target.crossbar.encoding == "differential" else 1

    @property
    def cells_per_crossbar(self) -> int:
        return self.target.crossbar.rows * self.target.crossbar.cols

    def cells(self, tiles: Iterable[Tile]) -> int:
        area = sum(t.rows * t.outputs for t in tiles)
        return area * self.target.slices * self.cells_per_channel

    def node(self, node: Node) -> NodeReport:
        return NodeReport(
            node.output.name,
            node.op.op if isinstance(node.op, Onnx) else node.op.name,
            node.unit,
            node.why,
            tuple(dict.fromkeys(loc.node for loc in node.origin if loc.node)),
            tuple(dict.fromkeys(loc.source for loc in node.origin if loc.source)),
            macs(node),
        )

    # Parts

    def stages(self) -> Iterator[StageReport]:
        tiles: dict[int, dict[int, Tile]] = {}
        for number, tile in enumerate(self.mapping.tiles):
            tiles.setdefault(tile.stage, {})[number] = tile
        made, busiest = self.counts.conversions_by_stage(), self.counts.busiest_by_stage()
        predicted = self.prediction.stages
        for number, stage in enumerate(self.mapping.stages):
            yield self.stage(
                number, stage, tiles.get(number, {}), made[number], busiest[number],
                predicted[number],
            )  # fmt: skip

    def stage(
        self,
        number: int,
        stage: Stage,
        tiles: Dict[int, Tile],
        conversions: int,
        adc_cycles: int,
        predicted: StagePrediction,
    ) -> StageReport:
        crossbars = tuple(sorted({(t.core, t.crossbar) for t in tiles.values()}))
        output = self.mapping.streams[stage.output]
        return StageReport(
            stage.name,
            self.mapping.steps[stage.step].name,
            stage.kind,
            stage.unit,
            stage.way,
            stage.copies,
            tuple(self.node(self.nodes[name]) for name in stage.nodes),
            stage.home,
            stage.cores,
            output.value,
            output.rows,
            output.cols,
            output.chans,
            stage.macs,
            tuple((b.rows, b.outputs * prod(stage.grid)) for b in stage.blocks),
            len(tiles),
            crossbars,
            self.cells(tiles.values()),
            sum(self.nonzero[i] for i in tiles) * self.cells_per_channel,
            len(crossbars) * self.cells_per_crossbar,
            self.counts.reads[number],
            conversions,
            adc_cycles,
            round(predicted.time.input_cycles),
            round(predicted.done_cycles),
        )

    def crossbars(self) -> Iterator[CrossbarReport]:
        placed: defaultdict[Place, list[Tile]] = defaultdict(list)
        for tile in self.mapping.tiles:
            placed[tile.core, tile.crossbar].append(tile)
        made: Counter[Place] = Counter()
        for (_, place), conversions in self.counts.conversions.items():
            made[place] += conversions
        for (core, crossbar), tiles in sorted(placed.items()):
            names = dict.fromkeys(self.mapping.stages[t.stage].name for t in tiles)
            yield CrossbarReport(
                core,
                crossbar,
                crossbar // self.target.adc.crossbars_per_cluster,
                tuple(names),
                len(tiles),
                max(t.cell_row0 + t.rows for t in tiles),
                sum(t.outputs * self.target.slices for t in tiles),
                self.cells(tiles),
                self.cells_per_crossbar,
                made[core, crossbar],
            )

    def adcs(self) -> Iterator[AdcReport]:
        cycles: Counter[AdcPlace] = Counter()
        made: defaultdict[AdcPlace, Counter[str]] = defaultdict(Counter)
        for key, conversions in self.counts.adc_conversions.items():
            _, stage, place = key
            made[place][self.mapping.stages[stage].name] += conversions
            cycles[place] += self.counts.adc_cycles[key]
        for place, by_stage in sorted(made.items()):
            total = sum(by_stage.values())
            yield AdcReport(*place, total, cycles[place], tuple(by_stage), dict(by_stage))

    def cores(self) -> Iterator[CoreReport]:
        crossbars = Counter(core for core, _ in {(t.core, t.crossbar) for t in self.mapping.tiles})
        sequencers = self.sequencers()
        roles = self.sram_roles()
        active = {core for core, _ in (*sequencers, *roles)} | set(crossbars)
        for core in sorted(active):
            listed = [(step, s) for (of, step), part in sequencers.items() if of == core
                      for s in part]  # fmt: skip
            busiest = Counter(step for step, _ in listed)
            held = max(
                (by_role for (of, _), by_role in roles.items() if of == core),
                key=lambda by_role: sum(by_role.values()),
                default=Counter[str](),
            )
            semaphores = (
                len(c.semaphores) for p in self.programs.values() for c in p.cores if c.core == core
            )
            yield CoreReport(
                core,
                crossbars[core],
                self.target.core.crossbars,
                max(busiest.values(), default=0),
                self.target.core.sequencers,
                max(semaphores, default=0),
                self.target.core.semaphores,
                sum(held.values()),
                self.target.core.sram_bytes,
                dict(sorted(held.items())),
                tuple(s for _, s in listed),
            )

    def sequencers(self) -> dict[tuple[int, int], list[SequencerReport]]:
        """By (core, step)."""
        return {
            (core.core, step): [
                SequencerReport(
                    self.mapping.steps[step].name,
                    i,
                    s.label,
                    len(s.instructions),
                    int(encode_words(s.instructions).size) * WORD_BYTES,
                )
                for i, s in enumerate(core.sequencers)
            ]
            for step, program in self.programs.items()
            for core in program.cores
        }

    def sram_roles(self) -> dict[tuple[int, int], Counter[str]]:
        """Bytes by role, by (core, step)."""
        held: defaultdict[tuple[int, int], Counter[str]] = defaultdict(Counter)
        for ring in self.mapping.rings:
            step = self.mapping.stages[ring.stage].step
            held[ring.core, step]["ring"] += ring.depth * ring.row_bytes
        for buffer in self.mapping.buffers:
            step = self.mapping.stages[buffer.stage].step
            held[buffer.core, step][buffer.role] += buffer.bytes
        return held

    def streams(self) -> Iterator[StreamReport]:
        for number, stream in enumerate(self.mapping.streams):
            yield self.stream(number, stream)

    def stream(self, number: int, stream: Stream) -> StreamReport:
        uses = dict.fromkeys(self.mapping.consumers(number))
        names = dict.fromkeys(self.mapping.stages[stage].name for stage, _ in uses)
        rings = [
            RingReport(self.mapping.stages[r.stage].name, r.operand, r.core, r.depth, r.row_bytes)
            for r in self.mapping.rings
            if (r.stage, r.operand) in uses
        ]
        return StreamReport(
            stream.value,
            self.mapping.steps[stream.step].name,
            stream.dtype,
            stream.rows,
            stream.cols,
            stream.chans,
            self.mapping.stages[stream.producer].name if stream.producer >= 0 else "",
            tuple(names),
            bool(stream.sinks),
            tuple(rings),
        )

    def host(self) -> Iterator[HostReport]:
        whole = sum(macs(node) for node in self.contents.graph)
        for step in self.mapping.steps:
            if step.kind is StepKind.HOST:
                nodes = tuple(self.node(self.nodes[name]) for name in step.nodes)
                own = sum(node.macs for node in nodes)
                yield HostReport(step.name, nodes, own, own / whole if whole else 0.0)

    def totals(self, stages: Iterable[StageReport], cores: Iterable[CoreReport]) -> Totals:
        crossbars = {(t.core, t.crossbar) for t in self.mapping.tiles}
        share = host_share(self.contents.graph)
        on_crossbars = (macs(node) for node in self.contents.graph if node.unit == Unit.CROSSBAR)
        cores = list(cores)
        return Totals(
            len(crossbars),
            self.target.crossbars,
            len(cores),
            self.target.cores,
            self.cells(self.mapping.tiles),
            sum(self.nonzero.values()) * self.cells_per_channel,
            len(crossbars) * self.cells_per_crossbar,
            share.macs,
            sum(on_crossbars),
            share.nodes,
            share.host_nodes,
            share.host_macs,
            sum(self.counts.conversions.values()),
            sum(self.counts.busiest(step) for step in self.programs),
            sum(s.program_bytes for core in cores for s in core.sequencers),
            sum(program.frame_bytes for program in self.programs.values()),
        )
