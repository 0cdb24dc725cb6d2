"""Read plans in time: filling latches, reading crossbars, converting, writing accumulators back.

An mvm passes through: the queue of its sequencer (`Mvms`, one for a core), which fills latches;
the crossbars that it reads (`Crossbar`), phase by phase; the ADCs of their clusters (`Adc`),
burst by burst; and its sequencer's write-back port (`WriteBack`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from nmc.backends.simulator.clock import Clock, Rank, Server, Unit
from nmc.backends.simulator.meters import NOBODY, History
from nmc.backends.simulator.result import AdcUse
from nmc.backends.simulator.timing import Burst, PlanTiming, ReadTiming

if TYPE_CHECKING:
    from nmc.backends.simulator.meters import Meter
    from nmc.backends.simulator.observer import Origin

__all__ = ["Adc", "Crossbar", "Mvms", "ReadTask", "Task", "WriteBack", "WriteTask"]

NEVER = 1 << 62


class Owner(Protocol):
    """The sequencer that a task came from."""

    index: int

    @property
    def meters(self) -> Mapping[str, Meter]:
        """Of its queues, by unit."""
        ...

    def wake(self, cycle: int) -> None: ...


class Task(Protocol):
    """What waits in a sequencer's queue to the crossbars."""

    @property
    def owner(self) -> Owner: ...

    origin: Origin
    crossbars: tuple[int, ...]
    """All of their latches are needed."""
    exclusive: bool
    """No read may be going on there."""
    ready: int
    """When it came into the queue."""

    def start(self, mvms: Mvms, arrived: int, cycle: int) -> int:
        """Take the latches; says in which cycle the next of the queue may have its turn.  This
        one has had it since `arrived`."""
        ...


class ReadTask(Task, Protocol):
    """An mvm: `begin` samples its input bytes, `finish` stores accumulators and signals."""

    timing: PlanTiming

    def begin(self) -> None: ...
    def sampled(self, read: ReadTiming) -> None: ...
    def finish(self) -> None: ...


class WriteTask(Task, Protocol):
    """The writing of one tile's cells."""

    cycles: int

    def begin(self) -> None: ...
    def finish(self) -> None: ...


@dataclass(slots=True)
class Flow:
    """An mvm between its fill and its write-back."""

    task: ReadTask
    arrived: int
    """When it was the next to be filled."""
    filling: int
    samples: int
    """(crossbar, phase) pairs whose conversions have not all been given an ADC."""
    done: int = 0
    """When the conversions known so far have ended."""


@dataclass(slots=True)
class Sample:
    """What a sample-and-hold stage holds: it is free once all its bursts have ended."""

    flow: Flow
    stage: int
    bursts: int
    history: History
    end: int = 0


@dataclass(slots=True)
class Latched:
    """A plan's input bits in one crossbar's latches; `phase` is the next to be read."""

    flow: Flow
    read: ReadTiming
    full: int
    phase: int = 0


@dataclass(slots=True)
class Held:
    """A sample's conversions that one ADC is to make."""

    burst: Burst
    crossbar: Crossbar
    sample: Sample

    @property
    def origin(self) -> Origin:
        return self.sample.flow.task.origin


class Adc(Server[Held]):
    """Converts bursts, first come first served; ties by plan priority, then crossbar."""

    __slots__ = ("use",)

    def __init__(self, clock: Clock, place: tuple[int, int, int]) -> None:
        super().__init__(clock, Rank.ADC, "adc", place)
        self.use = AdcUse()

    def serve(self, item: Held, cycle: int) -> int:
        cycles = item.burst.cycles
        self.use.conversions += item.burst.conversions.total()
        self.use.busy += cycles
        self.meter.idled(cycle, item.sample.history)
        item.crossbar.converting(item.sample, cycle + cycles)
        return cycles


