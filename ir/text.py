"""Shared machinery of the text forms: grammars read once, and every syntax error in one manner.

A text form is line by line: a line that can't be read is reported and left out, and the rest is
read on, so that one run shows all mistakes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from lark import Lark, Token, Tree, UnexpectedCharacters, UnexpectedInput
from lark.exceptions import UnexpectedToken
from lark.lexer import PatternStr

from nmc.ir.diagnostics import Diagnostic, Loc, NmcError, error

__all__ = ["Form", "Parsed", "Source", "did_you_mean", "quoted", "unquoted"]

MAX_ERRORS = 20
MAX_CHARACTERS = 1 << 28
MANY_WORDS = 8

EXPECTATION = re.compile(r"^# ----.*", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Source:
    """A text with its file name; makes places out of tokens and trees."""

    file: str
    text: str
    lines: tuple[str, ...]

    @staticmethod
    def of(text: str, file: str = "") -> Source:
        """Text up to a line that begins with `# ----`: golden files hold expectations below."""
        if len(text) > MAX_CHARACTERS:
            message = f"the text has {len(text)} characters, at most {MAX_CHARACTERS} are read"
            raise NmcError(error("syntax", message, Loc(file=file)))
        text = EXPECTATION.sub("", text.replace("\r\n", "\n"))
        # Not splitlines(), which also splits at characters that grammars don't take for line ends.
        return Source(file, text, tuple(text.split("\n")))

    def at(self, item: Token | Tree[Token]) -> Loc:
        if isinstance(item, Tree):
            meta = item.meta
            if meta.empty:
                return Loc(file=self.file)
            same_line = meta.end_line == meta.line
            return self.place(meta.line, meta.column, meta.end_column if same_line else 0)
        end = item.end_column if item.end_line == item.line else 0
        return self.place(item.line or 0, item.column or 0, end or 0)

    def place(self, line: int, column: int, end_column: int = 0) -> Loc:
        """`end_column` is the column after the last character; 0 means the end of the line."""
        excerpt = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        end = end_column if end_column > column else max(len(excerpt) + 1, column + 1)
        return Loc(self.file, line, column, end, excerpt)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What could be read: the tree, None if nothing could, and the lines that were left out."""

    source: Source
    tree: Tree[Token] | None
    problems: tuple[Diagnostic, ...]
    rejected: frozenset[int]


@dataclass(frozen=True, slots=True)
class Form:
    """A text form: its grammar's file in nmc.ir, and words for terminals that are patterns.

    In the grammar a line's end is significant, so that an error stands on the line of the mistake.
    """

    grammar: str
    words: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def parse(self, text: str, file: str = "") -> Tree[Token]:
        """The syntax tree; NmcError `syntax` with all lines that could not be read."""
        parsed = self.parse_on(text, file)
        if parsed.problems or parsed.tree is None:
            raise NmcError(*parsed.problems)
        return parsed.tree

    def parse_on(self, text: str, file: str = "") -> Parsed:
        """As much of the syntax tree as can be had, and the problems."""
        source = Source.of(text, file)
        lines = list(source.lines)
        problems: list[Diagnostic] = []
        rejected: set[int] = set()
        while len(problems) < MAX_ERRORS:
            try:
                tree = load(self.grammar).parse("\n".join(lines) + "\n")
            except UnexpectedInput as unexpected:
                if rejected and not any(map(str.strip, lines)):
                    break
                problem = self.diagnostic(unexpected, source)
                problems.append(problem)
                line = problem.loc.line
                if at_end(unexpected) or line in rejected or frames(lines[line - 1]):
                    break
                rejected.add(line)
                lines[line - 1] = ""
            else:
                return Parsed(source, tree, tuple(problems), frozenset(rejected))
        return Parsed(source, None, tuple(problems), frozenset(rejected))

    def diagnostic(self, unexpected: UnexpectedInput, source: Source) -> Diagnostic:
        """What stood there, and what could have."""
        if isinstance(unexpected, UnexpectedCharacters):
            loc = source.place(unexpected.line, unexpected.column, unexpected.column + 1)
            found = f"`{unexpected.char}`"
            wanted = set(unexpected.allowed or ())
        elif isinstance(unexpected, UnexpectedToken) and not at_end(unexpected):
            loc = source.at(unexpected.token)
            found = f"`{unexpected.token}`" if unexpected.token.strip() else "the end of the line"
            wanted = set(unexpected.accepts or unexpected.expected)
        else:
            last = max(1, len(source.text.rstrip("\n").split("\n")))
            loc = source.place(last, len(source.lines[last - 1]) + 1)
            found = "the end of the text"
            wanted = set(getattr(unexpected, "accepts", None) or ())
        return error("syntax", f"found {found} where {self.expected(wanted)} should stand", loc)

    def expected(self, terminals: Iterable[str]) -> str:
        """Human words for a set of terminals, in a fixed order."""
        words = sorted({self.word(t) for t in terminals if t not in {"$END", "COMMENT"}})
        if len(words) > MANY_WORDS:
            words = [*words[:MANY_WORDS], "something else"]
        return " or ".join(words) or "the end of the text"

    def word(self, terminal: str) -> str:
        if terminal in self.words:
            return self.words[terminal]
        pattern = load(self.grammar).get_terminal(terminal).pattern
        if isinstance(pattern, PatternStr):
            return f"`{pattern.value}`"
        return terminal.lower().strip("_").replace("_", " ")


