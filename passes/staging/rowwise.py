"""Nodes that work on each row in place: they join the stage that makes the row, where one can.

A `dequantize` is deferred to its user, so that a skip connection travels as bytes and becomes
float only where it is added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nmc.ir import ops
from nmc.ir.graph import Node, Unit, Value
from nmc.ir.layout import Digit, Digits, Form, normal, row_form
from nmc.ir.mapping import Kind, Role
from nmc.passes.staging.anchors import ANCHORS
from nmc.passes.staging.drafts import Builder, OperandDraft, Place, StageDraft, is_view, name_of

__all__ = ["defers", "rowwise"]

_OPEN = (Kind.MATRIX, Kind.WINDOW, Kind.MEAN, Kind.ROWS, Kind.CONCAT, Kind.CROP)
"""Kinds whose rows later nodes may change in place; the others emit several rows at a time."""

_ALONG_CHANNELS = (ops.Softmax, ops.LogSoftmax, ops.LayerNorm)


@dataclass(frozen=True, slots=True)
class Source:
    """An operand that flows: the value on the stream, and the dequantize that it passes, if any."""

    base: Value
    seen: Value
    dequantize: Node | None


def defers(builder: Builder, node: Node) -> bool:
    """Whether a dequantize leaves its work to the one rowwise node that uses it."""
    user = builder.graph.sole_user(node.output)
    return (
        isinstance(node.op, ops.Dequantize)
        and id(node.output) not in builder.leaving
        and user is not None
        and user.unit != Unit.HOST
        and type(user.op) not in ANCHORS
        and not is_view(user)
    )


def rowwise(builder: Builder, node: Node, deferred: dict[int, Node]) -> None:
    """Place an elementwise node, or a softmax or norm along channels."""
    sources = [_source(v, deferred) for v in node.operands if not v.is_constant]
    shape = node.output.type.shape
    full = [s for s in sources if s.seen.type.shape == shape]
    lead = _lead(builder, full)
    form = _settle(builder, node, lead)
    place = builder.places[id(lead.base)]
    partners = [_partner(builder, s, form, shape) for s in sources if s.base is not lead.base]
    stage = _stage_of(builder, place)
    if stage is None or not _may_extend(builder, stage, lead) or _clash(stage, partners):
        stage = builder.new_stage(name_of(node), Kind.ROWS, node.output, form, Unit.VECTOR)
        stage.operands.append(OperandDraft(place.stream, Role.ROW, lead.base.name))
    for partner in partners:
        if not any(_same_operand(partner, operand) for operand in stage.operands):
            stage.operands.append(partner)
    for source in dict.fromkeys(sources):
        if source.dequantize is not None:
            own = form if source.seen.type.shape == shape else row_form(source.seen.type.shape)
            builder.extend(stage, source.dequantize, own)
    builder.extend(stage, node, form)


def _source(value: Value, deferred: dict[int, Node]) -> Source:
    node = deferred.get(id(value))
    return Source(value, value, None) if node is None else Source(node.x, value, node)


def _lead(builder: Builder, full: list[Source]) -> Source:
    """The operand in whose stage the node may live; the latest stage, if several offer."""

    def rank(source: Source) -> int:
        stage = _stage_of(builder, builder.places[id(source.base)])
        if stage is None or not _may_extend(builder, stage, source):
            return -1
        return next(i for i, (_, s) in enumerate(builder.stages) if s is stage)

    return max(full, key=rank)


def _stage_of(builder: Builder, place: Place) -> StageDraft | None:
    return place.stream.producer


def _may_extend(builder: Builder, stage: StageDraft, source: Source) -> bool:
    return (
        stage.kind in _OPEN
        and builder.stages[-1][0] == builder.step
        and (source.dequantize is None or id(source.seen) not in builder.leaving)
        and builder.is_exclusive(source.base)
        and not source.base.is_constant
    )


def _settle(builder: Builder, node: Node, lead: Source) -> Form:
    """The form in which the node works: the lead's, but channels innermost where they must be."""
    form = builder.places[id(lead.base)].form
    if not isinstance(node.op, _ALONG_CHANNELS):
        return form
    shape = node.output.type.shape
    axes = range(node.op.axis, len(shape)) if isinstance(node.op, ops.LayerNorm) else [node.op.axis]
    strides = [int(np.prod(shape[a + 1 :], dtype=np.int64)) for a in range(len(shape))]
    inner = normal([Digit(shape[a], strides[a]) for a in axes])
    if form.normal.chan_digits == inner:
        return form
    rest: Digits = tuple(Digit(shape[a], strides[a]) for a in range(len(shape)) if a not in axes)
    return builder.relayout(lead.base, Form(rest[:2], rest[2:], inner)).form


def _same_operand(a: OperandDraft, b: OperandDraft) -> bool:
    return (a.stream, a.role, a.value) == (b.stream, b.role, b.value)


def _clash(stage: StageDraft, partners: list[OperandDraft]) -> bool:
    """Whether the stage takes one of these values already, but in another layout."""
    return any(
        o.value == p.value and o.role is not Role.MAIN and o.stream is not p.stream
        for o in stage.operands
        for p in partners
    )


def _partner(builder: Builder, source: Source, form: Form, shape: tuple[int, ...]) -> OperandDraft:
    """Another operand: row by row if it has the same shape, else one row for all."""
    if source.seen.type.shape == shape:
        place = builder.relayout(source.base, form)
        return OperandDraft(place.stream, Role.ROW, source.base.name)
    here = source.seen.type.shape
    index = np.arange(int(np.prod(here))).reshape(here)
    wanted = np.broadcast_to(index, shape).reshape(-1)[form.order()]
    if (wanted != wanted[:1, :1]).any():
        raise ValueError(f"{source.seen} broadcasts along channels, which no row stream does")
    place = builder.places[id(source.base)]
    if not np.array_equal(place.form.order().reshape(-1), wanted[0, 0]):
        place = builder.relayout(source.base, row_form(here))
    if not np.array_equal(place.form.order().reshape(-1), wanted[0, 0]):
        raise ValueError(f"{source.seen} has channels in another order than its partner")
    return OperandDraft(place.stream, Role.BROADCAST, source.base.name)
