"""Programs as text and as words: what is printed reads back, and what is wrong is placed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from nmc.ir import program as p
from nmc.ir.diagnostics import NmcError
from nmc.ir.graph import DTYPES, Quant
from nmc.ir.program_text import arrays_of, instruction_text, parse_program, print_program
from nmc.ir.program_words import decode_words, encode_words

small = st.integers(0, 2**24 - 1)
word = st.integers(0, 2**32 - 1)
signed = st.integers(-(2**31), 2**31 - 1)
numbers = st.floats(allow_nan=False) | st.floats(allow_nan=False, width=32)
dims = st.builds(p.Dim, word | st.integers(1, 9), signed | st.integers(-9, 9))
descs = st.builds(
    p.Desc,
    st.sampled_from(p.Space),
    st.sampled_from(sorted(DTYPES)),
    signed,
    st.lists(dims, max_size=p.MAX_DIMS).map(tuple),
    st.lists(signed, max_size=p.MAX_LOOPS).map(tuple),
    word,
    signed,
)
maybe = st.none() | descs
vecs = st.builds(
    p.Vec, st.sampled_from(p.VEC_OPS), descs, maybe, maybe, st.lists(numbers, max_size=4).map(tuple)
)
instructions = st.one_of(
    vecs,
    st.builds(p.Mvm, small, descs, descs, word),
    st.builds(p.Put, small, descs, descs, word, st.none() | st.integers(0, 2**32 - 2)),
    st.builds(p.Load, descs, descs, small),
    st.builds(p.Store, descs, descs, small),
    st.builds(p.Wait, small, word),
    st.builds(p.Signal, small, word, word),
    st.builds(p.ProgramCells, word, small),
    st.builds(p.Loop, word),
    st.just(p.End()),
    st.just(p.Halt()),
)
streams = st.lists(instructions, max_size=8).map(tuple)


def arrays(count: int) -> st.SearchStrategy[np.ndarray]:
    return st.binary(min_size=count, max_size=count).map(lambda b: np.frombuffer(b, np.uint8))


@st.composite
def tiles(draw: st.DrawFn) -> p.TileImage:
    rows, outputs, slices = (draw(st.integers(1, 3)) for _ in range(3))
    levels = draw(arrays(rows * outputs * slices)).view(np.int8).reshape(rows, -1)
    core, crossbar, row0, channel0 = (draw(st.integers(0, 99)) for _ in range(4))
    encoding = draw(st.sampled_from(["differential", "offset", "reference"]))
    return p.TileImage(core, crossbar, row0, channel0, slices, encoding, levels)


lists = st.lists(st.integers(0, 99), max_size=3).map(tuple)
reads = st.builds(
    p.TileRead, small, small, small, lists, lists, st.lists(st.booleans(), max_size=3).map(tuple)
)
plans = st.builds(
    p.ReadPlan, small, small, st.lists(reads, min_size=1, max_size=2).map(tuple), signed
)
images = st.builds(p.Image, small, st.integers(0, 40).flatmap(arrays), st.text(max_size=5))
sequencers = st.builds(
    p.Sequencer, st.text(max_size=5), st.lists(instructions, min_size=1, max_size=5).map(tuple)
)
cores = st.builds(
    p.CoreProgram,
    small,
    st.lists(sequencers, max_size=2).map(tuple),
    st.lists(plans, max_size=2).map(tuple),
    st.lists(images, max_size=2).map(tuple),
    lists,
)
quants = st.builds(Quant, st.floats(1e-9, 1e9), st.integers(-128, 255))
ios = st.builds(
    p.Io,
    st.text(max_size=5),
    small,
    st.sampled_from(sorted(DTYPES)),
    lists,
    lists,
    lists,
    st.none() | quants,
)
programs = st.builds(
    p.Program,
    st.text(max_size=5),
    st.lists(cores, max_size=2).map(tuple),
    st.lists(tiles(), max_size=2).map(tuple),
    st.lists(ios, max_size=2).map(tuple),
    st.lists(ios, max_size=2).map(tuple),
    small,
)


@given(programs)
def test_text_reads_back(program: p.Program) -> None:
    text = print_program(program)
    again = parse_program(text, arrays=arrays_of(program))
    assert again == program
    assert print_program(again) == text
    for one, two in zip(program.tiles, again.tiles, strict=True):
        assert np.array_equal(one.levels, two.levels)
    for old, new in zip(program.cores, again.cores, strict=True):
        for here, there in zip(old.images, new.images, strict=True):
            assert np.array_equal(here.data, there.data)


@given(streams)
def test_words_read_back(stream: tuple[p.Instruction, ...]) -> None:
    assert decode_words(encode_words(stream)) == stream


@given(st.lists(word, max_size=12))
def test_hostile_words_are_refused_or_read(raw: list[int]) -> None:
    words = np.asarray(raw, np.uint32)
    try:
        stream = decode_words(words)
    except NmcError as refusal:
        event(str(refusal).partition(": ")[2])
    else:
        assert decode_words(encode_words(stream)) == stream


WINDOW = p.Desc(
    p.Space.SRAM, "u8", 4096, (p.Dim(3, 544), p.Dim(48, 1)), (0, 544, 16), ring=1632, offset=-16
)
ROW = p.Desc(p.Space.SRAM, "i32", 0, (p.Dim(32, 4),), (0, 0, 128))
MVM = p.Mvm(3, ROW, WINDOW, 7)


def test_text_of_an_mvm() -> None:
    assert instruction_text(MVM) == (
        "mvm plan 3, sram.i32[0](32:4) step(0, 0, 128) <- "
        "sram.u8[4096-16](3:544, 48:1) step(0, 544, 16) ring 1632, sem 7"
    )


def test_an_mvm_takes_seventeen_words() -> None:
    assert len(encode_words([MVM])) == 17


def test_words_name_the_place_of_a_problem() -> None:
    words = encode_words([MVM, p.Halt()])
    with pytest.raises(NmcError, match=r"conv1, word 19: the stream ends within an instruction"):
        decode_words(np.concatenate([words, words[:1]]), "conv1")
    words[17] = 200
    with pytest.raises(NmcError, match=r"conv1, word 17: 200 is no opcode"):
        decode_words(words, "conv1")


def test_words_have_limits() -> None:
    with pytest.raises(NmcError, match="instruction 1 has no words: 16777216 is not within"):
        encode_words([p.Halt(), replace(MVM, plan=1 << 24)])


TEXT = """\
program "p" {
  frame 0
  core 0 {
    semaphores [0]
    sequencer 0 "s" {
      # a comment
      wait sem 0, 1
      halt
    }
  }
}
"""


def problems(text: str) -> list[tuple[str, int, str]]:
    with pytest.raises(NmcError) as caught:
        parse_program(text, "p.nmcasm")
    return [(d.code, d.loc.line, d.message) for d in caught.value.diagnostics]


def test_the_text_to_be_broken_is_sound() -> None:
    assert len(parse_program(TEXT).cores[0].sequencers[0].instructions) == 2


@pytest.mark.parametrize(
    ("old", "new", "code", "line", "message"),
    [
        ("wait sem 0, 1", "wait sem 0", "syntax", 7, "found the end of the line where `,`"),
        ("wait sem 0, 1", "wiat sem 0, 1", "syntax", 7, "where `end` or `halt`"),
        ("wait sem 0, 1", "loop 0", "bad-value", 7, "a loop of 0 turns"),
        ("wait sem 0, 1", "vec.ad sram.u8[0]", "unknown-op", 7, "no operation `ad`"),
        ("wait sem 0, 1", "vec.abs sram.u9[0]", "syntax", 7, "`u9` is no element type"),
        ("sequencer 0", "sequencer 1", "syntax", 5, "number 1 stands where 0 should"),
        ("frame 0", f"frame {'9' * 30}", "bad-value", 2, "more than 20 digits"),
    ],
)
def test_mistakes_are_placed(old: str, new: str, code: str, line: int, message: str) -> None:
    ((found, place, text),) = problems(TEXT.replace(old, new))
    assert (found, place) == (code, line)
    assert message in text


def test_arrays_that_are_missing() -> None:
    tile = p.TileImage(0, 0, 0, 0, 1, "differential", np.ones((2, 2), np.int8))
    text = print_program(p.Program("p", (), (tile,)))
    assert problems(text)[0][0] == "weights-missing"
    with pytest.raises(NmcError, match="shape-mismatch"):
        parse_program(
            text.replace("[2, 2]", "[4, 1]"), arrays=arrays_of(p.Program("p", (), (tile,)))
        )
