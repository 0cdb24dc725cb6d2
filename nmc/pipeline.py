"""A pipeline of passes is a string: read, checked against the book, printed, and run.

`fold-constants, tile{rows=128 cols=128}, @lower`: comma between passes, braces for options, a
space between options, comma inside a value for lists, dashes for underscores, `@name` for an alias.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Protocol

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from nmc.ir.design import Design
from nmc.ir.diagnostics import Diagnostic, Loc, NmcError, Report, error
from nmc.ir.ops import QAvgPool, QConv, QMatMul, QReduceMean
from nmc.ir.text import did_you_mean, unquoted
from nmc.ir.verify import check_graph
from nmc.options import Option, options_of, print_option
from nmc.passes.base import Pass
from nmc.passes.book import ALIASES, PASSES

__all__ = ["LEVELS", "Observer", "Pipeline", "level_of", "pass_named"]

LEVELS = (
    "graph",
    "partitioned",
    "quantized",
    "staged",
    "tiled",
    "placed",
    "scheduled",
    "buffered",
    "program",
)
"""How far a design has come, in order: what `needs` and `gives` of a pass speak of."""

QUANTIZED = (QConv, QMatMul, QAvgPool, QReduceMean)

Aliases = Mapping[str, str]
Book = Sequence[type[Pass]]


class Observer(Protocol):
    """Told of each pass as the pipeline runs; both methods may raise to stop it."""

    def starts(self, index: int, total: int, step: Pass) -> None: ...

    def ended(self, step: Pass, design: Design, changed: bool, wall_s: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Passes in the order in which they run.  `str` of it reads back as an equal one."""

    passes: tuple[Pass, ...]

    @classmethod
    def parse(cls, text: str, *, book: Book = PASSES, aliases: Aliases = ALIASES) -> Pipeline:
        """Reads a pipeline; NmcError with all that is wrong: `bad-pipeline`, `unknown-pass`."""
        report = Report()
        passes = tuple(Reader(text, book, aliases, report).items(parse_tree(text)))
        report.check()
        return cls(passes)

    def __str__(self) -> str:
        return ", ".join(map(print_pass, self.passes))

    def resolved(self, seed: int) -> Pipeline:
        """The same with every seed filled in: what outputs record."""
        return Pipeline(tuple(seeded(step, seed) for step in self.passes))

    def check_levels(self, start: str = "graph") -> str:
        """The level at the end; NmcError `bad-pipeline` if a pass isn't at its place."""
        level = start
        for step in self.passes:
            if step.needs != level:
                raise NmcError(misplaced(step, level))
            level = step.gives or level
        return level

    def run(
        self,
        design: Design,
        report: Report,
        *,
        start: str = "graph",
        observer: Observer | None = None,
    ) -> None:
        """Run the passes on the design; stops, with NmcError, after a pass that reported errors.

        The graph is verified before the first pass and after each: NmcError `invariant` names the
        pass that broke it.
        """
        self.check_levels(start)
        self.run_part(design, report, range(len(self.passes)), observer=observer)

    def run_part(
        self,
        design: Design,
        report: Report,
        part: range,
        *,
        observer: Observer | None = None,
    ) -> None:
        """The same for some of the passes, on a design that those before have worked on."""
        check_graph(design.graph, "reading")
        for index in part:
            step = self.passes[index]
            if observer:
                observer.starts(index, len(self.passes), step)
            began = time.perf_counter()
            changed = step.run(design, report)
            wall_s = time.perf_counter() - began
            report.check()
            check_graph(design.graph, step.name)
            if observer:
                observer.ended(step, design, changed, wall_s)


def level_of(design: Design) -> str:
    """How far a design has come that a file brought: as its graph shows."""
    nodes = design.graph.nodes
    if any(isinstance(node.op, QUANTIZED) for node in nodes):
        return "quantized"
    return "partitioned" if any(node.unit for node in nodes) else "graph"


def misplaced(step: Pass, level: str) -> Diagnostic:
    makers = [p.name for p in PASSES if p.gives == step.needs]
    message = f"`{step.name}` needs a design of level `{step.needs}`, it would get `{level}`"
    if LEVELS.index(step.needs) < LEVELS.index(level):
        remedy = f"put `{step.name}` further to the front"
    else:
        remedy = f"run `{makers[0]}` before it" if makers else "see `nmc passes`"
    return error("bad-pipeline", message, remedy=remedy)


def seeded(step: Pass, seed: int) -> Pass:
    options = {f.name: getattr(step, f.name) for f in dataclasses.fields(step)}
    if "seed" not in options or options["seed"] is not None:
        return step
    return type(step)(**{**options, "seed": seed})


def print_pass(step: Pass) -> str:
    """Name and those options that differ from their defaults."""
    given = [
        print_option(option, getattr(step, option.field))
        for option in options_of(type(step))
        if option.is_required or getattr(step, option.field) != option.default
    ]
    return f"{step.name}{{{' '.join(given)}}}" if given else step.name


