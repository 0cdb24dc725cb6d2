"""What data puts on the rows of a stage's matrix: windows of its operand, in gather order."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nmc.ir.graph import Array, Node, Value
from nmc.ir.layout import Digit, offsets
from nmc.ir.mapping import Block, Stage, Stream
from nmc.ir.numerics import pool_windows
from nmc.ir.ops import QConv

__all__ = ["batch_of", "block_inputs", "reach", "read_windows", "stage_windows", "token_order"]


def batch_of(value: Value, samples: Array) -> Array:
    """Samples [n, ...] of a graph input of shape [1, ...], as [n, ...] whichever way they came."""
    shape = value.type.shape
    return samples.reshape(-1, *shape[1:]) if shape else samples


def reach(stage: Stage, taken: Stream, made: Stream) -> tuple[int, int]:
    """Padding (bottom, right) with which the last reads of a layer find all that they gather."""
    operand, window = stage.operands[0], stage.read_window
    below, beside = (
        (-(-count // together) - 1) * stride + span - size - before
        for count, together, stride, span, size, before in zip(
            (made.rows, made.cols),
            stage.grid,
            window.strides,
            window.span,
            (taken.rows, taken.cols),
            (operand.top, operand.left),
            strict=True,
        )
    )
    return max(0, below), max(0, beside)


def read_windows(anchor: Node, stage: Stage, stream: Stream, x: Array) -> Array:
    """A view u8[samples, firings, reads of a row, height, width, channels]: what each read of a
    whole layer gathers, in physical order.

    `stream` is the stage's main operand, `x` its value over several samples, along the first axis.
    """
    order = offsets([Digit(size, stride) for size, stride in stage.reading])
    if isinstance(anchor.op, QConv):
        image = x[:, order]
    else:
        tokens = x.reshape(-1, len(token_order(anchor, stage)), anchor.x.type.shape[-1])
        tokens = tokens[:, token_order(anchor, stage)][:, :, order]
        image = np.moveaxis(tokens.reshape(len(tokens), -1, stream.chans), -1, 1)
    image = image.reshape(len(image), stream.chans, stream.rows, stream.cols)
    window, operand = stage.read_window, stage.operands[0]
    pads = (operand.top, operand.left, operand.bottom, operand.right)
    windows = pool_windows(
        image, window.kernel, window.strides, pads, window.dilations, value=operand.fill
    )
    return np.moveaxis(windows, 1, -1)


def token_order(anchor: Node, stage: Stage) -> Array:
    """Of a product, the logical token that each place of the output holds: i64[tokens]."""
    places = offsets([Digit(size, stride) for size, stride in stage.forms[0]])
    width = anchor.output.type.shape[-1]
    return np.asarray(places.reshape(-1, width)[:, 0] // width)


def block_inputs(windows: Array, block: Block) -> Array:
    """u8[n, block.rows]: what a block's gather takes of windows [n, height, width, channels]."""
    chans = windows[..., block.chan0 : block.chan0 + block.chans]
    return np.ascontiguousarray(chans).reshape(len(chans), block.rows)


def stage_windows(
    anchor: Node,
    stage: Stage,
    stream: Stream,
    seen: Mapping[str, Array],
    most: int,
    rng: np.random.Generator,
) -> list[Array]:
    """For each block of a matrix stage, up to `most` vectors u8[n, block.rows] that occurred.

    `seen` has the operand's values over several samples, along the first axis.
    """
    windows = read_windows(anchor, stage, stream, seen[stage.operands[0].value])
    places = windows.shape[:3]
    vectors = windows[np.unravel_index(_choice(int(np.prod(places)), most, rng), places)]
    return [block_inputs(vectors, block) for block in stage.blocks]


def _choice(count: int, most: int, rng: np.random.Generator) -> Array:
    """Indices of at most `most` of `count` things, in order."""
    return np.sort(rng.choice(count, min(count, most), replace=False))
