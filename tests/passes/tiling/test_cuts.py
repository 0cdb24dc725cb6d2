"""Tiles of a window hold every weight once, and nothing that is zero in whole."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from nmc.passes.tiling.cuts import Matrix, bands_of, cuts_of

sides = st.tuples(st.integers(1, 3), st.integers(1, 3))
matrices = st.builds(
    Matrix,
    kernel=sides,
    strides=sides,
    dilations=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    chans=st.integers(1, 7),
    outputs=st.integers(1, 6),
)


def weights_of(matrix: Matrix, grid: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Where a window's matrix has weights, byte by byte of the window and output by output."""
    if grid == (1, 1):
        size = matrix.kernel
        reached = {(0, 0): {(y, x) for y in range(size[0]) for x in range(size[1])}}
    else:
        height = (grid[0] - 1) * matrix.strides[0] + matrix.span[0]
        size = (height, (grid[1] - 1) * matrix.strides[1] + matrix.span[1])
        reached = {
            (i, j): {
                (
                    i * matrix.strides[0] + y * matrix.dilations[0],
                    j * matrix.strides[1] + x * matrix.dilations[1],
                )
                for y in range(matrix.kernel[0])
                for x in range(matrix.kernel[1])
            }
            for i in range(grid[0])
            for j in range(grid[1])
        }
    there = np.zeros((size[0], size[1], matrix.chans, *grid, matrix.outputs), bool)
    for (i, j), pixels in reached.items():
        for y, x in pixels:
            there[y, x, :, i, j, :] = True
    return there.reshape(size[0] * size[1] * matrix.chans, -1)


@given(matrices, sides, st.integers(2, 24), st.integers(1, 9))
def test_every_weight_stands_in_one_tile(
    matrix: Matrix, grid: tuple[int, int], rows: int, outputs: int
) -> None:
    there = weights_of(matrix, grid)
    times = np.zeros(there.shape, int)
    for cut in cuts_of(matrix, grid, rows, outputs):
        assert 0 < cut.rows <= rows
        assert 0 < cut.outputs <= outputs
        assert cut.row0 % rows == 0
        times[cut.row0 : cut.row0 + cut.rows, cut.output0 : cut.output0 + cut.outputs] += 1
    assert (times[there] == 1).all()
    assert times.max() == 1


@given(matrices, sides, st.integers(2, 24))
def test_a_band_begins_and_ends_with_an_output_that_it_may_reach(
    matrix: Matrix, grid: tuple[int, int], rows: int
) -> None:
    """Within one row of pixels and without dilation, exactly the outputs that it reaches."""
    there = weights_of(matrix, grid)
    bands = bands_of(matrix, np.array([grid]), rows)
    width = (grid[1] - 1) * matrix.strides[1] + matrix.span[1]
    for row0, count, output0, outputs in zip(
        bands.row0.tolist(),
        bands.rows.tolist(),
        bands.output0.tolist(),
        bands.outputs.tolist(),
        strict=True,
    ):
        first, last = row0 // matrix.chans // width, (row0 + count - 1) // matrix.chans // width
        if grid == (1, 1) or first != last or matrix.dilations != (1, 1):
            continue
        used = np.flatnonzero(there[row0 : row0 + count].any(axis=0))
        assert (output0, output0 + outputs) == (used[0], used[-1] + 1)


def test_tiles_of_im2col_are_in_order_of_outputs() -> None:
    cuts = cuts_of(Matrix((3, 3), (1, 1), (1, 1), 4, 10), (1, 1), 20, 8)
    assert [(c.row0, c.rows, c.output0, c.outputs) for c in cuts] == [
        (0, 20, 0, 8),
        (20, 16, 0, 8),
        (0, 20, 8, 2),
        (20, 16, 8, 2),
    ]


def test_rows_of_pixels_that_only_some_outputs_see_take_fewer_columns() -> None:
    # Two output rows of a 3 x 3 kernel on 4 x 3 pixels; crossbars of one row of pixels each.
    bands = bands_of(Matrix((3, 3), (1, 1), (1, 1), 2, 5), np.array([[2, 1]]), 6)
    assert bands.output0.tolist() == [0, 0, 0, 5]
    assert bands.outputs.tolist() == [5, 10, 10, 5]
