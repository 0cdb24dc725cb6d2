"""Semaphores as tokens: whether each pass over an input is balanced, and whether all ever halt.

Time plays no part.  Whatever is asynchronous is taken to complete at once, which it does sooner
or later; loops without a wait are taken at one stroke.  A program that comes to an end here can
deadlock nowhere, unless two sequencers wait on one semaphore and take from each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nmc.ir import program as p
from nmc.ir.diagnostics import Diagnostic, error
from nmc.ir.program_text import instruction_text

__all__ = ["token_problems"]

Semaphore = tuple[int, int]
"""Core and number."""

ROUNDS = 3
"""Inputs that the game is played for: a second and a third, as the first meets empty pipelines."""

MAX_MOVES = 100_000_000
NOTED = 8
"""Instructions named with a semaphore that is out of balance."""


def token_problems(program: p.Program) -> list[Diagnostic]:
    """Semaphores that an input leaves higher or lower than it found them, and deadlocks."""
    players = [
        Player(core.core, sequencer, tree(sequencer.instructions, core.core))
        for core in program.cores
        for sequencer in core.sequencers
    ]
    moves = ROUNDS * sum(length(player.tree) for player in players)
    if moves > MAX_MOVES:
        message = f"its sequencers wait {moves} times, at most {MAX_MOVES} can be followed"
        return [error("bad-program", message)]
    return balance_problems(players) or deadlock_problems(program, players)


def length(items: Tree) -> int:
    """Takes and gives for one input."""
    total = 0
    for item in items:
        total += max(item.count, 1) * length(item.body) if isinstance(item, Repeat) else 1
    return total


# Streams as trees


@dataclass(frozen=True, slots=True)
class Take:
    pc: int
    semaphore: Semaphore
    n: int


@dataclass(frozen=True, slots=True)
class Give:
    """Everything that is given between two takes, loops multiplied out."""

    counts: Counter[Semaphore]


@dataclass(frozen=True, slots=True)
class Repeat:
    count: int
    body: tuple[Event | Repeat, ...]


Event = Take | Give
Tree = tuple[Event | Repeat, ...]


def tree(instructions: Sequence[p.Instruction], core: int) -> Tree:
    """The takes and gives of a stream, within those loops that contain takes."""
    stack: list[Block] = [Block(1)]
    for pc, instruction in enumerate(instructions):
        match instruction:
            case p.Loop(count=count):
                stack.append(Block(count))
            case p.End():
                stack[-2].close(stack.pop())
            case p.Wait(sem=sem, n=n):
                stack[-1].items.append(Take(pc, (core, sem), n))
            case _:
                stack[-1].give(gives(instruction, core))
    return tuple(stack[0].items)


@dataclass(slots=True)
class Block:
    """A loop's body while it is read."""

    count: int
    items: list[Event | Repeat] = field(default_factory=list["Event | Repeat"])

    def give(self, counts: Counter[Semaphore]) -> None:
        if not counts:
            return
        last = self.items[-1] if self.items else None
        if isinstance(last, Give):
            self.items[-1] = Give(last.counts + counts)
        else:
            self.items.append(Give(counts))

    def close(self, inner: Block) -> None:
        """Take up a loop that has ended: at one stroke if it only gives."""
        only = inner.items[0] if len(inner.items) == 1 else None
        if isinstance(only, Give) and inner.count != p.INPUTS:
            self.give(Counter({s: n * inner.count for s, n in only.counts.items()}))
        elif inner.items:
            self.items.append(Repeat(inner.count, tuple(inner.items)))


def gives(instruction: p.Instruction, core: int) -> Counter[Semaphore]:
    match instruction:
        case p.Mvm(sem=sem) | p.Load(sem=sem) | p.Store(sem=sem) | p.ProgramCells(sem=sem):
            return Counter({(core, sem): 1})
        case p.Put(core=there, sem=sem, done=done):
            ends = Counter({(there, sem): 1})
            if done is not None:
                ends[core, done] += 1
            return ends
        case p.Signal(core=there, sem=sem, n=n):
            return Counter({(there, sem): n})
        case _:
            return Counter()


