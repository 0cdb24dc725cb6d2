"""The names of ways, as plan files and reports spell them."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["IM2COL", "VECTOR", "WayName"]

TEXT = re.compile(
    r"vector|im2col|(?:groups ([1-9]\d{0,8}))?(?: ?\bwindow ([1-9]\d{0,8})x([1-9]\d{0,8}))?"
)


@dataclass(frozen=True, slots=True)
class WayName:
    """A way without its costs.

    `grid` is the output rows and pixels that one read gives; `together` how many groups share a
    crossbar, 0 where the layer has no groups; `vector` says that no crossbar is used.
    """

    grid: tuple[int, int] = (1, 1)
    together: int = 0
    vector: bool = False

    def __str__(self) -> str:
        if self.vector:
            return "vector"
        groups = f"groups {self.together}" if self.together else ""
        window = "" if self.grid == (1, 1) else f"window {self.grid[0]}x{self.grid[1]}"
        return " ".join(filter(None, (groups, window))) or "im2col"

    @staticmethod
    def parse(text: str) -> WayName:
        """Inverse of `str`.  ValueError if it is no way's name."""
        match = TEXT.fullmatch(text)
        if not text or match is None:
            raise ValueError(
                f"`{text}` is no way: give im2col, vector, window ROWSxPIXELS, groups COUNT or "
                "groups COUNT window ROWSxPIXELS"
            )
        together, rows, pixels = (int(part or 0) for part in match.groups())
        return WayName((rows or 1, pixels or 1), together, text == "vector")


IM2COL = WayName()
VECTOR = WayName(vector=True)
