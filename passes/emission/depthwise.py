"""A depthwise convolution on the vector unit: a product for each strip of the kernel, their sum."""

from __future__ import annotations

from dataclasses import replace

from nmc.ir.depthwise import WEIGHT_ZERO, Strips, strip_weights, strips_of
from nmc.ir.graph import Node
from nmc.ir.mapping import Stage
from nmc.ir.program import Desc, Vec
from nmc.ir.stage_memory import ACC_BYTES, RECORD_BYTES
from nmc.passes.emission.chip import ChipWriter
from nmc.passes.emission.finishing import finished, matrix_records
from nmc.passes.emission.rows import Row, dense
from nmc.passes.emission.writer import CHUNK, Writer

__all__ = ["Depthwise"]


class Depthwise:
    """Constants of a stage at home, and the instructions for a run of pixels of a row."""

    def __init__(self, chip: ChipWriter, index: int) -> None:
        self.chip = chip
        self.index = index
        self.stage: Stage = chip.mapping.stages[index]
        self.anchor: Node = chip.nodes[self.stage.nodes[0]]
        self.strips: Strips = strips_of(self.stage.window.kernel)
        self.outputs = chip.mapping.made_chans(self.stage)[1]
        self.weights = self._weights()
        self.records = matrix_records(chip, index)

    def _weights(self) -> int:
        """Address of the table of weights, strip after strip."""
        table = strip_weights(self.anchor, self.stage.window.kernel)
        address = self.chip.address(self.index, self.stage.home, "weights")
        core = self.chip.core(self.stage.home)
        core.image(address, table, f"{self.stage.name} weights")
        return address

    def write(self, writer: Writer, source: Row, dst: Row) -> None:
        """`source` is the window's first row, from its first pixel; `dst` takes the results.

        Padding stands for the input's zero point, which the records subtract from all sums alike.
        """
        source = self._by_runs(source)
        total = self._sums("sum")
        for strip in range(self.strips.count):
            sums = self._sums("partial") if strip else total
            writer.emit(self._product(writer, source, sums, strip))
            if strip:
                here = total.desc(writer)
                writer.emit(Vec("add", here, here, sums.desc(writer)))
        table = writer.desc("i32", self.records, ((self.outputs, RECORD_BYTES),))
        there, sums_of_all = dst.desc(writer, exact=True), total.desc(writer, exact=True)
        writer.emit(finished(self.anchor.op, there, sums_of_all, table))

    def _by_runs(self, source: Row) -> Row:
        """The windows of one run of pixels after another."""
        step = self.stage.pixels * self.stage.window.strides[1] * source.pixel_bytes
        return replace(source, terms={**source.terms, CHUNK: step})

    def _sums(self, role: str) -> Row:
        address = self.chip.address(self.index, self.stage.home, role)
        return dense("i32", address, self.stage.pixels, self.outputs)

    def _product(self, writer: Writer, source: Row, sums: Row, strip: int) -> Vec:
        """Channels are the batch; of each, windows of pixels by weights of outputs."""
        chans, taps, window = source.chans, self.strips.taps, self.stage.window
        each = self.outputs // chans
        row_bytes = self.chip.rings[self.index, 0, self.stage.home].row_bytes
        steps = window.dilations[0] * row_bytes, window.dilations[1] * source.pixel_bytes
        along, across = steps[self.strips.along], steps[1 - self.strips.along]
        windows = (
            (chans, source.channel_bytes),
            (self.stage.pixels, window.strides[1] * source.pixel_bytes),
            (taps, along),
        )
        places = (
            (chans, each * ACC_BYTES),
            (self.stage.pixels, sums.pixel_bytes),
            (each, ACC_BYTES),
        )
        a = source.at(writer, windows, offset=strip * across, exact=True)
        imm = (0, WEIGHT_ZERO)
        dst = sums.at(writer, places, exact=True)
        return Vec("matmul", dst, a, self._strip(writer, strip, chans, each), imm)

    def _strip(self, writer: Writer, strip: int, chans: int, each: int) -> Desc:
        """The weights of a strip: channels x taps x outputs of a channel."""
        taps = self.strips.taps
        dims = ((chans, taps * each), (taps, each), (each, 1))
        base = self.weights + strip * chans * taps * each
        return writer.desc("u8", base, dims, exact=True)
