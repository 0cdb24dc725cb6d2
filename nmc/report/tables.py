"""Tables that fit the terminal: names in them give way first, whole columns last."""

from __future__ import annotations

from collections.abc import Sequence

from nmc.report.names import short_names
from nmc.report.text import table, table_width

__all__ = ["fitted"]

SHORTEST, LONGEST = 12, 60
"""Names in tables have so many characters at least, if they are longer, and so many at most."""


def fitted(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    left: Sequence[str] = (),
    names: Sequence[str] = (),
    drop: Sequence[str] = (),
    indent: int = 0,
) -> list[str]:
    """As `table`, with columns called by their heads, so that lines with so many blanks before them
    fit `table_width`.

    Columns in `names` hold names, which are cut, but stay distinct.  Where that isn't enough, those
    in `drop` leave, in that order.
    """
    room = table_width() - indent
    kept = list(range(len(head)))
    for name in (None, *drop):
        kept = [i for i in kept if head[i] != name]
        heads = [head[i] for i in kept]
        cells = cut([[row[i] for i in kept] for row in rows], heads, names, room)
        flush = [i for i, each in enumerate(heads) if each in left or each in names]
        lines = table(heads, cells, left=flush)
        if max(map(len, lines)) <= room:
            break
    return lines


def cut(
    rows: list[list[str]], head: Sequence[str], names: Sequence[str], room: int
) -> list[list[str]]:
    """The rows with names as long as there is room for, all columns of names alike."""
    columns = [i for i, each in enumerate(head) if each in names]
    if not columns or not rows:
        return rows
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    taken = sum(width + 2 for i, width in enumerate(widths) if i not in columns)
    each = (room - taken + 2) // len(columns) - 2
    width = max(SHORTEST, min(LONGEST, each))
    for i in columns:
        short = short_names([row[i] for row in rows], width)
        for row in rows:
            row[i] = short[row[i]]
    return rows
