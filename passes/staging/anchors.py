"""Stages for the nodes that change geometry: matrices, windows, reductions, moves.

Each function takes the builder and a node whose operands are placed, asks for the layout that the
node needs (a relayout stage is made where the present one won't do), and adds a stage.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from nmc.ir import ops
from nmc.ir.graph import Node, Value
from nmc.ir.layout import Digit, Digits, Form, image_form, normal, token_form
from nmc.ir.mapping import Kind, Role, Window
from nmc.ir.ops import Op
from nmc.passes.staging.demand import reduced_form
from nmc.passes.staging.drafts import Builder, OperandDraft, Place, StageDraft, channel_digits

__all__ = ["ANCHORS"]


# Layouts that anchors ask for


def as_image(builder: Builder, value: Value, *, plain: bool = False) -> tuple[Place, Digits]:
    """The value in image form up to the order of channels (`plain`: exactly), and that order."""
    wanted = image_form(value.type.shape)
    if wanted is None:
        raise ValueError(f"{value} is no image of one sample")
    place = builder.places[id(value)]
    area = prod(value.type.shape[2:])
    chans = channel_digits(place.form, area)
    here = place.form.normal
    fits = (here.row_digits, here.col_digits) == (wanted.row_digits, wanted.col_digits)
    if not fits or chans is None or (plain and not place.form.same(wanted)):
        place = builder.relayout(value, wanted)
        chans = channel_digits(place.form, area)
    return place, chans or ()


def image_of(shape: tuple[int, ...], chans: Digits) -> Form:
    """Image form of `shape` with channels in the order that `chans` gives."""
    form = image_form(shape)
    if form is None:
        raise ValueError(f"{shape} is no image of one sample")
    area = prod(shape[2:])
    digits = tuple(Digit(d.size, d.stride * area) for d in chans)
    return Form(form.row_digits, form.col_digits, digits).normal


def main(stage: StageDraft, place: Place, value: Value) -> OperandDraft:
    operand = OperandDraft(place.stream, Role.MAIN, value.name)
    stage.operands.append(operand)
    return operand


def pair(values: tuple[int, ...]) -> tuple[int, int]:
    """(rows, pixels) of an attribute; a signal's second is 1."""
    return (values[0], values[1]) if len(values) == 2 else (values[0], 1)


def window_pads(
    op: ops.QConv | ops.MaxPool | ops.QAvgPool, window: Window, x: Value, y: Value
) -> tuple[int, int, int, int]:
    """(top, left, bottom, right), the far ones as large as the last window asks (ceil_mode)."""
    count = len(op.strides)
    begins, ends = [*op.pads[:count], 0][:2], [0, 0]
    for axis in range(count):
        size, out = x.type.shape[2 + axis], y.type.shape[2 + axis]
        reach = (out - 1) * window.strides[axis] + window.span[axis]
        ends[axis] = max(0, reach - size - begins[axis])
    return begins[0], begins[1], ends[0], ends[1]


# Matrices


def conv(builder: Builder, node: Node) -> None:
    op = node.op
    assert isinstance(op, ops.QConv)
    place, chans = as_image(builder, node.x, plain=op.group > 1)
    y, w = node.output, node.operand(1)
    stage = builder.anchor(node, Kind.MATRIX, image_of(y.type.shape, (Digit(y.type.shape[1], 1),)))
    kernel = pair(w.type.shape[2:])
    strides, dilations = pair(op.strides), pair(op.dilations)
    stage.window = Window(kernel, strides, dilations)
    stage.reading = chans
    stage.macs = y.type.elements * prod(w.type.shape[1:])
    operand = main(stage, place, node.x)
    operand.pads = window_pads(op, stage.window, node.x, y)
    operand.fill = op.x_zero_point


