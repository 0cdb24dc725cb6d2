"""The debugger itself: when it stops, and what each command does."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator

from nmc.backends.container.contents import Contents
from nmc.backends.debugger import state
from nmc.backends.debugger.memory import buffer_lines, memory_lines, view_lines
from nmc.backends.debugger.words import Break, Place, breakpoint_of, number, place_of, refuse
from nmc.backends.program_places import ProgramPlaces
from nmc.backends.simulator.core import Core
from nmc.backends.simulator.machine import Machine
from nmc.backends.simulator.sequencer import Sequencer
from nmc.ir.diagnostics import NmcError
from nmc.ir.mapping import StepKind
from nmc.ir.text import did_you_mean

__all__ = ["COMMANDS", "Debugger", "Stopped", "script"]

COMMANDS: dict[str, tuple[str, str]] = {
    "continue": ("", "run to the next breakpoint or the end"),
    "step": ("[N]", "N instructions of the one in focus (1)"),
    "cycle": ("[N]", "run N cycles (1)"),
    "until": ("CYCLE", "run to before this cycle"),
    "break": ("CORE.SEQ:PC", "stop when this is about to issue"),
    "delete": ("CORE.SEQ:PC", "take a breakpoint away"),
    "breaks": ("", "list breakpoints"),
    "quit": ("", "end the run here"),
    "focus": ("CORE.SEQ", "look at this sequencer from now on"),
    "where": ("", "next instruction, line, layer, ONNX node"),
    "list": ("[N]", "assembly, N lines to each side (5)"),
    "sequencers": ("", "where each is, and what it waits for"),
    "loops": ("", "loop counters of the one in focus"),
    "semaphores": ("[CORE]", "what they hold, and who waits"),
    "queues": ("[CORE]", "what waits for the units of a core"),
    "buffers": ("[LAYER]", "rings and buffers by layer and role"),
    "print": ("LAYER ROLE [LANE]", "a ring or buffer as a tensor"),
    "memory": ("CORE|global ADDR COUNT [TYPE]", "elements of u8, i8, i32 or f32"),
    "help": ("", "this list"),
}
"""Arguments and meaning.  A command may be cut short: `c` is the first that begins with c."""

Resume = Callable[[int], bool]
"""Whether to stop before a cycle, breakpoints aside."""


class Stopped(Exception):
    """The user has ended the run before `cycle`."""

    def __init__(self, cycle: int) -> None:
        super().__init__(f"stopped before cycle {cycle}")
        self.cycle = cycle


def script(lines: Iterable[str]) -> Callable[[], str | None]:
    """Commands one after the other, then None; blank lines and what follows a # are skipped."""
    words = (line.partition("#")[0].strip() for line in lines)
    commands = iter([line for line in words if line])
    return lambda: next(commands, None)


