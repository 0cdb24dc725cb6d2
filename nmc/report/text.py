"""Tables, bars and numbers as plain text, for 80 columns and no colour."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence

__all__ = [
    "bar",
    "bytes_text",
    "count",
    "fitted",
    "line_width",
    "number",
    "percent",
    "plural",
    "seconds",
    "short",
    "table",
    "wrap",
]


NARROWEST, WIDEST = 60, 80


def line_width() -> int:
    """How wide text may be: the terminal's width or COLUMNS, within 60 and 80; 80 elsewhere."""
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns))


def plural(number: int, word: str) -> str:
    """1 tile, 2 tiles"""
    return f"{count(number)} {word}{'s' * (number != 1)}"


def fitted(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    left: Sequence[str] = (),
    drop: Sequence[str] = (),
    indent: int = 0,
) -> list[str]:
    """As `table`, with columns called by their heads; those in `drop` leave, in that order, until
    the lines fit `line_width` with so many blanks before them."""
    kept = list(range(len(head)))
    for name in (None, *drop):
        kept = [i for i in kept if head[i] != name]
        names = [head[i] for i in kept]
        lines = table(
            names,
            [[row[i] for i in kept] for row in rows],
            left=[i for i, each in enumerate(names) if each in left],
        )
        if max(map(len, lines)) + indent <= line_width():
            break
    return lines


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


def wrap(text: str, width: int, *, indent: int) -> list[str]:
    """Lines of at most `width`, words kept whole, the text's own leading blanks too."""
    lead = text[: len(text) - len(text.lstrip())]
    return textwrap.wrap(
        text.strip(),
        width,
        initial_indent=lead,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
