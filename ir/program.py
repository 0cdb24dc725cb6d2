"""The Program: what each sequencer of each core executes, and what lies in memories at launch.

The meaning of every instruction and the cycles it takes are fixed in docs/machine.md.  Text form:
`nmc.ir.program_text`; binary words: `nmc.ir.program_words`; static check: `nmc.ir.program_check`.
Addresses are bytes.  Semaphores, plans and sequencers are numbered within their core.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from nmc.ir.graph import Array, Quant

__all__ = [
    "INPUTS",
    "MAX_DIMS",
    "MAX_LOOPS",
    "VEC_OPS",
    "CoreProgram",
    "Desc",
    "Dim",
    "End",
    "Halt",
    "Image",
    "Instruction",
    "Io",
    "Load",
    "Loop",
    "Mvm",
    "Program",
    "ProgramCells",
    "Put",
    "ReadPlan",
    "Sequencer",
    "Signal",
    "Space",
    "Store",
    "TileImage",
    "TileRead",
    "Vec",
    "Wait",
]

MAX_DIMS = 3
MAX_LOOPS = 4
INPUTS = 0
"""The loop count that stands for "as many as there are inputs at launch"."""

VEC_OPS: tuple[str, ...] = (
    # arithmetic on f32 or i32: dst = a OP b, or a OP imm[0]
    "add",
    "sub",
    "mul",
    "div",
    "min",
    "max",
    # one operand, f32
    "relu",
    "clip",
    "leaky-relu",
    "prelu",
    "hard-sigmoid",
    "hard-swish",
    "sigmoid",
    "tanh",
    "exp",
    "erf",
    "gelu",
    "sqrt",
    "rsqrt",
    "abs",
    "neg",
    "sign",
    # between numbers
    "requant",
    "dequant",
    "quant",
    "cast",
    # reductions over all inner dimensions of `a` but the last, which stays
    "reduce.sum",
    "reduce.max",
    "reduce.mean",
    "pool.max",
    "pool.avg",
    # along the last inner dimension
    "softmax",
    "log-softmax",
    "layernorm",
    # bytes
    "copy",
    "fill",
    "lut",
    "matmul",
)


class Space(StrEnum):
    SRAM = "sram"
    GLOBAL = "global"


@dataclass(frozen=True, slots=True)
class Dim:
    """`count` steps of `stride` bytes."""

    count: int
    stride: int


@dataclass(frozen=True, slots=True)
class Desc:
    """An operand: which bytes, in which order.

    With i_k the iteration (from 0) of the k-th enclosing loop, outermost first, and j_d the index
    along inner dimension d, the element lies at ``base + o`` where
    ``o = offset + sum_k i_k * loops[k] + sum_d j_d * dims[d].stride``, and o is taken modulo
    `ring` when `ring` is not 0.  Inner dimensions run outermost first; `()` is one element.
    In global memory, address 0 is the first byte of the frame of input 0 (see `Program.io`).
    """

    space: Space
    dtype: str
    base: int
    dims: tuple[Dim, ...] = ()
    loops: tuple[int, ...] = ()
    ring: int = 0
    offset: int = 0

    @property
    def elements(self) -> int:
        count = 1
        for dim in self.dims:
            count *= dim.count
        return count


# Instructions


@dataclass(frozen=True, slots=True)
class Mvm:
    """Start read plan `plan`: gather src (u8), write int32 accumulators to dst; then sem += 1."""

    plan: int
    dst: Desc
    src: Desc
    sem: int


@dataclass(frozen=True, slots=True)
class Vec:
    """`vec.OP dst, a, b, imm`; which operands and immediates each op takes: docs/machine.md."""

    op: str
    dst: Desc
    a: Desc | None = None
    b: Desc | None = None
    imm: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Put:
    """Write the bytes of src to dst in the SRAM of `core`, through the mesh.

    When the tail has arrived, semaphore `sem` of that core += 1.  When the tail has left this
    core's port, so that src may be overwritten, semaphore `done` of this core += 1, unless None.
    """

    core: int
    dst: Desc
    src: Desc
    sem: int
    done: int | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """Global memory to SRAM; then sem += 1."""

    dst: Desc
    src: Desc
    sem: int


@dataclass(frozen=True, slots=True)
class Store:
    """SRAM to global memory; then sem += 1."""

    dst: Desc
    src: Desc
    sem: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Block until sem >= n, then sem -= n."""

    sem: int
    n: int = 1


