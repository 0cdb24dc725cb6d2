"""What `nmc compile` says of how good its choice was."""

from __future__ import annotations

import pytest

from nmc.backends.report_records import BorderReport
from nmc.ir.design import Outlook
from nmc.report.summary import border_text, outlook_lines


@pytest.mark.parametrize(
    ("outlook", "says"),
    [
        (Outlook("throughput", 43008, 43008), "for throughput: 43 008 cycles, the best by"),
        (Outlook("latency", 5100, 5000), "for latency: 5 100 cycles, at best 5 000 by"),
        (Outlook("energy", 2_000_000, 1_500_000), "for energy: 2 nJ, at best 1.5 nJ by"),
    ],
)
def test_the_bound_stands_beside_what_was_reached(outlook: Outlook, says: str) -> None:
    (line,) = outlook_lines(outlook)
    assert line == f"  copies       {says} the layer model"


@pytest.mark.parametrize(
    ("border", "says"),
    [
        (
            BorderReport("image", True, "f32", "u8", 48, 1 / 255, 3),
            "image: f32, the host writes it as u8 (scale 0.003922, zero point 3)",
        ),
        (
            BorderReport("scores", False, "f32", "u8", 10, 0.5, 0),
            "scores: f32, the host reads it as u8 (scale 0.5, zero point 0)",
        ),
        (
            BorderReport("ids", True, "i8", "u8", 10, None, None),
            "ids: i8, the host writes it as u8",
        ),
    ],
)
def test_what_the_host_recodes_is_said_with_its_scale(border: BorderReport, says: str) -> None:
    assert border_text(border) == says
