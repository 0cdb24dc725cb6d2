"""Semaphores as tokens: whether each pass over an input is balanced, and whether all ever halt.

Time plays no part.  Whatever is asynchronous is taken to complete at once, which it does sooner
or later; loops without a wait are taken at one stroke.  A program that comes to an end here can
deadlock nowhere, unless two sequencers wait on one semaphore and take from each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from nmc.ir import program as p
from nmc.ir.diagnostics import Diagnostic, error
from nmc.ir.program_text import instruction_text

__all__ = ["token_problems"]

Semaphore = tuple[int, int]
"""Core and number."""

ROUNDS = 3
"""Inputs that the game is played for: a second and a third, as the first meets empty pipelines."""

MAX_MOVES = 100_000_000

AT_ONCE = 1 << 10
"""A loop of so few takes and gives is laid out whole, which is faster to play."""

NOTED = 8
"""Instructions named with a semaphore that is out of balance."""


def token_problems(program: p.Program) -> list[Diagnostic]:
    """Semaphores that an input leaves higher or lower than it found them, and deadlocks."""
    players = [
        Player(core.core, sequencer, tree(sequencer.instructions, core.core))
        for core in program.cores
        for sequencer in core.sequencers
    ]
    waits_made = ROUNDS * sum(length(player.tree) for player in players)
    if waits_made > MAX_MOVES:
        message = f"its sequencers wait {waits_made} times, at most {MAX_MOVES} can be followed"
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

    counts: dict[Semaphore, int]


@dataclass(frozen=True, slots=True)
class Repeat:
    count: int
    body: tuple[Event | Repeat, ...]


Event = Take | Give
Tree = tuple[Event | Repeat, ...]

Move = tuple[int, int, int]
"""A semaphore's number, by how much it changes, and the pc if it is a take."""

NO_MOVE: Move = (-1, 0, -1)


def tree(instructions: Sequence[p.Instruction], core: int) -> Tree:
    """The takes and gives of a stream, within those loops that contain takes."""
    stack: list[Block] = [Block(1)]
    for pc, instruction in enumerate(instructions):
        match instruction:
            case p.Loop(count=count):
                stack.append(Block(count))
            case p.End():
                inner = stack.pop()
                stack[-1].take_up(inner)
            case p.Wait(sem=sem, n=n):
                stack[-1].add(Take(pc, (core, sem), n))
            case _:
                for semaphore, n in gives(instruction, core):
                    stack[-1].give(semaphore, n)
    return stack[0].closed()


@dataclass(slots=True)
class Block:
    """A loop's body while it is read; `given` is what was given since its last take or loop."""

    count: int
    items: list[Event | Repeat] = field(default_factory=list["Event | Repeat"])
    given: dict[Semaphore, int] = field(default_factory=dict[Semaphore, int])

    def give(self, semaphore: Semaphore, n: int) -> None:
        self.given[semaphore] = self.given.get(semaphore, 0) + n

    def add(self, item: Take | Repeat) -> None:
        if self.given:
            self.items.append(Give(self.given))
            self.given = {}
        self.items.append(item)

    def closed(self) -> Tree:
        return (*self.items, Give(self.given)) if self.given else tuple(self.items)

    def take_up(self, inner: Block) -> None:
        """Take up a loop that has ended: at one stroke if it only gives."""
        if not inner.items and inner.count != p.INPUTS:
            for semaphore, n in inner.given.items():
                self.give(semaphore, n * inner.count)
        elif body := inner.closed():
            self.add(Repeat(inner.count, body))


def gives(instruction: p.Instruction, core: int) -> tuple[tuple[Semaphore, int], ...]:
    """What an instruction of a core gives to which semaphores."""
    match instruction:
        case p.Mvm(sem=sem) | p.Load(sem=sem) | p.Store(sem=sem) | p.ProgramCells(sem=sem):
            return (((core, sem), 1),)
        case p.Put(core=there, sem=sem, done=done):
            arrived = ((there, sem), 1)
            return (arrived,) if done is None else (arrived, ((core, done), 1))
        case p.Signal(core=there, sem=sem, n=n):
            return (((there, sem), n),)
        case _:
            return ()


# Balance


@dataclass(slots=True)
class Player:
    """One sequencer in the game."""

    core: int
    sequencer: p.Sequencer
    tree: Tree


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
        if any(given == semaphore for given, _ in gives(instruction, player.core))
        or (isinstance(instruction, p.Wait) and (player.core, instruction.sem) == semaphore)
    ]
    return found[:NOTED]


def count(body: Tree, times: int, given: Counter[Semaphore], taken: Counter[Semaphore]) -> None:
    for item in body:
        match item:
            case Take(semaphore=semaphore, n=n):
                taken[semaphore] += n * times
            case Give(counts=counts):
                for semaphore, n in counts.items():
                    given[semaphore] += n * times
            case Repeat(count=turns, body=inner):
                count(inner, times * turns, given, taken)


# The game


def deadlock_problems(program: p.Program, players: Sequence[Player]) -> list[Diagnostic]:
    values = {
        (core.core, sem): value
        for core in program.cores
        for sem, value in enumerate(core.semaphores)
    }
    numbers = {semaphore: number for number, semaphore in enumerate(values)}
    held = list(values.values())
    stuck = play(players, numbers, held)
    if not stuck:
        return []
    notes = [waits(game, held) for game in stuck]
    message = f"{len(stuck)} of {len(players)} sequencers wait for ever"
    return [error("deadlock", message, notes=notes)]


def waits(game: Game, held: Sequence[int]) -> str:
    sequencer, (number, _, pc) = game.player.sequencer, game.stopped
    text = instruction_text(sequencer.instructions[pc])
    return f"core {game.player.core} {sequencer.label} pc {pc} `{text}`: it holds {held[number]}"


def play(
    players: Sequence[Player], numbers: Mapping[Semaphore, int], held: list[int]
) -> list[Game]:
    """Let everyone go as far as they can, again and again; those that come to no end.

    `held` has the value of each semaphore, by its number.
    """
    games = [Game(player, moves(player.tree, numbers)) for player in players]
    waiting: dict[int, list[Game]] = {}
    while games:
        game = games.pop()
        for move in game.resumed():
            number, change, _ = move
            value = held[number] + change
            if value < 0:
                game.stopped = move
                waiting.setdefault(number, []).append(game)
                break
            held[number] = value
            if change > 0 and number in waiting:
                games += waiting.pop(number)
    return [game for queue in waiting.values() for game in queue]


@dataclass(slots=True)
class Game:
    """How far a player has come: the moves ahead, and before them that at which it stopped."""

    player: Player
    ahead: Iterator[Move]
    stopped: Move = NO_MOVE

    def resumed(self) -> Iterator[Move]:
        return self.ahead if self.stopped is NO_MOVE else chain((self.stopped,), self.ahead)


def moves(items: Tree, numbers: Mapping[Semaphore, int]) -> Iterator[Move]:
    """What a stream does to semaphores in all rounds, one after the other."""
    for item in items:
        match item:
            case Take(pc=pc, semaphore=semaphore, n=n):
                yield numbers[semaphore], -n, pc
            case Give(counts=counts):
                for semaphore, n in counts.items():
                    yield numbers[semaphore], n, -1
            case Repeat(count=count, body=body):
                turns = ROUNDS if count == p.INPUTS else count
                if turns * length(body) <= AT_ONCE:
                    yield from list(moves(body, numbers)) * turns
                else:
                    for _ in range(turns):
                        yield from moves(body, numbers)
