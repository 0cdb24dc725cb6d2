"""Shows on stderr how far long work has come: a live line on terminals, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from nmc.cli.session import Session

if TYPE_CHECKING:
    from rich.status import Status

    from nmc.ir.design import Design
    from nmc.passes.base import Pass

__all__ = ["Progress"]

QUIET_SECONDS = 5.0
"""Off terminals a simulation is heard of this often."""


COMPILING = "compiling the simulator's kernels, once for this installation; some ten seconds"
COMPILING_LOSSY = "compiling what simulates lossy reads, once for this installation; some seconds"


class Progress:
    """A context around the work; an observer of pipelines and of simulations.

    Silent under -q.  Under --json too, since whoever asked for it reads no progress.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.shown = not (session.quiet or session.json)
        self.status: Status | None = None
        self.passes: list[tuple[str, float]] = []
        self.position = (0, 0)
        self.last = time.monotonic()

    def __enter__(self) -> Progress:
        if self.shown and is_terminal():
            from rich.console import Console

            console = Console(stderr=True, no_color=self.session.color is False)
            self.status = console.status("")
            self.status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the live line away, so that other text can follow."""
        if self.status:
            self.status.stop()
            self.status = None

    def announce(self, text: str) -> None:
        """What is being done now."""
        if self.status:
            from rich.markup import escape

            self.status.update(escape(f"{text} ..."))
        elif self.shown and self.session.verbosity > 0:
            self.session.say(f"{text} ...")

    def simulates(self, engine: str | None, *, lossy: bool) -> None:
        """A simulation is about to begin, by the default engine if None; compile what it needs,
        and say so, if this is the first.  `lossy`: whether the target's reads are, for which a
        little more is compiled as soon as there is one."""
        from nmc.backends.simulator import compile_kernels, lossy_missing, needs_compiling

        if needs_compiling(engine):
            if self.shown:
                self.line(COMPILING)
            self.announce("compiling")
            compile_kernels()
        if lossy and self.shown and lossy_missing(engine):
            self.line(COMPILING_LOSSY)
        self.announce("simulating")

    def line(self, text: str) -> None:
        """A line that stays, above the live one."""
        if self.status:
            self.status.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            self.session.say(text)

    def starts(self, index: int, total: int, step: Pass) -> None:
        self.position = (index + 1, total)
        self.announce(f"[{index + 1}/{total}] {step.name}")

    def ended(self, step: Pass, design: Design, changed: bool, wall_s: float) -> None:
        from nmc.report.text import seconds

        self.passes.append((step.name, wall_s))
        if not self.shown:
            return
        index, total = self.position
        line = f"[{index:>2}/{total}] {step.name:<22} {size_of(design):<32} {seconds(wall_s)}"
        self.line(line.rstrip())

    def cycles(self, now: int) -> None:
        """The simulation has come to this cycle."""
        from nmc.report.text import count

        text = f"simulating: {count(now)} cycles"
        if self.status:
            self.status.update(text)
        elif self.shown and time.monotonic() - self.last > QUIET_SECONDS:
            self.last = time.monotonic()
            self.session.say(text)


def is_terminal() -> bool:
    import sys

    return sys.stderr.isatty()


def size_of(design: Design) -> str:
    """What there is after a pass, in a few words."""
    mapping = design.mapping
    if mapping is None:
        return f"{len(design.graph)} nodes"
    if design.programs:
        sequencers = sum(len(core.sequencers) for p in design.programs for core in p.cores)
        return f"{sequencers} sequencers"
    if mapping.rings:
        return f"{len(mapping.rings)} rings"
    if mapping.tiles:
        return f"{len(mapping.stages)} stages, {len(mapping.tiles)} tiles"
    return f"{len(mapping.stages)} stages"
