"""Published costs of convolutions on one array: im2col, SDK and VW-SDK, in array cycles.

VW-SDK (Rhe, Moon and Ko, DATE 2022) chooses for each layer the window of the input whose outputs
are computed together; SDK (Zhang et al., IEEE TCAD 40, 2021) knows square windows that hold all
channels.  Both count one cycle for each place of the window and each array that the weights take.
They take stride 1; other strides are our generalisation, the same formula counted in outputs.

`step_options` counts what a whole chip needs instead: steps of a layer whose arrays all read at
once, and how many arrays that takes, for every window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "Cost", "Shape", "StepOptions", "im2col", "sdk", "step_options", "vw_sdk"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Array:
    """A crossbar that holds rows x cols whole weights."""

    rows: int
    cols: int


@dataclass(frozen=True, slots=True)
class Shape:
    """A convolution: sizes are (height, width); `places` are its output rows and pixels."""

    places: tuple[int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    chans: int
    outputs: int
    groups: int = 1

    @staticmethod
    def unpadded(size: int, kernel: int, chans: int, outputs: int, stride: int = 1) -> Shape:
        """A square convolution as the papers tabulate it: no padding."""
        places = (size - kernel) // stride + 1
        return Shape((places, places), (kernel, kernel), (stride, stride), chans, outputs)


@dataclass(frozen=True, slots=True)
class Cost:
    """Cycles, and the window (height, width) of input pixels that takes so few."""

    cycles: int
    window: tuple[int, int]


@dataclass(frozen=True, slots=True)
class StepOptions:
    """Per grid of outputs that one step gives: i64[options, 2], steps and arrays i64[options]."""

    grids: Ints
    steps: Ints
    arrays: Ints


def im2col(shape: Shape, array: Array) -> Cost:
    """One output pixel a step; the matrix is cut into arrays wherever they end."""
    rows = shape.kernel[0] * shape.kernel[1] * shape.chans
    arrays = -(-rows // array.rows) * -(-shape.outputs // array.cols)
    return Cost(shape.places[0] * shape.places[1] * arrays, shape.kernel)


def sdk(shape: Shape, array: Array) -> Cost:
    """Square windows with all channels that need no more arrays than im2col."""
    first = im2col(shape, array)
    most = first.cycles // (shape.places[0] * shape.places[1])
    side = np.arange(2, max(shape.places) + 1, dtype=np.int64)
    options = dense(shape, array, np.column_stack([side, side]))
    costs = np.where(options.arrays <= most, options.steps * options.arrays, first.cycles)
    return least(shape, first, options.grids, costs)


def vw_sdk(shape: Shape, array: Array) -> Cost:
    """Any window; an array takes as many channels and outputs as fit whole, im2col if better."""
    first = im2col(shape, array)
    grids = grids_of(shape)
    height, width = windows_of(shape, grids).T
    together = grids.prod(axis=1)
    chans, outputs = array.rows // (height * width), array.cols // together
    fits = (chans > 0) & (outputs > 0) & (together > 1)
    arrays = -(-shape.chans // np.maximum(chans, 1)) * -(-shape.outputs // np.maximum(outputs, 1))
    costs = np.where(fits, steps_of(shape, grids) * arrays, first.cycles)
    return least(shape, first, grids, costs)


def step_options(
    shape: Shape, array: Array, *, windows: bool = True, packed: bool = True
) -> StepOptions:
    """All ways of a layer that reads all its arrays in each step.

    Groups are packed on the diagonal of an array, as many as fit, or each lies alone; a window
    that leaves no room for a whole group is left out, unless it is the kernel itself.
    """
    grids = grids_of(shape) if windows else np.ones((1, 2), np.int64)
    if shape.groups == 1:
        return dense(shape, array, grids)
    chans, outputs = shape.chans // shape.groups, shape.outputs // shape.groups
    rows = windows_of(shape, grids).prod(axis=1) * chans
    cols = grids.prod(axis=1) * outputs
    together = np.minimum(np.minimum(array.rows // rows, array.cols // cols), shape.groups)
    if not packed:
        together = np.minimum(together, 1)
    diagonal = -(-shape.groups // np.maximum(together, 1))
    alone = shape.groups * -(-rows // array.rows) * -(-cols // array.cols)
    arrays = np.where(together > 0, diagonal, alone)
    kept = (together > 0) | (grids.prod(axis=1) == 1)
    return StepOptions(grids[kept], steps_of(shape, grids)[kept], arrays[kept])


def dense(shape: Shape, array: Array, grids: Ints) -> StepOptions:
    """Each window's matrix with all channels and outputs, cut wherever arrays end."""
    rows = windows_of(shape, grids).prod(axis=1) * shape.chans
    cols = grids.prod(axis=1) * shape.outputs
    arrays = -(-rows // array.rows) * -(-cols // array.cols)
    return StepOptions(grids, steps_of(shape, grids), arrays)


def grids_of(shape: Shape) -> Ints:
    """Every number of output rows and pixels that a window may give: i64[n, 2], rows slowest."""
    rows, cols = (np.arange(1, places + 1, dtype=np.int64) for places in shape.places)
    return np.column_stack([np.repeat(rows, len(cols)), np.tile(cols, len(rows))])


def windows_of(shape: Shape, grids: Ints) -> Ints:
    """(height, width) of the input that each grid of outputs sees: i64[n, 2]."""
    return np.asarray((grids - 1) * np.array(shape.strides) + np.array(shape.kernel))


def steps_of(shape: Shape, grids: Ints) -> Ints:
    """Places of each window; the last ones reach beyond the input where it doesn't divide."""
    return np.asarray((-(-np.array(shape.places) // grids)).prod(axis=1))


def least(shape: Shape, first: Cost, grids: Ints, costs: Ints) -> Cost:
    """The first of the cheapest windows, or `first` where none is cheaper."""
    if not len(costs) or costs.min() >= first.cycles:
        return first
    height, width = windows_of(shape, grids[int(costs.argmin())][None])[0]
    return Cost(int(costs.min()), (int(height), int(width)))
