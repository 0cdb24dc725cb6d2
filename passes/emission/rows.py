"""Rows in SRAM as operands, and the elementwise nodes that work on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from nmc.ir import ops
from nmc.ir.diagnostics import NmcError, error
from nmc.ir.graph import Array, Node, Value
from nmc.ir.mapping import Role, Stage
from nmc.ir.program import Desc, Vec
from nmc.ir.shares import Part, Run, parts_of, widest
from nmc.ir.stage_memory import RECORD_BYTES, Table, constant_table
from nmc.passes.emission.chip import ChipWriter
from nmc.passes.emission.turns import SLOTS, Segment
from nmc.passes.emission.writer import CHUNK, INPUT, TURN, Writer

__all__ = ["Chain", "Row", "element_bytes", "out_row", "ring_row"]


def element_bytes(dtype: str) -> int:
    return 1 if dtype in ("u8", "i8") else 4


@dataclass(frozen=True, slots=True)
class Row:
    """A row of `cols` pixels of `chans` elements somewhere in a core's SRAM.

    `pixel_bytes` is the distance of pixels (0: one pixel for all), `channel_bytes` that of
    channels (0: one element for all).
    """

    dtype: str
    base: int
    cols: int
    chans: int
    pixel_bytes: int
    channel_bytes: int
    terms: Mapping[str, int] = field(default_factory=dict[str, int])
    offset: int = 0
    ring: int = 0

    def moved(self, offset_bytes: int) -> Row:
        """The row so many bytes further on."""
        return replace(self, offset=self.offset + offset_bytes)

    def chunk(self, pixels: int) -> Row:
        """`pixels` of the row's pixels at a time, run after run in the loop CHUNK."""
        if pixels == self.cols:
            return self
        terms = {**self.terms, CHUNK: pixels * self.pixel_bytes}
        return replace(self, cols=pixels, terms=terms)

    def run(self, pixels: int, pixel0: int) -> Row:
        """The same from pixel `pixel0` on."""
        return self.moved(pixel0 * self.pixel_bytes).chunk(pixels)

    def desc(self, writer: Writer, *, exact: bool = False) -> Desc:
        dims = ((self.cols, self.pixel_bytes), (self.chans, self.channel_bytes))
        return self.at(writer, dims, exact=exact)

    def at(
        self,
        writer: Writer,
        dims: tuple[tuple[int, int], ...],
        *,
        offset: int = 0,
        terms: Mapping[str, int] | None = None,
        exact: bool = False,
    ) -> Desc:
        """Other elements of the row: other dimensions, from `offset` bytes on."""
        return writer.desc(
            self.dtype,
            self.base,
            dims,
            terms={**self.terms, **(terms or {})},
            offset=self.offset + offset,
            ring=self.ring,
            exact=exact,
        )


def dense(dtype: str, base: int, cols: int, chans: int) -> Row:
    """A row that stands alone, pixels side by side."""
    size = element_bytes(dtype)
    return Row(dtype, base, cols, chans, chans * size, size)


def ring_row(chip: ChipWriter, index: int, number: int, core: int, segment: Segment) -> Row:
    """The first ring row that a stage's operand shows at a firing of a segment, without padding
    beside it."""
    stage = chip.mapping.stages[index]
    operand = stage.operands[number]
    stream = chip.stream(operand.stream)
    ring = chip.rings[index, number, core]
    feed = chip.schedule(index).feeds[number]
    size = stream.element_bytes
    _, chans = chip.mapping.seen_chans(operand)
    return Row(
        stream.dtype,
        ring.address,
        stream.cols,
        chans,
        0 if operand.role is Role.BROADCAST else chans * size,
        size,
        {
            INPUT: feed.ring_rows * ring.row_bytes,
            TURN: segment.step * feed.advance * ring.row_bytes,
        },
        segment.first * feed.advance * ring.row_bytes + operand.left * chans * size,
        ring.depth * ring.row_bytes,
    )


def out_row(chip: ChipWriter, index: int, segment: Segment) -> Row:
    """The slot into which a stage writes what a firing emits; the slots take turns."""
    stage = chip.mapping.stages[index]
    stream, schedule = chip.output(stage), chip.schedule(index)
    _, chans = chip.mapping.made_chans(stage)
    cols = widest(chip.mapping, stage)
    row = dense(stream.dtype, chip.address(index, stage.home, "out"), cols, chans)
    slot = int(schedule.emits.max()) * cols * row.pixel_bytes
    terms = {INPUT: len(schedule.emitting) * slot, TURN: segment.emitted.step * slot}
    return replace(row, terms=terms, offset=segment.emitted.first * slot, ring=SLOTS * slot)


