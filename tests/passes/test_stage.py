"""Stages: what joins what, which layouts cost nothing, and which need a relayout."""

from __future__ import annotations

import pytest

from nmc.ir import ops
from nmc.ir.graph import Graph
from nmc.ir.mapping import Kind, Mapping, Role, Stage, StepKind
from tests.passes.lowering import laid_out
from tests.passes.nets import Build


def staged(graph: Graph) -> Mapping:
    return laid_out(graph, until="stage")


def kinds(mapping: Mapping) -> list[Kind]:
    return [stage.kind for stage in mapping.stages]


def of_kind(mapping: Mapping, kind: Kind) -> Stage:
    (found,) = (s for s in mapping.stages if s.kind is kind)
    return found


def test_an_activation_joins_its_convolution() -> None:
    net = Build(1, 3, 8, 8)
    mapping = staged(net.done(net.emit(ops.Sigmoid(), net.conv(net.x, 4))))
    assert kinds(mapping) == [Kind.ROWS, Kind.MATRIX]
    assert len(of_kind(mapping, Kind.MATRIX).nodes) >= 2


def test_a_skip_joins_the_later_convolution_and_travels_as_bytes() -> None:
    net = Build(1, 4, 8, 8)
    first = net.relu(net.conv(net.x, 4))
    second = net.conv(first, 4)
    mapping = staged(net.done(net.conv(net.relu(net.emit(ops.Add(), first, second)), 2)))
    assert kinds(mapping) == [Kind.ROWS, Kind.MATRIX, Kind.MATRIX, Kind.MATRIX]
    joined = mapping.stages[2]
    assert [o.role for o in joined.operands] == [Role.MAIN, Role.ROW]
    assert {mapping.streams[o.stream].dtype for o in joined.operands} == {"u8"}


def test_a_value_with_two_users_is_left_alone() -> None:
    net = Build(1, 4, 8, 8)
    shared = net.conv(net.x, 4)
    outputs = net.emit(ops.Sigmoid(), shared), net.emit(ops.Tanh(), shared)
    mapping = staged(net.done(*outputs))
    assert kinds(mapping) == [Kind.ROWS, Kind.MATRIX, Kind.ROWS, Kind.ROWS]


@pytest.mark.parametrize(
    ("kernel", "stride", "wanted"),
    [
        (1, 1, [Kind.MATRIX]),
        (2, 2, [Kind.MATRIX]),
        (3, 1, [Kind.ROWS, Kind.MATRIX]),
        (3, 2, [Kind.ROWS, Kind.MATRIX]),
    ],
)
def test_rows_that_several_windows_want_are_fetched_once(
    kernel: int, stride: int, wanted: list[Kind]
) -> None:
    net = Build(1, 3, 8, 8)
    mapping = staged(net.done(net.conv(net.x, 4, kernel=kernel, stride=stride, pad=0)))
    assert kinds(mapping) == wanted
    (fetched,) = (s for s in mapping.streams if s.source is not None)
    assert fetched.dtype == "u8"


def test_what_two_layers_take_is_fetched_once() -> None:
    net = Build(1, 6)
    mapping = staged(net.done(net.dense(net.x, 4), net.dense(net.x, 5)))
    assert kinds(mapping) == [Kind.ROWS, Kind.MATRIX, Kind.MATRIX]


def test_channels_last_input_costs_no_relayout() -> None:
    net = Build(1, 8, 8, 3)
    image = net.emit(ops.Transpose((0, 3, 1, 2)), net.x)
    mapping = staged(net.done(net.conv(image, 4)))
    assert kinds(mapping) == [Kind.ROWS, Kind.MATRIX]


def test_flatten_before_a_product_is_a_permutation_of_its_rows() -> None:
    net = Build(1, 3, 4, 4)
    mapping = staged(net.done(net.dense(net.conv(net.x, 5), 7)))
    assert kinds(mapping) == [Kind.ROWS, Kind.MATRIX, Kind.MATRIX]
    dense = mapping.stages[2]
    assert dense.window.kernel == (4, 4)
    # Places run over pixels and then channels; the weights' rows over channels and then pixels.
    assert dense.reading == ((16, 1), (5, 16))


def test_a_channel_shuffle_before_a_convolution_only_renames_channels() -> None:
    net = Build(1, 4, 4, 4)
    y = net.conv(net.x, 6)
    y = net.emit(ops.Reshape((1, 2, 3, 4, 4)), y)
    y = net.emit(ops.Transpose((0, 2, 1, 3, 4)), y)
    y = net.emit(ops.Reshape((1, 6, 4, 4)), y)
    mapping = staged(net.done(net.conv(y, 2, kernel=1, pad=0)))
    assert Kind.RELAYOUT not in kinds(mapping)
    assert mapping.stages[-1].reading == ((2, 1), (3, 2))


def test_flattened_branches_side_by_side_need_one_relayout_each() -> None:
    net = Build(1, 3, 4, 4)
    flats = [net.emit(ops.Reshape((1, 80)), net.conv(net.x, 5, name=name)) for name in ("a", "b")]
    joined = net.emit(ops.Concat(1), *flats)
    mapping = staged(net.done(net.emit(ops.MatMul(), joined, net.weight(160, 3))))
    assert kinds(mapping).count(Kind.RELAYOUT) == 2
    assert mapping.streams[of_kind(mapping, Kind.CONCAT).output].chans == 160


def test_a_gate_per_channel_is_a_broadcast() -> None:
    net = Build(1, 4, 6, 6)
    x = net.conv(net.x, 4)
    gate = net.emit(ops.Sigmoid(), net.conv(net.emit(ops.Reduce("mean", (2, 3)), x), 4, 1, pad=0))
    mapping = staged(net.done(net.emit(ops.Mul(), x, gate)))
    roles = [o.role for s in mapping.stages for o in s.operands]
    assert roles.count(Role.BROADCAST) == 1
    assert Kind.MEAN in kinds(mapping)


def test_what_only_the_host_knows_splits_the_chip_in_two() -> None:
    net = Build(1, 4, 6, 6)
    first = net.relu(net.conv(net.x, 4))
    middle = net.emit(ops.Lrn(3), first)
    mapping = staged(net.done(net.conv(middle, 4)))
    host, chip = StepKind.HOST, StepKind.CHIP
    assert [s.kind for s in mapping.steps] == [host, chip, host, chip]  # the first recodes alone
    assert [s.step for s in mapping.stages] == sorted(s.step for s in mapping.stages)
    for before, after in zip(mapping.steps, mapping.steps[1:], strict=False):
        assert set(after.inputs) <= set(before.outputs)


def test_ceil_mode_pads_below_and_right_as_far_as_the_last_window_reaches() -> None:
    net = Build(1, 2, 7, 6)
    pool = ops.MaxPool((2, 2), (2, 2), (0, 0, 0, 0), (1, 1), ceil_mode=True)
    mapping = staged(net.done(net.emit(pool, net.conv(net.x, 2))))
    (operand,) = of_kind(mapping, Kind.WINDOW).operands
    assert (operand.top, operand.left, operand.bottom, operand.right) == (0, 0, 1, 0)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_concat_along_any_axis_is_channels_side_by_side(axis: int) -> None:
    net = Build(1, 3, 4, 5)
    parts = [net.conv(net.x, 3, name=name) for name in ("a", "b")]
    mapping = staged(net.done(net.conv(net.emit(ops.Concat(axis), *parts), 2)))
    stream = mapping.streams[of_kind(mapping, Kind.CONCAT).output]
    assert stream.rows * stream.cols * stream.chans == 2 * 60