def product(builder: Builder, node: Node) -> None:
    x, y = node.x, node.output
    depth, width = x.type.shape[-1], y.type.shape[-1]
    place = builder.places[id(x)]
    stage_window = Window()
    if prod(x.type.shape[:-1]) == 1:
        reading = normal(place.form.digits)
        stage_window = Window(kernel=(place.form.rows, place.form.cols))
        form = token_form(y.type.shape)
    else:
        if place.form.chans != depth or any(
            d.stride % depth for d in place.form.row_digits + place.form.col_digits
        ):
            place = builder.relayout(x, token_form(x.type.shape))
        reading = place.form.chan_digits
        rows, cols = (
            tuple(Digit(d.size, d.stride // depth * width) for d in group)
            for group in (place.form.row_digits, place.form.col_digits)
        )
        form = Form(rows, cols, (Digit(width, 1),))
    stage = builder.anchor(node, Kind.MATRIX, form)
    stage.window, stage.reading = stage_window, reading
    stage.macs = y.type.elements * depth
    main(stage, place, x)


# Windows and reductions


def pool(builder: Builder, node: Node) -> None:
    op = node.op
    assert isinstance(op, ops.MaxPool | ops.QAvgPool)
    place, chans = as_image(builder, node.x)
    stage = builder.anchor(node, Kind.WINDOW, image_of(node.output.type.shape, chans))
    stage.window = Window(pair(op.kernel), pair(op.strides), pair(op.dilations))
    operand = main(stage, place, node.x)
    operand.pads = window_pads(op, stage.window, node.x, node.output)
    operand.fill = op.x_zero_point if isinstance(op, ops.QAvgPool) else 0


def pad(builder: Builder, node: Node) -> None:
    op = node.op
    assert isinstance(op, ops.Pad)
    place, chans = as_image(builder, node.x)
    stage = builder.anchor(node, Kind.WINDOW, image_of(node.output.type.shape, chans))
    operand = main(stage, place, node.x)
    rank = len(node.x.type.shape)
    begins, ends = pair(op.pads[2:rank]), pair(op.pads[rank + 2 :])
    if rank == 3:
        begins, ends = (begins[0], 0), (ends[0], 0)
    operand.pads = (begins[0], begins[1], ends[0], ends[1])
    operand.fill = int(op.value)  # of stored integers the op gives the stored one


def reduction(builder: Builder, node: Node) -> None:
    op = node.op
    assert isinstance(op, ops.QReduceMean | ops.Reduce)
    shape = node.x.type.shape
    place = builder.places[id(node.x)]
    wanted = reduced_form(shape, op.axes)
    if {*place.form.normal.chan_digits} != {*wanted.chan_digits}:
        place = builder.relayout(node.x, wanted)
    kept = [a for a in range(len(shape)) if a not in op.axes]
    strides = {a: prod(shape[b] for b in kept if b > a) for a in kept}
    full = place.form.restrided(shape, [strides.get(a, 0) for a in range(len(shape))])
    chans = tuple(d for d in full or () if d.stride)
    kind = Kind.WINDOW if isinstance(op, ops.Reduce) and op.kind == "max" else Kind.MEAN
    stage = builder.anchor(node, kind, Form((), (), chans))
    if kind is Kind.WINDOW:
        stage.window = Window(kernel=(place.form.rows, place.form.cols))
    main(stage, place, node.x)


# Moves


def concat(builder: Builder, node: Node) -> None:
    op = node.op
    assert isinstance(op, ops.Concat)

    def form_of(shape: tuple[int, ...]) -> Form:
        image = image_form(shape) if op.axis == 1 and len(shape) > 2 else None
        if image is not None:
            return image
        before, after = prod(shape[: op.axis]), prod(shape[op.axis :])
        last = op.axis == len(shape) - 1
        leading = (Digit(before, after),)
        return Form(leading if last else (), () if last else leading, (Digit(after, 1),)).normal

    places = [builder.relayout(v, form_of(v.type.shape)) for v in node.operands]
    stage = builder.anchor(node, Kind.CONCAT, form_of(node.output.type.shape))
    for place, value in zip(places, node.operands, strict=True):
        stage.operands.append(OperandDraft(place.stream, Role.ROW, value.name))


def crop(builder: Builder, node: Node) -> None:
    op = node.op
    assert isinstance(op, ops.Slice)
    x, y = node.x, node.output
    ranges = {
        a: (s, t)
        for a, s, t in zip(op.axes, op.starts, op.steps, strict=True)
        if (s, t) != (0, 1) or x.type.shape[a] != y.type.shape[a]
    }
    axes_of = _crop_layout(x.type.shape, tuple(ranges))
    old, new = (_axis_form(v.type.shape, axes_of) for v in (x, y))
    place = builder.relayout(x, old)
    stage = builder.anchor(node, Kind.CROP, new)
    picks = [ranges.get(axes[0], (0, 1)) if len(axes) == 1 else (0, 1) for axes in axes_of]
    stage.starts = (picks[0][0], picks[1][0], picks[2][0])
    stage.steps = (picks[0][1], picks[1][1], picks[2][1])
    main(stage, place, x)


Axes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def _crop_layout(shape: tuple[int, ...], cut: tuple[int, ...]) -> Axes:
    """Axes for rows, pixels and channels such that each cut axis is alone in its group."""
    rank = len(shape)
    if rank == 4 and 0 not in cut:
        return (2,), (3,), (1,)
    if rank == 3 and 0 not in cut:
        return (2,), (), (1,)
    if len(cut) <= 1:
        axis = cut[0] if cut else rank - 1
        return tuple(range(axis)), (axis,), tuple(range(axis + 1, rank))
    raise ValueError(f"a slice of axes {cut} of {shape} has no row stream form")


def _axis_form(shape: tuple[int, ...], axes_of: Axes) -> Form:
    strides = [prod(shape[i + 1 :]) for i in range(len(shape))]
    rows, cols, chans = (tuple(Digit(shape[a], strides[a]) for a in axes) for axes in axes_of)
    return Form(rows, cols, chans).normal


def upsample(builder: Builder, node: Node) -> None:
    op = node.op
    assert isinstance(op, ops.Resize)
    place, chans = as_image(builder, node.x)
    stage = builder.anchor(node, Kind.UPSAMPLE, image_of(node.output.type.shape, chans))
    stage.factors = pair(op.factors[2:])
    main(stage, place, node.x)


def blocks(builder: Builder, node: Node) -> None:
    op = node.op
    assert isinstance(op, ops.DepthToSpace)
    shape, block = node.x.type.shape, op.block
    depth = shape[1] // (block * block)
    order: Digits = (Digit(shape[1], 1),)
    if op.mode == "CRD":
        order = (Digit(block, block), Digit(block, 1), Digit(depth, block * block))
    place = builder.relayout(node.x, image_of(shape, order))
    stage = builder.anchor(node, Kind.BLOCKS, image_of(node.output.type.shape, (Digit(depth, 1),)))
    stage.factors = (block, block)
    main(stage, place, node.x)


ANCHORS: dict[type[Op], Callable[[Builder, Node], None]] = {
    ops.QConv: conv,
    ops.QMatMul: product,
    ops.MaxPool: pool,
    ops.QAvgPool: pool,
    ops.Pad: pad,
    ops.QReduceMean: reduction,
    ops.Reduce: reduction,
    ops.Concat: concat,
    ops.Slice: crop,
    ops.Resize: upsample,
    ops.DepthToSpace: blocks,
}
