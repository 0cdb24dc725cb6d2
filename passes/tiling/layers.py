"""A layer as tiling sees it, and what one copy of it costs in one way."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from nmc.passes.tiling.cuts import Matrix
from nmc.passes.tiling.spelling import WayName

__all__ = ["Layer", "Way"]


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution or product: its matrix, its output's `rows` x `cols` places, input rows.

    `in_cols` counts a row's pixels with their padding.  `post_cycles` is what the vector unit
    takes for each output row that the accumulators have finished.  A product of tokens is a
    kernel of one pixel, tokens are rows of one.
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    groups: int
    chans: int
    outputs: int
    rows: int
    cols: int
    in_cols: int
    post_cycles: int = 0

    def matrix(self, groups: int) -> Matrix:
        """What so many of its groups, side by side, ask of one gather."""
        chans, outputs = self.chans // self.groups, self.outputs // self.groups
        return Matrix(self.kernel, self.strides, self.dilations, chans * groups, outputs * groups)


@dataclass(frozen=True, slots=True)
class Way:
    """What one copy of a layer costs if it lies on crossbars in one way.

    - `crossbars`, one for each tile; `area`, the part of their cells that tiles take up, in
      crossbars: what shelf packing of several layers can't go below.
    - `firings` per input, each of `reads` reads and `firing_cycles` cycles, in which the vector
      unit's work on the rows is counted as going on beside the reads of the next.
    - Per read: `input_bytes` that are gathered, `conversions`, `adc_cycles` that these take of all
      ADCs together, `read_cycles` from one read to the next.

    For the vector unit there are no crossbars, reads or conversions.
    """

    name: WayName
    crossbars: int
    area: Fraction
    firings: int
    reads: int
    input_bytes: int
    conversions: int
    adc_cycles: int
    read_cycles: int
    firing_cycles: int

    @property
    def cycles(self) -> int:
        """Of one input through one copy."""
        return self.firings * self.firing_cycles

    @property
    def adc_cycles_per_input(self) -> int:
        return self.firings * self.reads * self.adc_cycles

    @property
    def conversions_per_input(self) -> int:
        return self.firings * self.reads * self.conversions

    @property
    def bytes_per_input(self) -> int:
        return self.firings * self.reads * self.input_bytes
