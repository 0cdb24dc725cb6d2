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
from nmc.ir.layout import Digit, offsets
from nmc.ir.mapping import Block, Kind, Mapping, Stage, StepKind, Tile
from nmc.ir.numerics import pool_windows, requantize
from nmc.ir.ops import QConv, QMatMul
from nmc.ir.slices import sliced_product
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
    stages: dict[str, int] = field(init=False)
    tiles: dict[tuple[int, int], list[PlacedTile]] = field(init=False)

    def __post_init__(self) -> None:
        self.stages = {
            s.nodes[0]: i for i, s in enumerate(self.mapping.stages) if s.kind is Kind.MATRIX
        }
        self.tiles = defaultdict(list)
        for i, tile in enumerate(self.mapping.tiles):
            self.tiles[tile.stage, tile.block].append((tile, self.levels[i]))

    def result(self, node: Node, arrays: Sequence[Array | None]) -> Array:
        """The node's value: windows, tile reads, sums, and what post-processing makes of them."""
        x, _, bias, multiplier = arrays
        if x is None or bias is None or multiplier is None:
            raise TypeError(f"{node} lacks an operand")
        if isinstance(node.op, QConv):
            return self.convolution(node, node.op, x, bias, multiplier)
        if not isinstance(node.op, QMatMul):
            raise TypeError(f"{node} is no matrix of integers")
        rows = x.reshape(-1, x.shape[-1])
        correction = self.correction(node, node.op.x_zero_point)
        acc = self.products(node, rows) + bias.astype(np.int64) - correction
        return finished(node.op, acc, multiplier).reshape(node.output.type.shape)

    def convolution(self, node: Node, op: QConv, x: Array, bias: Array, scale: Array) -> Array:
        rank = x.ndim - 2
        kernel = node.operand(1).type.shape[2:]
        windows = pool_windows(x, kernel, op.strides, op.pads, op.dilations, value=op.x_zero_point)
        innermost = np.moveaxis(windows, 1, -1)  # [N, *places, *kernel, channels]
        places = innermost.shape[: 1 + rank]
        correction = self.correction(node, op.x_zero_point)
        out = np.empty(
            (int(np.prod(places)), len(bias)), np.uint8 if op.out == "u8" else np.float32
        )
        step = max(1, COLUMN_BYTES // max(1, int(np.prod(innermost.shape[1 + rank :]))))
        for start in range(0, len(out), step):
            chosen = np.unravel_index(np.arange(start, min(start + step, len(out))), places)
            acc = self.products(node, innermost[chosen]) + bias.astype(np.int64) - correction
            out[start : start + step] = finished(op, acc, scale)
        return np.moveaxis(out.reshape(*places, len(bias)), -1, 1)

    def products(self, node: Node, windows: Array) -> Array:
        """i64[n, outputs] of windows [n, *kernel, channels], or [n, K] for a product."""
        number = self.stages[node.output.name]
        stage = self.mapping.stages[number]
        order = offsets([Digit(size, stride) for size, stride in stage.reading])
        physical = windows[..., order]
        total = np.zeros((len(windows), outputs_of(node)), np.int64)
        for index, block in enumerate(stage.blocks):
            gathered = gather(stage, node, block, physical)
            for tile, levels in self.tiles[number, index]:
                first = block.output0 + tile.output0
                part = gathered[:, tile.row0 : tile.row0 + tile.rows]
                total[:, first : first + tile.outputs] += self.read(tile, levels, part)
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

    def correction(self, node: Node, zero_point: int) -> Array:
        """What the input's zero point adds to each output; compiling folds it into the bias."""
        weights = node.operand(1).array.astype(np.int64)
        axes = tuple(range(1, weights.ndim)) if isinstance(node.op, QConv) else (0,)
        return np.asarray(zero_point * weights.sum(axis=axes))


def outputs_of(node: Node) -> int:
    return node.operand(2).type.elements


def gather(stage: Stage, node: Node, block: Block, physical: Array) -> Array:
    """u8[n, block.rows]: what lies on the block's rows."""
    if isinstance(node.op, QMatMul):
        return physical
    chans = physical[..., block.chan0 : block.chan0 + block.chans]
    return chans.reshape(len(chans), block.rows)


def finished(op: QConv | QMatMul, acc: Array, multiplier: Array) -> Array:
    """As the Graph has it, outputs along the last axis."""
    sums = acc.astype(np.int32)
    if op.out == "f32":
        return np.asarray(sums.astype(np.float32) * multiplier)
    return requantize(sums, multiplier, op.y_zero_point, op.lo, op.hi)
