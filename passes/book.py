"""The book of passes: all of them in the order in which they run, and why each stands there."""

from __future__ import annotations

from nmc.passes.base import Pass
from nmc.passes.buffers import Buffers
from nmc.passes.canonicalize import Canonicalize
from nmc.passes.codegen import Codegen
from nmc.passes.fold_constants import FoldConstants
from nmc.passes.lower_conv_transpose import LowerConvTranspose
from nmc.passes.partition import Partition
from nmc.passes.place import Place
from nmc.passes.quantize import Quantize
from nmc.passes.replicate import Replicate
from nmc.passes.schedule_adc import ScheduleAdc
from nmc.passes.stage import Stage
from nmc.passes.tile import TileMatrices

__all__ = ["ALIASES", "PASSES"]

PASSES: tuple[type[Pass], ...] = (
    # Shrink the model.
    FoldConstants,  # first, so that weights which the model computes are seen as weights
    Canonicalize,  # before any decision, so that each of them needs to know one form only
    LowerConvTranspose,  # canonical already, and a matrix like any other from here on
    # Decide what runs where, and in which numbers.
    Partition,  # before quantize, which leaves what the host does in float
    Quantize,  # on the float graph as a whole: what is fused later was calibrated as a unit
    # Lay it on the chip.
    Stage,  # matrices take their row-by-row followers along: the unit of all that follows
    TileMatrices,  # cuts before anyone can count crossbars
    Replicate,  # knows what a copy of each layer costs, and how many crossbars there are
    Place,  # needs all tiles at once, and what their buffers will take
    ScheduleAdc,  # knows now which tiles share converters
    # Write it down.
    Buffers,  # addresses, once it is known which core holds what
    Codegen,  # last: everything that an instruction refers to has its place
)

ALIASES: dict[str, str] = {
    "shrink": "fold-constants, canonicalize, lower-conv-transpose",
    "front": "@shrink, partition",  # all that `nmc check` needs to say what runs where
    "back": "stage, tile, replicate, place, schedule-adc, buffers, codegen",
    "default": "@front, quantize, @back",
}