@dataclass(frozen=True, slots=True)
class Signal:
    """Semaphore `sem` of `core` += n; a message of one flit when it is another core."""

    core: int
    sem: int
    n: int = 1


@dataclass(frozen=True, slots=True)
class ProgramCells:
    """Write the cells of tile image `tile` (an index into `Program.tiles`) on its crossbar."""

    tile: int
    sem: int


@dataclass(frozen=True, slots=True)
class Loop:
    """Repeat up to the matching `End`, `count` times; count INPUTS means once per input."""

    count: int


@dataclass(frozen=True, slots=True)
class End:
    pass


@dataclass(frozen=True, slots=True)
class Halt:
    pass


Instruction = Mvm | Vec | Put | Load | Store | Wait | Signal | ProgramCells | Loop | End | Halt


# What instructions refer to


@dataclass(frozen=True, slots=True)
class TileImage:
    """One tile's cells: a block of a weight matrix on one crossbar.

    Output j of the tile has `slices` readout channels, channel0 + j*slices + s, least significant
    slice first.  `levels` is int8[rows, outputs*slices]: for differential cells the signed level
    (plus cell minus minus cell), otherwise the unsigned level.
    """

    core: int
    crossbar: int
    row0: int
    channel0: int
    slices: int
    encoding: str
    levels: Array = field(compare=False)

    @property
    def rows(self) -> int:
        return int(self.levels.shape[0])

    @property
    def outputs(self) -> int:
        return int(self.levels.shape[1]) // self.slices

    @property
    def channels(self) -> int:
        """Readout channels from channel0 on.  Without pairs one more, the unit column, reads
        sum_k x[k], with which the offset of the levels is taken off again."""
        return int(self.levels.shape[1]) + (self.encoding != "differential")

    def overlaps(self, other: TileImage) -> bool:
        """Whether the two lie, in part, on the same cells."""
        return (
            (self.core, self.crossbar) == (other.core, other.crossbar)
            and self.row0 < other.row0 + other.rows
            and other.row0 < self.row0 + self.rows
            and self.channel0 < other.channel0 + other.channels
            and other.channel0 < self.channel0 + self.channels
        )


@dataclass(frozen=True, slots=True)
class TileRead:
    """How a read plan reads one tile: where its input bytes lie in the gathered vector, to which
    accumulators its outputs are added, and how its channels are converted.

    `bits`, `steps` and `converted` have one entry per slice: ADC resolution, the step in level
    units (a positive integer), and whether the slice is converted at all (an all-zero slice is
    not).  Conversions of a burst run in order of channel.
    """

    tile: int
    input0: int
    output0: int
    bits: tuple[int, ...]
    steps: tuple[int, ...]
    converted: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """One mvm: `input_bytes` u8 are gathered, `outputs` int32 accumulators are written.

    Tiles that add into the same outputs are row tiles of one matrix.  At most one tile per
    crossbar.  Lower `priority` is served first by ADCs when samples are ready together.
    """

    input_bytes: int
    outputs: int
    reads: tuple[TileRead, ...]
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Image:
    """Bytes that lie in a core's SRAM at launch (u8[n]), and what they are for."""

    address: int
    data: Array = field(compare=False)
    label: str = ""


@dataclass(frozen=True, slots=True)
class Sequencer:
    """One instruction stream; `label` names the stage and role, such as "conv1.post"."""

    label: str
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True, slots=True)
class CoreProgram:
    """All of one core.  `core` is y * mesh width + x.  `semaphores` are the initial values."""

    core: int
    sequencers: tuple[Sequencer, ...]
    plans: tuple[ReadPlan, ...] = ()
    images: tuple[Image, ...] = ()
    semaphores: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Io:
    """A tensor that the host writes to, or reads from, global memory for each input.

    It lies at `address` within the input's frame, densely, as element type `dtype`, in this
    order: reshape the tensor of `shape` to `factors`, transpose by `perm`, flatten.
    """

    name: str
    address: int
    dtype: str
    shape: tuple[int, ...]
    factors: tuple[int, ...]
    perm: tuple[int, ...]
    quant: Quant | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """One phase of the chip: from the launch with inputs in global memory until all halt.

    Global memory holds one frame of `frame_bytes` per input in flight; input i's frame begins at
    i * frame_bytes, so that a loop over inputs strides by it.
    """

    name: str
    cores: tuple[CoreProgram, ...]
    tiles: tuple[TileImage, ...] = ()
    inputs: tuple[Io, ...] = ()
    outputs: tuple[Io, ...] = ()
    frame_bytes: int = 0
