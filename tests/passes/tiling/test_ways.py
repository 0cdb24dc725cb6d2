"""The ways of a layer: none worth choosing is missing, and their costs are their tiles'."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nmc.ir.target import Target
from nmc.passes.tiling.cuts import Cut, cuts_of
from nmc.passes.tiling.grids import most_together
from nmc.passes.tiling.layers import Layer, Way
from nmc.passes.tiling.spelling import VECTOR, WayName
from nmc.passes.tiling.ways import evaluate, ways_of
from nmc.targets import load, override

SMALL = override(
    load("exact-128"),
    [
        *("crossbar.rows=24", "crossbar.cols=24", "core.crossbars=8", "core.sram_kib=1"),
        *("mesh.width=3", "mesh.height=1"),
    ],
)
"""Twelve pairs, so six outputs a crossbar; a kilobyte of SRAM, so not every window fits."""

OFFSET = override(SMALL, ["crossbar.encoding=offset"])

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    groups = draw(st.sampled_from([1, 1, 2, 3, 5]))
    kernel, strides, dilations = draw(pairs), draw(pairs), draw(st.sampled_from([(1, 1), (2, 1)]))
    cols = draw(st.integers(1, 5))
    return Layer(
        kernel,
        strides,
        dilations,
        groups,
        groups * draw(st.integers(1, 4)),
        groups * draw(st.integers(1, 4)),
        draw(st.integers(1, 5)),
        cols,
        (cols - 1) * strides[1] + (kernel[1] - 1) * dilations[1] + 1,
        draw(st.sampled_from([0, 40, 4000])),
    )


def costs(way: Way) -> tuple[int, int, int, int]:
    return way.cycles, way.crossbars, way.conversions_per_input, way.bytes_per_input


def every_way(layer: Layer, target: Target) -> list[Way]:
    """All that `evaluate` accepts, group counts that are less than can be aside."""
    found = []
    for rows in range(1, layer.rows + 1):
        for cols in range(1, layer.cols + 1):
            together = most_together(layer, target, (rows, cols))
            try:
                way = evaluate(layer, target, WayName((rows, cols), together))
            except ValueError:
                continue
            if way.crossbars <= target.crossbars or (rows, cols) == (1, 1):
                found.append(way)
    return found


def tiles_of(layer: Layer, target: Target, name: WayName) -> list[Cut]:
    """Of all gathers, each of so many groups."""
    sizes, together = (target.crossbar.rows, target.outputs_per_crossbar), max(name.together, 1)
    counts = [min(together, layer.groups - n) for n in range(0, layer.groups, together)]
    return [cut for n in counts for cut in cuts_of(layer.matrix(n), name.grid, *sizes)]


@given(layers(), st.sampled_from([SMALL, OFFSET]))
def test_every_way_is_beaten_or_equalled_by_one_that_is_kept(layer: Layer, target: Target) -> None:
    kept = ways_of(layer, target, vector=False)
    for way in every_way(layer, target):
        assert any(
            all(mine <= its for mine, its in zip(costs(one), costs(way), strict=True))
            for one in kept
        )


@given(layers(), st.sampled_from([SMALL, OFFSET]))
def test_no_kept_way_beats_another_but_the_first(layer: Layer, target: Target) -> None:
    first, *rest = ways_of(layer, target, vector=False)
    assert first.name.grid == (1, 1)
    for one in rest:
        for other in (first, *rest):
            beaten = all(a <= b for a, b in zip(costs(other), costs(one), strict=True))
            assert other is one or not beaten


@given(layers(), st.sampled_from([SMALL, OFFSET]))
def test_costs_are_those_of_the_tiles(layer: Layer, target: Target) -> None:
    unit = int(target.crossbar.encoding != "differential")
    for way in ways_of(layer, target, vector=False):
        assert evaluate(layer, target, way.name) == way
        cuts = tiles_of(layer, target, way.name)
        channels = [cut.outputs * target.slices + unit for cut in cuts]
        assert way.crossbars == len(cuts)
        assert way.area * 24 * target.outputs_per_crossbar == sum(c.rows * c.outputs for c in cuts)
        assert way.conversions == target.phases * sum(channels)
        # The target converts at a cycle each, whatever the bits.
        assert way.adc_cycles == way.conversions
        assert way.firings == -(-layer.rows // way.name.grid[0])
        assert way.reads == -(-layer.cols // way.name.grid[1])
        busiest = max(-(-n // target.adc.adcs_per_cluster) for n in channels)
        assert way.read_cycles >= target.phases * max(busiest, target.read_cycles)
        assert way.firing_cycles >= way.reads * way.read_cycles
        assert way.firing_cycles >= way.name.grid[0] * layer.post_cycles


@given(layers())
def test_more_crossbars_on_the_same_adcs_take_no_less_time(layer: Layer) -> None:
    names = [way.name for way in ways_of(layer, SMALL, vector=False)]
    for name in names:
        paces = [evaluate(layer, SMALL, name, sharing=n).read_cycles for n in (1, 2, 4)]
        assert paces == sorted(paces)
        assert evaluate(layer, SMALL, name).read_cycles == paces[-1]


@settings(max_examples=40)
@given(layers(), pairs, st.integers(0, 4))
def test_what_evaluate_refuses_is_said(layer: Layer, grid: tuple[int, int], together: int) -> None:
    name = WayName(grid, together)
    most = most_together(layer, SMALL, grid)
    fits = together <= most and (together > 0) == (layer.groups > 1)
    assume(not fits)
    with pytest.raises(ValueError, match="on a crossbar"):
        evaluate(layer, SMALL, name)


DEPTHWISE = Layer((3, 3), (1, 1), (1, 1), 14, 14, 14, 8, 8, 10)
CHIP = load("spin-128")


def test_depthwise_groups_lie_on_a_diagonal_or_go_to_the_vector_unit() -> None:
    ways = {str(way.name): way for way in ways_of(DEPTHWISE, CHIP)}
    packed, vector = ways["groups 14"], ways["vector"]
    assert (packed.crossbars, packed.firings, packed.reads, packed.input_bytes) == (1, 8, 8, 126)
    assert packed.conversions == 8 * 28
    assert evaluate(DEPTHWISE, CHIP, WayName(together=1)).crossbars == 14
    # Three products of 8 x 14 x 3 multiplications, two sums of 8 x 14, on 16 lanes, 4 more each.
    assert vector.firing_cycles == 3 * (21 + 4) + 2 * (7 + 4)
    assert (vector.crossbars, vector.conversions, vector.cycles) == (0, 0, 8 * 97)
    assert "vector" not in {str(way.name) for way in ways_of(DEPTHWISE, CHIP, vector=False)}


def test_the_vector_unit_takes_depthwise_convolutions_only() -> None:
    dense = Layer((3, 3), (1, 1), (1, 1), 1, 14, 14, 8, 8, 10)
    assert all(not way.name.vector for way in ways_of(dense, CHIP))
    with pytest.raises(ValueError, match="depthwise convolutions only"):
        evaluate(dense, CHIP, VECTOR)


def test_a_full_crossbar_waits_for_its_cluster() -> None:
    dense = Layer((1, 1), (1, 1), (1, 1), 1, 128, 32, 8, 8, 8)
    # 64 channels a phase: 4 crossbars on 2 ADCs, or one alone.
    assert evaluate(dense, CHIP, WayName()).read_cycles == 8 * 64 * 4 // 2
    assert evaluate(dense, CHIP, WayName(), sharing=1).read_cycles == 8 * 64 // 2


def test_columns_that_see_nothing_of_a_band_are_not_converted() -> None:
    # 4 x 3 pixels of 64 channels, two outputs: the first and the last row of pixels serve one.
    layer = Layer((3, 3), (1, 1), (1, 1), 1, 64, 32, 2, 1, 3)
    single, tall = (evaluate(layer, CHIP, WayName(grid)) for grid in ((1, 1), (2, 1)))
    assert (single.crossbars, single.conversions_per_input) == (5, 2 * 5 * 8 * 64)
    # Six bands: of one output the first and the last, of both the others.
    assert (tall.crossbars, tall.conversions_per_input) == (10, 10 * 8 * 64)


def test_windows_and_memory() -> None:
    wide = Layer((3, 3), (1, 1), (1, 1), 1, 3, 4, 64, 64, 66)
    tight = override(CHIP, ["core.sram_kib=2"])
    with pytest.raises(ValueError, match="SRAM"):
        evaluate(wide, tight, WayName((4, 1)))
    with pytest.raises(ValueError, match="gives 64 rows of 64 pixels"):
        evaluate(wide, CHIP, WayName((65, 1)))
    assert all(way.name.grid[0] < 4 for way in ways_of(wide, tight))


@pytest.mark.parametrize(
    "name",
    [
        WayName(),
        VECTOR,
        WayName((2, 4)),
        WayName(together=8),
        WayName((1, 12), 3),
    ],
    ids=str,
)
def test_names_are_read_back(name: WayName) -> None:
    assert WayName.parse(str(name)) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "im2cols",
        "window 0x2",
        "window 2",
        "groups",
        "groups 2window 1x2",
        "window 1x2 groups 2",
    ],
)
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no way"):
        WayName.parse(text)
