"""The Mapping's interpreter: each matrix multiplied tile by tile, with no notion of time.

It walks the quantised Graph, but takes the weights of crossbar nodes from the levels of the
tiles, reads each tile as its crossbar and ADCs would, and adds what tiles of the same outputs
give.  Where all reads are lossless that is the Graph's own result; the simulator's it is always.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from collections.abc import Mapping as Dict
from dataclasses import dataclass, field

import numpy as np

from nmc.backends.container.contents import Contents
from nmc.backends.execute import validate_inputs
from nmc.backends.host import OrtHost
from nmc.ir.graph import Array, Node
from nmc.ir.interpreter import Run, compute
from nmc.ir.mapping import Kind, Mapping, Stage, StepKind, Tile
from nmc.ir.matrices import weight_sums
from nmc.ir.numerics import requantize
from nmc.ir.ops import QConv, QMatMul
from nmc.ir.slices import sliced_product
from nmc.ir.stage_inputs import block_inputs, read_windows, token_order
from nmc.ir.target import Target

__all__ = ["run_mapping"]

COLUMN_BYTES = 1 << 26
"""About how much memory the windows of one part of the outputs may take."""

PlacedTile = tuple[Tile, Array]


def run_mapping(
    contents: Contents, inputs: Dict[str, Array], *, keep: Collection[str] = ()
) -> dict[str, Array]:
    """Outputs, and values named in `keep`, as [samples, *one sample] by name.

    `inputs` as `nmc.backends.execute.validate_inputs` takes them.
    """
    arrays = validate_inputs(contents, inputs)
    crossbars = Crossbars(contents.mapping, contents.target, levels_of(contents))
    walk = MappedRun(contents.graph, keep, OrtHost(), crossbars=crossbars)
    samples = next((len(a) for a in arrays.values()), 1)
    rows = [walk.one({name: array[i] for name, array in arrays.items()}) for i in range(samples)]
    shapes = {v.name: v.type.sample_shape for v in (*walk.kept(), *contents.graph.outputs)}
    return {
        name: np.stack([row[name] for row in rows]).reshape(samples, *shape)
        for name, shape in shapes.items()
    }


def levels_of(contents: Contents) -> dict[int, Array]:
    """The levels of each of the mapping's tiles, from the programs that write them."""
    mapping = contents.mapping
    chip = (s.name for s in mapping.steps if s.kind is StepKind.CHIP)
    images = {
        (step, t.core, t.crossbar, t.row0, t.channel0): t.levels
        for step, program in zip(chip, contents.programs, strict=True)
        for t in program.tiles
    }
    return {
        i: images[mapping.steps[mapping.stages[t.stage].step].name, t.core, t.crossbar,
                  t.cell_row0, t.channel0]
        for i, t in enumerate(mapping.tiles)
    }  # fmt: skip


@dataclass(eq=False, slots=True)
class MappedRun(Run):
    """The Graph's walk, with matrix stages computed by `crossbars`."""

    crossbars: Crossbars | None = None

    def one(self, arrays: Dict[str, Array]) -> dict[str, Array]:
        """All results of one sample."""
        self.env.clear()
        for value in self.graph.inputs:
            self.env[value] = arrays[value.name].reshape(value.type.shape)
        self.all_nodes()
        return self.results()

    def compute(self, node: Node) -> None:
        arrays = [self.read(v) for v in node.inputs]
        if self.crossbars is not None and node.output.name in self.crossbars.stages:
            results: Sequence[Array] = (self.crossbars.result(node, arrays),)
        else:
            results = compute(node, arrays, self.host)
        self.env.update(zip(node.outputs, results, strict=True))


