"""Counts what one input costs on crossbars and ADCs, read off the programs themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from collections.abc import Mapping as Dict
from dataclasses import dataclass, field
from typing import cast

from nmc.backends.simulator.timing import adc_shares, converted_channels
from nmc.ir.mapping import Mapping
from nmc.ir.program import (
    INPUTS,
    CoreProgram,
    End,
    Loop,
    Mvm,
    Program,
    Sequencer,
)
from nmc.ir.target import Encoding, Target

__all__ = ["AdcPlace", "Counts", "Place", "count", "mvms", "sequencer_mvms", "tile_numbers"]

Place = tuple[int, int]
"""(core, crossbar)."""

AdcPlace = tuple[int, int, int]
"""(core, cluster, ADC)."""

TileKey = tuple[int, int, int, int]


@dataclass(slots=True)
class Counts:
    """Per input; stages by their number.

    `reads`: mvms by stage.  `conversions`: by stage and crossbar.  `adc_conversions` and
    `adc_cycles`: by step, stage and ADC.
    """

    reads: Counter[int] = field(default_factory=Counter[int])
    conversions: Counter[tuple[int, Place]] = field(default_factory=Counter[tuple[int, Place]])
    adc_conversions: Counter[tuple[int, int, AdcPlace]] = field(
        default_factory=Counter[tuple[int, int, AdcPlace]]
    )
    adc_cycles: Counter[tuple[int, int, AdcPlace]] = field(
        default_factory=Counter[tuple[int, int, AdcPlace]]
    )

    def busiest(self, step: int) -> int:
        """Cycles of the ADC that has most to do in a step."""
        cycles: Counter[AdcPlace] = Counter()
        for (of_step, _, place), busy in self.adc_cycles.items():
            if of_step == step:
                cycles[place] += busy
        return max(cycles.values(), default=0)

    def busiest_by_stage(self) -> Counter[int]:
        """Cycles of the ADC that has most to do for a stage, by its number."""
        most: Counter[int] = Counter()
        for (_, stage, _), busy in self.adc_cycles.items():
            most[stage] = max(most[stage], busy)
        return most

    def conversions_by_stage(self) -> Counter[int]:
        made: Counter[int] = Counter()
        for (stage, _), conversions in self.conversions.items():
            made[stage] += conversions
        return made


def count(mapping: Mapping, programs: Dict[int, Program], target: Target) -> Counts:
    """Counts of all chip steps; `programs` by the step's number."""
    counts = Counts()
    numbers = tile_numbers(mapping)
    for step, program in programs.items():
        for core in program.cores:
            for plan, times in mvms(core).items():
                add_reads(counts, mapping, program, core, plan, times, step, numbers, target)
    return counts


def tile_numbers(mapping: Mapping) -> dict[TileKey, int]:
    """The mapping's tile at (core, crossbar, first row, first channel)."""
    return {(t.core, t.crossbar, t.cell_row0, t.channel0): i for i, t in enumerate(mapping.tiles)}


def mvms(core: CoreProgram) -> Counter[int]:
    """How often each plan of a core is started per input."""
    total: Counter[int] = Counter()
    for sequencer in core.sequencers:
        for plan, times in sequencer_mvms(sequencer):
            total[plan] += times
    return total


def sequencer_mvms(sequencer: Sequencer) -> Iterator[tuple[int, int]]:
    times = [1]
    for instruction in sequencer.instructions:
        match instruction:
            case Loop(loops):
                times.append(times[-1] * (1 if loops == INPUTS else loops))
            case End():
                times.pop()
            case Mvm(plan=plan):
                yield plan, times[-1]


def add_reads(
    counts: Counts,
    mapping: Mapping,
    program: Program,
    core: CoreProgram,
    plan: int,
    times: int,
    step: int,
    numbers: Dict[TileKey, int],
    target: Target,
) -> None:
    stages = set()
    for read in core.plans[plan].reads:
        image = program.tiles[read.tile]
        encoding = cast("Encoding", image.encoding)
        key = (image.core, image.crossbar, image.row0, image.channel0)
        stage = mapping.tiles[numbers[key]].stage
        stages.add(stage)
        cluster = image.crossbar // target.adc.crossbars_per_cluster
        for channels, bits in converted_channels(read, image):
            made = len(channels) * times * target.phases
            counts.conversions[stage, (image.core, image.crossbar)] += made
            for adc, share in adc_shares(channels, encoding, target):
                place = (step, stage, (image.core, cluster, adc))
                served = share * times * target.phases
                counts.adc_conversions[place] += served
                counts.adc_cycles[place] += served * target.conversion_cycles(bits)
    for stage in stages:
        counts.reads[stage] += times
