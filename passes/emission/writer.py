"""Writing one sequencer's instructions, with loops known by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from nmc.ir.program import (
    INPUTS,
    Desc,
    Dim,
    End,
    Halt,
    Instruction,
    Loop,
    Sequencer,
    Signal,
    Space,
    Wait,
)

__all__ = ["CHUNK", "COL", "INPUT", "ROW", "TURN", "Writer"]

INPUT, TURN, CHUNK, COL, ROW = "input", "turn", "chunk", "col", "row"
"""Loops: over inputs, over a stage's firings, over runs of pixels in a row, over the pixels of a
run (or of a row), over rows within a firing."""


@dataclass(slots=True)
class Writer:
    """One instruction stream of one core."""

    core: int
    label: str
    instructions: list[Instruction] = field(default_factory=list[Instruction])
    _open: list[str] = field(default_factory=list[str])

    def emit(self, instruction: Instruction) -> None:
        self.instructions.append(instruction)

    def wait(self, sem: int, count: int) -> None:
        if count:
            self.emit(Wait(sem, count))

    def signal(self, core: int, sem: int, count: int) -> None:
        if count:
            self.emit(Signal(core, sem, count))

    @contextmanager
    def loop(self, name: str, count: int) -> Iterator[None]:
        """A hardware loop that descriptors know by `name`; a single turn needs no loop."""
        if count == 1 and name != INPUT:
            yield
            return
        self.emit(Loop(INPUTS if name == INPUT else count))
        self._open.append(name)
        yield
        self._open.pop()
        self.emit(End())

    def desc(
        self,
        dtype: str,
        base: int,
        dims: Sequence[tuple[int, int]] = (),
        *,
        terms: Mapping[str, int] | None = None,
        offset: int = 0,
        ring: int = 0,
        space: Space = Space.SRAM,
        exact: bool = False,
    ) -> Desc:
        """An operand; `terms` gives bytes per turn of each loop, of which only open ones count.

        Dimensions that can be one are merged, unless `exact`, for operations to which the last
        dimension means something.
        """
        strides = [(terms or {}).get(name, 0) for name in self._open]
        if ring:
            strides = [s % ring for s in strides]
            offset %= ring
        while strides and strides[-1] == 0:
            strides.pop()
        kept = [Dim(count, stride) for count, stride in dims if exact or count != 1]
        ring = ring if any(strides) or offset + _extent(kept) > ring else 0
        if not ring:
            base, offset = base + offset, 0
        inner = tuple(kept) if exact else _merged(kept)
        return Desc(space, dtype, base, inner, tuple(strides), ring, offset)

    def finish(self) -> Sequencer:
        self.emit(Halt())
        return Sequencer(self.label, tuple(self.instructions))


def _extent(dims: Sequence[Dim]) -> int:
    return sum((d.count - 1) * d.stride for d in dims) + 1


def _merged(dims: Sequence[Dim]) -> tuple[Dim, ...]:
    """The same order of elements in the fewest dimensions."""
    merged: list[Dim] = []
    for dim in dims:
        if merged and merged[-1].stride == dim.count * dim.stride:
            merged[-1] = Dim(merged[-1].count * dim.count, dim.stride)
        else:
            merged.append(dim)
    return tuple(merged)
