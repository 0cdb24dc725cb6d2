"""The integer matrices that a stage's tiles cut up, with rows in the order of the gather."""

from __future__ import annotations

import numpy as np

from nmc.ir.graph import Array, Graph, Node
from nmc.ir.layout import Digit, offsets
from nmc.ir.mapping import Block, Stage, Tile
from nmc.ir.ops import QConv
from nmc.ir.slices import slice_levels
from nmc.ir.target import Target

__all__ = ["block_matrix", "nodes_by_result", "tile_levels"]


def nodes_by_result(graph: Graph) -> dict[str, Node]:
    """Each node by the name of its first result, which is how a Mapping refers to it."""
    return {node.output.name: node for node in graph}


def block_matrix(anchor: Node, stage: Stage, block: Block) -> Array:
    """int8[block.rows, block.outputs]: kernel rows x kernel columns x channels, by outputs.

    A block of several groups is dense, with zeros where an output doesn't see a channel.
    """
    weights = anchor.operand(1).array
    order = offsets([Digit(size, stride) for size, stride in stage.reading])
    if not isinstance(anchor.op, QConv):
        columns = slice(block.output0, block.output0 + block.outputs)
        return np.ascontiguousarray(weights[order, columns])
    kernel = stage.window.kernel
    group_chans = weights.shape[1]
    flat = weights.reshape(*weights.shape[:2], *kernel).transpose(2, 3, 1, 0)
    if anchor.op.group == 1:
        dense = flat[:, :, order, block.output0 : block.output0 + block.outputs]
        return np.ascontiguousarray(dense.reshape(block.rows, block.outputs))
    group_outputs = weights.shape[0] // anchor.op.group
    dense = np.zeros((*kernel, block.chans, block.outputs), weights.dtype)
    for group in range(block.chans // group_chans):
        chans = slice(group * group_chans, (group + 1) * group_chans)
        here = slice(group * group_outputs, (group + 1) * group_outputs)
        there = slice(block.output0 + here.start, block.output0 + here.stop)
        dense[:, :, chans, here] = flat[:, :, :, there]
    return dense.reshape(block.rows, block.outputs)


def tile_levels(matrix: Array, tile: Tile, target: Target) -> Array:
    """int8[rows, outputs * slices]: the cells of a tile, cut out of its block's matrix."""
    return slice_levels(
        matrix[tile.row0 : tile.row0 + tile.rows, tile.output0 : tile.output0 + tile.outputs],
        cell_bits=target.crossbar.cell_bits,
        slices=target.slices,
        encoding=target.crossbar.encoding,
        weight_bits=target.numbers.weight_bits,
    )
