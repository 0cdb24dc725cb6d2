"""Making a design fit its chip: fewer copies of layers, or a mesh that is large enough.

Everything before placement is done once.  Then placement is tried, and where it finds no room,
tried again with less of the chip given to copies, down to one copy of each layer.  For `--mesh
auto`, and to say what would do where even that doesn't fit, meshes are tried from the smallest
that has enough crossbars.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import ceil, sqrt

from nmc import targets
from nmc.ir.design import Design
from nmc.ir.diagnostics import CODES, Diagnostic, Exit, NmcError, Report, error, note
from nmc.ir.mapping import Mapping
from nmc.ir.target import Target
from nmc.passes.base import Pass
from nmc.passes.place import Place
from nmc.passes.replicate import Replicate
from nmc.pipeline import Observer, Pipeline

__all__ = ["mesh_override", "run_fitting"]

SHARES = (0.85, 0.7, 0.5, 0.3)
"""Parts of the chip that copies may take, when what was asked for finds no room."""

GROWTH = 1.15
"""From a mesh that is too small to the next one tried."""

MOST_GROWTH = 4.0
"""Where so many times the crossbars that are needed don't help, a larger mesh won't."""

TOLERANCE = 0.03
"""A mesh is called the smallest that does if one of so much fewer cores doesn't."""

Steps = tuple[Pass, ...]


def run_fitting(
    pipeline: Pipeline,
    design: Design,
    report: Report,
    *,
    auto: bool = False,
    observer: Observer | None = None,
) -> Pipeline:
    """Run a whole pipeline; the one that did it, with the options that fitted.

    With `auto` the design's target gets the smallest mesh that holds each layer once.  NmcError
    with the problems of the smallest attempt and, where a larger mesh would do, which.
    """
    names = [step.name for step in pipeline.passes]
    last = names.index(Place.name)
    first = names.index(Replicate.name) if Replicate.name in names[:last] else last
    pipeline.run_part(design, report, range(first), observer=observer)
    fit = _Fit(pipeline, design, range(first, last + 1), observer)
    steps = fit.on_any_mesh(report) if auto else fit.on_this_mesh(report)
    fitted = Pipeline((*pipeline.passes[:first], *steps, *pipeline.passes[last + 1 :]))
    fitted.run_part(design, report, range(last + 1, len(fitted.passes)), observer=observer)
    return fitted


