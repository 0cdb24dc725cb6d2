"""Published costs of windows, and the formulas against a plain search."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.replication_steps import SINGLE_ARRAY
from nmc.passes.tiling.windows import Array, Shape, im2col, sdk, step_options, vw_sdk

PUBLISHED = {
    # VW-SDK's tables at 512; the smaller arrays are the formula's.
    ("ResNet-18", 512): (20_041, 7_240, 4_294),
    ("ResNet-18", 256): (25_560, 17_133, 10_287),
    ("ResNet-18", 128): (51_920, 51_920, 36_310),
    ("VGG-13", 512): (243_736, 114_697, 77_102),
    ("VGG-13", 256): (381_632, 344_669, 215_851),
    ("VGG-13", 128): (810_056, 810_056, 711_488),
}


@pytest.mark.parametrize(("network", "side"), PUBLISHED)
def test_totals_as_published(network: str, side: int) -> None:
    array, shapes = Array(side, side), SINGLE_ARRAY[network]
    totals = [sum(way(s, array).cycles for s in shapes) for way in (im2col, sdk, vw_sdk)]
    assert tuple(totals) == PUBLISHED[network, side]


def test_windows_of_resnet18_as_published() -> None:
    array = Array(512, 512)
    windows = [vw_sdk(shape, array).window for shape in SINGLE_ARRAY["ResNet-18"]]
    assert windows == [(8, 10), (4, 4), (4, 4), (3, 4), (3, 3)]


def plain_vw_sdk(size: int, kernel: int, chans: int, outputs: int, array: Array) -> int:
    """The paper's formula, in input pixels, written down once more."""
    rows = kernel * kernel * chans
    cycles = (size - kernel + 1) ** 2 * ceil(rows / array.rows) * ceil(outputs / array.cols)
    for height in range(kernel, size + 1):
        for width in range(kernel, size + 1):
            down, right = height - kernel + 1, width - kernel + 1
            chans_fit = array.rows // (height * width)
            outputs_fit = array.cols // (down * right)
            if chans_fit and outputs_fit and (down, right) != (1, 1):
                places = ceil((size - height) / down + 1) * ceil((size - width) / right + 1)
                arrays = ceil(chans / chans_fit) * ceil(outputs / outputs_fit)
                cycles = min(cycles, places * arrays)
    return cycles


@given(
    size=st.integers(3, 12),
    kernel=st.integers(1, 3),
    chans=st.integers(1, 40),
    outputs=st.integers(1, 40),
    rows=st.integers(4, 96),
    cols=st.integers(1, 96),
)
def test_vw_sdk_is_the_least_of_its_formula(
    size: int, kernel: int, chans: int, outputs: int, rows: int, cols: int
) -> None:
    array = Array(rows, cols)
    shape = Shape.unpadded(size, kernel, chans, outputs)
    assert vw_sdk(shape, array).cycles == plain_vw_sdk(size, kernel, chans, outputs, array)


def test_strides_enlarge_the_window() -> None:
    shape = Shape((4, 4), (3, 3), (2, 2), 1, 1)
    options = step_options(shape, Array(25, 4))
    at = options.grids.tolist().index([2, 2])
    # Two outputs at stride 2 see five pixels: 25 bytes, 4 outputs, one array, a quarter of steps.
    assert (options.steps[at], options.arrays[at]) == (4, 1)
    at = options.grids.tolist().index([3, 2])
    assert (options.steps[at], options.arrays[at]) == (4, 4)


def test_groups_are_packed_on_the_diagonal() -> None:
    depthwise = Shape((8, 8), (3, 3), (1, 1), 30, 30, groups=30)
    packed = step_options(depthwise, Array(128, 128), windows=False)
    assert (packed.steps.tolist(), packed.arrays.tolist()) == ([64], [3])  # 14 groups an array
    alone = step_options(depthwise, Array(128, 128), windows=False, packed=False)
    assert alone.arrays.tolist() == [30]


def test_a_group_larger_than_an_array_is_cut() -> None:
    grouped = Shape((8, 8), (3, 3), (1, 1), 64, 300, groups=2)
    options = step_options(grouped, Array(128, 128))
    # 288 rows and 150 columns each: 3 x 2 arrays; no window leaves room for a group.
    assert (options.grids.tolist(), options.arrays.tolist()) == ([[1, 1]], [12])