@dataclass(slots=True)
class Crossbars:
    """All tiles, by the matrix node that they belong to."""

    mapping: Mapping
    target: Target
    levels: dict[int, Array]
    stages: dict[str, list[int]] = field(init=False)
    """The pieces of the first copy of each matrix."""
    tiles: dict[tuple[int, int], list[PlacedTile]] = field(init=False)

    def __post_init__(self) -> None:
        self.stages = defaultdict(list)
        for i, stage in enumerate(self.mapping.stages):
            if stage.kind is Kind.MATRIX and stage.copy == 0:
                self.stages[stage.nodes[0]].append(i)
        self.tiles = defaultdict(list)
        for i, tile in enumerate(self.mapping.tiles):
            self.tiles[tile.stage, tile.block].append((tile, self.levels[i]))

    def result(self, node: Node, arrays: Sequence[Array | None]) -> Array:
        """The node's value: windows, tile reads, sums, and what post-processing makes of them."""
        x, _, bias, multiplier = arrays
        if x is None or bias is None or multiplier is None:
            raise TypeError(f"{node} lacks an operand")
        if not isinstance(node.op, QConv | QMatMul):
            raise TypeError(f"{node} is no matrix of integers")
        return self.product(node, node.op, x, bias, multiplier)

    def product(
        self, node: Node, op: QConv | QMatMul, x: Array, bias: Array, multiplier: Array
    ) -> Array:
        """A layer's value, read by read; outputs beyond its last row and pixel are dropped."""
        stage = self.mapping.stages[self.stages[node.output.name][0]]
        made = self.mapping.streams[stage.output]
        windows = read_windows(node, stage, self.mapping.streams[stage.operands[0].stream], x)
        places, each = windows.shape[1:3], int(np.prod(windows.shape[3:]))
        out = np.empty((int(np.prod(places)), *stage.grid, len(bias)), dtype_of(op))
        offset = bias.astype(np.int64) - op.x_zero_point * weight_sums(node)
        step = max(1, COLUMN_BYTES // max(1, each))
        for start in range(0, len(out), step):
            chosen = np.unravel_index(np.arange(start, min(start + step, len(out))), places)
            sums = self.sums(node, windows[0][chosen], stage.grid)
            out[start : start + step] = finished(op, sums + offset, multiplier)
        image = out.reshape(*places, *stage.grid, len(bias)).swapaxes(1, 2)
        image = image.reshape(places[0] * stage.grid[0], -1, len(bias))
        return logical(node, stage, image[: made.rows, : made.cols])

    def sums(self, node: Node, windows: Array, grid: tuple[int, int]) -> Array:
        """i64[n, *grid, outputs] of windows [n, height, width, channels] of a read each."""
        total = np.zeros((len(windows), *grid, outputs_of(node)), np.int64)
        for number in self.stages[node.output.name]:
            for index, block in enumerate(self.mapping.stages[number].blocks):
                gathered = block_inputs(windows, block)
                columns = np.zeros((len(windows), grid[0] * grid[1] * block.outputs), np.int64)
                for tile, levels in self.tiles[number, index]:
                    part = gathered[:, tile.row0 : tile.row0 + tile.rows]
                    columns[:, tile.output0 : tile.output0 + tile.outputs] += self.read(
                        tile, levels, part
                    )
                here = slice(block.output0, block.output0 + block.outputs)
                total[..., here] += columns.reshape(len(windows), *grid, block.outputs)
        return total

    def read(self, tile: Tile, levels: Array, x: Array) -> Array:
        target = self.target
        return sliced_product(
            x,
            levels,
            slices=target.slices,
            cell_bits=target.crossbar.cell_bits,
            dac_bits=target.crossbar.dac_bits,
            input_bits=target.numbers.input_bits,
            bits=tile.bits,
            steps=tile.steps,
            converted=tile.converted,
            encoding=target.crossbar.encoding,
            weight_bits=target.numbers.weight_bits,
        )


def outputs_of(node: Node) -> int:
    return node.operand(2).type.elements


def logical(node: Node, stage: Stage, image: Array) -> Array:
    """Rows of pixels of outputs, as the machine makes them, in the order of the node's result."""
    if isinstance(node.op, QConv):
        return np.moveaxis(image, -1, 0).reshape(node.output.type.shape)
    result = np.empty((image.shape[0] * image.shape[1], image.shape[2]), image.dtype)
    result[token_order(node, stage)] = image.reshape(result.shape)
    return result.reshape(node.output.type.shape)


def dtype_of(op: QConv | QMatMul) -> type[np.generic]:
    return np.uint8 if op.out == "u8" else np.float32


def finished(op: QConv | QMatMul, acc: Array, multiplier: Array) -> Array:
    """As the Graph has it, outputs along the last axis."""
    sums = acc.astype(np.int32)
    if op.out == "f32":
        return np.asarray(sums.astype(np.float32) * multiplier)
    return requantize(sums, multiplier, op.y_zero_point, op.lo, op.hi)
