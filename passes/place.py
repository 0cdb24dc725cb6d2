"""The pass `place`: give each tile a crossbar and each stage its cores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, sqrt
from typing import Literal

import numpy as np

from nmc.ir.design import Design
from nmc.ir.diagnostics import Diagnostic, Report, error
from nmc.ir.layers import layer_name, layers_of
from nmc.ir.mapping import Mapping, Stage
from nmc.ir.matrices import nodes_by_result
from nmc.ir.target import Target
from nmc.ir.token_game import ring_depths
from nmc.passes.base import Pass, mapping_of
from nmc.passes.placing.arranging import arranged
from nmc.passes.placing.asks import Ask, asks_of, links_of, unit_columns
from nmc.passes.placing.limits import balanced
from nmc.passes.placing.needs import Needs
from nmc.passes.placing.packing import Packing, first_fit
from nmc.passes.placing.rooms import ANY_LIMIT, Rooms
from nmc.passes.placing.shelves import SharedCrossbars

__all__ = ["Place"]


@dataclass(frozen=True)
class Place(Pass):
    """First the ADCs, then the mesh.

    Tiles go onto crossbars so that the busiest ADC has as little to convert per input as can be:
    hot and cold tiles share clusters, and a stage takes as few cores as that allows.  Room is
    crossbars, sequencers, semaphores and SRAM.  Then cores are exchanged on the mesh until what
    they send each other has as short a way as can be found.

    `clusters`: `balanced` is all this; `first-fit` fills cores one after the other in the order of
    the matrices; `one-stage` does so with clusters that hold tiles of one layer alone.  `pack` puts
    several tiles on a crossbar: `auto` where there are more tiles than crossbars.  `effort` is how
    long to look for something better; the same `seed` gives the same placement.
    """

    name = "place"
    needs = "tiled"
    gives = "placed"
    cite = "Coffman, Garey and Johnson, SIAM J. Comput. 7, 1978 (multifit)"

    clusters: Literal["balanced", "first-fit", "one-stage"] = "balanced"
    pack: Literal["auto", "never", "always"] = "auto"
    effort: int = 4
    seed: int | None = None

    def run(self, design: Design, report: Report) -> bool:
        mapping, target = mapping_of(design), design.target
        packs = (
            len(mapping.tiles) > target.crossbars if self.pack == "auto" else self.pack == "always"
        )
        if len(mapping.tiles) > target.crossbars and not (packs and _may_fit(mapping, target)):
            report.add(_too_many(mapping, target))
            return False
        nodes = nodes_by_result(design.graph)
        asks, links = asks_of(mapping, target, nodes), links_of(mapping)
        needs = Needs(mapping, nodes, ring_depths(mapping), links)
        rooms = (SharedCrossbars if packs else Rooms).empty(
            target, owned=self.clusters == "one-stage"
        )
        packing = Packing(rooms, needs, in_order=self.clusters != "balanced")
        rng = np.random.default_rng(design.seed if self.seed is None else self.seed)
        for step in dict.fromkeys(a.step for a in asks):
            found = self._step(packing, [a for a in asks if a.step == step], rng, report)
            if found is None:
                return False
            packing = found
        order = arranged(packing, links, self.effort, rng)
        design.mapping = _placed(mapping, packing, order)
        return True

    def _step(
        self, packing: Packing, asks: Sequence[Ask], rng: np.random.Generator, report: Report
    ) -> Packing | None:
        """One step's stages added to the packing; says what is short if there is no room."""
        if self.clusters == "balanced":
            found = balanced(packing, asks, self.effort, rng)
            if found is not None:
                return found
        packing.rooms.limit = ANY_LIMIT
        for ask in sorted(asks, key=lambda a: (not len(a.tiles), a.stage)):
            if not first_fit(packing, ask):
                report.add(_no_room(packing, ask))
                return None
        return packing


