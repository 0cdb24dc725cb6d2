"""What the user has decided about layers, held against what they can be."""

from __future__ import annotations

from collections.abc import Mapping as Dict
from dataclasses import dataclass

from nmc.ir.design import Decision
from nmc.ir.diagnostics import NmcError, Report, error
from nmc.ir.mapping import Kind, Stage
from nmc.ir.text import did_you_mean
from nmc.passes.replicating.shapes import Shape, Shapes
from nmc.passes.tiling.dividing import channelwise, most_copies, parts_of_row
from nmc.passes.tiling.laying import layer_of
from nmc.passes.tiling.spelling import WayName
from nmc.passes.tiling.ways import evaluate

__all__ = ["Wanted", "decided"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A layer's decision, read: `shape` if its way is given, else None; likewise the others.
    `share` goes with `copies`; 0 leaves it to them, who make whole rows if there are enough."""

    shape: Shape | None = None
    copies: int | None = None
    share: int = 0
    cuts: tuple[int, ...] | None = None


def decided(shapes: Shapes, decisions: Dict[str, Decision], report: Report) -> dict[int, Wanted]:
    """By the numbers of layers; what can't be done is reported as `bad-plan`."""
    numbers = {stage.name: index for index, stage in enumerate(shapes.mapping.stages)}
    found: dict[int, Wanted] = {}
    for name, decision in decisions.items():
        if name not in numbers:
            message = f"the plan speaks of the layer `{name}`, which this model doesn't have"
            remedy = did_you_mean(name, numbers) or "--write-plan writes a plan with all layers"
            report.add(error("bad-plan", message, decision.loc, remedy=remedy))
            continue
        try:
            found[numbers[name]] = _Layer(shapes, numbers[name], decision).wanted()
        except NmcError as problem:
            for each in problem.diagnostics:
                report.add(each)
    return found


@dataclass(frozen=True, slots=True)
class _Layer:
    shapes: Shapes
    index: int
    decision: Decision

    @property
    def stage(self) -> Stage:
        return self.shapes.mapping.stages[self.index]

    def wanted(self) -> Wanted:
        """NmcError `bad-plan` for the first thing that the layer can't have."""
        cuts = self.decision.cuts
        if cuts is not None:
            self.check_cuts(cuts)
        way = self.way()
        shape = None if way is None else self.shapes.in_way(self.index, way, cuts)
        copies, share = self.decision.copies, self.decision.share
        laid = shape.stage if shape else self.stage
        if copies is not None:
            self.check_copies(copies, laid)
        if share is not None:
            self.check_share(copies, share, laid)
        return Wanted(shape, copies, share or 0, cuts)

    def way(self) -> WayName | None:
        """The way, if it is one that the layer can have."""
        text = self.decision.way
        if text is None:
            return None
        if self.stage.kind is not Kind.MATRIX:
            what = f"has no matrix, so it can't lie as `{text}`"
            raise self.problem("way", what, "leave its way out")
        layer = layer_of(self.shapes.mapping, self.stage, self.shapes.nodes)
        try:
            name = WayName.parse(text)
            evaluate(layer, self.shapes.target, name)
        except ValueError as problem:
            remedy = f"it lies as `{self.stage.way}` if its way is left out"
            raise self.problem("way", f"can't lie like that: {problem}", remedy) from None
        if name.vector and self.decision.cuts:
            raise self.problem("cuts", "can't be cut on the vector unit", "leave its cuts out")
        return name

    def check_cuts(self, cuts: tuple[int, ...]) -> None:
        chans = self.shapes.mapping.streams[self.stage.output].chans
        rising = all(a < b for a, b in zip((0, *cuts), (*cuts, chans), strict=True))
        if not rising:
            raise self.problem(
                "cuts",
                f"can't be cut at {', '.join(map(str, cuts))}",
                f"cuts rise, and lie between its output channels 0 and {chans}",
            )
        if cuts and not self.may_be_cut():
            raise self.problem("cuts", "can't be cut into pieces", "leave its cuts out")

    def may_be_cut(self) -> bool:
        return self.stage.kind is Kind.MATRIX and channelwise(
            self.shapes.mapping, self.stage, self.shapes.nodes
        )

    def check_copies(self, copies: int, stage: Stage) -> None:
        most = most_copies(self.shapes.mapping, stage)
        if not 1 <= copies <= most:
            raise self.problem("copies", f"can't have {copies} copies", f"it can have 1 to {most}")

    def check_share(self, copies: int | None, share: int, stage: Stage) -> None:
        mapping = self.shapes.mapping
        if copies is None:
            what = "can't have rows shared among copies that aren't given"
            raise self.problem("share", what, "give its copies too")
        parts = parts_of_row(mapping, stage)
        least, most = -(-copies // parts), most_copies(mapping, stage) // parts
        if share != copies and (parts == 1 or not least <= share <= most):
            each = f"its {copies} copies can share {least} to {most} rows at a time"
            remedy = each if parts > 1 else "leave it out: each of its copies makes whole rows"
            raise self.problem("share", f"can't have {share} rows shared", remedy)

    def problem(self, key: str, what: str, remedy: str) -> NmcError:
        message = f"the layer `{self.stage.name}` {what}"
        return NmcError(error("bad-plan", message, self.decision.at(key), remedy=remedy))
