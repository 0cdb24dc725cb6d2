"""Tables: names give way first, columns last, and numbers of a column share their unit."""

from __future__ import annotations

import pytest

from nmc.report.tables import SHORTEST, fitted
from nmc.report.text import BYTES, COUNTS, JOULES, clipped, same_unit, table_width, wrap

HEAD = ("#", "layer", "cycles", "full", "cum")
LONG = "model/block_{}/expand/very/long/names/of/converters/Conv2D"
ROWS = [(str(i), LONG.format(i), "12 345", "50 %", "100 %") for i in range(12)]


def shown(width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    return fitted(HEAD, ROWS, names=("layer",), drop=("full", "cum"))


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_long_names_give_way_and_columns_stay(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(width, monkeypatch)
    assert max(map(len, lines)) <= width
    assert lines[0].split() == list(HEAD)
    assert len({line.split()[1] for line in lines[2:]}) == len(ROWS)


def test_wider_terminals_show_more_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = [len(shown(width, monkeypatch)[2].split()[1]) for width in (60, 68, 76)]
    assert lengths == sorted(set(lengths))


def test_columns_leave_in_their_order_where_names_can_not_be_shorter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    rows = [(name, "x" * 22, "y" * 22, "z" * 5) for _, name, *_ in ROWS]
    lines = fitted(("layer", "a", "b", "c"), rows, names=("layer",), drop=("b", "c"))
    assert lines[0].split() == ["layer", "a", "c"]
    assert max(len(line.split()[0]) for line in lines[2:]) >= SHORTEST


def test_short_names_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert fitted(("layer", "n"), [("conv", "1")], names=("layer",)) == [
        "layer  n",
        "-----  -",
        "conv   1",
    ]


def test_a_table_is_no_wider_than_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    widths = []
    for columns in ("20", "72", "500"):
        monkeypatch.setenv("COLUMNS", columns)
        widths.append(table_width())
    assert widths == [60, 72, 200]


@pytest.mark.parametrize(
    ("values", "units", "texts", "unit"),
    [
        ([34.4e-6, 9.54e-6, 29e-9, 1e-9], JOULES, ["34.40", "9.54", "0.03", "<0.01"], "uJ"),
        ([5760, 512, 0], BYTES, ["5.625", "0.500", "0.000"], "KiB"),
        ([100, 5], BYTES, ["100", "5"], "B"),
        ([12_500_000, 262_144], COUNTS, ["12.50", "0.26"], "M"),
        ([262_144, 80], COUNTS[-1:], ["262 144", "80"], ""),
        ([], BYTES, [], "B"),
    ],
)
def test_a_column_has_one_unit(
    values: list[float], units: tuple[tuple[float, str], ...], texts: list[str], unit: str
) -> None:
    assert same_unit(values, units) == (texts, unit)


def test_long_words_are_cut_in_the_middle_and_short_lines_left_alone() -> None:
    long = f"  takes {'a' * 60}/{'b' * 60} (main)"
    first, second = clipped([long, "  fits"], 40)
    assert len(first) == 40
    assert first.startswith("  takes aaa")
    assert first.endswith("b (main)")
    assert ".." in first
    assert second == "  fits"


def test_numbers_are_not_broken_at_their_blanks() -> None:
    lines = wrap("needs 12 288 cycles and 1 234 567 more", 14, indent=0)
    assert lines == ["needs 12 288", "cycles and", "1 234 567 more"]