def _placed(mapping: Mapping, packing: Packing, order: Sequence[int]) -> Mapping:
    """The mapping with everything in its place; `order` has the core of each of the packing's."""
    stages = list(mapping.stages)
    for index, cores in packing.cores.items():
        there = tuple(order[core] for core in cores.tolist())
        stages[index] = replace(stages[index], home=there[0], cores=there)
    tiles = list(mapping.tiles)
    for run in packing.runs:
        numbers = packing.needs.tiles[run.stage][run.tiles.start : run.tiles.stop]
        for number, seat in zip(numbers, run.seats, strict=True):
            tiles[number] = replace(
                tiles[number],
                core=order[run.core],
                crossbar=seat.crossbar,
                cell_row0=seat.row0,
                channel0=seat.channel0,
            )
    return replace(mapping, stages=tuple(stages), tiles=tuple(tiles))


def _may_fit(mapping: Mapping, target: Target) -> bool:
    """Whether the cells would do if tiles could be put on crossbars without a gap."""
    tiles = sum(t.rows * (t.outputs * target.slices + unit_columns(target)) for t in mapping.tiles)
    return tiles <= target.crossbars * target.crossbar.rows * target.channels


def _no_room(packing: Packing, ask: Ask) -> Diagnostic:
    """What an empty chip would have to give, against what a core has."""
    core, stage = packing.rooms.target.core, packing.needs.mapping.stages[ask.stage]
    name = stage.name
    left = int(packing.rooms.capacity(ask).sum())
    if left < len(ask.tiles):
        layer = f"the layer `{layer_name(stage)}`"
        parts = _parts(stage)
        what = f"each part of {layer}{parts}," if parts else layer
        return error(
            "too-many-tiles",
            f"{what} needs {len(ask.tiles)} crossbars, {left} are left for it on "
            f"{packing.rooms.target.crossbars}",
            remedy="use a larger mesh (--mesh WxH), or larger crossbars (--set crossbar.rows=...)",
        )
    whole, rest = divmod(len(ask.tiles), core.crossbars)
    need = packing.needs.of(
        ask.stage, (core.crossbars,) * whole + (rest,) * bool(rest or not whole)
    )
    for what, most, there in (
        ("sequencers", int(need.sequencers.max()), core.sequencers),
        ("semaphores", int(need.semaphores.max()), core.semaphores),
    ):
        if most > there:
            return error(
                "too-many-sequencers",
                f"stage `{name}` needs {most} {what} on a core, a core has {there}",
                remedy=f"--set core.{what}={most} or more",
            )
    largest = int(need.sram_bytes.max())
    return error(
        "sram-overflow",
        f"no core has room for stage `{name}`: alone on a core it takes "
        f"{-(-largest // 1024)} KiB of SRAM for its rows and tables, a core has "
        f"{core.sram_kib} KiB, {core.sequencers} sequencers and {core.crossbars} crossbars "
        "for all of its stages",
        remedy="raise core.sram_kib or core.sequencers, or use a larger mesh (--mesh WxH)",
    )


def _parts(stage: Stage) -> str:
    """``, in 3 copies of 2 pieces``"""
    parts = ((stage.copies, "copies"), (stage.pieces, "pieces"))
    several = " of ".join(f"{number} {what}" for number, what in parts if number > 1)
    return f", in {several}" if several else ""


def _too_many(mapping: Mapping, target: Target) -> Diagnostic:
    needed, there = len(mapping.tiles), target.crossbars
    tiles = Counter(tile.stage for tile in mapping.tiles)
    layers = [(sum(tiles[i] for i in each.stages), each) for each in layers_of(mapping)]
    biggest = sorted(layers, key=lambda entry: -entry[0])[:3]
    cores = -(-needed // target.core.crossbars)
    side = ceil(sqrt(cores))
    rows, cols = target.crossbar.rows, target.crossbar.cols
    return error(
        "too-many-tiles",
        f"the model needs {needed} crossbars of {rows}x{cols}, the chip has {there}",
        notes=[
            f"the layer `{each.name}` needs {count}{_parts(mapping.stages[each.first])}"
            for count, each in biggest
        ],
        remedy=f"use a mesh of {side}x{side} cores or more, such as --mesh {side}x{side}, or "
        "larger crossbars (--set crossbar.rows=...), or cells of more bits",
    )
