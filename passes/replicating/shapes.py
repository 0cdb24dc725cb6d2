"""What each layer may become: its ways to lie on crossbars, tried out, and what copies take."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Dict
from dataclasses import dataclass, field, replace
from math import ceil

from nmc.ir.graph import Node
from nmc.ir.mapping import Kind, Mapping, Stage, Tile
from nmc.ir.rows import feed_of, firings
from nmc.ir.stage_memory import home_memory, pixel_bytes, ring_row_bytes
from nmc.ir.stage_time import StageTime, StageTimes
from nmc.ir.target import Target
from nmc.passes.replicating.choose import reduced
from nmc.passes.replicating.options import Budget, Option, candidates_of
from nmc.passes.tiling.dividing import cut, most_copies, parts_of_row, piece_cuts
from nmc.passes.tiling.grids import is_depthwise
from nmc.passes.tiling.layers import Layer, Way
from nmc.passes.tiling.laying import laid, layer_of
from nmc.passes.tiling.spelling import VECTOR, WayName
from nmc.passes.tiling.ways import ways_of

__all__ = ["Shape", "Shapes", "memory_of"]

MATRIX_SEQUENCERS = 3
"""On each of its cores: one computes, one finishes or sends sums, one sends rows on."""

KIB = 1024

MOST_WAYS = 12
"""Of a layer's ways that some number of copies makes worth a look, so many are tried out."""

MOST_SRAM = 0.4
"""Part of a core's SRAM that one copy in a way other than the plain one may take."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Where a layer is cut into pieces, the crossbars of all of them, and the time of a copy,
    which is that of its first piece.  A part of a row takes `least_cycles`, and its share of what
    is left of the whole row's time."""

    cuts: tuple[int, ...]
    crossbars: int
    time: StageTime
    least_cycles: int


@dataclass(frozen=True, slots=True)
class Shape:
    """A whole layer in one way: its stage and tiles, and what it comes to as pieces."""

    stage: Stage
    tiles: tuple[Tile, ...]
    parts: Parts

    @property
    def cuts(self) -> tuple[int, ...]:
        return self.parts.cuts

    @property
    def time(self) -> StageTime:
        return self.parts.time

    @property
    def pieces(self) -> int:
        return len(self.cuts) + 1

    @property
    def cores(self) -> int:
        """Cores of one piece."""
        return max(1, len(self.time.cores))


