"""The Mapping: where each tile of each matrix lies, what feeds it, what holds what.

Plain frozen records, so that JSON and its schema follow from the types (`mapping_schema`).  Passes
fill it level by level: `stage` makes steps, streams and stages; `tile` blocks and tiles; `place`
cores and crossbars; `schedule-adc` conversions; `buffers` rings and buffers; `codegen` sequencers.
Everything refers by index into the tuples of `Mapping`; -1 means "not decided yet" or "none".
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

__all__ = [
    "ONE_PIXEL",
    "Block",
    "Buffer",
    "Kind",
    "Mapping",
    "Operand",
    "Ring",
    "Role",
    "SequencerUse",
    "Source",
    "Stage",
    "Step",
    "StepKind",
    "Stream",
    "StreamIo",
    "Tile",
    "Window",
    "mapping_from_json",
    "mapping_schema",
    "mapping_to_json",
]


class StepKind(StrEnum):
    HOST = "host"
    CHIP = "chip"


@dataclass(frozen=True, slots=True)
class Step:
    """One of the steps that execute in order: host subgraphs and phases of the chip alternate.

    `inputs` and `outputs` name graph values; `nodes` names the first result of each graph node
    that runs in this step.
    """

    kind: StepKind
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StreamIo:
    """Where a stream meets global memory: tensor `value` of `shape`, brought into physical order
    by reshape to `factors`, transpose by `perm` (see `nmc.ir.program.Io`)."""

    value: str
    shape: tuple[int, ...]
    factors: tuple[int, ...]
    perm: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stream:
    """A tensor that flows row by row: `rows` rows of `cols` pixels of `chans` elements.

    `producers` are the stages of the layer that makes it: for each copy in order its pieces in
    order; there are none when the host puts it into global memory.  `source` is set in that case;
    `sinks` lists the outputs that the host reads from this stream.
    """

    value: str
    step: int
    dtype: str
    rows: int
    cols: int
    chans: int
    producers: tuple[int, ...] = ()
    source: StreamIo | None = None
    sinks: tuple[StreamIo, ...] = ()

    @property
    def producer(self) -> int:
        """The first of the stages that make it, -1 if the host brings it."""
        return self.producers[0] if self.producers else -1

    @property
    def element_bytes(self) -> int:
        return 1 if self.dtype in ("u8", "i8") else 4

    @property
    def row_bytes(self) -> int:
        return self.cols * self.chans * self.element_bytes


class Role(StrEnum):
    """How a stage uses an operand."""

    MAIN = "main"
    """What the anchor works on: windows of rows, or row by row."""
    ROW = "row"
    """The row of the same number as the output row (skip connections, concatenation)."""
    BROADCAST = "broadcast"
    """One row of one pixel for all output rows (channel gates)."""


@dataclass(frozen=True, slots=True)
class Operand:
    """A stream that a stage consumes, with the padding that its ring shows around the rows.

    `value` is the graph value that the stage's nodes know it by (a reshape of the stream's own
    value, perhaps).  Of each pixel, `chans` channels from `chan0` on come to the ring; 0 means all.
    """

    stream: int
    role: Role
    value: str
    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0
    fill: int = 0
    chan0: int = 0
    chans: int = 0

    def padded(self, rows: int) -> int:
        """Rows that its ring takes for one input of `rows` data rows."""
        return self.top + rows + self.bottom


class Kind(StrEnum):
    """What a stage's anchor does; elementwise nodes may follow it on each row, in place."""

    MATRIX = "matrix"
    """Convolution or matrix product, on crossbars."""
    WINDOW = "window"
    """Pooling over windows; constant padding is a window of one; depthwise convolution that the
    vector unit computes."""
    MEAN = "mean"
    """Reduction over all rows and pixels."""
    ROWS = "rows"
    """Elementwise alone, softmax, layer norm."""
    CONCAT = "concat"
    """Channels of several streams side by side."""
    CROP = "crop"
    """A range of rows, pixels and channels."""
    UPSAMPLE = "upsample"
    """Each row and pixel repeated."""
    BLOCKS = "blocks"
    """Channels unfolded into blocks of pixels (depth to space)."""
    REORDER = "reorder"
    """The same rows with channels in another order."""
    RELAYOUT = "relayout"
    """The same elements in another physical order, across rows."""