@cache
def load(grammar: str) -> Lark:
    text = files("nmc.ir").joinpath(grammar).read_text(encoding="utf-8")
    return Lark(text, parser="lalr", propagate_positions=True, maybe_placeholders=True)


def at_end(unexpected: UnexpectedInput) -> bool:
    return isinstance(unexpected, UnexpectedToken) and unexpected.token.type == "$END"


def frames(line: str) -> bool:
    """Whether a line opens or closes a block; without it nothing around it makes sense."""
    bare = line.strip()
    return bare == "}" or bare.endswith("{")


def did_you_mean(word: str, known: Collection[str]) -> str:
    """A remedy that names the closest of what is known, or all of it if that is short."""
    best = max(((likeness(word, each), each) for each in known), default=(0.0, ""))
    if best[0] >= (LIKE if len(word) > 3 else LIKE_SHORT):
        return f"did you mean `{best[1]}`?"
    if not known:
        return ""
    shown = sorted(known)[:MANY_WORDS]
    more = ", ..." if len(known) > len(shown) else ""
    return f"there are: {', '.join(shown)}{more}"


LIKE, LIKE_SHORT = 0.6, 0.5
"""A typing mistake or two, of two or three letters one; less is a guess that misleads."""


def likeness(word: str, other: str) -> float:
    """0 to 1; a common ending such as `.onnx`, or a first `-` or `@`, counts nothing."""
    stem, dot, ending = word.rpartition(".")
    if dot and stem and other.endswith(f".{ending}"):
        word, other = stem, other.removesuffix(f".{ending}")
    return difflib.SequenceMatcher(None, word.lstrip("-@"), other.lstrip("-@")).ratio()


ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
UNESCAPES = {text[1]: character for character, text in ESCAPES.items()}
ESCAPE = re.compile(r"\\(u\{([0-9a-f]{1,6})\}|.)")


def quoted(text: str) -> str:
    """In double quotes, with escapes for quotes, backslashes and all that does not print.

    >>> quoted('a "b"')
    '"a \\\\"b\\\\""'
    """
    return f'"{"".join(map(escaped, text))}"'


def escaped(character: str) -> str:
    if character in ESCAPES:
        return ESCAPES[character]
    return character if character.isprintable() else f"\\u{{{ord(character):x}}}"


def unquoted(text: str) -> str:
    """The reverse of `quoted`; ValueError for an escape that does not exist."""
    return ESCAPE.sub(unescaped, text[1:-1])


def unescaped(match: re.Match[str]) -> str:
    if match[2] is not None:
        return chr(int(match[2], 16))
    if match[1] not in UNESCAPES:
        raise ValueError(f"no escape \\{match[1]}")
    return UNESCAPES[match[1]]
