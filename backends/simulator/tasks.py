"""What instructions hand to the units of their core: vector operations, mvms, writing cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nmc.backends.simulator.functions import Operands, apply
from nmc.backends.simulator.memory import Access
from nmc.backends.simulator.operations import Move, Operation, VecOperation
from nmc.backends.simulator.timing import ReadTiming, cell_cycles
from nmc.ir import program as p
from nmc.ir.diagnostics import NmcError, error
from nmc.ir.graph import Array

if TYPE_CHECKING:
    from nmc.backends.simulator.crossbars import Mvms
    from nmc.backends.simulator.sequencer import Sequencer

__all__ = ["CellTask", "MvmTask", "VecTask"]


class VecTask:
    """A vec: reads its operands when the vector unit takes it up, and writes when it is done."""

    __slots__ = ("cycles", "operation", "origin", "owner", "result", "stamp", "start")

    def __init__(self, owner: Sequencer, operation: VecOperation) -> None:
        self.owner = owner
        self.operation = operation
        self.origin = owner.origin
        self.cycles = operation.cycles
        self.start = operation.dst.start(owner.counters)
        self.stamp = owner.trail.step(owner.pc) if owner.trail is not None else None
        self.result: Array = np.empty(0)

    def begin(self, cycle: int) -> None:
        owner, operation = self.owner, self.operation
        vec, dst = operation.instruction, operation.dst
        lanes = owner.core.memory.lanes
        a, b = self._read(operation.a), self._read(operation.b)
        some = np.empty((lanes, 0), dst.dtype) if a is None else a
        self.result = apply(vec.op, Operands(some, b, vec.imm, dst.dtype, dst.shape, lanes))
        owner.use.events.vector_elements[vec.op] += operation.elements
        owner.taken_up(cycle, self.cycles)

    def finish(self) -> None:
        dst = self.operation.dst
        self.owner.use.events.sram_bytes_written += dst.nbytes
        self.owner.core.memory.store(dst, self.start, self.result, self.stamp)

    def _read(self, access: Access | None) -> Array | None:
        if access is None:
            return None
        self.owner.use.events.sram_bytes_read += access.nbytes
        start = access.start(self.owner.counters)
        return self.owner.core.memory.load(access, start, self.stamp)


class MvmTask:
    """An mvm: samples its input bytes when the fill begins, and writes accumulators at the end."""

    __slots__ = (
        "core",
        "crossbars",
        "dst",
        "dst_start",
        "exclusive",
        "origin",
        "owner",
        "plan",
        "ready",
        "result",
        "semaphore",
        "src",
        "src_start",
        "stamps",
        "timing",
    )

    def __init__(self, owner: Sequencer, operation: Move[p.Mvm]) -> None:
        mvm = operation.instruction
        self.owner = owner
        self.origin = owner.origin
        self.core = owner.core
        self.plan = owner.core.plans[mvm.plan]
        self.timing = self.plan.timing
        self.crossbars = tuple(read.crossbar for read in self.timing.reads)
        self.exclusive = False
        self.ready = 0
        self.dst, self.src = operation.dst, operation.src
        self.dst_start = self.dst.start(owner.counters)
        self.src_start = self.src.start(owner.counters)
        self.semaphore = owner.core.semaphores[mvm.sem]
        self.stamps = owner.fork("mvm", mvm.plan)
        self.result: Array = np.empty(0)

    def start(self, mvms: Mvms, arrived: int, cycle: int) -> int:
        return mvms.fill(self, arrived, cycle)

    def begin(self) -> None:
        self.owner.use.events.sram_bytes_read += self.src.nbytes
        memory = self.core.memory
        x = memory.load(self.src, self.src_start, self.stamps[0])
        missing = self.core.cells.missing(self.plan.tiles)
        if missing:
            where = self.owner.where(self.origin.pc)
            message = f"tile {missing[0]} is read before its cells are written: {where}"
            raise NmcError(error("bad-program", message))
        self.result = self.plan.kernel(x.reshape(memory.lanes, -1))

    def sampled(self, read: ReadTiming) -> None:
        """One phase of one crossbar has been read into a sample-and-hold stage."""
        events = self.owner.use.events
        events.dac_row_phases += read.rows
        events.cells_read += read.cells
        events.sample_holds += read.channels
        events.shift_adds += read.channels
        events.conversions.update(read.conversions)

    def finish(self) -> None:
        self.owner.use.events.sram_bytes_written += self.dst.nbytes
        stamp = self.stamps[1]
        self.core.memory.store(self.dst, self.dst_start, self.result, stamp)
        self.semaphore.add(1, stamp, self.origin)


class CellTask:
    """The writing of one tile's cells; `cycles` is the mean time until all are verified."""

    __slots__ = (
        "core",
        "crossbars",
        "cycles",
        "exclusive",
        "origin",
        "owner",
        "ready",
        "semaphore",
        "stamps",
        "tile",
        "written",
    )

    def __init__(self, owner: Sequencer, operation: Operation[p.ProgramCells]) -> None:
        instruction = operation.instruction
        machine = owner.machine
        image = machine.program.tiles[instruction.tile]
        self.owner = owner
        self.origin = owner.origin
        self.core = owner.core
        self.tile = instruction.tile
        self.crossbars: tuple[int, ...] = (image.crossbar,)
        self.exclusive = True
        self.ready = 0
        self.cycles, self.written = cell_cycles(image, machine.target)
        self.semaphore = owner.core.semaphores[instruction.sem]
        self.stamps = owner.fork("mvm", f"cells {instruction.tile}")

    def start(self, mvms: Mvms, arrived: int, cycle: int) -> int:
        return mvms.write(self, arrived, cycle)

    def begin(self) -> None:
        """From here on nothing of what lay there can be read."""
        self.core.cells.erase(self.tile)

    def finish(self) -> None:
        self.owner.use.events.cells_written += self.written
        self.core.cells.write(self.tile)
        self.semaphore.add(1, self.stamps[1], self.origin)