class Debugger:
    """Stops a run where it was asked to, reads commands and answers them.

    `ask` gives the next command, None when there are no more: the run then goes on to its end.
    `say` takes each line of an answer.  A command that makes no sense is an NmcError `bad-option`
    if `strict`, as scripts want it, else an answer.
    """

    def __init__(
        self,
        contents: Contents,
        ask: Callable[[], str | None],
        say: Callable[[str], None],
        *,
        breaks: Iterable[str] = (),
        stop_at_launch: bool = False,
        strict: bool = True,
    ) -> None:
        self.contents = contents
        self.ask = ask
        self.say = say
        self.strict = strict
        self.breaks: set[Break] = set()
        self.resume: Resume = lambda cycle: stop_at_launch and cycle == 0
        self.cycle = 0
        self.ended = False
        """No command is left."""
        self._steps = {
            step.name: ProgramPlaces.of(contents, step.name)
            for step in contents.mapping.steps
            if step.kind is StepKind.CHIP
        }
        for text in breaks:
            self.breaks.add(self._anywhere(text))

    def attach(self, step: str, machine: Machine) -> None:
        """Pause the machine of a chip step; the sequencer in focus is its first."""
        self.step, self.machine, self.places = step, machine, self._steps[step]
        self.focus: Sequencer | None = next(iter(machine.sequencers), None)
        machine.clock.pause = self.pause

    # Stopping

    def pause(self, cycle: int) -> None:
        """What the clock calls before each cycle; raises Stopped on `quit`."""
        self.cycle = cycle
        if self.ended:
            return
        hit = self._hit(cycle)
        wanted = hit is not None or self.resume(cycle)
        if not (wanted if self.machine.clock.busy else self._stuck()):
            return
        self._greet(hit)
        while not self.ended:
            command = self.ask()
            if command is None:
                self.ended = True
            elif self._obey(command):
                break

    def _hit(self, cycle: int) -> Sequencer | None:
        for each in self.machine.sequencers if self.breaks else ():
            due = each.due == cycle and not each.asked and not each.halted
            if due and Break(each.core.index, each.index, each.pc) in self.breaks:
                return each
        return None

    def _stuck(self) -> bool:
        """Nothing will happen any more, and not all have halted."""
        over = not self.machine.clock.busy
        return over and not all(each.halted for each in self.machine.sequencers)

    def _greet(self, hit: Sequencer | None) -> None:
        """Say why the run stands still, and look at the sequencer that matters."""
        if self._stuck():
            waiting = [each for each in self.machine.sequencers if not each.halted]
            self.focus = waiting[0]
            said = f"deadlock after cycle {self.cycle - 1}: {len(waiting)} sequencers wait for ever"
        else:
            self.focus = hit or self.focus
            at = " at a breakpoint" if hit else ""
            said = f"stopped{at} before cycle {self.cycle} of {self.step}"
        self.say(said)
        self._say_all(self._where())

    def _say_all(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.say(line)

    # Commands

    def _obey(self, text: str) -> bool:
        """Answer a command; True if the run is to go on."""
        try:
            words = shlex.split(text)
            if not words:
                return False
            name = self._command(words[0])
            return self._move(name, words[1:]) or self._answer(name, words[1:])
        except ValueError as problem:
            failure = refuse(f"`{text}` can't be read: {problem}")
        except NmcError as problem:
            failure = problem
        if self.strict:
            raise failure
        for diagnostic in failure.diagnostics:
            self.say(f"error: {diagnostic.message}")
            if diagnostic.remedy:
                self.say(f"  {diagnostic.remedy}")
        return False

    def _command(self, word: str) -> str:
        for name in COMMANDS:
            if name.startswith(word):
                return name
        hint = did_you_mean(word, COMMANDS)
        raise refuse(f"there is no command `{word}`", f"{hint}  `help` lists all".strip())

    def _move(self, name: str, words: list[str]) -> bool:
        """Commands after which the run goes on."""
        match name, words:
            case "continue", []:
                self.resume = lambda cycle: False
            case "step", _:
                self._step(self._optional(words, 1))
            case "cycle", _:
                end = self.cycle + self._optional(words, 1)
                self.resume = lambda cycle: cycle >= end
            case "until", [text]:
                end = number(text, "cycle")
                self.resume = lambda cycle: cycle >= end
            case "quit", []:
                raise Stopped(self.cycle)
            case _:
                return False
        return True

    def _step(self, count: int) -> None:
        focus = self._focus
        end = focus.use.issued + count
        self.resume = lambda cycle: focus.halted or (focus.use.issued >= end and cycle >= focus.due)

    def _answer(self, name: str, words: list[str]) -> bool:
        match name, words:
            case "break", [text]:
                self.breaks.add(breakpoint_of(text, self.places))
            case "delete", [text]:
                self._delete(breakpoint_of(text, self.places))
            case "focus", [text]:
                self.focus = self._sequencer(place_of(text, self.places))
                self._say_all(self._where())
            case _:
                self._say_all(self._shown(name, words))
        return False

    def _shown(self, name: str, words: list[str]) -> Iterator[str]:
        """Commands that only look."""
        match name, words:
            case "breaks", []:
                yield from map(str, sorted(self.breaks))
            case "where", []:
                yield from self._where()
            case "list", _:
                yield from state.assembly_lines(self._focus, self._optional(words, 5))
            case "sequencers", []:
                yield from state.sequencer_lines(self.machine, self.cycle)
            case "loops", []:
                yield from state.loop_lines(self._focus)
            case "help", []:
                for command, (arguments, meaning) in COMMANDS.items():
                    yield f"{command + ' ' + arguments:<38} {meaning}"
            case _:
                yield from self._units_and_memory(name, words)

    def _units_and_memory(self, name: str, words: list[str]) -> Iterator[str]:
        match name, words:
            case "semaphores", _:
                for core in self._cores(words):
                    yield from state.semaphore_lines(core, self.places)
            case "queues", _:
                for core in self._cores(words):
                    yield from state.queue_lines(self.machine, core)
            case "buffers", []:
                yield from buffer_lines(self.places, None)
            case "buffers", [layer]:
                yield from buffer_lines(self.places, layer)
            case "print", [layer, role, *lane]:
                yield from view_lines(self.machine, self.places, layer, role, lane)
            case "memory", [where, address, count, *more]:
                yield from memory_lines(self.machine, where, address, count, more)
            case _:
                raise refuse(f"that is not how `{name}` is written", f"{name} {COMMANDS[name][0]}")

    # What commands refer to

    @property
    def _focus(self) -> Sequencer:
        if self.focus is None:
            raise refuse("the program has no sequencer")
        return self.focus

    def _where(self) -> Iterator[str]:
        return state.where_lines(self._focus, self.places, self.cycle)

    def _optional(self, words: list[str], default: int) -> int:
        if len(words) > 1:
            raise refuse(f"one number is enough: {' '.join(words)}")
        return number(words[0], "number") if words else default

    def _cores(self, words: list[str]) -> list[Core]:
        if not words:
            return list(self.machine.cores.values())
        core = self.machine.cores.get(number(words[0], "core"))
        if core is None or len(words) > 1:
            raise refuse(f"the program has no core {' '.join(words)}")
        return [core]

    def _sequencer(self, place: Place) -> Sequencer:
        found = (s for s in self.machine.sequencers if (s.core.index, s.index) == place)
        return next(found)

    def _delete(self, at: Break) -> None:
        if at not in self.breaks:
            raise refuse(f"there is no breakpoint {at}", "`breaks` lists them")
        self.breaks.remove(at)

    def _anywhere(self, text: str) -> Break:
        """A breakpoint in any of the chip steps; the first one's complaint if in none."""
        problem: NmcError | None = None
        for places in self._steps.values():
            try:
                return breakpoint_of(text, places)
            except NmcError as refused:
                problem = problem or refused
        raise problem or refuse("nothing of the model runs on the chip")
