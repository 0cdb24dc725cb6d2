"""What a paused machine's memories hold, as text: buffers by name, and ranges of addresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from nmc.backends.debugger.buffers import View, tensor, views
from nmc.backends.debugger.words import number, refuse
from nmc.backends.program_places import ProgramPlaces
from nmc.backends.simulator.machine import Machine
from nmc.backends.simulator.memory import Memory
from nmc.ir.graph import DTYPES, Array, dtype_name
from nmc.ir.layers import layers_of
from nmc.ir.text import did_you_mean

__all__ = ["buffer_lines", "memory_lines", "view_lines"]

TYPES = ("u8", "i8", "i32", "f32")
MAX_COUNT = 1 << 24
SHOWN_WHOLE = 4096
"""Tensors of more elements are shown by their corners."""


def buffer_lines(places: ProgramPlaces, layer: str | None) -> Iterator[str]:
    for view in found(places, layer):
        sizes = "x".join(map(str, view.shape))
        place = f"core {view.core} at {view.address}"
        yield f"{view.layer} {view.role}: {type_name(view)}[{sizes}] ({view.axes}), {place}"


def view_lines(
    machine: Machine, places: ProgramPlaces, layer: str, role: str, lane: Sequence[str]
) -> Iterator[str]:
    chosen = [view for view in found(places, layer) if view.role == role]
    if not chosen:
        known = list(dict.fromkeys(view.role for view in found(places, layer)))
        hint = did_you_mean(role, known) or f"it has {', '.join(known)}"
        raise refuse(f"layer `{layer}` has no buffer `{role}`", hint)
    several = len({view.layer for view in chosen}) > 1
    for view in chosen:
        memory = machine.cores[view.core].memory
        values = tensor(memory, view.address, view.dtype, view.shape)
        sizes = "x".join(map(str, view.shape))
        place = f"core {view.core}, bytes {view.address}..{view.address + view.nbytes - 1}"
        of = f"{view.layer}: " if several else ""
        yield f"{of}{type_name(view)}[{sizes}] ({view.axes}), {place}"
        yield from array_lines(values[lane_of(memory, lane)])


def memory_lines(
    machine: Machine, where: str, address: str, count: str, more: Sequence[str]
) -> Iterator[str]:
    """Elements from an address of a core's SRAM on, or of global memory."""
    name, lane = (more[0], more[1:]) if more and more[0] in TYPES else ("u8", more)
    memory, size = memory_of(machine, where)
    dtype = DTYPES[name]
    begin, elements = number(address, "address"), number(count, "count", MAX_COUNT)
    if begin + elements * dtype.itemsize > size:
        raise refuse(f"{elements} elements of {name} from {begin} on reach beyond {size} bytes")
    values = tensor(memory, begin, dtype, (elements,))
    yield from array_lines(values[lane_of(memory, lane)])


def memory_of(machine: Machine, where: str) -> tuple[Memory, int]:
    if where == "global":
        return machine.memory, machine.memory.size
    core = machine.cores.get(number(where, "core, nor `global`"))
    if core is None:
        raise refuse(f"the program has no core {where}")
    return core.memory, machine.target.core.sram_bytes


def lane_of(memory: Memory, words: Sequence[str]) -> int:
    if len(words) > 1:
        raise refuse(f"one lane is enough: {' '.join(words)}")
    return number(words[0], f"lane of {memory.lanes}", memory.lanes) if words else 0


def found(places: ProgramPlaces, layer: str | None) -> list[View]:
    """The views of a layer by name or number, or of one of its stages by name; all if None."""
    listed = list(views(places))
    if layer is None:
        return listed
    layers = layers_of(places.mapping)
    named = {layer}
    for index, each in enumerate(layers):
        if layer in (str(index), each.name):
            named |= {places.mapping.stages[i].name for i in each.stages}
    mine = [view for view in listed if view.layer in named]
    if not mine:
        hint = did_you_mean(layer, [view.layer for view in listed])
        raise refuse(f"there is no layer `{layer}` with buffers", hint or "`buffers` lists them")
    return mine


def type_name(view: View) -> str:
    return "record" if view.dtype.names else dtype_name(view.dtype)


def array_lines(values: Array) -> Iterator[str]:
    with np.printoptions(threshold=SHOWN_WHOLE, linewidth=100, floatmode="unique"):
        yield from str(values).splitlines() if values.size else ["[]"]
