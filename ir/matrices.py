"""The integer matrices that a stage's tiles cut up, with rows in the order of the gather."""

from __future__ import annotations

import numpy as np

from nmc.ir.graph import Array, Graph, Node
from nmc.ir.layout import Digit, offsets
from nmc.ir.mapping import Block, Stage, Tile
from nmc.ir.ops import QConv
from nmc.ir.slices import slice_levels
from nmc.ir.target import Target

__all__ = ["block_matrix", "nodes_by_result", "tile_levels", "weight_sums"]


def nodes_by_result(graph: Graph) -> dict[str, Node]:
    """Each node by the name of its first result, which is how a Mapping refers to it."""
    return {node.output.name: node for node in graph}


def block_matrix(anchor: Node, stage: Stage, block: Block) -> Array:
    """int8[block.rows, grid rows * grid pixels * block.outputs], as `Block` orders them.

    Each output of a read has the kernel where its own window lies, and zeros around it.
    """
    kernel = _kernel(anchor, stage, block)
    if stage.grid == (1, 1):
        return np.ascontiguousarray(kernel.reshape(block.rows, block.outputs))
    span, strides, dilations = stage.window.span, stage.window.strides, stage.window.dilations
    matrix = np.zeros(
        (*stage.read_window.kernel, block.chans, *stage.grid, block.outputs), kernel.dtype
    )
    for row, pixel in np.ndindex(stage.grid):
        top, left = row * strides[0], pixel * strides[1]
        rows = slice(top, top + span[0], dilations[0])
        pixels = slice(left, left + span[1], dilations[1])
        matrix[rows, pixels, :, row, pixel] = kernel
    return matrix.reshape(block.rows, -1)


def _kernel(anchor: Node, stage: Stage, block: Block) -> Array:
    """int8[kernel height, kernel width, block.chans, block.outputs].

    A block of several groups is dense, with zeros where an output doesn't see a channel.
    """
    weights = anchor.operand(1).array
    order = offsets([Digit(size, stride) for size, stride in stage.reading])
    stop = block.output0 + block.outputs
    kernel = stage.window.kernel
    if not isinstance(anchor.op, QConv):
        return weights[order, block.output0 : stop].reshape(*kernel, block.chans, block.outputs)
    flat = weights.reshape(*weights.shape[:2], *kernel).transpose(2, 3, 1, 0)
    if anchor.op.group == 1:
        return flat[:, :, order, block.output0 : stop]
    outputs, chans = weights.shape[0] // anchor.op.group, weights.shape[1]
    dense = np.zeros((*kernel, block.chans, block.outputs), weights.dtype)
    for group in range(block.output0 // outputs, -(-stop // outputs)):
        first, last = max(group * outputs, block.output0), min((group + 1) * outputs, stop)
        chan = group * chans - block.chan0
        here = slice(first - block.output0, last - block.output0)
        dense[:, :, chan : chan + chans, here] = flat[:, :, :, first:last]
    return dense


def weight_sums(anchor: Node, outputs: slice = slice(None)) -> Array:
    """i64[outputs]: the sum of all weights of each output, which the input's zero point meets."""
    weights = anchor.operand(1).array
    if isinstance(anchor.op, QConv):
        axes = tuple(range(1, weights.ndim))
        return np.asarray(weights[outputs].sum(axis=axes, dtype=np.int64))
    return np.asarray(weights[:, outputs].sum(axis=0, dtype=np.int64))


def tile_levels(matrix: Array, tile: Tile, target: Target) -> Array:
    """int8[rows, outputs * slices]: the cells of a tile, cut out of its block's matrix."""
    return slice_levels(
        matrix[tile.row0 : tile.row0 + tile.rows, tile.output0 : tile.output0 + tile.outputs],
        cell_bits=target.crossbar.cell_bits,
        slices=target.slices,
        encoding=target.crossbar.encoding,
        weight_bits=target.numbers.weight_bits,
    )
