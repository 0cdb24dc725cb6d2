"""One instruction stream: fetches past hardware loops, issues, stalls, hands tasks to units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nmc.backends.simulator.clock import Rank, Unit
from nmc.backends.simulator.messages import send_load, send_put, send_signal, send_store
from nmc.backends.simulator.observer import Origin
from nmc.backends.simulator.operations import Move, Operation, VecOperation, prepare
from nmc.backends.simulator.result import SequencerUse
from nmc.backends.simulator.tasks import CellTask, MvmTask, VecTask
from nmc.ir import program as p
from nmc.ir.program_text import instruction_text

if TYPE_CHECKING:
    from nmc.backends.simulator.core import Core
    from nmc.backends.simulator.machine import Machine
    from nmc.backends.simulator.shadow import Stamp, Trail

__all__ = ["Sequencer"]


@dataclass(slots=True)
class Turns:
    """A hardware loop that is running: its body begins at `body`; `left` turns after this one."""

    body: int
    left: int


class Sequencer(Unit):
    """Steps through its instructions; `due` is the first cycle in which it could issue the next."""

    __slots__ = (
        "_handlers",
        "_turns",
        "asked",
        "core",
        "counters",
        "due",
        "halted",
        "index",
        "machine",
        "meters",
        "operations",
        "pc",
        "queued",
        "trail",
        "use",
    )

    def __init__(self, machine: Machine, core: Core, index: int, sequencer: p.Sequencer) -> None:
        super().__init__(machine.clock, Rank.SEQUENCER)
        self.machine = machine
        self.core = core
        self.index = index
        self.operations = [prepare(i, machine.target) for i in sequencer.instructions]
        self.use = SequencerUse(core.index, index, sequencer.label)
        self.trail: Trail | None = None
        self.pc = 0
        self.due = 0
        self.asked = False
        """A vec waits for the vector unit, or is executing."""
        self.halted = False
        self.counters: list[int] = []
        """The iteration of each enclosing loop, outermost first."""
        self.queued: Counter[str] = Counter()
        """Messages that wait for the core's port, by unit."""
        self.meters = {
            unit: machine.clock.meter(
                f"{unit}-queue", (core.index, index), machine.target.core.queue_depth
            )
            for unit in ("mvm", "noc", "dma")
        }
        """Of its queues."""
        self._turns: list[Turns] = []
        self._handlers: dict[type[Any], Callable[[Any, int], bool]] = {
            p.Mvm: self._mvm,
            p.Vec: self._vec,
            p.Put: self._put,
            p.Load: self._load,
            p.Store: self._store,
            p.Wait: self._wait,
            p.Signal: self._signal,
            p.ProgramCells: self._cells,
            p.Halt: self._halt,
        }
        self._follow_loops()
        self.wake(0)

    @property
    def origin(self) -> Origin:
        """The instruction at pc, about to be carried out."""
        return Origin(self.core.index, self.index, self.pc, self.use.issued)

    @property
    def loops(self) -> list[tuple[int, int]]:
        """Iteration (from 0) and count of each loop around pc, outermost first."""
        pairs = zip(self.counters, self._turns, strict=True)
        return [(counter, counter + turns.left + 1) for counter, turns in pairs]

    # Stepping

    def step(self, cycle: int) -> None:
        if self.halted or self.asked or cycle < self.due:
            return
        operation = self.operations[self.pc]
        if self._handlers[type(operation.instruction)](operation, cycle):
            self._issued(cycle, 1)

    def taken_up(self, cycle: int, cycles: int) -> None:
        """The vector unit begins with the vec at pc, and takes `cycles` for it."""
        self.asked = False
        self.stalled(cycle, "vec-busy")
        self.use.executing += cycles - 1
        self._issued(cycle, cycles)

    def _issued(self, cycle: int, cycles: int) -> None:
        if self.clock.observer is not None:
            self.clock.observer.served(self, self.origin, cycle, cycles)
        self.use.issued += 1
        self.due = cycle + cycles
        if not self.halted:
            self.pc += 1
            self._follow_loops()
            self.wake(self.due)

    def fork(self, unit: str, target: int | str) -> tuple[Stamp | None, Stamp | None]:
        """Stamps for the reads and the writes of the asynchronous instruction at pc."""
        return (None, None) if self.trail is None else self.trail.fork(self.pc, unit, target)

    def stalled(self, cycle: int, cause: str) -> None:
        """The instruction at pc issues in this cycle, and could not before for this cause."""
        if cycle > self.due:
            self.use.stalls[cause] += cycle - self.due
            if self.clock.observer is not None:
                self.clock.observer.stalled(self.origin, cause, self.due, cycle)

    def _follow_loops(self) -> None:
        """Go on to the next instruction that takes time: loops take none."""
        while True:
            match self.operations[self.pc].instruction:
                case p.Loop(count=count):
                    turns = self.machine.inflight if count == p.INPUTS else count
                    self._turns.append(Turns(self.pc + 1, turns - 1))
                    self.counters.append(0)
                    self.pc += 1
                case p.End():
                    self._turn()
                case _:
                    return

    def _turn(self) -> None:
        turns = self._turns[-1]
        if turns.left:
            turns.left -= 1
            self.counters[-1] += 1
            self.pc = turns.body
        else:
            self._turns.pop()
            self.counters.pop()
            self.pc += 1

    def where(self, pc: int) -> str:
        """The instruction at pc, for people; a wait with what its semaphore holds."""
        instruction = self.operations[pc].instruction
        text = f"core {self.core.index} {self.use.label} pc {pc}: {instruction_text(instruction)}"
        if isinstance(instruction, p.Wait):
            text += f" (it holds {self.core.semaphores[instruction.sem].value})"
        return text

    # Instructions.  Each says whether it has issued; if not, something wakes the sequencer later.

    def _wait(self, operation: Operation[p.Wait], cycle: int) -> bool:
        wait = operation.instruction
        semaphore = self.core.semaphores[wait.sem]
        if semaphore.value < wait.n:
            semaphore.waiters[self.index] = self
            return False
        semaphore.waiters.pop(self.index, None)
        stamps = semaphore.take(wait.n, self.origin, cycle - self.due)
        if self.trail is not None:
            self.trail.acquire(stamps)
        self.stalled(cycle, f"wait sem {wait.sem}")
        return True

    def _signal(self, operation: Operation[p.Signal], cycle: int) -> bool:
        signal = operation.instruction
        if signal.core != self.core.index:
            return self._send("noc", cycle, lambda: send_signal(self, signal, cycle))
        semaphore = self.core.semaphores[signal.sem]
        stamp = self.trail.release() if self.trail is not None else None
        origin = self.origin
        self.clock.at(cycle + 1, lambda: semaphore.add(signal.n, stamp, origin))
        return True

    def _put(self, operation: Move[p.Put], cycle: int) -> bool:
        return self._send("noc", cycle, lambda: send_put(self, operation, cycle))

    def _load(self, operation: Move[p.Load], cycle: int) -> bool:
        return self._send("dma", cycle, lambda: send_load(self, operation, cycle))

    def _store(self, operation: Move[p.Store], cycle: int) -> bool:
        return self._send("dma", cycle, lambda: send_store(self, operation, cycle))

    def _send(self, unit: str, cycle: int, send: Callable[[], None]) -> bool:
        if self.queued[unit] >= self.machine.target.core.queue_depth:
            return False
        self._placed(unit, cycle)
        self._queue(unit, 1, self.origin, cycle)
        send()
        return True

    def _placed(self, unit: str, cycle: int) -> None:
        """The instruction at pc has found a place in the queue to a unit."""
        self.stalled(cycle, f"queue-full {unit}")
        self.meters[unit].wait(self.origin, (self.core.index, self.index), cycle - self.due)

    def dequeued(self, unit: str, origin: Origin, issued: int, cycle: int) -> None:
        """A message that this sequencer has issued in an earlier cycle enters the port."""
        self.meters[unit].hold(origin, issued + 1, cycle)
        self._queue(unit, -1, origin, cycle)
        self.wake(cycle)

    def _queue(self, unit: str, change: int, origin: Origin, cycle: int) -> None:
        self.queued[unit] += change
        if self.clock.observer is not None:
            self.clock.observer.queued(origin, unit, self.queued[unit], cycle)

    def _mvm(self, operation: Move[p.Mvm], cycle: int) -> bool:
        return self._push(lambda: MvmTask(self, operation), cycle)

    def _cells(self, operation: Operation[p.ProgramCells], cycle: int) -> bool:
        return self._push(lambda: CellTask(self, operation), cycle)

    def _push(self, make: Callable[[], MvmTask | CellTask], cycle: int) -> bool:
        if self.core.mvms.full(self.index):
            return False
        self._placed("mvm", cycle)
        self.core.mvms.push(make(), cycle)
        return True

    def _vec(self, operation: VecOperation, cycle: int) -> bool:
        self.asked = True
        self.core.vector.offer(VecTask(self, operation), cycle, (self.index,))
        return False

    def _halt(self, operation: Operation[p.Halt], cycle: int) -> bool:
        self.halted = True
        self.use.halted = cycle
        return True
