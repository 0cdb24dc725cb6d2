"""Options of passes: what the fields of a frozen dataclass may hold, read from and as words."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from dataclasses import MISSING, dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from nmc.ir.text import quoted

__all__ = ["Option", "OptionError", "options_of", "print_option"]

BARE = re.compile(r'[^\s,{}="@]+')
SCALARS = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}


class OptionError(ValueError):
    """A value that an option can't have; the text goes on after the option's name."""


@dataclass(frozen=True, slots=True)
class Option:
    """One field of a pass: its spelling, what it takes, its default (MISSING if it has none)."""

    field: str
    hint: Any
    default: Any

    @property
    def name(self) -> str:
        return self.field.replace("_", "-")

    @property
    def is_required(self) -> bool:
        return self.default is MISSING

    @property
    def kind(self) -> str:
        """In words: `a whole number`, `one of a, b`, `a list of ...`, `... or none`."""
        return kind_text(self.hint)

    def read(self, words: Sequence[str]) -> Any:
        """The value that words spell; OptionError if they spell none."""
        return read_words(self.hint, words)


@cache
def options_of(kind: type) -> tuple[Option, ...]:
    """The options of a pass, in the order of its fields."""
    hints = get_type_hints(kind)
    return tuple(
        Option(item.name, hints[item.name], default_of(item)) for item in dataclasses.fields(kind)
    )


def default_of(item: dataclasses.Field[Any]) -> Any:
    if item.default is not MISSING:
        return item.default
    return MISSING if item.default_factory is MISSING else item.default_factory()


def kind_text(hint: Any) -> str:
    if hint in SCALARS:
        return SCALARS[hint]
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return f"one of {', '.join(map(str, args))}"
    if origin is tuple:
        return f"a list, each {kind_text(args[0])}"
    if is_optional(origin):
        return f"{kind_text(inner(args))}, or none"
    raise TypeError(f"options can't be of type {hint}")


def is_optional(origin: Any) -> bool:
    return origin in (Union, UnionType)


def inner(args: Sequence[Any]) -> Any:
    """X of `X | None`."""
    return next(a for a in args if a is not NoneType)


def read_words(hint: Any, words: Sequence[str]) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if is_optional(origin):
        return None if list(words) == ["none"] else read_words(inner(args), words)
    if origin is tuple:
        return tuple(read_word(args[0], word) for word in words if word)
    if len(words) != 1:
        raise OptionError(f"takes {kind_text(hint)}, not a list")
    return read_word(hint, words[0])


def read_word(hint: Any, word: str) -> Any:
    if get_origin(hint) is Literal:
        found = [a for a in get_args(hint) if str(a) == word]
    else:
        found = read_scalar(hint, word)
    if not found:
        raise OptionError(f"takes {kind_text(hint)}, not `{word}`")
    return found[0]


def read_scalar(hint: Any, word: str) -> list[Any]:
    """The value in a list; an empty one if the word spells none."""
    if hint is str:
        return [word]
    if hint is bool:
        return [word == "true"] if word in ("true", "false") else []
    try:
        value = hint(word)
    except ValueError:
        return []
    return [value] if math.isfinite(value) else []


def print_option(option: Option, value: Any) -> str:
    """`name=value` as `Option.read` takes it back."""
    return f"{option.name}={print_value(value)}"


def print_value(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(print_value, value)) or '""'
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return print_word(value)
    return repr(value)


def print_word(word: str) -> str:
    return word if BARE.fullmatch(word) else quoted(word)
