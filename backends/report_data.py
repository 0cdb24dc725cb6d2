"""Gathers from a mapping file which layer lies where, how full everything is, and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nmc.backends.report_counts import AdcPlace, Counts, Place, count, tile_numbers
from nmc.backends.report_layers import LayerFigures, part_reports, stage_reports
from nmc.backends.report_prediction import prediction_report
from nmc.backends.report_records import (
    AdcReport,
    BorderReport,
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
from nmc.ir.adc_load import adc_balance
from nmc.ir.border import crossings, is_recoding
from nmc.ir.costs import host_share, macs
from nmc.ir.depthwise import on_vector_unit
from nmc.ir.graph import Graph, Node, Unit
from nmc.ir.layers import layer_names
from nmc.ir.mapping import Mapping, StepKind, Tile
from nmc.ir.matrices import nodes_by_result
from nmc.ir.ops import Onnx
from nmc.ir.prediction import Prediction, predict
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
    figures = sheet.figures()
    parts = tuple(part_reports(figures))
    stages = tuple(stage_reports(figures, parts))
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
        parts,
        tuple(sheet.crossbars()),
        tuple(sheet.adcs()),
        cores,
        tuple(sheet.streams()),
        tuple(sheet.host()),
        tuple(border(contents.graph)),
        tuple(
            NoteReport(d.severity, d.code, d.message, d.loc.node, d.remedy)
            for d in contents.diagnostics
        ),
    )


def border(graph: Graph) -> Iterator[BorderReport]:
    for crossing in crossings(graph):
        outside, quant = crossing.outside, crossing.quant
        yield BorderReport(
            outside.name,
            crossing.enters,
            outside.type.dtype,
            crossing.stored.type.dtype,
            outside.type.elements,
            quant.scale if quant else None,
            quant.zero_point if quant else None,
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

    def figures(self) -> LayerFigures:
        return LayerFigures(
            self.mapping,
            self.counts,
            self.prediction.stages,
            {i: count * self.cells_per_channel for i, count in self.nonzero.items()},
            self.cells_per_crossbar,
            lambda name: self.node(self.nodes[name]),
            self.cells,
        )

    # Parts

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
        sequencers, roles, semaphores = self.sequencers(), self.sram_roles(), self.semaphores()
        for core in sorted({*sequencers, *roles, *crossbars}):
            listed = sequencers.get(core, [])
            busiest = Counter(sequencer.step for sequencer in listed)
            held = max(
                roles.get(core, {}).values(), key=lambda by_role: sum(by_role.values()),
                default=Counter[str](),
            )  # fmt: skip
            yield CoreReport(
                core,
                crossbars[core],
                self.target.core.crossbars,
                max(busiest.values(), default=0),
                self.target.core.sequencers,
                semaphores.get(core, 0),
                self.target.core.semaphores,
                sum(held.values()),
                self.target.core.sram_bytes,
                dict(sorted(held.items())),
                tuple(listed),
            )

    def sequencers(self) -> dict[int, list[SequencerReport]]:
        """By core, step after step."""
        listed: defaultdict[int, list[SequencerReport]] = defaultdict(list)
        for step, program in self.programs.items():
            for core in program.cores:
                listed[core.core] += [
                    SequencerReport(
                        self.mapping.steps[step].name,
                        i,
                        s.label,
                        len(s.instructions),
                        int(encode_words(s.instructions).size) * WORD_BYTES,
                    )
                    for i, s in enumerate(core.sequencers)
                ]
        return listed

    def semaphores(self) -> dict[int, int]:
        """By core, of the step that needs most of them."""
        most: dict[int, int] = {}
        for program in self.programs.values():
            for core in program.cores:
                most[core.core] = max(most.get(core.core, 0), len(core.semaphores))
        return most

    def sram_roles(self) -> dict[int, dict[int, Counter[str]]]:
        """Bytes by role, by core and step."""
        held: defaultdict[int, dict[int, Counter[str]]] = defaultdict(dict)
        for core, stage, role, size in (
            *((r.core, r.stage, "ring", r.depth * r.row_bytes) for r in self.mapping.rings),
            *((b.core, b.stage, b.role, b.bytes) for b in self.mapping.buffers),
        ):
            step = self.mapping.stages[stage].step
            held[core].setdefault(step, Counter())[role] += size
        return held

    def streams(self) -> Iterator[StreamReport]:
        layers = layer_names(self.mapping)
        rings: defaultdict[int, list[RingReport]] = defaultdict(list)
        for ring in self.mapping.rings:
            stage = self.mapping.stages[ring.stage]
            rings[stage.operands[ring.operand].stream].append(
                RingReport(stage.name, ring.operand, ring.core, ring.depth, ring.row_bytes)
            )
        consumers: defaultdict[int, dict[str, None]] = defaultdict(dict)
        for stage in self.mapping.stages:
            for operand in stage.operands:
                consumers[operand.stream][layers[stage.name]] = None
        for number, stream in enumerate(self.mapping.streams):
            made = self.mapping.stages[stream.producer].name if stream.producer >= 0 else ""
            yield StreamReport(
                stream.value,
                self.mapping.steps[stream.step].name,
                stream.dtype,
                stream.rows,
                stream.cols,
                stream.chans,
                layers.get(made, ""),
                tuple(consumers[number]),
                bool(stream.sinks),
                tuple(rings[number]),
            )

    def host(self) -> Iterator[HostReport]:
        whole = sum(macs(node) for node in self.contents.graph)
        for step in self.mapping.steps:
            computing = [n for n in map(self.nodes.__getitem__, step.nodes) if not is_recoding(n)]
            if step.kind is StepKind.HOST and computing:
                nodes = tuple(map(self.node, computing))
                own = sum(node.macs for node in nodes)
                yield HostReport(step.name, nodes, own, own / whole if whole else 0.0)

    def totals(self, stages: Iterable[StageReport], cores: Iterable[CoreReport]) -> Totals:
        crossbars = {(t.core, t.crossbar) for t in self.mapping.tiles}
        share = host_share(self.contents.graph)
        on_vector_units = {s.nodes[0] for s in self.mapping.stages if on_vector_unit(s, self.nodes)}
        on_crossbars = (
            macs(node)
            for node in self.contents.graph
            if node.unit == Unit.CROSSBAR and node.output.name not in on_vector_units
        )
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
            sum(adc_balance(self.mapping, self.target, step).bound for step in self.programs),
            max((stage.steps for stage in stages), default=0),
            sum(s.program_bytes for core in cores for s in core.sequencers),
            sum(program.frame_bytes for program in self.programs.values()),
        )
