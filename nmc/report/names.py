"""Names of layers short enough for tables, and still distinct."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nmc.report.text import short

__all__ = ["short_names"]

TAILS = ("_prequant", "_dequant", "_quant", ":0")
"""What converters add to names without telling anything."""


def short_names(names: Sequence[str], width: int) -> dict[str, str]:
    """For each name one of at most `width` characters (but not below 4); different names differ.

    Dropped, in this order and as long as they differ: what converters add, all but the first of
    names joined by `;`, folders that all are in, the operator at the end; then the middle.
    """
    unique = list(dict.fromkeys(names))
    plain = {name: without_tail(name) for name in unique}
    heads = {name: plain[name].partition(";")[0] for name in unique}
    told = {name: told_apart(name, heads, plain) for name in unique}
    folder = common_folder([text for text in told.values() if "/" in text])
    told = apart(told, {name: text.removeprefix(folder) for name, text in told.items()})
    told = apart(told, {name: without_op(text, width) for name, text in told.items()})
    return numbered({name: short(text, width) for name, text in told.items()}, width)


def apart(before: dict[str, str], after: dict[str, str]) -> dict[str, str]:
    """What names have become, if they still differ."""
    return after if len(set(after.values())) == len(after) else before


def without_op(text: str, width: int) -> str:
    """Too long a name without its last part, which mostly repeats the operator."""
    return text.rpartition("/")[0] or text if len(text) > width else text


def without_tail(name: str) -> str:
    for tail in TAILS:
        if name.endswith(tail) and len(name) > len(tail):
            return without_tail(name.removesuffix(tail))
    return name


def told_apart(name: str, heads: dict[str, str], plain: dict[str, str]) -> str:
    """The shortest form that no other name has."""
    for forms in (heads, plain):
        if Counter(forms.values())[forms[name]] == 1:
            return forms[name]
    return name


def common_folder(names: list[str]) -> str:
    """The folders that all names start with, with the slash."""
    if len(names) < 2:
        return ""  # it would be all of the path
    first, last = min(names), max(names)
    same = next((i for i, c in enumerate(first) if last[i : i + 1] != c), len(first))
    return first[: first.rfind("/", 0, same) + 1]


def numbered(names: dict[str, str], width: int) -> dict[str, str]:
    """Equal texts get a number."""
    counts = Counter(names.values())
    taken = {text for text, count in counts.items() if count == 1}
    result = {}
    for name, text in names.items():
        number, wanted = 1, text
        while counts[text] > 1 and (number == 1 or wanted in taken):
            number += 1
            tag = f"~{number - 1}"
            wanted = short(text, max(4, width - len(tag))) + tag
        taken.add(wanted)
        result[name] = wanted
    return result
