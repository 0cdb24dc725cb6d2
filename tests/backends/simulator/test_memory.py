"""Descriptors: which bytes they reach, against their formula spelled out element by element."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from nmc.backends.simulator.memory import Access, Memory
from nmc.ir import program as p
from nmc.ir.graph import DTYPES
from nmc.ir.program_spans import Operand, span

SIZE = 400
INFLIGHT = 3


@st.composite
def descs(draw: st.DrawFn) -> p.Desc:
    dtype = draw(st.sampled_from(["u8", "i8", "i32", "f32"]))
    unit = DTYPES[dtype].itemsize
    steps = st.integers(-8, 8).map(lambda n: n * unit)
    dims = draw(st.lists(st.builds(p.Dim, st.integers(1, 4), steps), max_size=3))
    loops = draw(st.lists(steps, max_size=3))
    ring = draw(st.sampled_from([0, 4, 8, 20]).map(lambda n: n * unit))
    return p.Desc(
        p.Space.SRAM,
        dtype,
        draw(st.integers(0, SIZE)),
        tuple(dims),
        tuple(loops),
        ring,
        draw(steps),
    )


def starts(desc: p.Desc, counters: tuple[int, ...]) -> list[int]:
    """The address of each element, by the formula of docs/machine.md."""
    found = []
    outer = sum(i * step for i, step in zip(counters, desc.loops, strict=False))
    for index in product(*(range(dim.count) for dim in desc.dims)):
        inner = sum(j * dim.stride for j, dim in zip(index, desc.dims, strict=True))
        offset = desc.offset + outer + inner
        found.append(desc.base + (offset % desc.ring if desc.ring else offset))
    return found


counts = st.lists(st.integers(1, 3) | st.just(p.INPUTS), min_size=3, max_size=3).map(tuple)


@given(descs(), counts, st.data())
def test_elements(desc: p.Desc, loops: tuple[int, ...], data: st.DataObject) -> None:
    size = DTYPES[desc.dtype].itemsize
    low, high = span(Operand("a", desc, size), loops, INFLIGHT)
    assume(low >= 0 and high <= SIZE)
    turns = [INFLIGHT if n == p.INPUTS else n for n in loops]
    counters = tuple(data.draw(st.integers(0, n - 1)) for n in turns)
    wanted = starts(desc, counters)
    assert all(low <= at and at + size <= high for at in wanted)

    memory = Memory(2, SIZE)
    memory.data[:] = np.random.default_rng(0).integers(0, 256, (2, SIZE))
    access = Access(desc)
    start = access.start(counters)
    addresses = np.add.outer(wanted, range(size)).ravel()
    assert np.array_equal(access.addresses(start), addresses)
    index = access.index(start)
    assert np.array_equal(np.arange(SIZE)[index], addresses)
    raw = memory.load_bytes(access, start, None)
    assert np.array_equal(raw, memory.data[:, addresses])
    shape = (2, *(dim.count for dim in desc.dims))
    assert memory.load(access, start, None).shape == shape

    assume(len(set(wanted)) == len(wanted) and not overlapping(wanted, size))
    values = np.arange(raw.size, dtype=np.uint8).reshape(raw.shape)
    before = memory.data.copy()
    memory.store_bytes(access, start, values, None)
    assert np.array_equal(memory.data[:, addresses], values)
    others = np.setdiff1d(np.arange(SIZE), addresses)
    assert np.array_equal(memory.data[:, others], before[:, others])


def overlapping(elements: list[int], size: int) -> bool:
    ordered = sorted(elements)
    return any(b - a < size for a, b in pairwise(ordered))


@given(descs(), counts)
def test_the_span_is_no_wider_than_it_must(desc: p.Desc, loops: tuple[int, ...]) -> None:
    """Without a ring, both its ends are touched in some iteration."""
    size = DTYPES[desc.dtype].itemsize
    low, high = span(Operand("a", desc, size), loops, INFLIGHT)
    turns = [range(INFLIGHT if n == p.INPUTS else n) for n in loops]
    touched = [at for counters in product(*turns) for at in starts(desc, counters)]
    if not desc.ring:
        assert (low, high) == (min(touched), max(touched) + size)
    else:
        assert desc.base <= low < high <= desc.base + desc.ring