@dataclass(slots=True)
class Shapes:
    """Tries out the ways of a mapping's layers; layers that are alike are tried once."""

    mapping: Mapping
    nodes: Dict[str, Node]
    target: Target
    clock: StageTimes = field(init=False)
    tiles: dict[int, list[Tile]] = field(default_factory=dict[int, list[Tile]])
    tried: dict[object, tuple[WayName, ...]] = field(
        default_factory=dict[object, "tuple[WayName, ...]"]
    )
    parts: dict[object, Parts] = field(default_factory=dict[object, Parts])

    def __post_init__(self) -> None:
        self.clock = StageTimes(self.target)
        for tile in self.mapping.tiles:
            self.tiles.setdefault(tile.stage, []).append(tile)

    def as_laid(self, index: int, cuts: tuple[int, ...] | None = None) -> Shape:
        """The layer in the way in which it lies."""
        return self._shape(index, self.mapping.stages[index], self.tiles.get(index, []), cuts)

    def in_way(self, index: int, way: WayName, cuts: tuple[int, ...] | None = None) -> Shape:
        """The layer in a way that `nmc.passes.tiling.ways.evaluate` takes."""
        stage = self.mapping.stages[index]
        if str(way) == stage.way:
            return self.as_laid(index, cuts)
        return self._shape(index, *laid(self.mapping, index, way, self.nodes, self.target), cuts)

    def all_of(self, index: int, room: int, cuts: tuple[int, ...] | None = None) -> list[Shape]:
        """The layer as it lies and, if that is plain, in the other ways that are worth choosing
        from when it may have `room` crossbars."""
        plain = self.as_laid(index, cuts)
        if plain.stage.kind is not Kind.MATRIX or plain.stage.grid != (1, 1):
            return [plain]
        others = (way for way in self._others(plain, room) if not (way.vector and cuts))
        shapes = [self.in_way(index, way, cuts) for way in others]
        budget = int(MOST_SRAM * self.target.core.sram_bytes)
        return [plain, *(shape for shape in shapes if self.held_bytes(shape) <= budget)]

    def _others(self, plain: Shape, room: int) -> tuple[WayName, ...]:
        time = plain.time
        post = ceil(time.finish_cycles * time.firings / max(time.emitting, 1))
        layer = layer_of(self.mapping, plain.stage, self.nodes, post)
        key = layer, room
        if key not in self.tried:
            ways = ways_of(layer, self.target, vector=False)
            # No crossbars at all beat any, but vector units are scarce too.
            vector = (VECTOR,) if is_depthwise(layer) else ()
            self.tried[key] = (*useful(layer, ways, room), *vector)
        return self.tried[key]

    def _shape(
        self, index: int, stage: Stage, tiles: list[Tile], cuts: tuple[int, ...] | None
    ) -> Shape:
        key = self._kin(stage), cuts
        if key not in self.parts:
            self.parts[key] = self._parts(stage, tiles, cuts)
        return Shape(stage, tuple(tiles), self.parts[key])

    def _parts(self, stage: Stage, tiles: list[Tile], cuts: tuple[int, ...] | None) -> Parts:
        if cuts is None:
            cuts = piece_cuts(self.mapping, stage, tiles, self.nodes, self.target)
        pieces = list(cut(self.mapping, stage, tiles, cuts, self.target))
        time = self.clock.of(self.mapping, *pieces[0], self.nodes)
        least = self._least_cycles(*pieces[0], time)
        return Parts(cuts, sum(len(its) for _, its in pieces), time, least)

    def _least_cycles(self, stage: Stage, tiles: list[Tile], whole: StageTime) -> int:
        """What is left of a firing's time if there is ever less to read: from a firing of one read
        and one of all."""
        parts = parts_of_row(self.mapping, stage)
        if parts == 1:
            return 0
        single = replace(stage, copies=parts, share=1, pixels=min(stage.pixels, stage.grid[1]))
        alone = self.clock.of(self.mapping, single, tiles, self.nodes).firing_cycles
        each = (whole.firing_cycles - alone) / (parts - 1)
        return max(0, int(alone - each))

    def _kin(self, stage: Stage) -> object:
        """What stages that take the same time have in common."""
        streams = self.mapping.streams
        sizes = [
            (o.role, o.top, o.left, o.bottom, o.right, s.rows, s.cols, s.chans, s.dtype)
            for o in stage.operands
            for s in (streams[o.stream],)
        ]
        made = streams[stage.output]
        nodes = [self.nodes[name] for name in stage.nodes]
        ops = [
            (n.op, [v and (v.is_constant, v.type.shape, v.type.dtype) for v in n.inputs])
            for n in nodes
        ]
        fields = [getattr(stage, name) for name in TIMED_FIELDS]
        return repr((fields, sizes, (made.rows, made.cols, made.chans, made.dtype), ops))

    # What a copy holds

    def option(self, shape: Shape) -> Option:
        """A shape as solvers see it: held are crossbars, KiB of SRAM and sequencers; work is
        that of ADCs and vector units."""
        stage, time, pieces = shape.stage, shape.time, shape.pieces
        conversions = sum(sum(core.adc_cycles.values()) for core in time.cores)
        count = firings(self.mapping, stage)
        is_matrix = stage.kind is Kind.MATRIX
        sequencers = pieces * (MATRIX_SEQUENCERS * shape.cores if is_matrix else 2)
        return Option(
            firings=count,
            cycles=max(1, ceil(time.firing_cycles)),
            held=(shape.parts.crossbars, -(-self._chip_bytes(shape) // KIB), sequencers),
            work=(pieces * count * conversions, ceil(pieces * count * time.vector_cycles)),
            copies_most=most_copies(self.mapping, stage),
            parts=parts_of_row(self.mapping, stage),
            least_cycles=shape.parts.least_cycles,
        )

    def _chip_bytes(self, shape: Shape) -> int:
        """Roughly: its rings on each of its cores at their least depths, and its buffers at
        home."""
        total = self._home_bytes(shape)
        for number, (depth, row_bytes) in enumerate(self._rings(shape)):
            rings = shape.pieces * (shape.cores if number == 0 else 1)
            total += rings * depth * row_bytes
        return total

    def held_bytes(self, shape: Shape) -> int:
        """Roughly, of one piece at home: buffers, accumulators and rings at their least depths."""
        stage, accumulators = shape.stage, 0
        if stage.kind is Kind.MATRIX:
            accumulators = stage.pixels * pixel_bytes(self.mapping, stage, self.nodes)
        rings = sum(depth * row_bytes for depth, row_bytes in self._rings(shape))
        return (self._home_bytes(shape) + accumulators) // shape.pieces + rings

    def _home_bytes(self, shape: Shape) -> int:
        return memory_of(self.mapping, shape.stage, self.nodes)

    def _rings(self, shape: Shape) -> Iterator[tuple[int, int]]:
        """(least depth, row bytes) of each operand's ring."""
        for operand in shape.stage.operands:
            feed = feed_of(self.mapping, shape.stage, operand)
            yield feed.least_depth, ring_row_bytes(self.mapping, operand)


TIMED_FIELDS = (
    *("kind", "forms", "anchored", "window", "factors", "starts", "steps", "reading", "placing"),
    *("blocks", "pixels", "grid"),
)


def memory_of(mapping: Mapping, stage: Stage, nodes: Dict[str, Node]) -> int:
    """Bytes of the buffers that a stage keeps at home."""
    return sum(size for _, size in home_memory(mapping, stage, nodes))


def useful(layer: Layer, ways: tuple[Way, ...], room: int) -> Iterator[WayName]:
    """The ways but the first, the plain one, that with some number of copies within `room`
    crossbars, of whole rows or of parts, are beaten by no other way with any; those of fewer
    crossbars first."""
    found = {*_unbeaten(ways, room, parted=False), *_unbeaten(ways, room, parted=True)}
    for number in sorted(found, key=lambda i: (ways[i].crossbars, i)):
        yield ways[number].name


def _unbeaten(ways: tuple[Way, ...], room: int, *, parted: bool) -> list[int]:
    options = tuple(
        Option(
            w.firings,
            w.firing_cycles,
            (w.crossbars,),
            (w.adc_cycles_per_input,),
            parts=w.reads if parted else 1,
        )
        for w in ways
    )
    table = reduced(candidates_of(options, Budget((room,), (1,))))
    found = sorted(set(table.option.tolist()) - {0}, key=lambda i: (ways[i].crossbars, i))
    return found[:MOST_WAYS]
