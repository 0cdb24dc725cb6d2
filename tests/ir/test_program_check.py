"""The static check: a sound program passes, and each thing that can be wrong is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from nmc.ir import program as p
from nmc.ir.program_check import check_program
from tests.backends.simulator.chips import chip, far, plan, sram, tile, vector

TARGET = chip()
FRAME = 32


def sound() -> p.Program:
    """Core 0 multiplies and puts rows into a ring of core 1, which stores them."""
    w = np.ones((4, 4))
    slot = {"loops": (16,), "ring": 32}
    first: list[p.Instruction] = [
        p.Loop(p.INPUTS),
        p.Load(vector("u8", 0, 4), far("u8", 0, 4, loops=(FRAME,)), 0),
        p.Wait(0),
        p.Mvm(0, vector("i32", 64, 4), vector("u8", 0, 4), 1),
        p.Wait(1),
        p.Vec("add", vector("i32", 64, 4), vector("i32", 64, 4), None, (1.0,)),
        p.Wait(2),
        p.Put(1, vector("i32", 0, 4, **slot), vector("i32", 64, 4), 0, 3),
        p.Wait(3),
        p.End(),
        p.Halt(),
    ]
    second: list[p.Instruction] = [
        p.Loop(p.INPUTS),
        p.Wait(0),
        p.Store(far("i32", 16, 4, loops=(FRAME,)), vector("i32", 0, 4, **slot), 1),
        p.Wait(1),
        p.Signal(0, 2),
        p.End(),
        p.Halt(),
    ]
    cores = (
        p.CoreProgram(0, (p.Sequencer("mul", tuple(first)),), (plan(0),), (), (0, 0, 2, 0)),
        p.CoreProgram(1, (p.Sequencer("out", tuple(second)),), (), (), (0, 0)),
    )
    x = p.Io("x", 0, "u8", (4,), (4,), (0,))
    y = p.Io("y", 16, "i32", (4,), (4,), (0,))
    return p.Program("sound", cores, (tile(w),), (x,), (y,), FRAME)


def problems(program: p.Program) -> list[str]:
    return [f"{d.code}: {d.message}" for d in check_program(program, TARGET)]


def test_a_sound_program_passes() -> None:
    assert problems(sound()) == []


# Instructions


def changed(pc: int, *new: p.Instruction, core: int = 0) -> p.Program:
    """The sound program with one instruction replaced."""
    program = sound()
    (stream,) = program.cores[core].sequencers
    code = (*stream.instructions[:pc], *new, *stream.instructions[pc + 1 :])
    cores = list(program.cores)
    cores[core] = replace(cores[core], sequencers=(replace(stream, instructions=code),))
    return replace(program, cores=tuple(cores))


MVM, PUT = 3, 7
ACC = vector("i32", 64, 4)
SQUARE = sram("f32", 0, (2, 12), (3, 4))


@pytest.mark.parametrize(
    ("pc", "new", "message"),
    [
        (MVM, p.Mvm(1, ACC, vector("u8", 0, 4), 1), "plan 1, the core has 1"),
        (MVM, p.Mvm(-1, ACC, vector("u8", 0, 4), 1), "plan -1, the core has 1"),
        (MVM, p.Mvm(0, ACC, vector("u8", 0, 5), 1), "src has 5 of u8, the plan takes 4 of u8"),
        (MVM, p.Mvm(0, ACC, vector("i8", 0, 4), 1), "src has 4 of i8, the plan takes 4 of u8"),
        (MVM, p.Mvm(0, vector("f32", 64, 4), vector("u8", 0, 4), 1), "dst has 4 of f32"),
        (MVM, p.Mvm(0, ACC, vector("u8", 0, 4), 4), "semaphore 4, core 0 has 4"),
        (2, p.Wait(9), "semaphore 9, core 0 has 4"),
        (2, p.Wait(0, 0), "a count of 0"),
        (2, p.Signal(3, 0), "core 3 is not part of the program"),
        (2, p.Signal(1, 2), "semaphore 2, core 1 has 2"),
        (2, p.ProgramCells(1, 0), "tile 1 is none of this core"),
        (2, p.Loop(3), "1 loops have no end"),
        (2, p.End(), "an end without a loop"),
        (2, p.Halt(), "one halt, as its last instruction"),
        (PUT, p.Put(1, vector("i32", 0, 5), ACC, 0, 3), "16 bytes from src to 20 of dst"),
        (PUT, p.Put(1, vector("i32", 0, 4), vector("u16", 64, 8), 0, 3), "src: element type u16"),
        (PUT, p.Put(1, vector("i32", 4092, 4), ACC, 0, 3), "dst: bytes 4092..4107 are touched"),
        (PUT, p.Put(1, vector("i32", 0, 4), vector("i32", -4, 4), 0, 3), "src: bytes -4..11"),
        (PUT, p.Put(1, vector("i32", 0, 4, loops=(4,)), ACC, 0, 3), "are touched, SRAM has 4096"),
        (
            PUT,
            p.Put(1, vector("i32", 0, 4, loops=(4, 4)), ACC, 0, 3),
            "2 loop strides within 1 loops",
        ),
        (
            PUT,
            p.Put(1, vector("i32", 0, 4, loops=(16,), ring=30), ACC, 0, 3),
            "elements of 4 bytes don't fit evenly into the ring of 30",
        ),
        (PUT, p.Put(1, vector("i32", 0, 4, ring=-4), ACC, 0, 3), "a ring of -4 bytes"),
        (PUT, p.Put(1, vector("i32", 0, 0), ACC, 0, 3), "dst: dimensions [0]"),
        (
            PUT,
            p.Put(1, far("i32", 0, 4), ACC, 0, 3),
            "dst: it lies in global, it should lie in sram",
        ),
        (1, p.Load(vector("u8", 0, 4), far("u8", 0, 4), 0), "steps by 0 bytes, a frame has 32"),
        (
            1,
            p.Load(vector("u8", 0, 4), far("u8", 30, 4, loops=(32,)), 0),
            "src: bytes 30..33 are touched, the frame has 32",
        ),
        (
            1,
            p.Load(vector("u8", 0, 4), far("u8", 0, 4, loops=(32,), ring=64), 0),
            "a ring in global memory",
        ),
    ],
)
def test_instructions(pc: int, new: p.Instruction, message: str) -> None:
    found = problems(changed(pc, new))
    assert any(message in problem for problem in found), found


def test_a_problem_names_its_instruction() -> None:
    (found,) = problems(changed(2, p.Wait(9)))
    assert found == ("bad-program: core 0 mul pc 2 `wait sem 9, 1`: semaphore 9, core 0 has 4")


def test_loops() -> None:
    signal = p.Signal(0, 0)
    deep = changed(2, *[p.Loop(2)] * 4, signal, *[p.End()] * 4)
    assert any("more than 4 loops within each other" in problem for problem in problems(deep))
    empty = changed(2, p.Loop(2), p.End())
    assert any("the loop that ends here does nothing" in problem for problem in problems(empty))
    inner = changed(2, p.Loop(p.INPUTS), signal, p.End())
    assert any("loop over inputs stands within another" in problem for problem in problems(inner))


@pytest.mark.parametrize(
    ("vec", "message"),
    [
        (p.Vec("ad", ACC, ACC), "there is no operation `ad`"),
        (p.Vec("add", ACC, vector("u8", 0, 4), None, (1,)), "element types are u8 to i32"),
        (p.Vec("add", ACC, ACC), "0 immediates, it takes 1"),
        (p.Vec("add", ACC, ACC, ACC, (1.0,)), "1 immediates, it takes 0"),
        (p.Vec("add", ACC, ACC, vector("i32", 0, 3)), "has 3 elements, it should have 1 or 4"),
        (p.Vec("add", ACC, ACC, vector("f32", 0, 4)), "second operand is f32, the first i32"),
        (
            p.Vec("add", ACC, vector("i32", 0, 5), None, (1,)),
            "dst has 4 elements, it should have 5",
        ),
        (p.Vec("neg", ACC, ACC, ACC), "it takes no second operand"),
        (p.Vec("requant", vector("u8", 0, 4), ACC, None, (0, 0, 255)), "second operand is missing"),
        (
            p.Vec("requant", vector("u8", 0, 4), ACC, sram("i32", 4080, (4, 8)), (0, 0, 255)),
            "b: bytes 4080..4111 are touched",
        ),
        (
            p.Vec("reduce.sum", ACC, sram("u8", 0, (2, 8), (3, 1))),
            "dst has 4 elements, it should have 3",
        ),
        (
            p.Vec("lut", vector("u8", 0, 4), vector("u8", 0, 4), vector("u8", 0, 255)),
            "255 elements of u8, not 256 of u8",
        ),
        (
            p.Vec(
                "matmul", sram("f32", 0, (2, 8), (2, 4)), vector("f32", 0, 4), vector("f32", 0, 4)
            ),
            "the same number of dimensions",
        ),
        (
            p.Vec("matmul", SQUARE, SQUARE, SQUARE),
            "(2, 3) times (2, 3) is not (2, 3)",
        ),
    ],
)
def test_vec(vec: p.Vec, message: str) -> None:
    found = problems(changed(5, vec))
    assert any(message in problem for problem in found), found


# Tables

LEVELS = np.ones((4, 4))


def with_tile(image: p.TileImage) -> p.Program:
    return replace(sound(), tiles=(image,))


def with_plan(read: p.ReadPlan) -> p.Program:
    program = sound()
    return replace(program, cores=(replace(program.cores[0], plans=(read,)), program.cores[1]))


def with_core(**changes: object) -> p.Program:
    program = sound()
    return replace(program, cores=(replace(program.cores[0], **changes), program.cores[1]))  # type: ignore[arg-type]


READ = plan(0).reads[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: with_tile(tile(LEVELS, 4)), "the chip has no crossbar 4 of core 0"),
        (lambda: with_tile(tile(LEVELS, row0=5)), "rows 5..8 of a crossbar of 8"),
        (lambda: with_tile(tile(LEVELS, channel0=13)), "channels 13..16 of a crossbar of 16"),
        (lambda: with_tile(tile(LEVELS, slices=2)), "2 slices in 4 channels"),
        (lambda: with_tile(tile(LEVELS, encoding="pair")), "no encoding `pair`"),
        (lambda: with_tile(tile(LEVELS * -128)), "levels -128..-128, a cell holds up to 127"),
        (lambda: with_tile(tile(LEVELS, core=1)), "it reads a tile of another core"),
        (
            lambda: replace(sound(), tiles=(tile(LEVELS), tile(LEVELS, channel0=3, row0=3))),
            "tiles 0 and 1 lie on the same cells",
        ),
        (lambda: with_plan(plan(1)), "reads a tile that is none of the 1"),
        (lambda: with_plan(plan(0, 0)), "it reads two tiles of one crossbar, of [0, 0]"),
        (lambda: with_plan(p.ReadPlan(4, 4, ())), "4 inputs, 4 outputs; 0 reads"),
        (lambda: with_plan(p.ReadPlan(1 << 40, 4, (READ,))), "1099511627776 inputs, 4 outputs"),
        (lambda: with_plan(p.ReadPlan(4, 1 << 40, (READ,))), "4 inputs, 1099511627776 outputs"),
        (lambda: with_plan(p.ReadPlan(3, 4, (READ,))), "tile 0: inputs 0..3 of 3"),
        (lambda: with_plan(p.ReadPlan(4, 3, (READ,))), "outputs 0..3 of 3"),
        (lambda: with_plan(plan(0, bits=17)), "bits [17], the ADC has 16"),
        (lambda: with_plan(p.ReadPlan(4, 4, (replace(READ, steps=(0,)),))), "steps [0]"),
        (lambda: with_plan(p.ReadPlan(4, 4, (replace(READ, bits=()),))), "each of 1 slices"),
        (lambda: with_core(core=7), "core 7: the mesh has 6 cores"),
        (lambda: with_core(core=1), "core 1 stands twice"),
        (lambda: with_core(semaphores=(0,) * 17), "17 semaphores, it has 16"),
        (lambda: with_core(semaphores=(-1, 0, 0, 0)), "starts below 0"),
        (lambda: with_core(sequencers=sound().cores[0].sequencers * 9), "9 sequencers, it has 8"),
        (
            lambda: with_core(images=(p.Image(4095, np.zeros(2, np.uint8), "w"),)),
            "image `w` ends at 4097, SRAM has 4096 bytes",
        ),
        (
            lambda: replace(sound(), frame_bytes=16),
            "`y`: bytes 16..31 are not within the frame of 16",
        ),
        (lambda: replace(sound(), frame_bytes=1 << 40), "a frame of 1099511627776 bytes"),
        (
            lambda: replace(sound(), inputs=(p.Io("x", 0, "u8", (4,), (2, 3), (0, 1)),)),
            "shape [4] can't be taken apart as [2, 3]",
        ),
        (
            lambda: replace(sound(), inputs=(p.Io("x", 0, "u8", (4,), (2, 2), (0, 0)),)),
            "[0, 0] is no order of 2 axes",
        ),
    ],
)
def test_tables(make: Callable[[], p.Program], message: str) -> None:
    found = problems(make())
    assert any(message in problem for problem in found), found


def test_tiles_that_are_written_may_lie_on_others() -> None:
    program = changed(2, p.Wait(0), p.ProgramCells(1, 0), p.Wait(0))
    assert problems(replace(program, tiles=(tile(LEVELS), tile(LEVELS)))) == []


# Semaphores


def test_balance() -> None:
    found = problems(changed(4, p.Signal(0, 3)))
    assert found == [
        "bad-program: semaphore 1 of core 0 is given 1 and taken 0 times for each input",
        "bad-program: semaphore 3 of core 0 is given 2 and taken 1 times for each input",
    ]


def test_balance_multiplies_loops_out() -> None:
    """Three signals in a loop, and one wait for three."""
    assert problems(changed(4, p.Wait(1), p.Loop(3), p.Signal(0, 3), p.End(), p.Wait(3, 3))) == []


def test_deadlock() -> None:
    """The ring's credit starts at 0: who puts waits for who stores, and the other way round."""
    (found,) = check_program(with_core(semaphores=(0, 0, 0, 0)), TARGET)
    assert (found.code, found.message) == ("deadlock", "2 of 2 sequencers wait for ever")
    assert sorted(found.notes) == [
        "core 0 mul pc 6 `wait sem 2, 1`: it holds 0",
        "core 1 out pc 1 `wait sem 0, 1`: it holds 0",
    ]


def test_deadlock_within_a_loop() -> None:
    """Two credits are taken at a time, of a ring that has two slots but gives one back."""
    program = changed(6, p.Loop(2), p.Wait(2, 2), p.Signal(0, 2, 1), p.End())
    assert any(problem.startswith("bad-program: semaphore 2") for problem in problems(program))


def test_games_that_are_too_long_are_refused() -> None:
    loops = [p.Loop(1000)] * 3
    program = changed(4, p.Wait(1), *loops, p.Signal(0, 3), p.Wait(3), *[p.End()] * 3)
    (found,) = problems(program)
    assert "at most 100000000 can be followed" in found
