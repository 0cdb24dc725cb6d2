"""The pass `replicate`: in which way each layer lies, how many copies of it, in how many pieces."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from nmc.ir.design import Design, Outlook
from nmc.ir.diagnostics import Report
from nmc.ir.matrices import nodes_by_result
from nmc.ir.target import Target
from nmc.passes.base import Pass, mapping_of
from nmc.passes.replicating.choose import throughput
from nmc.passes.replicating.counting import Counting
from nmc.passes.replicating.deciding import decided
from nmc.passes.replicating.energy import energy
from nmc.passes.replicating.latency import latency
from nmc.passes.replicating.layers import Layers
from nmc.passes.replicating.options import Budget, Plan
from nmc.passes.replicating.pricing import leakage_of, segments_of
from nmc.passes.replicating.shapes import Shapes
from nmc.passes.tiling.dividing import divided

__all__ = ["Replicate"]

WORTH_PARTS = 0.9
"""Copies make parts of rows where that brings the objective down to so much of the other's."""

WELL_PACKED = 0.9
"""How much of their time the ADCs of a well filled chip are busy, if conversions are what it takes;
tiles of copies that all take about the interval leave little to choose from in packing them."""


@dataclass(frozen=True)
class Replicate(Pass):
    """Choose one way to lie on crossbars for each layer, and a number of copies.

    A layer's time per input is what its slowest part takes for a firing (array reads, conversions
    on shared ADCs, vector unit, messages) times its firings, which copies share.  What crossbars,
    SRAM, sequencers and ADCs allow is divided up exactly, for the `objective`:

    - `throughput`: the least interval between inputs, with as few crossbars as that takes;
    - `latency`: the least time for one input alone;
    - `energy`: the least energy per input, leakage of all that is on included;
    - `crossbars`: one copy of each layer, in the way in which `tile` has laid it.

    Layers that `tile` was told to lay otherwise than plainly stay as they are, and so do all with
    `ways=as-tiled`.  Where that costs few crossbars, a layer lies plainly.  `share` is the part of
    the chip that may be filled; the rest is room for `place`.  Where one copy of each layer takes
    more than that, all of it may.

    Copies take turns at whole `rows`, or deal out the pixels of some rows; with `auto` the latter
    where it makes the objective a good deal better, since programs are larger then.

    A matrix of more tiles than a core has crossbars is cut into pieces by outputs, so that few
    partial sums travel and no core finishes a large layer alone.  A stage of the vector unit whose
    rows take too much of a core's SRAM, such as a skip connection over half a network, has copies
    for that, each of which keeps its share.  What the user has decided about a layer holds.
    """

    name = "replicate"
    needs = "tiled"
    gives = "tiled"
    cite = "Nemhauser and Ullmann, Management Science 15, 1969 (multiple-choice knapsack)"

    objective: Literal["throughput", "latency", "energy", "crossbars"] = "throughput"
    ways: Literal["all", "as-tiled"] = "all"
    share: float = 0.95
    rows: Literal["auto", "whole", "parts"] = "auto"

    def run(self, design: Design, report: Report) -> bool:
        mapping, target = mapping_of(design), design.target
        nodes = nodes_by_result(design.graph)
        shapes = Shapes(mapping, nodes, target)
        wanted = decided(shapes, design.decisions, report)
        if report.failed:
            return False
        budget = budget_of(target, self.share)
        chooses = self.objective != "crossbars"
        layers = Layers(shapes, wanted, budget.held[0] if chooses and self.ways == "all" else 0)
        plan = None
        if chooses:
            layers, plan = self.best(layers, budget)
        if chooses and plan is None:  # one copy of each is more than the share
            layers, plan = self.best(layers, budget_of(target, 1.0))
        if plan is not None:
            plan = layers.plainer(plan, budget) if self.objective == "throughput" else plan
            design.outlook = Outlook(self.objective, plan.objective, plan.bound)
        chosen = layers.chosen(plan)
        laid = layers.laid(chosen)
        copies = Counting(laid, nodes, target, wanted).copies(plan)
        cuts = {index: shape.cuts for index, shape in enumerate(chosen)}
        design.mapping = divided(laid, copies, cuts, target)
        return design.mapping != mapping

    def best(self, layers: Layers, budget: Budget) -> tuple[Layers, Plan | None]:
        """The plan to follow, and the layers as it sees them."""
        whole = layers.of_whole_rows()
        if self.rows == "parts":
            return layers, self.plan(layers, budget)
        plain = self.plan(whole, budget)
        if self.rows == "whole" or plain is None:
            return whole, plain
        parted = self.plan(layers, budget)
        if parted is None:
            return whole, plain
        if self.expected(parted, layers, budget) <= WORTH_PARTS * plain.objective:
            return layers, parted
        return whole, replace(plain, bound=min(plain.bound, parted.bound))

    def expected(self, plan: Plan, layers: Layers, budget: Budget) -> float:
        """The objective that a plan comes to, once `place` has put hot and cold tiles together."""
        if self.objective != "throughput" or not budget.servers:
            return plan.objective
        return max(plan.objective, layers.busy(plan, budget) / WELL_PACKED)

    def plan(self, layers: Layers, budget: Budget) -> Plan | None:
        """What is best by the objective; None if nothing fits."""
        mapping, target = layers.shapes.mapping, layers.shapes.target
        match self.objective:
            case "latency":
                return latency(layers.options(leads=True), segments_of(mapping), budget)
            case "energy":
                leakage = leakage_of(target, len(budget.held))
                return energy(layers.options(events=True), budget, leakage)
            case _:
                return throughput(layers.options(), budget)


def budget_of(target: Target, share: float) -> Budget:
    """Crossbars, KiB of SRAM and sequencers of a part of the chip; its ADCs and vector units."""
    adcs = target.cores * target.adcs_per_core
    held = (target.crossbars, target.cores * target.core.sram_kib)
    sequencers = target.cores * target.core.sequencers
    return Budget(tuple(int(share * n) for n in (*held, sequencers)), (adcs, target.cores))
