"""Samples, lanes, inputs in flight; what goes into global memory and comes out of it."""

from __future__ import annotations

import numpy as np
import pytest

from nmc.backends.simulator import Result, simulate
from nmc.ir import program as p
from nmc.ir.diagnostics import NmcError
from nmc.ir.graph import Array
from tests.backends.simulator.chips import Code, chip, core, far, plan, tile, vector

W = np.random.default_rng(0).integers(-9, 10, (4, 4))


def program() -> p.Program:
    """y = x @ W for each input: load, mvm, store.  x lies transposed in its frame."""
    frame = 32
    stream: Code = [
        p.Loop(p.INPUTS),
        p.Load(vector("u8", 0, 4), far("u8", 0, 4, loops=(frame,)), 0),
        p.Wait(0),
        p.Mvm(0, vector("i32", 64, 4), vector("u8", 0, 4), 1),
        p.Wait(1),
        p.Store(far("i32", 16, 4, loops=(frame,)), vector("i32", 64, 4), 2),
        p.Wait(2),
        p.End(),
    ]
    x = p.Io("x", 0, "u8", (2, 2), (2, 2), (1, 0))
    y = p.Io("y", 16, "i32", (4,), (4,), (0,))
    return p.Program("p", (core(stream, plans=(plan(0),)),), (tile(W),), (x,), (y,), frame)


def run(count: int, **options: int) -> tuple[Result, Array]:
    x = np.random.default_rng(1).integers(0, 256, (count, 2, 2), np.uint8)
    expected = x.transpose(0, 2, 1).reshape(count, 4).astype(np.int64) @ W
    result = simulate(program(), chip(), {"x": x}, **options)  # type: ignore[arg-type]
    return result, expected


@pytest.mark.parametrize(("count", "inflight"), [(1, 1), (6, 1), (6, 3), (5, 3), (2, 4)])
def test_each_sample_gets_its_own_result(count: int, inflight: int) -> None:
    result, expected = run(count, inflight=inflight)
    assert np.array_equal(result.outputs["y"], expected)
    assert result.races == ()
    assert len(result.output_cycles) == inflight


def test_lanes_take_no_time() -> None:
    one, many = run(1)[0], run(50)[0]
    assert (one.cycles, one.instructions) == (many.cycles, many.instructions)
    assert one.events == many.events


def test_cycles_of_a_batch() -> None:
    """Nothing overlaps here: each input takes as long as the first."""
    alone, three = run(3)[0], run(3, inflight=3)[0]
    assert alone.interval_cycles is None
    assert three.latency_cycles == alone.latency_cycles == alone.cycles
    first, second, third = three.output_cycles
    assert third == three.cycles
    assert third - second == second - first == three.interval_cycles


def test_a_ring_follows_the_inputs() -> None:
    """Three slots for five inputs: the loop over inputs steps, the ring wraps."""
    slot = {"loops": (4,), "ring": 12}
    stream: Code = [
        p.Loop(p.INPUTS),
        p.Load(vector("u8", 100, 4, **slot), far("u8", 0, 4, loops=(8,)), 0),
        p.Wait(0),
        p.Store(far("u8", 4, 4, loops=(8,)), vector("u8", 100, 4, **slot), 1),
        p.Wait(1),
        p.End(),
    ]
    x = p.Io("x", 0, "u8", (4,), (4,), (0,))
    y = p.Io("y", 4, "u8", (4,), (4,), (0,))
    copying = p.Program("p", (core(stream),), (), (x,), (y,), 8)
    values = np.arange(20, dtype=np.uint8).reshape(5, 4)
    result = simulate(copying, chip(), {"x": values}, inflight=5)
    assert np.array_equal(result.outputs["y"], values)
    assert result.races == ()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "input `x` is missing; given: none"),
        ({"x": np.zeros((1, 4), np.uint8)}, r"shape \(1, 4\)"),
        ({"x": np.zeros((1, 2, 2), np.float32)}, "is float32, the program takes u8"),
        ({"x": np.zeros((0, 2, 2), np.uint8)}, "no sample"),
    ],
)
def test_inputs_that_do_not_fit(inputs: dict[str, Array], message: str) -> None:
    with pytest.raises(NmcError, match=message) as caught:
        simulate(program(), chip(), inputs)
    assert caught.value.diagnostics[0].code == "bad-data-shape"