_BINARY: dict[type[ops.Op], str] = {
    ops.Add: "add",
    ops.Sub: "sub",
    ops.Mul: "mul",
    ops.Div: "div",
    ops.Min: "min",
    ops.Max: "max",
    ops.PRelu: "prelu",
}

_PLAIN: dict[type[ops.Op], str] = {
    ops.Relu: "relu",
    ops.Sigmoid: "sigmoid",
    ops.HardSwish: "hard-swish",
    ops.Tanh: "tanh",
    ops.Exp: "exp",
    ops.Erf: "erf",
    ops.Sqrt: "sqrt",
    ops.Abs: "abs",
    ops.Neg: "neg",
    ops.Sign: "sign",
}

_WITH_IMMEDIATES: dict[type[ops.Op], Callable[[ops.Op], tuple[str, tuple[float, ...]]]] = {
    ops.Clip: lambda op: ("clip", (op.lo, op.hi)),  # type: ignore[attr-defined]
    ops.LeakyRelu: lambda op: ("leaky-relu", (op.alpha,)),  # type: ignore[attr-defined]
    ops.HardSigmoid: lambda op: ("hard-sigmoid", (op.alpha, op.beta)),  # type: ignore[attr-defined]
    ops.Gelu: lambda op: ("gelu", (float(op.approximate == "tanh"),)),  # type: ignore[attr-defined]
    ops.Quantize: lambda op: ("quant", (op.scale, op.zero_point)),  # type: ignore[attr-defined]
    ops.Dequantize: lambda op: ("dequant", (op.scale, op.zero_point)),  # type: ignore[attr-defined]
}