class Crossbar(Unit):
    """One crossbar: its latches, the read going on, and its sample-and-hold stages."""

    __slots__ = (
        "adcs",
        "array",
        "index",
        "latched",
        "latches",
        "mvms",
        "read_cycles",
        "reader",
        "reading",
        "stages",
        "stages_meter",
        "taken",
    )

    def __init__(
        self, mvms: Mvms, index: int, adcs: Sequence[Adc], holds: int, cycles: int
    ) -> None:
        super().__init__(mvms.clock, Rank.CROSSBAR)
        self.mvms = mvms
        self.index = index
        self.adcs = adcs
        self.read_cycles = cycles
        self.stages = [0] * holds
        """When each stage is free; NEVER while that is not known."""
        self.reader = NOBODY
        """Whose phase was read last."""
        self.reading = 0
        """When the read going on ends."""
        self.taken = False
        """The latches are being filled, hold bits that are needed, or cells are written."""
        self.latched: Latched | None = None
        place = (mvms.core, index)
        self.array = self.clock.meter("array", place)
        self.stages_meter = self.clock.meter("stages", place, holds)
        self.latches = self.clock.meter("latches", place)

    def latch(self, flow: Flow, read: ReadTiming, full: int) -> None:
        self.taken = True
        self.latched = Latched(flow, read, full)
        self.wake(max(full, self.reading))

    def step(self, cycle: int) -> None:
        latched = self.latched
        if latched is None or cycle < latched.full or cycle < self.reading:
            return
        stage = min(range(len(self.stages)), key=self.stages.__getitem__)
        if self.stages[stage] > cycle:
            return
        flow = latched.flow
        able = max(latched.full, self.reading)
        self.reading = cycle + self.read_cycles
        history = History(flow.arrived, flow.filling, latched.full, able, cycle, self.reading)
        self._metered(flow.task.origin, history)
        observer = self.clock.observer
        if observer is not None:
            observer.served(self, flow.task.origin, cycle, self.read_cycles)
        self._sample(latched, stage, history)
        latched.phase += 1
        if latched.phase == flow.task.timing.phases:
            self.latches.hold(flow.task.origin, flow.filling, cycle)
            self.release(cycle)
        else:
            self.wake(self.reading)

    def _metered(self, origin: Origin, history: History) -> None:
        self.array.idled(history.begin, history)
        self.array.hold(origin, history.begin, history.ready)
        self.stages_meter.wait(origin, self.reader, history.begin - history.able)
        self.reader = origin[:2]

    def release(self, cycle: int) -> None:
        """Give the latches to whoever waits for them."""
        self.latched = None
        self.taken = False
        self.mvms.wake(cycle)

    def writing(self, origin: Origin, arrived: int, cycle: int, end: int) -> None:
        """Cells are written from `cycle` to before `end`."""
        self.taken = True
        self.array.idled(cycle, History(arrived, cycle, cycle, cycle, cycle, cycle))
        self.array.hold(origin, cycle, end)
        self.latches.hold(origin, cycle, end)
        if self.clock.observer is not None:
            self.clock.observer.served(self, origin, cycle, end - cycle)

    def _sample(self, latched: Latched, stage: int, history: History) -> None:
        flow, read = latched.flow, latched.read
        flow.task.sampled(read)
        sample = Sample(flow, stage, len(read.bursts), history, self.reading)
        if not read.bursts:
            self._converted(sample)
            return
        self.stages[stage] = NEVER
        order = (flow.task.timing.priority, self.index)
        for burst in read.bursts:
            self.adcs[burst.adc].offer(Held(burst, self, sample), self.reading, order)

    def converting(self, sample: Sample, end: int) -> None:
        """One of the sample's bursts has an ADC, until `end`."""
        sample.bursts -= 1
        sample.end = max(sample.end, end)
        if sample.bursts == 0:
            self._converted(sample)

    def _converted(self, sample: Sample) -> None:
        """It is known when the last of the sample's bursts ends."""
        self.stages[sample.stage] = sample.end
        self.stages_meter.hold(sample.flow.task.origin, sample.history.begin, sample.end)
        self.wake(sample.end)
        flow = sample.flow
        flow.samples -= 1
        flow.done = max(flow.done, sample.end)
        if flow.samples == 0:
            self.mvms.converted(flow)


@dataclass(slots=True)
class Queue:
    """One sequencer's way to the crossbars of its core."""

    tasks: deque[Task]
    fill: Meter
    arrived: int = 0
    """When the head became the head with the fill port free."""
    started: int = 0
    """When the task before the head has left."""


