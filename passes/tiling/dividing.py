"""Layers as several stages: copies, which deal out rows or parts of rows, and pieces, which make
some of a row's channels each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Dict
from dataclasses import dataclass, replace
from itertools import pairwise

from nmc.ir.graph import Node
from nmc.ir.mapping import Block, Kind, Mapping, Operand, Role, Stage, Tile
from nmc.ir.ops import LayerNorm, LogSoftmax, Softmax
from nmc.ir.shares import widest
from nmc.ir.target import Target
from nmc.passes.tiling.laying import tiles_of

__all__ = [
    "COPIED_KINDS",
    "Copies",
    "channelwise",
    "cut",
    "divided",
    "most_copies",
    "parts_of_row",
    "piece_cuts",
]

COPIED_KINDS = (Kind.MATRIX, Kind.WINDOW, Kind.ROWS, Kind.CONCAT, Kind.REORDER)
"""Kinds that make each of their output rows by itself."""

MOST_TOGETHER = 4
"""Columns of tiles, each too tall for a core, that a piece may take to fill its cores better."""

MOST_FOR_FITTING = 1.25
"""How many times the crossbars a layer may take so that no partial sums travel."""

MOST_FOR_SHARING = 1.1
"""And so that several cores finish its rows."""

PIECES_TRIED = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Numbers of pieces, beside those near the number of cores, that are tried for a layer whose
columns are grids of outputs."""