@dataclass(slots=True)
class _Fit:
    """Attempts to place one design; `part` are the passes that each of them runs."""

    pipeline: Pipeline
    design: Design
    part: range
    observer: Observer | None
    mapping: Mapping | None = field(init=False)
    done: list[tuple[Pass, Mapping | None, bool, float]] = field(init=False)
    """What the last attempt's steps left, whether that was a change, and their seconds."""

    def __post_init__(self) -> None:
        self.mapping = self.design.mapping

    def on_this_mesh(self, report: Report) -> Steps:
        """The first attempt that fits; if none does, what is short and the mesh that would do."""
        tried = Report()
        for number, steps in enumerate(self._attempts()):
            tried = self._attempt(steps, self.design.target)
            if not tried.failed:
                _merge(report, tried)
                if number:
                    report.add(_fewer_copies(steps))
                self._tell()
                return steps
            if not _is_about_room(tried):
                break
        raise NmcError(*self._refusal(tried))

    def on_any_mesh(self, report: Report) -> Steps:
        """Place each layer once, on the smallest mesh on which that works."""
        steps = self._once()
        target, tried = self._smallest(steps)
        _merge(report, tried)
        report.check()
        self.design.target = target
        self._tell()
        return steps

    def _refusal(self, tried: Report) -> tuple[Diagnostic, ...]:
        """What was wrong, with the mesh that would do where that is what it takes."""
        if not _is_about_room(tried):
            return tried.errors
        target, again = self._smallest(self._once())
        if again.failed:
            return tried.errors
        mesh = f"{target.mesh.width}x{target.mesh.height}"
        remedy = f"--mesh {mesh} holds it (it was placed there), or --mesh auto"
        return tuple(replace(problem, remedy=remedy) for problem in tried.errors)

    # Attempts

    def _steps(self) -> Steps:
        return self.pipeline.passes[self.part.start : self.part.stop]

    def _attempts(self) -> Iterator[Steps]:
        """What was asked for, and then with fewer and fewer copies."""
        steps = self._steps()
        yield steps
        first = steps[0]
        if isinstance(first, Replicate) and first.objective != "crossbars":
            for share in SHARES:
                if share < first.share:
                    yield (replace(first, share=share), *steps[1:])
            yield self._once()

    def _once(self) -> Steps:
        """With one copy of each layer."""
        first, *rest = self._steps()
        once = replace(first, objective="crossbars") if isinstance(first, Replicate) else first
        return (once, *rest)

    def _attempt(self, steps: Steps, target: Target) -> Report:
        """Run the steps for a target; the design is then as they left it."""
        self.design.mapping, self.design.target = self.mapping, target
        report = Report()
        self.done = []
        total = len(self.pipeline.passes)
        for index, step in zip(self.part, steps, strict=True):
            if self.observer:
                self.observer.starts(index, total, step)
            began = time.perf_counter()
            changed = step.run(self.design, report)
            self.done.append((step, self.design.mapping, changed, time.perf_counter() - began))
            if report.failed:
                break
        return report

    def _tell(self) -> None:
        """Tell the observer of the steps of the attempt that succeeded."""
        total = len(self.pipeline.passes)
        for index, (step, mapping, changed, wall_s) in zip(self.part, self.done, strict=True):
            self.design.mapping = mapping
            if self.observer:
                self.observer.starts(index, total, step)
                self.observer.ended(step, self.design, changed, wall_s)

    # Meshes

    def _smallest(self, steps: Steps) -> tuple[Target, Report]:
        """The design on the smallest mesh that was found to hold it, or what is wrong on a mesh
        that should be large enough."""
        given = self.design.target
        tiles = len(self.mapping.tiles) if self.mapping else 0
        least = max(1, ceil(tiles / given.core.crossbars))
        most = ceil(MOST_GROWTH * least) + 8
        low, high = least - 1, least
        tried = self._attempt(steps, target := with_cores(given, high))
        while tried.failed and _is_about_room(tried) and high < most:
            if low == least:  # two were too small: is any large enough?
                largest = self._attempt(steps, with_cores(given, most))
                if largest.failed:
                    tried = largest
                    break
            low, high = high, min(ceil(high * GROWTH), most)
            tried = self._attempt(steps, target := with_cores(given, high))
        if tried.failed:
            self.design.target = given
            return given, tried
        while high - low > max(1, TOLERANCE * high):
            middle = (low + high) // 2
            smaller = with_cores(given, middle)
            again = self._attempt(steps, smaller)
            if again.failed:
                low = middle
            else:
                high, target, tried = middle, smaller, again
        if self.design.target is not target:  # a smaller one was tried after it, in vain
            tried = self._attempt(steps, target)
        return target, tried


def with_cores(target: Target, cores: int) -> Target:
    """The target with a mesh, as square as can be, of at least so many cores."""
    width = ceil(sqrt(cores))
    return targets.override(target, mesh_override(f"{width}x{ceil(cores / width)}", target))


def mesh_override(text: str, target: Target) -> list[str]:
    """What `--mesh WxH` sets; memory ports that would lie outside move to the new edge."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        message = f"`--mesh {text}`: write columns x rows of cores, such as 4x4, or auto"
        raise NmcError(error("bad-option", message))
    w, h = int(width), int(height)
    ports = dict.fromkeys((min(x, w - 1), min(y, h - 1)) for x, y in target.mesh.memory_ports)
    listed = ", ".join(f"[{x}, {y}]" for x, y in ports)
    return [f"mesh.width={w}", f"mesh.height={h}", f"mesh.memory_ports=[{listed}]"]


def _is_about_room(report: Report) -> bool:
    """Whether a larger chip may help."""
    return all(CODES[problem.code].exit is Exit.DOES_NOT_FIT for problem in report.errors)


def _fewer_copies(steps: Steps) -> Diagnostic:
    first = steps[0]
    share = first.share if isinstance(first, Replicate) and first.objective != "crossbars" else 0
    filled = f"copies of layers fill at most {share:.0%} of the chip" if share else "no copies"
    return note(
        "fewer-copies",
        f"{filled}: with more, no placement was found",
        remedy="more SRAM or sequencers a core, or a larger mesh, make room for more copies",
    )


def _merge(report: Report, more: Report) -> None:
    for diagnostic in more:
        report.add(diagnostic)