class Mvms(Unit):
    """The mvm queues of a core: the heads compete for latches, first come first served.

    A head waits until the latches of all its crossbars are free and no head that came earlier
    waits for any of them; ties go to the lower sequencer.
    """

    __slots__ = ("backs", "core", "crossbars", "depth", "queues", "shift_add")

    def __init__(
        self, clock: Clock, core: int, sequencers: int, depth: int, shift_add: int
    ) -> None:
        super().__init__(clock, Rank.FILL)
        self.core = core
        self.depth = depth
        self.shift_add = shift_add
        places = [(core, index) for index in range(sequencers)]
        self.queues = [Queue(deque(), clock.meter("fill", place)) for place in places]
        self.backs = [WriteBack(clock, place) for place in places]
        self.crossbars: Mapping[int, Crossbar] = {}

    def full(self, sequencer: int) -> bool:
        return len(self.queues[sequencer].tasks) >= self.depth

    def push(self, task: Task, cycle: int) -> None:
        queue = self.queues[task.owner.index]
        task.ready = cycle + 1
        queue.tasks.append(task)
        if len(queue.tasks) == 1:
            queue.arrived = max(queue.arrived, cycle + 1)
        self.wake(cycle + 1)
        self._queued(queue, task, cycle)

    def _queued(self, queue: Queue, task: Task, cycle: int) -> None:
        if self.clock.observer is not None:
            self.clock.observer.queued(task.origin, "mvm", len(queue.tasks), cycle)

    def step(self, cycle: int) -> None:
        heads = [
            (queue.arrived, index, queue.tasks[0])
            for index, queue in enumerate(self.queues)
            if queue.tasks and queue.arrived <= cycle
        ]
        wanted: set[int] = set()
        for _, index, task in sorted(heads, key=lambda head: head[:2]):
            free = wanted.isdisjoint(task.crossbars)
            if free and all(self._free(x, task, cycle) for x in task.crossbars):
                self._start(self.queues[index], cycle)
            wanted.update(task.crossbars)

    def _free(self, index: int, task: Task, cycle: int) -> bool:
        crossbar = self.crossbars[index]
        if crossbar.taken:
            return False
        if task.exclusive and crossbar.reading > cycle:
            self.wake(crossbar.reading)
            return False
        return True

    def _start(self, queue: Queue, cycle: int) -> None:
        task = queue.tasks.popleft()
        arrived = queue.arrived
        self._waited(task, arrived, cycle)
        queue.arrived = task.start(self, arrived, cycle)
        first = max(task.ready, queue.started)
        queue.fill.wait(task.origin, queue.fill.holder, arrived - first)
        queue.fill.hold(task.origin, cycle, queue.arrived)
        queue.started = cycle
        self.wake(queue.arrived)
        task.owner.wake(cycle)
        self._queued(queue, task, cycle)

    def _waited(self, task: Task, arrived: int, cycle: int) -> None:
        """A task that was the next from `arrived` on starts in this cycle."""
        task.owner.meters["mvm"].hold(task.origin, task.ready, cycle)
        if cycle > arrived:
            latches = (self.crossbars[x].latches for x in task.crossbars)
            last = max(latches, key=lambda meter: meter.until)
            last.wait(task.origin, last.holder, cycle - arrived)

    def fill(self, task: ReadTask, arrived: int, cycle: int) -> int:
        """Bring a plan's input bytes into the latches of its crossbars."""
        task.begin()
        full = cycle + task.timing.fill
        if self.clock.observer is not None:
            self.clock.observer.served(self, task.origin, cycle, task.timing.fill)
        flow = Flow(task, arrived, cycle, len(task.timing.reads) * task.timing.phases)
        for read in task.timing.reads:
            self.crossbars[read.crossbar].latch(flow, read, full)
        return full

    def write(self, task: WriteTask, arrived: int, cycle: int) -> int:
        """Write cells; their data come by a way of their own, so that fills may follow at once."""
        task.begin()
        (crossbar,) = (self.crossbars[index] for index in task.crossbars)
        end = cycle + task.cycles
        crossbar.writing(task.origin, arrived, cycle, end)

        def written() -> None:
            task.finish()
            crossbar.release(end)

        self.clock.at(end, written)
        return cycle + 1

    def converted(self, flow: Flow) -> None:
        task = flow.task
        self.backs[task.owner.index].offer(task, flow.done + self.shift_add, (task.origin.number,))


class WriteBack(Server[ReadTask]):
    """One sequencer's port for finished accumulators, in the order in which they finish."""

    __slots__ = ()

    def __init__(self, clock: Clock, place: tuple[int, int]) -> None:
        super().__init__(clock, Rank.WRITE_BACK, "write-back", place)

    def serve(self, item: ReadTask, cycle: int) -> int:
        self.clock.at(cycle + item.timing.write_back, item.finish)
        return item.timing.write_back
