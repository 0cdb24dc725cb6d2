"""Memories that hold every lane's bytes, and operands that are read and written at one stroke.

A *lane* is one sample; all lanes run the same program in the same cycles, so each access is one
numpy operation on u8[lanes, bytes].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nmc.ir.graph import DTYPES, Array
from nmc.ir.program import Desc

if TYPE_CHECKING:
    from nmc.backends.simulator.shadow import Shadow, Stamp

__all__ = ["RECORD", "SCALE_SHIFT", "Access", "Bytes", "Memory"]

Bytes = npt.NDArray[np.uint8]

RECORD = np.dtype([("bias", "<i4"), ("multiplier", "<f4")])
"""What the second operand of requant and dequant addresses, one for each channel."""

SCALE_SHIFT = np.dtype([("scale", "<f4"), ("shift", "<f4")])
"""What the second operand of layernorm addresses, one for each channel."""


class Memory:
    """One memory in all lanes: `data` is u8[lanes, size].  `shadow` watches for races."""

    __slots__ = ("data", "lanes", "shadow", "size")

    def __init__(self, lanes: int, size: int) -> None:
        self.lanes = lanes
        self.size = size
        self.data: Bytes = np.zeros((lanes, size), np.uint8)
        self.shadow: Shadow | None = None

    def load(self, access: Access, start: int, stamp: Stamp | None) -> Array:
        """Elements, [lanes, *shape]; possibly a view that later writes would change."""
        if self.shadow is not None and stamp is not None:
            self.shadow.read(access, start, stamp)
        return access.read(self, start)

    def load_bytes(self, access: Access, start: int, stamp: Stamp | None) -> Bytes:
        """A copy of the bytes of the elements, in order: u8[lanes, nbytes]."""
        values = np.array(self.load(access, start, stamp), order="C")
        return values.reshape(self.lanes, -1).view(np.uint8)

    def store(self, access: Access, start: int, values: Array, stamp: Stamp | None) -> None:
        """Write elements; `values` has `access.elements` of them for each lane."""
        if self.shadow is not None and stamp is not None:
            self.shadow.write(access, start, stamp)
        access.write(self, start, values.reshape(self.lanes, *access.shape))

    def store_bytes(self, access: Access, start: int, data: Bytes, stamp: Stamp | None) -> None:
        """The inverse of `load_bytes`."""
        self.store(access, start, data.view(access.dtype), stamp)


class Access:
    """A descriptor made ready: where its elements lie relative to a start, and how to reach them.

    `start(counters)` is the descriptor's offset with the loop terms of the moment; every other
    method takes it.  An element type other than the descriptor's own may be given: records are
    addressed by descriptors whose elements point at their first bytes.
    """

    __slots__ = (
        "_inner",
        "base",
        "dense",
        "dtype",
        "high",
        "loops",
        "low",
        "offset",
        "ring",
        "shape",
        "steps",
    )

    def __init__(self, desc: Desc, dtype: np.dtype[Any] | None = None) -> None:
        self.base = desc.base
        self.ring = desc.ring
        self.offset = desc.offset
        self.loops = desc.loops
        self.dtype = DTYPES[desc.dtype] if dtype is None else dtype
        self.shape = tuple(dim.count for dim in desc.dims)
        self.steps = tuple(dim.stride for dim in desc.dims)
        spans = [(dim.count - 1) * dim.stride for dim in desc.dims]
        self.low = sum(min(0, span) for span in spans)
        self.high = sum(max(0, span) for span in spans) + self.dtype.itemsize
        self.dense = dense(self.shape, self.steps, self.dtype.itemsize)
        """Elements follow each other without gaps."""
        self._inner: npt.NDArray[np.int64] | None = None

    @property
    def nbytes(self) -> int:
        count = self.dtype.itemsize
        for size in self.shape:
            count *= size
        return count

    @property
    def elements(self) -> int:
        return self.nbytes // self.dtype.itemsize

    def start(self, counters: Sequence[int]) -> int:
        """The offset of the first element, loop terms included, before the ring is applied."""
        start = self.offset
        for stride, iteration in zip(self.loops, counters, strict=False):
            start += stride * iteration
        return start

    def read(self, memory: Memory, start: int) -> Array:
        """The elements, [lanes, *shape]; possibly a view that later writes would change."""
        address = self._straight(start)
        if address is not None:
            return self._view(memory, address)
        picked = np.take(memory.data, self.addresses(start), axis=1)
        return picked.view(self.dtype).reshape(memory.lanes, *self.shape)

    def write(self, memory: Memory, start: int, values: Array) -> None:
        """Store values, which broadcast to [lanes, *shape] and are of this access's own type."""
        address = self._straight(start)
        if address is not None:
            self._view(memory, address)[...] = values
            return
        full = np.ascontiguousarray(
            np.broadcast_to(values, (memory.lanes, *self.shape)), dtype=self.dtype
        )
        memory.data[:, self.addresses(start)] = full.reshape(memory.lanes, -1).view(np.uint8)

    def addresses(self, start: int) -> npt.NDArray[np.int64]:
        """The address of every byte, element by element in order: int64[nbytes]."""
        if self._inner is None:
            inner = np.zeros(1, np.int64)
            for count, stride in zip(self.shape, self.steps, strict=True):
                inner = (inner[:, None] + np.arange(count, dtype=np.int64) * stride).ravel()
            self._inner = inner
        offsets = self._inner + start
        if self.ring:
            offsets %= self.ring
        bytes_ = np.arange(self.dtype.itemsize, dtype=np.int64)
        return (self.base + offsets[:, None] + bytes_).ravel()

    def index(self, start: int) -> slice | npt.NDArray[np.int64]:
        """The bytes touched, as a slice where they follow each other."""
        address = self._straight(start) if self.dense else None
        if address is None:
            return self.addresses(start)
        return slice(address, address + self.nbytes)

    def _straight(self, start: int) -> int | None:
        """The address of the first element if the ring does not wrap within this access."""
        if not self.ring:
            return self.base + start
        turn = (start + self.low) // self.ring
        if (start + self.high - 1) // self.ring != turn:
            return None
        return self.base + start - turn * self.ring

    def _view(self, memory: Memory, address: int) -> Array:
        return np.ndarray(
            (memory.lanes, *self.shape),
            self.dtype,
            buffer=memory.data,
            offset=address,
            strides=(memory.size, *self.steps),
        )


def dense(shape: Sequence[int], steps: Sequence[int], itemsize: int) -> bool:
    expected = itemsize
    for count, step in zip(reversed(shape), reversed(steps), strict=True):
        if count > 1 and step != expected:
            return False
        expected *= count
    return True
