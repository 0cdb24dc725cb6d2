"""How the energy of a run grows: what the events so far have cost, sampled while it is watched."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from nmc.backends.energy.cells import cell_read_pj, digit_activity, plan_cells
from nmc.backends.energy.ledger import leaks_over, priced
from nmc.backends.energy.parts import COMPONENTS
from nmc.backends.simulator.machine import Machine
from nmc.backends.simulator.sequencer import Sequencer
from nmc.ir.program import Program
from nmc.ir.target import Target

__all__ = ["EnergyCurve"]

FIRST_INTERVAL = 64
ALL = "all"

Row = npt.NDArray[np.float64]


class EnergyCurve:
    """Energy since the first launch in pJ: of all, of each component, of each core.

    A sample says what was begun before its cycle, and what leaked until then.  Samples lie
    `interval` cycles apart or, where nothing happened, more; when they become more than `limit`
    every second is dropped, and the interval doubles.  What is left at the end of a chip step is
    what `energy_of` says of it.
    """

    def __init__(self, target: Target, cores: tuple[int, ...], limit: int) -> None:
        """An even limit: what is dropped is then never the newest."""
        self.target = target
        self.names: tuple[str | int, ...] = (ALL, *COMPONENTS, *cores)
        """What the columns are of: `all`, components by their names, cores by their numbers."""
        self.limit = limit
        self.interval = FIRST_INTERVAL
        self.samples: list[tuple[int, Row]] = []
        self.offset = 0
        self._places = {name: i for i, name in enumerate(self.names)}
        self._before = np.zeros(len(self.names))
        self._due = 0
        self._machine: Machine | None = None
        self._leak_per_cycle = self._before
        self._cell_pj: dict[Sequencer, float] = {}

    def launch(self, machine: Machine, offset: int) -> None:
        """Go on with the next chip step, whose cycle 0 is `offset` of the run."""
        self.close()
        self._machine, self.offset, self._due = machine, offset, 0
        self._cell_pj = {}
        self._leak_per_cycle = self._leakage(machine.program)

    def passed(self, cycle: int) -> None:
        """All that was to happen before this cycle of the step has happened."""
        if cycle >= self._due:
            self._due = cycle - cycle % self.interval + self.interval
            self._sample(cycle, cycle)

    def close(self) -> None:
        """The step has ended, or is given up."""
        machine = self._machine
        if machine is None:
            return
        end = machine.clock.cycle + 1
        lasted = max(machine.output_cycles) if all(s.halted for s in machine.sequencers) else end
        # Power is on until the last output; what is still under way then costs events alone.
        while self.samples and self.samples[-1][0] > self.offset + lasted:
            self.samples.pop()
        self._sample(end, lasted)
        self._before = self.samples[-1][1]
        self._machine = None

    def _sample(self, cycle: int, powered: int) -> None:
        if self._machine is None:
            return
        row = self._before + powered * self._leak_per_cycle
        for sequencer in self._machine.sequencers:
            for component, pj in self._spent(sequencer):
                for name in (ALL, component, sequencer.core.index):
                    row[self._places[name]] += pj
        self.samples.append((self.offset + cycle, row))
        if len(self.samples) > self.limit:
            self.samples = self.samples[::2]
            self.interval *= 2

    def _spent(self, sequencer: Sequencer) -> Iterator[tuple[str, float]]:
        """What a sequencer's events have cost, by component."""
        events = sequencer.use.events
        cell_pj = self._cells(sequencer) if events.cells_read else 0.0
        for component, _, count, e_pj in priced(events, self.target, cell_pj):
            if count:
                yield component, count * e_pj

    def _cells(self, sequencer: Sequencer) -> float:
        known = self._cell_pj.get(sequencer)
        if known is None:
            program = sequencer.machine.program
            (core,) = (c for c in program.cores if c.core == sequencer.core.index)
            level = plan_cells(program, core, sequencer.index, self.target) or 0.0
            known = cell_read_pj(level, digit_activity(self.target), self.target)
            self._cell_pj[sequencer] = known
        return known

    def _leakage(self, program: Program) -> Row:
        """pJ a cycle; of cores, only of those that have columns."""
        row = np.zeros(len(self.names))
        for leak in leaks_over(program, self.target, 1 / self.target.clock_ghz):
            for name in (ALL, leak.component, leak.core):
                if name in self._places:
                    row[self._places[name]] += leak.pj
        return row