# Balance


@dataclass(slots=True)
class Player:
    """One sequencer in the game; `waiting` is the take that it can't make."""

    core: int
    sequencer: p.Sequencer
    tree: Tree
    waiting: Take | None = None


def balance_problems(players: Sequence[Player]) -> list[Diagnostic]:
    given: Counter[Semaphore] = Counter()
    taken: Counter[Semaphore] = Counter()
    for player in players:
        for item in player.tree:
            if isinstance(item, Repeat) and item.count == p.INPUTS:
                count(item.body, 1, given, taken)
    return [
        error(
            "bad-program",
            f"semaphore {sem} of core {core} is given {given[core, sem]} and taken "
            f"{taken[core, sem]} times for each input",
            notes=touching(players, (core, sem)),
        )
        for core, sem in sorted(given.keys() | taken.keys())
        if given[core, sem] != taken[core, sem]
    ]


def touching(players: Sequence[Player], semaphore: Semaphore) -> list[str]:
    """The instructions that give to a semaphore, or take from it; of many the first."""
    found = [
        f"core {player.core} {player.sequencer.label} pc {pc}: {instruction_text(instruction)}"
        for player in players
        for pc, instruction in enumerate(player.sequencer.instructions)
        if semaphore in gives(instruction, player.core)
        or (isinstance(instruction, p.Wait) and (player.core, instruction.sem) == semaphore)
    ]
    return found[:NOTED]


def count(body: Tree, times: int, given: Counter[Semaphore], taken: Counter[Semaphore]) -> None:
    for item in body:
        match item:
            case Take(semaphore=semaphore, n=n):
                taken[semaphore] += n * times
            case Give(counts=counts):
                given.update({s: n * times for s, n in counts.items()})
            case Repeat(count=turns, body=inner):
                count(inner, times * turns, given, taken)


# The game


def deadlock_problems(program: p.Program, players: Sequence[Player]) -> list[Diagnostic]:
    values: Counter[Semaphore] = Counter()
    for core in program.cores:
        for sem, value in enumerate(core.semaphores):
            values[core.core, sem] = value
    stuck = play(players, values)
    if not stuck:
        return []
    notes = [waits(player, values) for player in stuck]
    message = f"{len(stuck)} of {len(players)} sequencers wait for ever"
    return [error("deadlock", message, notes=notes)]


def waits(player: Player, values: Counter[Semaphore]) -> str:
    take = player.waiting
    if take is None:
        return f"core {player.core} {player.sequencer.label}"
    text = instruction_text(player.sequencer.instructions[take.pc])
    where = f"core {player.core} {player.sequencer.label} pc {take.pc} `{text}`"
    return f"{where}: it holds {values[take.semaphore]}"


def play(players: Sequence[Player], values: Counter[Semaphore]) -> list[Player]:
    """Let everyone go as far as they can, again and again; those who come to no end."""
    games = [(player, game(player, values)) for player in players]
    waiting: dict[Semaphore, list[tuple[Player, Iterator[Give | None]]]] = {}
    while games:
        player, moves = games.pop()
        for move in moves:
            if move is None:
                break
            values.update(move.counts)
            for semaphore in move.counts:
                games += waiting.pop(semaphore, [])
        else:
            player.waiting = None
            continue
        assert player.waiting is not None
        waiting.setdefault(player.waiting.semaphore, []).append((player, moves))
    return [player for queue in waiting.values() for player, _ in queue]


def game(player: Player, values: Counter[Semaphore]) -> Iterator[Give | None]:
    """A player's gives; None where it can't take what it waits for."""
    for item in unrolled(player.tree):
        if isinstance(item, Give):
            yield item
            continue
        while values[item.semaphore] < item.n:
            player.waiting = item
            yield None
        values[item.semaphore] -= item.n


def unrolled(items: Tree) -> Iterator[Event]:
    for item in items:
        if isinstance(item, Repeat):
            for _ in range(ROUNDS if item.count == p.INPUTS else item.count):
                yield from unrolled(item.body)
        else:
            yield item
