"""Numbers and tables as people read them."""

from __future__ import annotations

import pytest

from nmc.report.mapping_text import crossbar_places, ranges
from nmc.report.text import bar, bytes_text, count, number, percent, seconds, short, table, wrap


def test_tables_are_aligned() -> None:
    assert table(("name", "n"), [("a", "10"), ("long", "5")]) == [
        "name   n",
        "----  --",
        "a     10",
        "long   5",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234, "1 234"), (12345, "12.3 k"), (604160, "604 k"), (12.5e6, "12.5 M"),
     (4.09e9, "4.09 G"), (999_900, "1000 k")],
)  # fmt: skip
def test_large_numbers(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.345, "34 %"), (0.035, "3.5 %"), (0.0004, "0.04 %"),
     (1e-6, "<0.01 %")],
)  # fmt: skip
def test_shares(share: float, text: str) -> None:
    assert percent(share) == text


def test_the_rest() -> None:
    assert count(1234567.4) == "1 234 567"
    assert [bytes_text(n) for n in (5, 2048, 3 << 20)] == ["5 B", "2.0 KiB", "3.0 MiB"]
    assert [seconds(s) for s in (0.25, 3.21, 130)] == ["250 ms", "3.2 s", "2 min 10 s"]
    assert [bar(s, 4) for s in (0, 0.5, 1, 2)] == ["....", "##..", "####", "####"]
    assert short("abcdefgh", 6) == "ab..gh"
    assert short("abc", 6) == "abc"
    assert wrap("  aa bb cc", 7, indent=4) == ["  aa bb", "    cc"]


def test_places() -> None:
    assert ranges([3, 1, 2, 7, 8, 11]) == "1-3, 7, 8, 11"
    assert crossbar_places([(1, 2), (0, 0), (0, 1), (0, 2)]) == (
        "core 0: crossbars 0-2; core 1: crossbar 2"
    )