# Reading


@cache
def grammar() -> Lark:
    text = (files("nmc") / "pipeline.lark").read_text(encoding="utf-8")
    return Lark(text, parser="lalr", start="pipeline", propagate_positions=True)


def parse_tree(text: str) -> Tree[Token]:
    try:
        return grammar().parse(text)
    except UnexpectedInput as failure:
        raise NmcError(syntax_problem(text, failure)) from None


def syntax_problem(text: str, failure: UnexpectedInput) -> Diagnostic:
    token = getattr(failure, "token", None)
    ended = token is not None and token.type == "$END"
    column = len(text.rstrip()) + 1 if ended else failure.column
    rest = text[column - 1 :].split(maxsplit=1)
    stood = "it ends too early" if ended or not rest else f"`{rest[0]}` can't stand here"
    loc = Loc(file="pipeline", line=1, column=column, excerpt=text)
    remedy = "write it like `@front, tile, replicate{objective=latency rows=whole}, place`"
    return error("bad-pipeline", f"the pipeline can't be read: {stood}", loc, remedy=remedy)


@dataclass(frozen=True, slots=True)
class Reader:
    """Turns the syntax tree into passes; problems go to `report`, with their place in `text`."""

    text: str
    book: Book
    aliases: Aliases
    report: Report
    inside: tuple[str, ...] = ()

    def items(self, tree: Tree[Token]) -> Iterator[Pass]:
        for item in tree.children:
            if isinstance(item, Tree):
                read = self.expand if item.data == "alias" else self.one
                yield from read(item)

    def expand(self, item: Tree[Token]) -> Iterator[Pass]:
        token = first(item)
        if token in self.inside:
            self.problem("bad-pipeline", f"alias `@{token}` contains itself", token)
        elif token not in self.aliases:
            hint = did_you_mean(f"@{token.lstrip('@')}", [f"@{name}" for name in self.aliases])
            self.problem("unknown-pass", f"there is no alias `@{token}`", token, hint)
        else:
            text = self.aliases[token]
            inner = Reader(text, self.book, self.aliases, self.report, (*self.inside, token))
            yield from inner.items(parse_tree(text))

    def one(self, item: Tree[Token]) -> Iterator[Pass]:
        token = first(item)
        kind = pass_named(token, self.book)
        if kind is None:
            hint = did_you_mean(token, [p.name for p in self.book])
            self.problem("unknown-pass", f"there is no pass `{token}`", token, hint)
            return
        known = {option.name: option for option in options_of(kind)}
        given: dict[str, Any] = {}
        for option in item.find_data("option"):
            self.option(kind, option, known, given)
        missing = [o.name for o in known.values() if o.is_required and o.field not in given]
        for name in missing:
            self.problem("bad-pipeline", f"`{kind.name}` needs the option `{name}`", token)
        if not missing:
            yield self.build(kind, given, token)

    def build(self, kind: type[Pass], given: dict[str, Any], token: Token) -> Pass:
        """An instance; a pass may refuse values that its types allow with ValueError."""
        try:
            return kind(**given)
        except ValueError as failure:
            self.problem("bad-pipeline", f"`{kind.name}`: {failure}", token)
            return kind()

    def option(
        self,
        kind: type[Pass],
        tree: Tree[Token],
        known: Mapping[str, Option],
        given: dict[str, Any],
    ) -> None:
        token = first(tree)
        name = token.replace("_", "-")
        if name not in known:
            hint = did_you_mean(name, known) if known else f"`{kind.name}` has no options"
            self.problem("bad-pipeline", f"`{kind.name}` has no option `{token}`", token, hint)
            return
        option = known[name]
        if option.field in given:
            self.problem("bad-pipeline", f"`{kind.name}` is given `{name}` twice", token)
            return
        try:
            words = [spelled(v) for v in tree.children if isinstance(v, Tree)]
            given[option.field] = option.read(words)
        except ValueError as failure:
            self.problem("bad-pipeline", f"`{kind.name}`: `{name}` {failure}", token)

    def problem(self, code: str, message: str, token: Token, remedy: str = "") -> None:
        """A diagnostic at a token; inside an alias the place is in the alias's text."""
        file = f"@{self.inside[-1]}" if self.inside else "pipeline"
        column, end = token.column or 0, token.end_column or 0
        loc = Loc(file=file, line=1, column=column, end_column=end, excerpt=self.text)
        self.report.add(error(code, message, loc, remedy=remedy))


def pass_named(name: str, book: Book = PASSES) -> type[Pass] | None:
    return next((kind for kind in book if kind.name == name), None)


def first(tree: Tree[Token]) -> Token:
    token = tree.children[0]
    if not isinstance(token, Token):
        raise TypeError("the grammar puts a word first")
    return token


def spelled(tree: Tree[Token]) -> str:
    """The word, or what the quoted string says."""
    token = first(tree)
    return str(token) if tree.data == "word" else unquoted(token)
