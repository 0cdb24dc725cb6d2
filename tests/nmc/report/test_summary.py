"""What `nmc compile` says of how good its choice was."""

from __future__ import annotations

import pytest

from nmc.ir.design import Outlook
from nmc.report.summary import outlook_lines


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
