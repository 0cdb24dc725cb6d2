"""Buffers of the mapping as tensors: which there are, and what a machine's memory holds of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from nmc.backends.program_places import ProgramPlaces
from nmc.backends.simulator.memory import RECORD, SCALE_SHIFT, Memory
from nmc.ir.depthwise import on_vector_unit, strips_of
from nmc.ir.graph import DTYPES, Array, Node
from nmc.ir.mapping import Buffer, Mapping, Ring, Stage
from nmc.ir.matrices import nodes_by_result
from nmc.ir.ops import FlipSign, LayerNorm, Lut
from nmc.ir.shares import widest

__all__ = ["View", "tensor", "views"]

BYTE_TYPES = (FlipSign, Lut)
"""Their tables have an entry for each byte."""

ACCUMULATORS = "halves x pixels x outputs"


@dataclass(frozen=True, slots=True)
class View:
    """A buffer of a layer: where it lies, and how its bytes are a tensor.

    `axes` names the tensor's dimensions.
    """

    layer: str
    role: str
    core: int
    address: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    axes: str

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


def tensor(memory: Memory, address: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """What lies there in every lane: [lanes, *shape].  Memory beyond what the program touches is
    0, as at launch; ValueError beyond that of the chip is the caller's to prevent."""
    size = prod(shape) * dtype.itemsize
    held = memory.data[:, address : address + size]
    data = np.zeros((memory.lanes, size), np.uint8)
    data[:, : held.shape[1]] = held
    return data.view(dtype).reshape(memory.lanes, *shape)


def views(places: ProgramPlaces) -> Iterator[View]:
    """Every ring and buffer of the step's stages, in the mapping's order."""
    mapping, nodes = places.mapping, nodes_by_result(places.graph)
    for ring in mapping.rings:
        if mapping.steps[mapping.stages[ring.stage].step].name == places.step:
            yield ring_view(mapping, ring)
    for buffer in places.buffers:
        yield buffer_view(mapping, buffer, nodes)


def ring_view(mapping: Mapping, ring: Ring) -> View:
    stage = mapping.stages[ring.stage]
    operand = stage.operands[ring.operand]
    stream = mapping.streams[operand.stream]
    cols = operand.left + stream.cols + operand.right
    chans = mapping.seen_chans(operand)[1]
    shape, role = (ring.depth, cols, chans), f"ring{ring.operand}"
    axes = "slots x pixels x channels"
    return View(stage.name, role, ring.core, ring.address, DTYPES[stream.dtype], shape, axes)


def buffer_view(mapping: Mapping, buffer: Buffer, nodes: dict[str, Node]) -> View:
    stage = mapping.stages[buffer.stage]
    dtype, inner, axes = layout(mapping, stage, buffer.role, nodes)
    count = buffer.bytes // dtype.itemsize
    if axes == ACCUMULATORS:
        inner = (stage.reads, count // (2 * stage.reads))
    shape: tuple[int, ...] = (count // prod(inner), *inner)
    if prod(shape) != count:
        shape, axes = (count,), "elements"
    return View(stage.name, buffer.role, buffer.core, buffer.address, dtype, shape, axes)


def layout(
    mapping: Mapping, stage: Stage, role: str, nodes: dict[str, Node]
) -> tuple[np.dtype[Any], tuple[int, ...], str]:
    """Element type, inner dimensions (the first follows from the size), names of dimensions."""
    stream = mapping.streams[stage.output]
    kind, _, name = role.partition(":")
    if kind == "out":
        shape = (widest(mapping, stage), mapping.made_chans(stage)[1])
        return DTYPES[stream.dtype], shape, "slots x pixels x channels"
    if kind == "records":
        return RECORD, (), "channels of (bias, multiplier)"
    if kind == "temp":
        chans = mapping.made_chans(stage)[1]
        return DTYPES[nodes[name].output.type.dtype], (chans,), "pixels x channels"
    if kind == "table":
        return table(nodes[name.rpartition(":")[0]], int(name.rpartition(":")[2]))
    if on_vector_unit(stage, nodes) and kind in ("sum", "partial"):
        return DTYPES["i32"], (mapping.made_chans(stage)[1],), "pixels x outputs"
    if kind == "weights":
        anchor, strips = nodes[stage.nodes[0]], strips_of(stage.window.kernel)
        chans = anchor.x.type.shape[1]
        each = mapping.made_chans(stage)[1] // chans
        return DTYPES["u8"], (chans, strips.taps, each), "strips x channels x taps x outputs"
    if kind == "acc" or kind.startswith("part"):
        return DTYPES["i32"], (), ACCUMULATORS
    return DTYPES["i32"], (), "elements"


def table(node: Node, operand: int) -> tuple[np.dtype[Any], tuple[int, ...], str]:
    if isinstance(node.op, LayerNorm):
        return SCALE_SHIFT, (), "channels of (scale, shift)"
    if isinstance(node.op, BYTE_TYPES):
        return DTYPES["u8"], (), "entries"
    return node.operand(operand).array.dtype, (), "elements"
