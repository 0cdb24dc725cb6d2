"""Tables, bars and numbers as plain text, for 80 columns and no colour."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Sequence

__all__ = [
    "BYTES",
    "COUNTS",
    "JOULES",
    "bar",
    "bytes_text",
    "clipped",
    "count",
    "line_width",
    "number",
    "percent",
    "plural",
    "same_unit",
    "seconds",
    "short",
    "table",
    "table_width",
    "unbroken",
    "wrap",
]


NARROWEST, WIDEST, WIDEST_TABLE = 60, 80, 200

JOULES = ((1.0, "J"), (1e-3, "mJ"), (1e-6, "uJ"), (1e-9, "nJ"), (1e-12, "pJ"))
BYTES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
COUNTS = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""))
"""Units, the largest first, with what they are of the plain one."""

THOUSANDS = re.compile(r"(?<=\d) (?=\d{3}(?!\d))")
HARD_BLANK = "\xa0"
SHORTEST_WORD = 12


def line_width() -> int:
    """How wide text may be: the terminal's width or COLUMNS, within 60 and 80; 80 elsewhere."""
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns))


def table_width() -> int:
    """How wide a table may be: as the terminal, within 60 and 200; 80 elsewhere."""
    return max(NARROWEST, min(WIDEST_TABLE, shutil.get_terminal_size((WIDEST, 24)).columns))


def plural(number: int, word: str) -> str:
    """1 tile, 2 tiles"""
    return f"{count(number)} {word}{'s' * (number != 1)}"


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,)
) -> list[str]:
    """Aligned lines: a head, a rule and the rows.  Columns in `left` are flush left."""
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        parts = (
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(parts).rstrip()

    rule = "  ".join("-" * width for width in widths).rstrip()
    return [line(head), rule, *map(line, rows)]


def short(text: str, width: int) -> str:
    """The text in at most `width` characters; what is cut is cut in the middle."""
    if len(text) <= width:
        return text
    head = (width - 2) // 2
    return f"{text[:head]}..{text[len(text) - (width - 2 - head) :]}"


def count(value: float) -> str:
    """1 234 567: thousands apart, for reading."""
    return f"{value:,.0f}".replace(",", " ")


def number(value: float) -> str:
    """12.5 M, 826 k, 42: three digits and a prefix."""
    for limit, prefix in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(value) >= limit:
            scaled = value / (1e3 if prefix == " k" else limit)
            return f"{scaled:.3g}{prefix}" if scaled < 999.5 else f"{scaled:.0f}{prefix}"
    return count(value)


def percent(share: float) -> str:
    """62 %, 4.2 %, 0.03 %: a share of 1 with about two digits."""
    value = 100 * share
    if 0 < value < 0.005:
        return "<0.01 %"
    digits = 0 if value >= 9.95 or not value else 1 if value >= 0.95 else 2
    return f"{value:.{digits}f} %"


def bytes_text(size: float) -> str:
    """512 B, 12.3 KiB, 4.0 MiB"""
    for limit, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= limit:
            return f"{size / limit:.1f} {unit}"
    return f"{size:.0f} B"


def same_unit(values: Sequence[float], units: Sequence[tuple[float, str]]) -> tuple[list[str], str]:
    """A column's numbers, all in the unit that suits the largest, and that unit.

    The largest has four digits, whole numbers of the plain unit have none behind the point; what is
    something, but too little for that, is said to be less.
    """
    most = max(map(abs, values), default=0.0)
    scale, unit = next((each for each in units if most >= each[0]), units[-1])
    whole = scale == 1 and all(value == int(value) for value in values)
    digits = 0 if whole else max(0, 4 - len(f"{most / scale:.0f}"))
    least = 10.0**-digits
    texts = [
        f"<{least:.{digits}f}" if 0 < value / scale < least / 2 else f"{value / scale:,.{digits}f}"
        for value in values
    ]
    return [text.replace(",", " ") for text in texts], unit


def seconds(value: float) -> str:
    """12 ms, 3.4 s, 2 min 10 s"""
    if value < 1:
        return f"{value * 1e3:.0f} ms"
    if value < 120:
        return f"{value:.1f} s"
    return f"{int(value // 60)} min {int(value % 60)} s"


def bar(share: float, width: int = 20) -> str:
    """A bar of `#` for a share of 1."""
    filled = round(max(0.0, min(1.0, share)) * width)
    return "#" * filled + "." * (width - filled)


def clipped(lines: Sequence[str], width: int) -> list[str]:
    """The lines, those that are longer than `width` with their longest words cut in the middle."""
    return [line if len(line) <= width else clip(line, width) for line in lines]


def clip(line: str, width: int) -> str:
    words = line.split(" ")
    while len(line) > width:
        longest = max(range(len(words)), key=lambda i: len(words[i]))
        room = len(words[longest]) - (len(line) - width)
        if len(words[longest]) <= SHORTEST_WORD:
            return short(line, width)
        words[longest] = short(words[longest], max(SHORTEST_WORD, room))
        line = " ".join(words)
    return line


def unbroken(text: str) -> str:
    """The text with numbers such as 12 288 made one word, for others to break into lines."""
    return THOUSANDS.sub(HARD_BLANK, text)


def wrap(text: str, width: int, *, indent: int) -> list[str]:
    """Lines of at most `width`, words and numbers such as 12 288 kept whole, the text's own leading
    blanks too."""
    lead = text[: len(text) - len(text.lstrip())]
    lines = textwrap.wrap(
        unbroken(text.strip()),
        width,
        initial_indent=lead,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(HARD_BLANK, " ") for line in lines]
