"""What the host does: puts inputs into frames of global memory, and takes outputs out of them.

Samples are arranged as lanes x inputs in flight: sample m is input m % inflight of lane
m // inflight.  A number of samples that does not divide is filled up with the last one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from nmc.backends.simulator.memory import Access, Memory
from nmc.ir.diagnostics import NmcError, error
from nmc.ir.graph import DTYPES, Array
from nmc.ir.program import Io, Program

__all__ = ["Outputs", "fill_frames", "io_bytes", "read_frames", "sample_count"]


def io_bytes(io: Io) -> int:
    return math.prod(io.shape) * DTYPES[io.dtype].itemsize


def sample_count(program: Program, inputs: Mapping[str, Array]) -> int:
    """How many samples the inputs hold; NmcError if they are not what the program takes."""
    if not program.inputs:
        return 1
    counts = {io.name: len(checked(io, inputs)) for io in program.inputs}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"`{name}` has {count}" for name, count in counts.items())
        raise NmcError(error("bad-data-shape", f"inputs differ in their number of samples: {said}"))
    count = next(iter(counts.values()))
    if count == 0:
        raise NmcError(error("bad-data-shape", "the inputs hold no sample"))
    return count


def checked(io: Io, inputs: Mapping[str, Array]) -> Array:
    if io.name not in inputs:
        known = ", ".join(f"`{name}`" for name in inputs) or "none"
        raise NmcError(error("bad-data-shape", f"input `{io.name}` is missing; given: {known}"))
    array = np.asarray(inputs[io.name])
    if array.shape[1:] != io.shape or array.ndim != len(io.shape) + 1:
        message = f"input `{io.name}` has shape {array.shape}, not [samples, *{io.shape}]"
        raise NmcError(error("bad-data-shape", message))
    if array.dtype != DTYPES[io.dtype]:
        message = f"input `{io.name}` is {array.dtype}, the program takes {io.dtype}"
        raise NmcError(error("bad-data-shape", message))
    return array


def fill_frames(
    memory: Memory, program: Program, inputs: Mapping[str, Array], inflight: int
) -> None:
    samples = memory.lanes * inflight
    for io in program.inputs:
        array = checked(io, inputs)
        rows = np.minimum(np.arange(samples), len(array) - 1)
        ordered = array.reshape(-1, *io.factors).transpose(0, *(axis + 1 for axis in io.perm))
        flat = np.ascontiguousarray(ordered).reshape(len(array), -1).view(np.uint8)
        frames = memory.data.reshape(memory.lanes, inflight, program.frame_bytes)
        part = frames[:, :, io.address : io.address + io_bytes(io)]
        part[...] = flat[rows].reshape(memory.lanes, inflight, -1)


def read_frames(memory: Memory, program: Program, samples: int, inflight: int) -> dict[str, Array]:
    frames = memory.data.reshape(memory.lanes * inflight, program.frame_bytes)
    return {io.name: decoded(frames[:samples], io) for io in program.outputs}


def decoded(frames: Array, io: Io) -> Array:
    part = np.ascontiguousarray(frames[:, io.address : io.address + io_bytes(io)])
    physical = [io.factors[axis] for axis in io.perm]
    back = np.argsort(io.perm)
    values = part.view(DTYPES[io.dtype]).reshape(len(part), *physical)
    ordered = values.transpose(0, *(int(axis) + 1 for axis in back))
    return np.ascontiguousarray(ordered).reshape(len(part), *io.shape)


class Outputs:
    """Which output bytes of each frame are still to be stored, and when the last one was."""

    def __init__(self, program: Program, inflight: int) -> None:
        self.frame_bytes = max(1, program.frame_bytes)
        mask = np.zeros(self.frame_bytes, np.bool_)
        for io in program.outputs:
            mask[io.address : io.address + io_bytes(io)] = True
        self.mask = mask
        self.missing = np.tile(mask, inflight)
        self.cycles = [0] * inflight

    def stored(self, access: Access, start: int, cycle: int) -> None:
        addresses: npt.NDArray[np.int64] = np.unique(access.addresses(start))
        outputs = addresses[self.mask[addresses % self.frame_bytes]]
        self.missing[outputs] = False
        for frame in np.unique(outputs // self.frame_bytes):
            self.cycles[int(frame)] = cycle

    def unstored(self) -> tuple[int, int] | None:
        """Input and count of output bytes that nothing has stored, if there are any."""
        counts = self.missing.reshape(-1, self.frame_bytes).sum(axis=1)
        short = np.flatnonzero(counts)
        return (int(short[0]), int(counts[short[0]])) if len(short) else None
