"""Each number of a mapping that is out of its range is found, and sound mappings are let be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nmc.ir.mapping import (
    Block,
    Buffer,
    Kind,
    Mapping,
    Operand,
    Ring,
    Role,
    SequencerUse,
    Source,
    Stage,
    Step,
    StepKind,
    Stream,
    StreamIo,
    Tile,
    Window,
)
from nmc.ir.mapping_check import MAX_PROBLEMS, check_mapping
from nmc.targets import load

TARGET = load("spin-128")
SLICES = TARGET.slices
CONVERSION: dict[str, Any] = {"bits": (8,) * SLICES, "steps": (1,) * SLICES,
                              "converted": (True,) * SLICES}  # fmt: skip


def sound() -> Mapping:
    """One 3x3 convolution of 16 channels to 20, cut into two row tiles."""
    return Mapping(
        "one",
        steps=(Step(StepKind.CHIP, "0-chip", ("x",), ("y",), ("y",)),),
        streams=(
            Stream("x", 0, "u8", 4, 5, 16, (),
                   StreamIo("x", (1, 16, 4, 5), (16, 4, 5), (1, 2, 0))),
            Stream("y", 0, "u8", 4, 5, 20, (0,), None,
                   (StreamIo("y", (1, 20, 4, 5), (20, 20), (1, 0)),)),
        ),
        stages=(
            Stage("y", 0, Kind.MATRIX, ("y",), (((20, 20), (20, 1)),), True,
                  (Operand(0, Role.MAIN, "x", 1, 1, 1, 1),), 1, "crossbar",
                  Window((3, 3)), reading=((16, 1),), blocks=(Block(0, 16, 0, 20, 144),),
                  macs=57600, way="im2col", home=2, cores=(2,)),
        ),
        tiles=(
            Tile(0, 0, 0, 128, 0, 20, 2, 0, **CONVERSION),
            Tile(0, 0, 128, 16, 0, 20, 2, 1, **CONVERSION),
        ),
        rings=(Ring(0, 0, 2, 4, 112, 0, (Source(0, 2, 0, 1),)),),
        buffers=(Buffer(0, 2, "acc", 448, 800),),
        sequencers=(SequencerUse(0, 2, 0, 0, "compute"), SequencerUse(0, 2, 1, -1, "feed")),
    )  # fmt: skip


def test_a_sound_mapping_has_no_problems() -> None:
    assert check_mapping(sound(), TARGET) == []


Change = Callable[[Mapping], Mapping]


def nth(part: str, index: int, **changes: Any) -> Change:
    def change(mapping: Mapping) -> Mapping:
        records = list(getattr(mapping, part))
        records[index] = replace(records[index], **changes)
        changed: dict[str, Any] = {part: tuple(records)}
        return replace(mapping, **changed)

    return change


def operand(**changes: Any) -> Change:
    return nth("stages", 0, operands=(replace(sound().stages[0].operands[0], **changes),))


def block(**changes: Any) -> Change:
    return nth("stages", 0, blocks=(replace(sound().stages[0].blocks[0], **changes),))


def gridded(grid: tuple[int, int], rows: int, **changes: Any) -> Change:
    blocks = (replace(sound().stages[0].blocks[0], rows=rows),)
    return nth("stages", 0, grid=grid, blocks=blocks, **changes)


def source(**changes: Any) -> Change:
    given = sound().streams[0].source
    assert given is not None
    return nth("streams", 0, source=replace(given, **changes))


CASES: list[tuple[Change, str]] = [
    (nth("steps", 0, name="a/b"), "can't name a member"),
    (nth("steps", 0, name=".."), "can't name a member"),
    (nth("steps", 0, name="x" * 99), "can't name a member"),
    (lambda m: replace(m, steps=m.steps * 2), "which another step has"),
    (nth("steps", 0, kind=StepKind.HOST), "which the host does"),
    (nth("streams", 0, step=1), "streams[0].step is 1, and there are 1"),
    (nth("streams", 0, producers=(5,)), "streams[0].producers[0] is 5"),
    (nth("streams", 0, dtype="u7"), "no element type"),
    (nth("streams", 0, rows=0), "streams[0].rows is 0"),
    (nth("streams", 0, chans=1 << 40), "streams[0].chans"),
    (nth("streams", 0, source=None), "source must be there"),
    (nth("streams", 0, producers=(0,)), "source must be there"),
    (source(shape=(1, 16, 4, 4)), "can't fill 320 places"),
    (source(shape=(-16, -4, 5)), "can't fill 320 places"),
    (source(factors=(16, 4)), "don't multiply to 320"),
    (source(perm=(0, 0, 1)), "does not permute 3 factors"),
    (source(shape=(1,) * 99), "more than 64 axes"),
    (nth("stages", 0, step=7), "stages[0].step is 7"),
    (nth("stages", 0, output=2), "stages[0].output is 2"),
    (nth("stages", 0, output=0), "of which it is not a producer"),
    (nth("stages", 0, home=-1), "stages[0].home is -1"),
    (nth("stages", 0, home=3), "not among its cores"),
    (nth("stages", 0, cores=(2, 9999)), "stages[0].cores[1] is 9999"),
    (nth("stages", 0, unit="host"), "unit is 'host'"),
    (nth("stages", 0, macs=-1), "macs is -1"),
    (nth("stages", 0, copies=0), "copies is 0"),
    (nth("stages", 0, copies=2, copy=2), "copy is 2"),
    (nth("stages", 0, copies=2, copy=1), "producers[0] is not piece 0 of copy 0 of what"),
    (nth("stages", 0, grid=(0, 1)), "grid[0] is 0"),
    (gridded((5, 1), 336), "grid is 5 rows of 1, its output has 4 of 5"),
    (nth("stages", 0, grid=(1, 2)), "a read's window and its channels give 192"),
    (nth("stages", 0, pixels=2), "pixels is 2; 5 of a row are no number"),
    (nth("stages", 0, pixels=-1), "pixels is -1"),
    (gridded((1, 2), 192, kind=Kind.ROWS), "but its kind is rows"),
    (gridded((1, 2), 192), "has 5760 weights, its tiles have"),
    (nth("streams", 1, producers=(3,)), "producers[0] is 3"),
    (nth("stages", 0, operands=()), "operands are none"),
    (nth("stages", 0, forms=()), "forms are 0 for 1 nodes"),
    (nth("stages", 0, window=Window((0, 3))), "window.kernel[0] is 0"),
    (nth("stages", 0, window=Window((3, 3), (1, -1))), "window.strides[1] is -1"),
    (nth("stages", 0, window=Window((3, 3), (1, 1), (0, 1))), "window.dilations[0]"),
    (nth("stages", 0, starts=(0, -1, 0)), "starts[1] is -1"),
    (nth("stages", 0, factors=(0, 1)), "factors[0] is 0"),
    (nth("stages", 0, reading=((16, -1),)), "reading strides[0]"),
    (nth("stages", 0, placing=((1 << 20, 1), (1 << 20, 1))), "placing spans more"),
    (nth("stages", 0, reading=((1, 1),) * 99), "reading spans more"),
    (nth("stages", 0, kind=Kind.WINDOW), "but its kind is window"),
    (operand(stream=2), "operands[0].stream is 2"),
    (operand(top=-1), "operands[0].top is -1"),
    (operand(fill=-(1 << 40)), "operands[0].fill"),
    (block(rows=143), "a read's window and its channels give 144"),
    (block(outputs=0), "blocks[0].outputs is 0"),
    (block(chan0=-1), "blocks[0].chan0 is -1"),
    (nth("tiles", 0, stage=1), "tiles[0].stage is 1"),
    (nth("tiles", 0, block=-1), "tiles[0].block is -1"),
    (nth("tiles", 0, rows=145), "tiles[0].rows are 145 from 0 on, and its block has 144"),
    (nth("tiles", 0, output0=1), "its block has 20"),
    (nth("tiles", 0, core=10**6), "tiles[0].core is 1000000"),
    (nth("tiles", 0, core=-1), "tiles[0].core is -1"),
    (nth("tiles", 1, crossbar=99), "tiles[1].crossbar is 99"),
    (nth("tiles", 0, cell_row0=1), "tiles[0].cell rows are 128 from 1 on"),
    (nth("tiles", 0, channel0=60), "tiles[0].channels are 40 from 60 on"),
    (nth("tiles", 0, bits=(8,)), f"must have {SLICES} entries"),
    (nth("tiles", 0, bits=(99,) * SLICES), "tiles[0].bits[0] is 99"),
    (nth("tiles", 0, steps=(0,) * SLICES), "tiles[0].steps[0] is 0"),
    (nth("tiles", 1, row0=120), "weights that stand in two tiles"),
    (nth("tiles", 1, rows=15), "has 2880 weights, its tiles have 2860"),
    (nth("tiles", 1, crossbar=0), "lie on top of each other"),
    (nth("rings", 0, stage=1), "rings[0].stage is 1"),
    (nth("rings", 0, operand=1), "rings[0].operand is 1"),
    (nth("rings", 0, core=-1), "rings[0].core is -1"),
    (nth("rings", 0, sources=(Source(0, 9999),)), "rings[0].sources[0].core"),
    (nth("rings", 0, sources=(Source(0, 2, 1 << 20),)), "rings[0].sources[0].token"),
    (nth("rings", 0, sources=(Source(-1, 2),)), "rings[0].sources[0].producer"),
    (nth("rings", 0, depth=0), "rings[0].depth is 0"),
    (nth("rings", 0, row_bytes=1 << 30), "rings[0] takes"),
    (nth("buffers", 0, address=400), "overlap in the SRAM of core 2"),
    (nth("buffers", 0, address=-8), "buffers[0] takes"),
    (nth("buffers", 0, bytes=-1), "buffers[0].bytes is -1"),
    (nth("buffers", 0, core=9999), "buffers[0].core"),
    (nth("sequencers", 0, sequencer=999), "sequencers[0].sequencer is 999"),
    (nth("sequencers", 0, step=1), "sequencers[0].step is 1"),
    (nth("sequencers", 1, stage=-2), "sequencers[1].stage is -2"),
]


@pytest.mark.parametrize(("change", "words"), CASES, ids=[words for _, words in CASES])
def test_each_number_is_checked(change: Change, words: str) -> None:
    found = check_mapping(change(sound()), TARGET, member="mapping.json")
    assert any(words in problem.message for problem in found), found
    assert {problem.code for problem in found} == {"bad-mapping"}
    assert {problem.loc.member for problem in found} == {"mapping.json"}


def test_a_stream_belongs_to_the_stage_that_makes_it() -> None:
    mapping = sound()
    stray = replace(mapping.streams[1], sinks=())
    found = check_mapping(replace(mapping, streams=(*mapping.streams, stray)), TARGET)
    assert ["is not piece 0 of copy 0 of what makes it" in p.message for p in found] == [True]


def test_operands_flow_in_their_own_step() -> None:
    mapping = sound()
    steps = (*mapping.steps, replace(mapping.steps[0], name="1-chip"))
    change = nth("streams", 0, step=1)
    found = check_mapping(change(replace(mapping, steps=steps)), TARGET)
    assert ["flows in another step" in p.message for p in found] == [True]


def test_undecided_numbers_pass_where_passes_are_still_to_come() -> None:
    mapping = sound()
    open_tiles = tuple(
        replace(t, core=-1, crossbar=-1, bits=(), steps=(), converted=()) for t in mapping.tiles
    )
    stages = (replace(mapping.stages[0], home=-1, cores=()),)
    undecided = replace(mapping, tiles=open_tiles, stages=stages, rings=(), buffers=())
    assert check_mapping(undecided, TARGET, complete=False) == []
    assert check_mapping(undecided, TARGET) != []


def test_problems_are_bounded() -> None:
    tiles = sound().tiles * 1000
    bent = tuple(replace(t, core=-7) for t in tiles)
    assert len(check_mapping(replace(sound(), tiles=bent), TARGET)) == MAX_PROBLEMS
