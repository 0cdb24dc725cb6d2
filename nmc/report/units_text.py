"""What waits for what: the contention of a run on a terminal and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nmc.ir.diagnostics import NmcError, error
from nmc.report.tables import fitted
from nmc.report.text import count, line_width, percent, wrap

if TYPE_CHECKING:
    from nmc.backends.report_units import Contention, KindTotal, UnitRow, Wait
    from nmc.backends.simulator.result import UnitUse

__all__ = ["unit_lines", "unit_name", "units_data", "units_limit"]

WAITS_PRINTED = 8
INDENT = 2
"""Blanks before each line in the text of a run."""

LITTLE = 0.01
"""Kinds of units that are busy, and waited for, less than this are left out of the table."""

NAMES = {
    "adc": "ADC",
    "array": "crossbar",
    "stages": "S&H stages",
    "latches": "latches",
    "fill": "fill from SRAM",
    "write-back": "write-back",
    "vector": "vector unit",
    "port": "NoC port",
    "link": "link",
    "memory": "global memory",
    "memory-out": "way from memory",
    "mvm-queue": "mvm queue",
    "noc-queue": "put queue",
    "dma-queue": "load queue",
    "semaphore": "semaphore",
}
"""What kinds of units are called; in tables, where they have to be short."""

OVERLAP = (
    "Waits overlap: what waits for an ADC holds its sample-and-hold stage, for which the next "
    "read waits, and so on up to a sequencer's wait for a semaphore. Add them up within a kind."
)


KINDS_LEGEND = (
    "busy: of all units of the kind in the mean, and the busiest of them; waiters: how many pieces "
    "of work wait for one of them at a time, in the mean of the run."
)


def place_text(kind: str, place: tuple[int, ...]) -> str:
    """`core 2, 0.3`: which of the kind it is."""
    match kind:
        case "adc":
            return f"core {place[0]}, {place[1]}.{place[2]}"
        case "link":
            return f"{place[0]} to {place[1]}"
        case "memory" | "memory-out":
            return f"at core {place[0]}"
        case "vector" | "port":
            return f"core {place[0]}"
        case _:
            return f"core {place[0]}, {place[1]}"


# JSON


def units_limit(text: str) -> int | None:
    """How many units are to be listed: a number, or `all`, which is None.

    NmcError: `bad-option` for anything else.
    """
    if text == "all":
        return None
    if text.isdecimal() and len(text) < 10:
        return int(text)
    raise NmcError(error("bad-option", f"`--units {text}`: write a number, or `all`"))


def units_data(found: Contention, limit: int | None) -> dict[str, Any]:
    """The JSON of a run's contention: `limit` units and waits, those waited for the longest;
    None for all."""
    return {
        "span_cycles": found.span,
        "units_counted": len(found.units),
        "units": [unit_data(row) for row in found.units[:limit]],
        "unit_kinds": [kind_data(total) for total in found.kinds],
        "waits": [
            {"kind": wait.kind, "units": wait.units, "cores": list(wait.cores), **pair_data(wait)}
            for wait in found.waits[:limit]
        ],
    }


def unit_data(row: UnitRow) -> dict[str, Any]:
    use = row.use
    return {
        "step": row.step,
        "kind": use.kind,
        "place": list(use.place),
        "name": unit_name(use),
        "places": use.places,
        "served": use.served,
        "busy": use.busy,
        "idle": dict(use.idle),
        "waited": use.waited,
        "waits": [pair_data(wait) for wait in row.waits],
    }


def unit_name(use: UnitUse) -> str:
    """`ADC (core 2, 0.3)`"""
    return f"{NAMES[use.kind]} ({place_text(use.kind, use.place)})"


def pair_data(wait: Wait) -> dict[str, Any]:
    return {"layer": wait.waiter, "behind": wait.holder, "cycles": wait.cycles}


def kind_data(total: KindTotal) -> dict[str, Any]:
    return {
        "kind": total.kind,
        "units": total.units,
        "served": total.served,
        "available": total.available,
        "busy": total.busy,
        "idle": dict(total.idle),
        "waited": total.waited,
        "busiest": list(total.busiest.use.place),
        "busiest_share": total.busiest.share,
    }


# Text


def unit_lines(found: Contention) -> list[str]:
    """Two tables: kinds of units, and which layer waits for which."""
    if not found.units:
        return []
    return [*kind_lines(found), "", *wait_lines(found)]


def kind_lines(found: Contention) -> list[str]:
    kinds = [total for total in found.kinds if total.available]
    shown = [
        total
        for total in kinds
        if total.busiest.share >= LITTLE or total.waited >= LITTLE * found.span
    ]
    rows = [
        (
            NAMES[total.kind],
            str(total.units),
            percent(total.share),
            percent(total.busiest.share),
            place_text(total.kind, total.busiest.use.place),
            f"{total.waited / found.span:.1f}",
            idle_text(total),
        )
        for total in shown
    ]
    head = ("units", "number", "busy", "busiest", "which", "waiters", "idle because of")
    left = ("units", "which", "idle because of")
    lines = fitted(head, rows, left=left, drop=("number", "which"), indent=INDENT)
    others = [NAMES[total.kind] for total in kinds if total not in shown]
    more = f"hardly used: {', '.join(others)}"
    return [
        *lines,
        *wrap(KINDS_LEGEND, line_width() - 4, indent=0),
        *(wrap(more, line_width() - 4, indent=2) if others else []),
    ]


def idle_text(total: KindTotal) -> str:
    """The causes that say something, longest first."""
    known = [(n, cause) for cause, n in total.idle.items() if cause != "nothing-to-do"]
    told = [
        f"{cause} {percent(n / total.available)}"
        for n, cause in sorted(known, reverse=True)
        if n >= total.available / 100
    ]
    return ", ".join(told[:2])


def wait_lines(found: Contention) -> list[str]:
    if not found.waits:
        return ["nothing waited for anything"]
    shown = found.waits[:WAITS_PRINTED]
    rows = [
        (
            wait.waiter,
            NAMES[wait.kind],
            core_text(wait),
            "itself" if wait.holder == wait.waiter else wait.holder,
            count(wait.cycles),
        )
        for wait in shown
    ]
    head = ("what waits", "for", "on", "behind", "cycles")
    names = ("what waits", "behind")
    lines = fitted(head, rows, left=("for", "on"), names=names, drop=("on",), indent=INDENT)
    rest = len(found.waits) - len(shown)
    more = [f"and {rest} more: nmc run --json --units all"] if rest else []
    return [*lines, *more, *wrap(OVERLAP, line_width() - 4, indent=0)]


def core_text(wait: Wait) -> str:
    return f"core {wait.cores[0]}" if len(wait.cores) == 1 else f"{len(wait.cores)} cores"
