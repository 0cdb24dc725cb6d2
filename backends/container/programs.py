"""Programs as members: words and assembly, an index that says which words belong to whom.

Of a chip step called NAME there are `program/NAME.json`, the index; `program/NAME.words.npy`, the
instructions of all sequencers one after the other; `program/NAME.images.npy`, what lies in
memories at launch; and `program/NAME.asm`, the same program for people.  Cell levels lie in
`tiles/`, numbered through all programs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np

from nmc.ir.diagnostics import Loc, NmcError, error
from nmc.ir.graph import Array
from nmc.ir.program import CoreProgram, Image, Io, Program, ReadPlan, Sequencer, TileImage
from nmc.ir.program_text import print_program
from nmc.ir.program_words import decode_words, encode_words

__all__ = ["ProgramIndex", "program_from", "program_members", "tile_member"]


@dataclass(frozen=True, slots=True)
class TileEntry:
    """A tile image; `levels` is the member that holds its levels."""

    core: int
    crossbar: int
    row0: int
    channel0: int
    slices: int
    encoding: str
    levels: str


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """`bytes` bytes from `first` on of the step's images."""

    address: int
    label: str
    first: int
    bytes: int


@dataclass(frozen=True, slots=True)
class SequencerEntry:
    """`words` words from `first` on of the step's words."""

    label: str
    first: int
    words: int


@dataclass(frozen=True, slots=True)
class CoreEntry:
    core: int
    semaphores: tuple[int, ...]
    plans: tuple[ReadPlan, ...]
    images: tuple[ImageEntry, ...]
    sequencers: tuple[SequencerEntry, ...]


@dataclass(frozen=True, slots=True)
class ProgramIndex:
    """All of a program but words, images and levels."""

    name: str
    frame_bytes: int
    inputs: tuple[Io, ...]
    outputs: tuple[Io, ...]
    tiles: tuple[TileEntry, ...]
    cores: tuple[CoreEntry, ...]


# Writing


def tile_member(index: int) -> str:
    return f"tiles/{index}.npy"


def program_members(
    step: str, program: Program, first_tile: int, encode: Callable[[Array], bytes]
) -> dict[str, bytes]:
    """The members of one chip step; its first tile has number `first_tile`."""
    words, images = Pieces(np.dtype(np.uint32)), Pieces(np.dtype(np.uint8))
    cores = tuple(core_entry(core, words, images) for core in program.cores)
    tiles = tuple(
        TileEntry(
            tile.core,
            tile.crossbar,
            tile.row0,
            tile.channel0,
            tile.slices,
            tile.encoding,
            tile_member(first_tile + i),
        )
        for i, tile in enumerate(program.tiles)
    )
    index = ProgramIndex(
        program.name, program.frame_bytes, program.inputs, program.outputs, tiles, cores
    )
    return {
        f"program/{step}.json": msgspec.json.format(msgspec.json.encode(index), indent=1),
        f"program/{step}.words.npy": encode(words.joined()),
        f"program/{step}.images.npy": encode(images.joined()),
        f"program/{step}.asm": print_program(program).encode(),
        **{
            entry.levels: encode(tile.levels)
            for entry, tile in zip(tiles, program.tiles, strict=True)
        },
    }


class Pieces:
    """Arrays put one behind the other."""

    def __init__(self, dtype: np.dtype[np.generic]) -> None:
        self.dtype = dtype
        self.parts: list[Array] = []
        self.length = 0

    def put(self, part: Array) -> int:
        """Where the part begins."""
        first = self.length
        self.parts.append(np.asarray(part, self.dtype).reshape(-1))
        self.length += part.size
        return first

    def joined(self) -> Array:
        return np.concatenate([np.zeros(0, self.dtype), *self.parts])


def core_entry(core: CoreProgram, words: Pieces, images: Pieces) -> CoreEntry:
    entries = tuple(
        ImageEntry(image.address, image.label, images.put(image.data), image.data.size)
        for image in core.images
    )
    sequencers = []
    for sequencer in core.sequencers:
        encoded = encode_words(sequencer.instructions)
        sequencers.append(SequencerEntry(sequencer.label, words.put(encoded), encoded.size))
    return CoreEntry(core.core, core.semaphores, core.plans, entries, tuple(sequencers))


# Reading


def program_from(
    index: ProgramIndex,
    words: Array,
    images: Array,
    levels: Callable[[str], Array],
    loc: Loc,
) -> Program:
    """The program of an index; NmcError `bad-program` if the index reaches outside its arrays.

    Whether the program keeps the rules of the machine is not checked here.
    """
    demand(words.dtype == np.uint32 and words.ndim == 1, loc, "its words are no array of uint32")
    demand(images.dtype == np.uint8 and images.ndim == 1, loc, "its images are no array of bytes")
    cores = tuple(core_from(entry, words, images, loc) for entry in index.cores)
    tiles = tuple(tile_from(entry, levels(entry.levels), loc) for entry in index.tiles)
    return Program(index.name, cores, tiles, index.inputs, index.outputs, index.frame_bytes)


def core_from(entry: CoreEntry, words: Array, images: Array, loc: Loc) -> CoreProgram:
    where = f"core {entry.core}"
    sequencers = [
        Sequencer(
            s.label,
            decode_words(part(words, s.first, s.words, f"{where}, sequencer {i}", loc)),
        )
        for i, s in enumerate(entry.sequencers)
    ]
    loaded = [
        Image(
            i.address, part(images, i.first, i.bytes, f"{where}, image `{i.label}`", loc), i.label
        )
        for i in entry.images
    ]
    return CoreProgram(entry.core, tuple(sequencers), entry.plans, tuple(loaded), entry.semaphores)


def part(array: Array, first: int, count: int, where: str, loc: Loc) -> Array:
    good = 0 <= first <= first + count <= array.size
    demand(good, loc, f"{where} lies at {first} to {first + count} of {array.size}")
    return array[first : first + count]


def tile_from(entry: TileEntry, levels: Array, loc: Loc) -> TileImage:
    good = levels.dtype == np.int8 and levels.ndim == 2
    demand(good, loc, f"`{entry.levels}` does not hold levels: int8[rows, channels]")
    fits = entry.slices > 0 and levels.shape[1] % entry.slices == 0
    demand(fits, loc, f"`{entry.levels}` has {levels.shape[1]} channels in {entry.slices} slices")
    return TileImage(
        entry.core,
        entry.crossbar,
        entry.row0,
        entry.channel0,
        entry.slices,
        entry.encoding,
        levels,
    )


def demand(good: bool, loc: Loc, message: str) -> None:
    if not good:
        raise NmcError(error("bad-program", f"`{loc.member}`: {message}", loc))