class Chain:
    """Writes the rowwise nodes of a stage for one segment, from where values are to the output.

    `out` is the slot of what a firing emits, of which this is row `number`; of a matrix, the pixels
    of `run`, which are a piece of the part of that row that the stage makes.
    """

    def __init__(
        self,
        chip: ChipWriter,
        index: int,
        writer: Writer,
        segment: Segment,
        out: Row,
        number: int = 0,
        run: Run | None = None,
    ) -> None:
        self.chip = chip
        self.index = index
        self.stage: Stage = chip.mapping.stages[index]
        self.writer = writer
        self.segment = segment
        self.number = number
        self.pixels = self.stage.pixels if run is None else run.pixels
        """At a time."""
        self.pixel0 = 0 if run is None else run.pixel0
        part = self.part()
        within = self.pixel0 - part.pixel0
        self.out = out.moved(number * out.cols * out.pixel_bytes).run(self.pixels, within)
        self.rows: dict[str, Row] = {}
        for place, operand in enumerate(self.stage.operands):
            if operand.role is not Role.MAIN:
                row = ring_row(chip, index, place, self.stage.home, segment)
                if operand.role is Role.ROW:
                    row = row.moved(number * chip.rings[index, place, self.stage.home].row_bytes)
                self.rows[operand.value] = row.run(self.pixels, self.pixel0)

    def part(self) -> Part:
        """The part of the row that the stage makes."""
        return parts_of(self.chip.mapping, self.stage)[self.number // self.stage.grid[0]]

    def result_row(self, name: str) -> Row:
        """Where the result of one of the stage's nodes goes: the last one's is the output."""
        if name == self.stage.nodes[-1]:
            return self.out
        dtype = self.chip.nodes[name].output.type.dtype
        base = self.chip.address(self.index, self.stage.home, f"temp:{name}")
        row = dense(dtype, base, self.out.cols, self.out.chans)
        if self._spans_one_pixel(name):
            return Row(dtype, base, row.cols, row.chans, 0, row.channel_bytes)
        return row

    def _spans_one_pixel(self, name: str) -> bool:
        stream = self.chip.output(self.stage)
        digits = self.stage.forms[self.stage.nodes.index(name)]
        places = int(np.prod([size for size, _ in digits], dtype=np.int64))
        return places != stream.rows * stream.cols * stream.chans

    def run(self) -> None:
        """All nodes after the anchor."""
        for name in self.stage.nodes[int(self.stage.anchored) :]:
            node = self.chip.nodes[name]
            dst = self.result_row(name)
            self.write(node, dst)
            self.rows[name] = dst
        if not self.stage.nodes:
            self.vec("copy", self.out, self.rows[self.stage.operands[0].value])

    def vec(
        self, op: str, dst: Row, a: Row, b: Row | None = None, imm: tuple[float, ...] = ()
    ) -> None:
        """One vector instruction on whole rows; one pixel if the result is one for all."""
        if not dst.pixel_bytes:
            dst, a = _one_pixel(dst), _one_pixel(a)
            b = None if b is None else _one_pixel(b)
        w = self.writer
        exact = op in ("softmax", "log-softmax")
        operand = None if b is None else b.desc(w, exact=exact)
        w.emit(Vec(op, dst.desc(w, exact=exact), a.desc(w, exact=exact), operand, imm))

    def write(self, node: Node, dst: Row) -> None:
        op = type(node.op)
        if op in _BINARY:
            self.binary(node, dst)
        elif op in _PLAIN:
            self.vec(_PLAIN[op], dst, self.row_of(node, 0))
        elif op in _WITH_IMMEDIATES:
            name, imm = _WITH_IMMEDIATES[op](node.op)
            self.vec(name, dst, self.row_of(node, 0), imm=imm)
        elif isinstance(node.op, ops.Lut | ops.FlipSign):
            self.lookup(node, dst)
        elif isinstance(node.op, ops.Softmax | ops.LogSoftmax):
            name = node.op.name.replace("_", "-")
            self.vec(name, dst, self.row_of(node, 0))
        elif isinstance(node.op, ops.LayerNorm):
            self.layer_norm(node, node.op, dst)
        else:
            raise NmcError(
                error(
                    "unsupported-operator",
                    f"the vector unit has no instruction for `{node.op.name}`",
                    node.loc,
                )
            )

    def row_of(self, node: Node, number: int) -> Row:
        """An operand as a row: computed here, on a ring, or a table of constants."""
        value = node.operand(number)
        if not value.is_constant:
            return self.found(value)
        table = constant_table(self.chip.mapping, self.stage, node, value)
        return self.table_row(node, number, value, table)

    def found(self, value: Value) -> Row:
        """The row of a value, which may be a view of one that this stage has."""
        while value.name not in self.rows and value.producer is not None:
            value = value.producer.x
        return self.rows[value.name]

    def table_row(self, node: Node, number: int, value: Value, table: Table) -> Row:
        base = self.table(node, number, table.data)
        size = element_bytes(value.type.dtype)
        _, cols, chans = table.data.shape
        varies_rows, varies_cols, varies_chans = table.spans
        row_bytes = cols * chans * size
        row = Row(
            value.type.dtype,
            base,
            self.chip.output(self.stage).cols,
            self.out.chans,
            chans * size if varies_cols else 0,
            size if varies_chans else 0,
            {TURN: self.segment.row.step * row_bytes} if varies_rows else {},
            (self.segment.row.first + self.number) * row_bytes if varies_rows else 0,
        )
        return row.run(self.pixels, self.pixel0)

    def table(self, node: Node, number: int, data: Array) -> int:
        """Address of a constant table, whose bytes lie there from launch on."""
        name = node.output.name
        core = self.stage.home
        role = f"table:{name}:{number}"
        address = self.chip.address(self.index, core, role)
        images = self.chip.core(core).images
        if not any(image.address == address for image in images):
            self.chip.core(core).image(address, data, f"{self.stage.name} {role}")
        return address

    def binary(self, node: Node, dst: Row) -> None:
        second = node.operand(1)
        if second.is_constant:
            table = constant_table(self.chip.mapping, self.stage, node, second)
            if table.is_scalar:
                imm = (float(table.data.reshape(-1)[0]),)
                scalar = "leaky-relu" if isinstance(node.op, ops.PRelu) else None
                self.vec(scalar or _BINARY[type(node.op)], dst, self.row_of(node, 0), imm=imm)
                return
        self.vec(_BINARY[type(node.op)], dst, self.row_of(node, 0), self.row_of(node, 1))

    def lookup(self, node: Node, dst: Row) -> None:
        if isinstance(node.op, ops.FlipSign):
            data = np.arange(256, dtype=np.uint8) ^ np.uint8(0x80)
            base = self.table(node, 0, data)
        else:
            base = self.table(node, 1, node.operand(1).array)
        # A table is indexed by bytes, whatever numbers they stand for.
        a, dst, w = replace(self.found(node.x), dtype="u8"), replace(dst, dtype="u8"), self.writer
        if not dst.pixel_bytes:
            dst, a = _one_pixel(dst), _one_pixel(a)
        table = w.desc("u8", base, ((256, 1),))
        w.emit(Vec("lut", dst.desc(w), a.desc(w), table))

    def layer_norm(self, node: Node, op: ops.LayerNorm, dst: Row) -> None:
        """Scale and shift as records of two f32 per channel."""
        scale = node.operand(1).array.reshape(-1)
        shift = node.operand(2).array.reshape(-1) if len(node.inputs) > 2 else np.zeros_like(scale)
        base = self.table(node, 1, np.stack([scale, shift], axis=1))
        w = self.writer
        records = w.desc("f32", base, ((self.out.chans, RECORD_BYTES),))
        a = self.row_of(node, 0).desc(w, exact=True)
        w.emit(Vec("layernorm", dst.desc(w, exact=True), a, records, (op.epsilon,)))


def _one_pixel(row: Row) -> Row:
    return replace(row, cols=1)
