"""A small chip with round figures, and short ways to write programs for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nmc.backends.simulator import Result, simulate
from nmc.ir import program as p
from nmc.ir.graph import Array
from nmc.ir.target import Target
from nmc.ir.target_toml import load_target

Code = list[p.Instruction]

TARGETS = Path(__file__).parents[3] / "nmc" / "targets"

PARTS: dict[str, dict[str, Any]] = {
    "mesh": {
        "width": 3,
        "height": 2,
        "flit_bytes": 8,
        "t_hop_ns": 2.0,
        "memory_ports": ((0, 0),),
    },
    "core": {
        "crossbars": 4,
        "sequencers": 8,
        "semaphores": 16,
        "sram_kib": 4,
        "sram_bytes_per_cycle": 8,
        "queue_depth": 2,
    },
    "crossbar": {
        "rows": 8,
        "cols": 32,
        "cell_bits": 7,
        "dac_bits": 4,
        "t_read_ns": 3.0,
        "sample_holds": 1,
    },
    "adc": {
        "crossbars_per_cluster": 2,
        "adcs_per_cluster": 1,
        "bits": 16,
        "t_conversion_ns": 1.0,
    },
    "shift_add": {"t_ns": 2.0},
    "vector": {
        "lanes": 4,
        "cycles_per_element": {"default": 1, "div": 3},
        "latency_cycles": {"default": 2},
    },
    "global_memory": {"t_latency_ns": 10.0, "bytes_per_cycle": 4},
}
"""One slice of 7 bits and two phases of 4; reads of 3 cycles, conversions of 1, hops of 2."""


def chip(**changes: dict[str, Any]) -> Target:
    """The chip, with some values of some parts changed: chip(adc={"bits": 4})."""
    target = load_target("exact-128", search=[TARGETS])
    parts = {
        name: replace(getattr(target, name), **(values | changes.get(name, {})))
        for name, values in PARTS.items()
    }
    numbers = replace(target.numbers, **changes.get("numbers", {}))
    return replace(target, name="small", clock_ghz=1.0, numbers=numbers, **parts)


def sram(dtype: str, base: int, *dims: tuple[int, int], **more: Any) -> p.Desc:
    return p.Desc(p.Space.SRAM, dtype, base, tuple(p.Dim(*d) for d in dims), **more)


def vector(dtype: str, base: int, count: int, **more: Any) -> p.Desc:
    """`count` elements one after the other in SRAM."""
    size = 1 if dtype in ("u8", "i8") else 4
    return sram(dtype, base, (count, size), **more)


def far(dtype: str, base: int, count: int, **more: Any) -> p.Desc:
    """The same in global memory."""
    size = 1 if dtype in ("u8", "i8") else 4
    return p.Desc(p.Space.GLOBAL, dtype, base, (p.Dim(count, size),), **more)


def tile(levels: Array, crossbar: int = 0, **place: Any) -> p.TileImage:
    """A differential tile of one slice."""
    values: dict[str, Any] = {
        "core": 0,
        "row0": 0,
        "channel0": 0,
        "slices": 1,
        "encoding": "differential",
    }
    return p.TileImage(crossbar=crossbar, levels=levels.astype(np.int8), **(values | place))


def plan(*tiles: int, rows: int = 4, outputs: int = 4, bits: int = 16, **more: Any) -> p.ReadPlan:
    """Tiles of `rows` inputs side by side, that add into the same outputs."""
    reads = tuple(p.TileRead(t, i * rows, 0, (bits,), (1,), (True,)) for i, t in enumerate(tiles))
    return p.ReadPlan(rows * len(tiles), outputs, reads, **more)


def core(
    *streams: Sequence[p.Instruction],
    number: int = 0,
    semaphores: Sequence[int] = (0,) * 8,
    images: Mapping[int, Array] | None = None,
    **more: Any,
) -> p.CoreProgram:
    """A core whose sequencers run `streams`, each with a halt at its end."""
    return p.CoreProgram(
        number,
        tuple(p.Sequencer(f"s{i}", (*s, p.Halt())) for i, s in enumerate(streams)),
        images=tuple(
            p.Image(address, np.ascontiguousarray(data).reshape(-1).view(np.uint8))
            for address, data in (images or {}).items()
        ),
        semaphores=tuple(semaphores),
        **more,
    )


def run(
    *cores: p.CoreProgram,
    tiles: Sequence[p.TileImage] = (),
    target: Target | None = None,
    **options: Any,
) -> Result:
    program = p.Program("test", cores, tuple(tiles))
    return simulate(program, target or chip(), {}, **({"engine": "reference"} | options))