def most_copies(mapping: Mapping, stage: Stage) -> int:
    """As many as have a row, or a part of one, to make."""
    if stage.kind not in COPIED_KINDS:
        return 1
    rows = mapping.streams[stage.output].rows
    return -(-rows // stage.grid[0]) * parts_of_row(mapping, stage)


def parts_of_row(mapping: Mapping, stage: Stage) -> int:
    """Into how many parts copies can divide a row, or the rows of a grid: the reads of a matrix."""
    if stage.kind is not Kind.MATRIX:
        return 1
    return -(-mapping.streams[stage.output].cols // stage.grid[1])


def piece_cuts(
    mapping: Mapping, stage: Stage, tiles: Sequence[Tile], nodes: Dict[str, Node], target: Target
) -> tuple[int, ...]:
    """The channels at which a matrix of more tiles than a core holds is cut into pieces.

    A piece is as many columns of tiles as a core holds; then its partial sums needn't travel.  Of
    columns that are taller than that, a piece takes one, or a few that fill their cores better.  A
    matrix whose followers look at all channels of a pixel stays whole.
    """
    each = target.core.crossbars
    if (
        stage.kind is not Kind.MATRIX
        or len(tiles) <= each
        or not channelwise(mapping, stage, nodes)
    ):
        return ()
    if stage.grid != (1, 1) and len(stage.blocks) == 1:
        return _even_cuts(stage, len(tiles), target)
    columns: dict[int, int] = {}
    for tile in tiles:
        inside = tile.output0 if stage.grid == (1, 1) else 0
        first = stage.blocks[tile.block].output0 + inside
        columns[first] = columns.get(first, 0) + 1
    starts = sorted(columns)
    tallest = max(columns.values())
    together = each // tallest or min(
        range(1, MOST_TOGETHER + 1),
        key=lambda n: (-(-n * tallest // each) * each - n * tallest) / n,
    )
    return tuple(starts[together::together])


def _even_cuts(stage: Stage, tiles: int, target: Target) -> tuple[int, ...]:
    """Cuts of a matrix whose columns are grids of outputs into equal pieces.

    The fewest that fit into a core each, if that takes hardly more crossbars.  Otherwise as many as
    the whole has cores, so that these share the finishing, or fewer if that wastes crossbars.
    """
    each, (block,) = target.core.crossbars, stage.blocks
    least = -(-tiles // each)
    tried = {*PIECES_TRIED, *range(least, least + 4)}
    sizes = sorted({-(-block.outputs // count) for count in tried}, reverse=True)
    heights = [_tiles_with(stage, size, target) for size in sizes]
    totals = [-(-block.outputs // size) * tall for size, tall in zip(sizes, heights, strict=True)]
    options = list(zip(totals, heights, sizes, strict=True))
    few = min(tiles, *totals)
    fitting = [o for o in options if o[1] <= each and o[0] <= MOST_FOR_FITTING * few]
    if fitting:
        size = min(fitting, key=lambda o: (o[0], -o[2]))[2]
    else:
        sharing = [s for total, _, s in options if total <= MOST_FOR_SHARING * few]
        size = min((s for s in sharing if s * least >= block.outputs), default=block.outputs)
    return tuple(range(size, block.outputs, size))


def _tiles_with(stage: Stage, outputs: int, target: Target) -> int:
    """Tiles of a piece of so many outputs."""
    piece = replace(stage, blocks=(replace(stage.blocks[0], outputs=outputs),))
    return sum(1 for _ in tiles_of(0, piece, target))


def channelwise(mapping: Mapping, stage: Stage, nodes: Dict[str, Node]) -> bool:
    """Whether each channel of the output rests on that channel of the operands beside the main one
    and on nothing else."""
    chans = mapping.streams[stage.output].chans
    others = (o for o in stage.operands if o.role is not Role.MAIN)
    mixing = (LayerNorm, LogSoftmax, Softmax)
    return all(mapping.streams[o.stream].chans == chans for o in others) and not any(
        isinstance(nodes[name].op, mixing) for name in stage.nodes
    )


@dataclass(frozen=True, slots=True)
class Copies:
    """`count` copies of a layer, which deal out `share` rows (or grids of rows) at a time; 0 stands
    for as many as there are copies."""

    count: int = 1
    share: int = 0

    @property
    def shared(self) -> int:
        """Rows after which they begin again."""
        return self.share or self.count


def divided(
    mapping: Mapping, copies: Dict[int, Copies], cuts: Dict[int, tuple[int, ...]], target: Target
) -> Mapping:
    """The mapping with the copies of stages that `copies` names, each cut into pieces at the
    channels that `cuts` names.

    Before placement: stages and tiles have no cores yet, and each stage is a whole layer.
    """
    stages: list[Stage] = []
    tiles: list[Tile] = []
    places: list[range] = []
    mine: dict[int, list[Tile]] = {}
    for tile in mapping.tiles:
        mine.setdefault(tile.stage, []).append(tile)
    for index, stage in enumerate(mapping.stages):
        pieces = list(cut(mapping, stage, mine.get(index, []), cuts.get(index, ()), target))
        wanted = copies.get(index, Copies())
        count, share = wanted.count, 0 if wanted.share == wanted.count else wanted.share
        first = len(stages)
        for copy in range(count):
            for piece, its in pieces:
                name = f"{stage.name}.{copy}" if count > 1 else stage.name
                name += f":{piece.piece}" if len(pieces) > 1 else ""
                tiles += [replace(tile, stage=len(stages)) for tile in its]
                made = replace(piece, name=name, copies=count, copy=copy, share=share)
                stages.append(_in_runs(mapping, made))
        places.append(range(first, len(stages)))
    streams = tuple(
        replace(stream, producers=tuple(n for old in stream.producers for n in places[old]))
        for stream in mapping.streams
    )
    return replace(mapping, streams=streams, stages=tuple(stages), tiles=tuple(tiles))


def _in_runs(mapping: Mapping, stage: Stage) -> Stage:
    """A copy with runs of pixels that divide the parts of rows that it makes about evenly."""
    if not stage.share:
        return stage
    pixels, each = widest(mapping, stage), stage.grid[1]
    runs = -(-pixels // stage.pixels)
    return replace(stage, pixels=min(pixels, -(-pixels // (runs * each)) * each))


def cut(
    mapping: Mapping, stage: Stage, tiles: list[Tile], cuts: tuple[int, ...], target: Target
) -> Iterator[tuple[Stage, list[Tile]]]:
    """A stage's pieces with their tiles, which still bear its number: what is left of each block is
    tiled anew."""
    if not cuts:
        yield stage, tiles
        return
    outputs = mapping.streams[stage.output].chans
    bounds = [0, *cuts, outputs]
    for piece, (first, stop) in enumerate(pairwise(bounds)):
        blocks = tuple(
            replace(block, output0=low, outputs=high - low)
            for block in stage.blocks
            for low in (max(first, block.output0),)
            for high in (min(stop, block.output0 + block.outputs),)
            if low < high
        )
        made = replace(
            stage,
            blocks=blocks,
            operands=tuple(_seen(operand, blocks, first, stop) for operand in stage.operands),
            pieces=len(bounds) - 1,
            piece=piece,
            chan0=first,
            chans=stop - first,
            macs=stage.macs * (stop - first) // outputs,
        )
        yield made, list(tiles_of(tiles[0].stage, made, target))


def _seen(operand: Operand, blocks: Sequence[Block], first: int, stop: int) -> Operand:
    """An operand with the channels of it that a piece sees."""
    if operand.role is not Role.MAIN:
        return replace(operand, chan0=first, chans=stop - first)
    low = min(block.chan0 for block in blocks)
    high = max(block.chan0 + block.chans for block in blocks)
    return replace(operand, chan0=low, chans=high - low)
