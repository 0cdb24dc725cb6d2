"""What `inspect` says of a layer's copies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nmc.backends.report_data import report_data
from nmc.ir.mapping import Kind
from nmc.report.places import find_layer, layer_data, layer_lines, pixels_text
from tests.backends.models import PARTS, compiled, one_copy

WHOLE = PARTS.replace("rows=parts", "rows=whole ways=as-tiled")


@pytest.mark.parametrize(
    ("passes", "told"),
    [(PARTS, "im2col, 30 copies that share 6 rows, 30 tiles"), (WHOLE, "im2col, 6 copies, ")],
)
def test_copies_and_the_rows_that_they_share(passes: str, told: str) -> None:
    contents = compiled("chip", passes=passes)
    report = report_data(contents)
    number = next(n for n, stage in enumerate(report.stages) if stage.copies > 1 and stage.blocks)
    found = find_layer(contents.mapping, str(number))
    (line,) = (x for x in layer_lines(contents, report, found) if x.startswith("  laid by"))
    assert told in line
    shares = report.stages[number].share > 0
    assert ("share" in line) == shares
    head = next(x for x in layer_lines(contents, report, found) if x.startswith("copy"))
    assert ("row: pixels" in head) == shares
    data = layer_data(contents, report, found)
    assert data["layer"]["share"] == report.stages[number].share
    assert {stage["share"] for stage in data["stages"]} == {report.stages[number].share}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"copies": 4, "share": 5, "copy": 1}, "1: 1..4, 2: 0..1"),
        ({"copies": 30, "share": 6, "copy": 29}, "5: 4..4"),
        ({"copies": 2, "share": 6, "copy": 1}, "3: 0..4, ... 5: 0..4"),
        ({"copies": 4, "share": 3, "copy": 1, "grid": (2, 2)}, "0..1: 4..4, 2..3: 0..1"),
    ],
)
def test_the_pixels_of_a_copy(changes: dict[str, Any], expected: str) -> None:
    """Of rows of 5 pixels, 6 of them."""
    mapping = one_copy("chip").mapping
    stage = next(stage for stage in mapping.stages if stage.kind is Kind.MATRIX)
    assert pixels_text(mapping, replace(stage, **changes)) == expected


def test_a_layer_with_one_copy() -> None:
    contents = one_copy("chip")
    report = report_data(contents)
    number = next(n for n, stage in enumerate(report.stages) if stage.blocks)
    found = find_layer(contents.mapping, str(number))
    (line,) = (x for x in layer_lines(contents, report, found) if x.startswith("  laid by"))
    assert "im2col, 1 copy, " in line
