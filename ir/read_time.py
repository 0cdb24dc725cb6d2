"""How long the reads of a matrix stage take on one core that has nothing else to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nmc.ir import mapping as m
from nmc.ir.adc_load import TileCycles
from nmc.ir.graph import Array
from nmc.ir.stage_memory import CoreOutputs, window_is_run
from nmc.ir.target import Target

__all__ = ["ACC_BYTES", "Adc", "ReadTime", "read_time"]

ACC_BYTES = 4

Adc = tuple[int, int, int]
"""(core, cluster, ADC of the cluster)."""


@dataclass(frozen=True, slots=True)
class ReadTime:
    """One place of the window, read by all plans of a core.

    `period_cycles`: from the start of its reads to that of the next place's.  `latency_cycles`:
    from there until its accumulators are written.  `adc_cycles`: of each ADC.
    """

    period_cycles: int
    latency_cycles: int
    adc_cycles: Mapping[Adc, int]


@dataclass(frozen=True, slots=True)
class _Plan:
    """A read plan alone on its crossbars."""

    fill: int
    write_back: int
    period: int
    latency: int


def read_time(
    mapping: m.Mapping,
    stage: m.Stage,
    parts: Sequence[CoreOutputs],
    tiles: Sequence[m.Tile],
    cycles_of: TileCycles,
) -> ReadTime:
    """`parts` are the core's plans, `tiles` those of the stage that lie on the core."""
    target = cycles_of.target
    plans: list[_Plan] = []
    conversions: dict[Adc, int] = {}
    for part in parts:
        mine = [t for t in tiles if t.block == part.block]
        clusters, longest = _bursts(mine, cycles_of)
        busiest = max((int(burst.max()) for burst in clusters.values()), default=0)
        gathered = _gathered(mapping, stage, part.block, mine)
        plans.append(_plan(gathered, part.outputs, longest, busiest, target))
        for (core, cluster), burst in clusters.items():
            for adc in np.flatnonzero(burst).tolist():
                key = (core, cluster, adc)
                conversions[key] = conversions.get(key, 0) + target.phases * int(burst[adc])
    fill = sum(plan.fill for plan in plans)
    period = max(
        fill + len(plans) - 1,
        sum(plan.write_back for plan in plans),
        max((plan.period for plan in plans), default=1),
        max(conversions.values(), default=0),
    )
    # The last plan is filled after the others.
    latency = max((plan.latency - plan.fill for plan in plans), default=0) + fill
    return ReadTime(period, latency, conversions)


def _bursts(
    tiles: Sequence[m.Tile], cycles_of: TileCycles
) -> tuple[dict[tuple[int, int], Array], int]:
    """Conversions of one phase: cycles by ADC of each cluster, and of one crossbar's longest."""
    together = cycles_of.target.adc.crossbars_per_cluster
    clusters: dict[tuple[int, int], Array] = {}
    longest = 0
    for tile in tiles:
        key = (tile.core, tile.crossbar // together)
        burst = cycles_of.of(tile)
        clusters[key] = clusters[key] + burst if key in clusters else burst
        longest = max(longest, int(burst.max()))
    return clusters, longest


def _plan(gathered: int, outputs: int, longest: int, busiest: int, target: Target) -> _Plan:
    """The cycles of the loops through latches, crossbars, their stages and ADCs (MACHINE.md 4).

    The longest loop sets the pace: with one sample-and-hold stage a phase is read only when the
    last one is converted, with two it is read meanwhile; the next place's bytes can be brought
    once the last phase's read has begun.
    """
    width, read, phases = target.core.sram_bytes_per_cycle, target.read_cycles, target.phases
    fill, write_back = -(-gathered // width), -(-ACC_BYTES * outputs // width)
    if target.crossbar.sample_holds == 1:
        phase = max(read + longest, busiest)
        refill = fill + (phases - 1) * phase
    else:
        phase = max(read, busiest)
        refill = max(fill + read + (phases - 2) * phase, fill + (phases - 1) * read)
    latency = fill + read + (phases - 1) * phase + busiest + target.shift_add_cycles + write_back
    return _Plan(fill, write_back, max(phases * phase, refill), latency)


def _gathered(mapping: m.Mapping, stage: m.Stage, block: int, tiles: Sequence[m.Tile]) -> int:
    """Bytes that a plan gathers: the window, or the tiles' rows where these lie side by side."""
    if not window_is_run(mapping, stage, stage.blocks[block]):
        return stage.blocks[block].rows
    return max(t.row0 + t.rows for t in tiles) - min(t.row0 for t in tiles)
