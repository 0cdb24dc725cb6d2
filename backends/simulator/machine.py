"""The reference engine's machine: a program laid out on units, and stepped until all halt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from nmc.backends.simulator.clock import Clock
from nmc.backends.simulator.core import Cells, Core, Plan, Semaphore, Vector
from nmc.backends.simulator.crossbars import Adc, Crossbar, Mvms
from nmc.backends.simulator.host import Outputs, io_bytes
from nmc.backends.simulator.memory import Access, Memory
from nmc.backends.simulator.mesh import Link, MemoryPort, Port
from nmc.backends.simulator.meters import unit_uses
from nmc.backends.simulator.reads import plan_kernel
from nmc.backends.simulator.result import AdcUse, Race, UnitUse
from nmc.backends.simulator.sequencer import Sequencer
from nmc.backends.simulator.shadow import Shadow, Watch
from nmc.backends.simulator.timing import plan_timing, route
from nmc.ir import program as p
from nmc.ir.diagnostics import NmcError, error
from nmc.ir.messages import nearest_port
from nmc.ir.program_spans import operands, span, walk

if TYPE_CHECKING:
    from nmc.ir.target import Target

__all__ = ["Machine"]


class Machine:
    """All units of the chip that the program uses, connected.

    `every_cycle` steps every unit in every cycle: the same results, slower.
    """

    def __init__(
        self,
        program: p.Program,
        target: Target,
        lanes: int,
        inflight: int,
        *,
        every_cycle: bool = False,
    ) -> None:
        self.program = program
        self.target = target
        self.lanes = lanes
        self.inflight = inflight
        self.clock = Clock(every_cycle=every_cycle)
        self.memory = Memory(lanes, program.frame_bytes * inflight)
        self.outputs = Outputs(program, inflight)
        self.watch: Watch | None = None
        self.adcs: dict[tuple[int, int, int], Adc] = {}
        self._links: dict[tuple[int, int], Link] = {}
        self._memory_ports: dict[int, MemoryPort] = {}
        self._routes: dict[tuple[int, int], tuple[Link, ...]] = {}
        sizes = sram_sizes(program, inflight)
        cells = Cells.at_launch(program)
        self.cores = {
            core.core: self._core(core, sizes[core.core], cells) for core in program.cores
        }
        self.sequencers = [
            Sequencer(self, self.cores[core.core], index, sequencer)
            for core in program.cores
            for index, sequencer in enumerate(core.sequencers)
        ]

    # Building

    def _core(self, core: p.CoreProgram, sram_bytes: int, cells: Cells) -> Core:
        tiles, target = self.program.tiles, self.target
        memory = Memory(self.lanes, sram_bytes)
        for image in core.images:
            memory.data[:, image.address : image.address + image.data.size] = image.data
        plans = tuple(
            Plan(
                plan_timing(plan, tiles, target),
                plan_kernel(plan, tiles, target),
                tuple(read.tile for read in plan.reads),
            )
            for plan in core.plans
        )
        mvms = Mvms(
            self.clock,
            core.core,
            len(core.sequencers),
            target.core.queue_depth,
            target.shift_add_cycles,
        )
        mvms.crossbars = self._crossbars(core, mvms)
        semaphores = [
            Semaphore(self.clock, (core.core, number), value)
            for number, value in enumerate(core.semaphores)
        ]
        vector, port = Vector(self.clock, core.core), Port(self.clock, "port", core.core)
        return Core(core.core, memory, mvms, plans, cells, semaphores, vector, port)

    def _crossbars(self, core: p.CoreProgram, mvms: Mvms) -> Mapping[int, Crossbar]:
        """The crossbars that hold tiles, each with the ADCs of its cluster."""
        used = sorted({tile.crossbar for tile in self.program.tiles if tile.core == core.core})
        target, crossbars = self.target, {}
        for index in used:
            cluster = index // target.adc.crossbars_per_cluster
            adcs = [self._adc(core.core, cluster, n) for n in range(target.adc.adcs_per_cluster)]
            holds, cycles = target.crossbar.sample_holds, target.read_cycles
            crossbars[index] = Crossbar(mvms, index, adcs, holds, cycles)
        return crossbars

    def _adc(self, core: int, cluster: int, index: int) -> Adc:
        place = (core, cluster, index)
        if place not in self.adcs:
            self.adcs[place] = Adc(self.clock, place)
        return self.adcs[place]

    def watch_races(self) -> None:
        """Look for races from here on; before `run`."""
        self.watch = watch = Watch(self.program)
        for core in self.program.cores:
            memory = self.cores[core.core].memory
            memory.shadow = shadow = Shadow(watch, core.core, memory.size)
            for semaphore in self.cores[core.core].semaphores:
                semaphore.stamp_value(watch.launch)
            for image in core.images:
                shadow.launched(image.address, image.address + image.data.size)
        self.memory.shadow = Shadow(watch, None, self.memory.size)
        for frame in range(self.inflight):
            for io in self.program.inputs:
                start = frame * self.program.frame_bytes + io.address
                self.memory.shadow.launched(start, start + io_bytes(io))
        for sequencer in self.sequencers:
            sequencer.trail = watch.trail(sequencer.core.index, sequencer.index)

    # What sequencers ask for

    def route(self, source: int, to: int) -> tuple[Link, ...]:
        key = (source, to)
        if key not in self._routes:
            self._routes[key] = tuple(map(self._link, route(source, to, self.target)))
        return self._routes[key]

    def _link(self, ends: tuple[int, int]) -> Link:
        if ends not in self._links:
            self._links[ends] = Link(self.clock, ends, self.target.hop_cycles)
        return self._links[ends]

    def memory_port(self, core: int) -> MemoryPort:
        """The port of global memory that serves a core."""
        place = nearest_port(core, self.target)
        if place not in self._memory_ports:
            latency = self.target.memory_latency_cycles
            self._memory_ports[place] = MemoryPort(self.clock, place, latency)
        return self._memory_ports[place]

    def stored(self, access: Access, start: int) -> None:
        """Bytes have been stored in global memory in this cycle."""
        self.outputs.stored(access, start, self.clock.cycle)

    # Running

    def run(self, max_cycles: int, progress: Callable[[int], None] | None = None) -> None:
        """Step until all is done; NmcError `run-limit`, `deadlock` or `bad-program`."""
        if not self.clock.run(max_cycles, progress):
            message = f"not done after {max_cycles} cycles"
            raise NmcError(error("run-limit", message, remedy="raise it: --max-cycles N"))
        stuck = [sequencer for sequencer in self.sequencers if not sequencer.halted]
        if stuck:
            message = f"{len(stuck)} of {len(self.sequencers)} sequencers wait for ever"
            notes = [sequencer.where(sequencer.pc) for sequencer in stuck]
            raise NmcError(error("deadlock", message, notes=notes))
        missing = self.outputs.unstored()
        if missing is not None:
            frame, count = missing
            message = f"{count} output bytes of input {frame} are never stored"
            raise NmcError(error("bad-program", message))

    @property
    def adc_use(self) -> dict[tuple[int, int, int], AdcUse]:
        return {place: self.adcs[place].use for place in sorted(self.adcs)}

    @property
    def output_cycles(self) -> tuple[int, ...]:
        """Cycles until the outputs of each input were stored; without outputs, until the last
        sequencer halted."""
        if self.program.outputs:
            return tuple(self.outputs.cycles)
        return (max((s.use.halted + 1 for s in self.sequencers), default=0),) * self.inflight

    @property
    def span(self) -> int:
        """Cycles until all was over."""
        halted = (sequencer.use.halted + 1 for sequencer in self.sequencers)
        free = (meter.until for meter in self.clock.meters)
        return max((*self.output_cycles, *halted, *free), default=0)

    @property
    def units(self) -> tuple[UnitUse, ...]:
        return unit_uses(self.clock.meters, self.span)

    @property
    def races(self) -> tuple[Race, ...]:
        return tuple(self.watch.races.values()) if self.watch is not None else ()


def sram_sizes(program: p.Program, inflight: int) -> dict[int, int]:
    """How many bytes of each core's SRAM the program touches, from address 0 on."""
    sizes = {
        core.core: max((i.address + i.data.size for i in core.images), default=0)
        for core in program.cores
    }
    for core in program.cores:
        for sequencer in core.sequencers:
            for placed in walk(sequencer.instructions):
                for operand in operands(placed.instruction):
                    if operand.desc.space is p.Space.SRAM:
                        at = core.core if operand.core is None else operand.core
                        sizes[at] = max(sizes[at], span(operand, placed.counts, inflight)[1])
    return sizes
