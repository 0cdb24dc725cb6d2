"""All ways of one layer to lie on crossbars that are worth choosing from.

Windows that give several outputs per read follow VW-SDK (Rhe, Moon and Ko, DATE 2022); grouped
convolutions lie on block diagonals.  Unlike there, a way costs time: `nmc.passes.tiling.timing`.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np

from nmc.ir.depthwise import strips_of
from nmc.ir.pareto import nondominated
from nmc.ir.target import Target
from nmc.passes.tiling.grids import fits_memory, groupings, is_depthwise, most_together
from nmc.passes.tiling.layers import Layer, Way
from nmc.passes.tiling.measuring import measured
from nmc.passes.tiling.spelling import VECTOR, WayName
from nmc.passes.tiling.timing import vector_cycles

__all__ = ["evaluate", "vector_way", "ways_of"]


def ways_of(
    layer: Layer, target: Target, *, sharing: int = 0, vector: bool = True
) -> tuple[Way, ...]:
    """The Pareto set over time per input, crossbars, conversions and input bytes, im2col first.

    `sharing` is how many crossbars that are as busy as the layer's own are thought to share the
    ADCs of a cluster, at least 1; 0 stands for all that are wired to one.  `vector` adds the
    vector unit, last, where that can take the layer; it stands beside the others, not against
    them, since it costs what they don't.
    """
    return _ways(layer, target, sharing or target.adc.crossbars_per_cluster, vector)


@lru_cache(maxsize=1024)
def _ways(layer: Layer, target: Target, sharing: int, vector: bool) -> tuple[Way, ...]:
    found = [
        way
        for together, grids in groupings(layer, target)
        for way in measured(layer, target, together, grids, sharing)
    ]
    costs = [
        (way.cycles, way.crossbars, way.conversions_per_input, way.bytes_per_input) for way in found
    ]
    # The plainest way stays, whatever beats it: it is what a plan can always go back to.
    kept = np.union1d(nondominated(np.array(costs, np.int64)), [0])
    ways = tuple(found[i] for i in kept)
    return (*ways, vector_way(layer, target)) if vector and is_depthwise(layer) else ways


def evaluate(layer: Layer, target: Target, name: WayName, *, sharing: int = 0) -> Way:
    """The costs of one way.  ValueError, with the reason, if the layer can't lie like that."""
    if name.vector:
        if not is_depthwise(layer):
            raise ValueError("the vector unit takes depthwise convolutions only")
        return vector_way(layer, target)
    most = most_together(layer, target, name.grid)
    if name.together > most or (name.together == 0) != (layer.groups == 1):
        allowed = f"1 to {most} groups" if layer.groups > 1 else "no groups"
        raise ValueError(f"`{name}`: the layer takes {allowed} on a crossbar")
    if name.grid[0] > layer.rows or name.grid[1] > layer.cols:
        raise ValueError(f"`{name}`: the layer gives {layer.rows} rows of {layer.cols} pixels")
    grids = np.array([name.grid], np.int64)
    if not fits_memory(layer, target, grids)[0]:
        raise ValueError(f"`{name}`: its rows and accumulators take too much of a core's SRAM")
    sharing = sharing or target.adc.crossbars_per_cluster
    (way,) = measured(layer, target, max(name.together, 1), grids, sharing)
    return way


def vector_way(layer: Layer, target: Target) -> Way:
    """A depthwise convolution on the vector unit: a product for each strip of the kernel.

    Per output row, strip by strip, channels are a batch of products of pixels x taps by taps x
    outputs of a channel; the results are added up.
    """
    places, strips = layer.cols * layer.outputs, strips_of(layer.kernel)
    products = vector_cycles(target, "matmul", places * strips.taps)
    sums = vector_cycles(target, "add", places)
    cycles = strips.count * products + (strips.count - 1) * sums + layer.post_cycles
    return Way(VECTOR, 0, Fraction(0), layer.rows, 0, 0, 0, 0, 0, cycles)