@dataclass(frozen=True, slots=True)
class Window:
    """Rows and pixels that one output pixel sees: (height, width) of each."""

    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)

    @property
    def span(self) -> tuple[int, int]:
        return (
            (self.kernel[0] - 1) * self.dilations[0] + 1,
            (self.kernel[1] - 1) * self.dilations[1] + 1,
        )


ONE_PIXEL = Window()


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a stage's matrix that one gather can feed: the whole of an ungrouped one, or some
    groups of a grouped one.

    Its matrix has a row for each byte of what a read gathers: height x width of the stage's
    `read_window` x `chans`, in that order, from input channel `chan0` on.  It has a column for each
    output of a read: rows x pixels of the stage's `grid` x `outputs`, from output channel `output0`
    on.
    """

    chan0: int
    chans: int
    output0: int
    outputs: int
    rows: int


@dataclass(frozen=True, slots=True)
class Stage:
    """An anchor operation and the elementwise nodes that follow it row by row.

    `nodes` names the first result of each of its graph nodes in order of execution; `anchored`
    says whether one of them is the anchor (`ROWS` and `RELAYOUT` have none); `forms` has for each
    the digits (size, stride) of its result's layout (see `nmc.ir.layout`).  `output` is the
    stage's stream.  `home` is the core that runs its vector work and sends its rows; `cores` are
    all that hold tiles of it.

    A layer may be several stages, one after the other.  Its `copies` take turns: number `copy` of n
    makes rows (or grids of rows) copy, copy + n...  With a `share` of m rows (or grids of rows) the
    copies of a matrix deal out the pixels of m rows instead, and begin again with row m: number
    `copy` makes the part from copy * m / n rows on (see `nmc.ir.shares`).  Its `pieces` (of each
    copy) make some channels of each row: `chans` from `chan0` on, where 0 means all.  By kind:

    - MATRIX, WINDOW: `window`; MATRIX: `blocks`, and `reading`, digits (size, stride) that give
      the logical input channel of each physical one (convolution) or the logical weight row of
      each place of the window (product).
    - UPSAMPLE: `factors` of rows and pixels; BLOCKS: `factors` is the block's height and width.
    - CROP: `starts` and `steps` of rows, pixels, channels.
    - MATRIX, ROWS, CONCAT, depthwise convolutions: `pixels`, how many pixels of a row are
      accumulated and worked on at a time.
    - MATRIX: `grid`, the output rows and pixels that one read gives.  The last ones of a row, and
      the last rows, may lie beyond the output; they are computed and dropped.
    - RELAYOUT: `placing`, digits (size, destination stride in elements) of the operand's places
      in their physical order; REORDER: the same of its channels within a pixel.
    """

    name: str
    step: int
    kind: Kind
    nodes: tuple[str, ...]
    forms: tuple[tuple[tuple[int, int], ...], ...]
    anchored: bool
    operands: tuple[Operand, ...]
    output: int
    unit: str
    window: Window = ONE_PIXEL
    factors: tuple[int, int] = (1, 1)
    starts: tuple[int, int, int] = (0, 0, 0)
    steps: tuple[int, int, int] = (1, 1, 1)
    reading: tuple[tuple[int, int], ...] = ()
    placing: tuple[tuple[int, int], ...] = ()
    blocks: tuple[Block, ...] = ()
    pixels: int = 0
    macs: int = 0
    way: str = ""
    grid: tuple[int, int] = (1, 1)
    copies: int = 1
    copy: int = 0
    share: int = 0
    pieces: int = 1
    piece: int = 0
    chan0: int = 0
    chans: int = 0
    home: int = -1
    cores: tuple[int, ...] = ()

    @property
    def producer(self) -> int:
        """Its number among the producers of its stream."""
        return self.copy * self.pieces + self.piece

    @property
    def shared(self) -> int:
        """Rows, or grids of rows, after which its copies begin again: one each without a share."""
        return self.share or self.copies

    @property
    def read_window(self) -> Window:
        """What one read gathers, and how far the next one lies: the window of one output, or all
        pixels from the window of a grid's first output to that of its last."""
        if self.grid == (1, 1):
            return self.window
        (height, width), (down, right) = self.window.span, self.window.strides
        rows, pixels = self.grid
        kernel = (height + (rows - 1) * down, width + (pixels - 1) * right)
        return Window(kernel, (rows * down, pixels * right))

    @property
    def reads(self) -> int:
        """Reads of a run of `pixels` output pixels."""
        return -(-self.pixels // self.grid[1])


@dataclass(frozen=True, slots=True)
class Tile:
    """Rows row0.. of columns output0.. of a block's matrix, on one crossbar of one core.

    `output0` counts columns of the matrix.  `cell_row0` and `channel0` are where it begins on the
    crossbar.  The last three, per slice: ADC bits, step in level units, converted or not.
    """

    stage: int
    block: int
    row0: int
    rows: int
    output0: int
    outputs: int
    core: int = -1
    crossbar: int = -1
    cell_row0: int = 0
    channel0: int = 0
    bits: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()
    converted: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """One of those who put rows into a ring: number `producer` of the stream's producers, or the
    feeder of what the host brings.

    `token` counts its rows that arrived (a semaphore of the ring's core), `credit` the slots that
    are free for its rows (a semaphore of `core`, where it runs).
    """

    producer: int
    core: int
    token: int = -1
    credit: int = -1


@dataclass(frozen=True, slots=True)
class Ring:
    """The row buffer through which `stage` on `core` receives operand number `operand`: `depth`
    slots of `row_bytes`, padding included.

    Rings that take the same rows form a tree: producers put rows into its root, and from the ring
    number `parent` each row is relayed to this one (-1: this is a root).  Then the parent's core is
    the only source.
    """

    stage: int
    operand: int
    core: int
    depth: int
    row_bytes: int
    address: int
    sources: tuple[Source, ...] = ()
    parent: int = -1


@dataclass(frozen=True, slots=True)
class Buffer:
    """A piece of a core's SRAM that belongs to a stage: `role` says what it holds."""

    stage: int
    core: int
    role: str
    address: int
    bytes: int


@dataclass(frozen=True, slots=True)
class SequencerUse:
    """Which sequencer of which core does what for which stage (-1: a stream's feeder)."""

    step: int
    core: int
    sequencer: int
    stage: int
    role: str


@dataclass(frozen=True, slots=True)
class Mapping:
    """How a graph lies on a target."""

    name: str
    steps: tuple[Step, ...]
    streams: tuple[Stream, ...] = ()
    stages: tuple[Stage, ...] = ()
    tiles: tuple[Tile, ...] = ()
    rings: tuple[Ring, ...] = ()
    buffers: tuple[Buffer, ...] = ()
    sequencers: tuple[SequencerUse, ...] = ()

    def stages_of(self, step: int) -> Iterator[tuple[int, Stage]]:
        return ((i, s) for i, s in enumerate(self.stages) if s.step == step)

    def tiles_of(self, stage: int) -> Iterator[tuple[int, Tile]]:
        return ((i, t) for i, t in enumerate(self.tiles) if t.stage == stage)

    def made_chans(self, stage: Stage) -> tuple[int, int]:
        """First and count of the channels of its stream that a stage makes."""
        return stage.chan0, stage.chans or self.streams[stage.output].chans

    def seen_chans(self, operand: Operand) -> tuple[int, int]:
        """First and count of the channels of its stream that an operand's ring takes."""
        return operand.chan0, operand.chans or self.streams[operand.stream].chans

    def consumers(self, stream: int) -> Iterator[tuple[int, int]]:
        """(stage, operand number) of each use of a stream."""
        for index, stage in enumerate(self.stages):
            for number, operand in enumerate(stage.operands):
                if operand.stream == stream:
                    yield index, number


def mapping_to_json(mapping: Mapping) -> bytes:
    """Canonical JSON: one record a line where records are many, keys in order of declaration."""
    return msgspec.json.format(msgspec.json.encode(mapping), indent=1)


def mapping_from_json(text: bytes) -> Mapping:
    """Inverse of `mapping_to_json`; msgspec.ValidationError names the path of what is wrong."""
    return msgspec.json.decode(text, type=Mapping)


def mapping_schema() -> dict[str, Any]:
    """The JSON Schema of mapping.json, the same from every Python (3.13 unindents docstrings)."""
    schema = msgspec.json.schema(Mapping)
    for record in schema["$defs"].values():
        if "description" in record:
            record["description"] = inspect.cleandoc(record["description"])
    return schema
