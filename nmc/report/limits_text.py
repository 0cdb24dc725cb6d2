"""What keeps a mapping from being faster, and what would help, in a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nmc.report.names import short_names
from nmc.report.text import count, percent

if TYPE_CHECKING:
    from nmc.backends.report_records import (
        LimitingLayer,
        LimitReport,
        ReportData,
        StageReport,
    )

__all__ = ["limit_lines"]

NAME = 24
LAYERS_NAMED = 3
MUCH = 1.03
"""A layer that takes so many times what it takes alone is held up by its neighbours."""

NEAR = 0.4
"""A layer that alone takes less than this share of the interval needs no mention yet."""

HELPS = 0.97
"""More room that can't bring the interval below this share of it doesn't help."""

UNITS = {
    "adc": "ADCs",
    "array": "crossbars",
    "vector": "vector units",
    "port": "NoC ports",
    "link": "links of the mesh",
    "memory": "memory ports",
    "memory-out": "ways from memory into the mesh",
}
SINGLE = {
    "adc": "ADC",
    "array": "crossbar",
    "vector": "vector unit",
    "port": "NoC port",
    "link": "link of the mesh",
    "memory": "memory port",
    "memory-out": "way from memory into the mesh",
}

DOING = {
    "adc": "converting",
    "reads": "reading crossbars",
    "sums": "sending partial sums home",
    "vector": "finishing rows on the vector unit",
    "sequencer": "issuing the instructions that finish rows",
}

READS = "--set crossbar.sample_holds=2, or less to read (crossbar.t_read_ns, crossbar.dac_bits)"
KEYS = {
    "adc": "more ADCs (adc.adcs_per_cluster) or faster ones (adc.t_conversion_ns)",
    "reads": READS,
    "array": READS,
    "sums": "larger cores (core.crossbars) or wider links (mesh.flit_bytes)",
    "vector": "wider vector units (vector.lanes)",
    "sequencer": "fewer operators after its matrix",
    "port": "wider links (mesh.flit_bytes)",
    "link": "wider links (mesh.flit_bytes)",
    "memory": "a wider memory (global_memory.bytes_per_cycle) or more mesh.memory_ports",
    "memory-out": "wider links (mesh.flit_bytes) or more mesh.memory_ports",
}
"""What of the target to change, by the kind of limit."""

BY_CORES = ("adc", "array", "vector", "reads", "sequencer", "sums")
"""Kinds of limits of which more cores bring more."""


def limit_lines(report: ReportData) -> list[str]:
    """For each chip step two lines, to be wrapped: who limits the interval, what would help."""
    short = short_names([stage.name for stage in report.stages], NAME)
    names = [f"{i} {short[stage.name]}" for i, stage in enumerate(report.stages)]
    lines = []
    for limit in report.prediction.limits:
        of = f"step {limit.step}: " if len(report.prediction.limits) > 1 else ""
        lines.append(f"  limited by   {of}{who_text(limit, names)}")
        lines.append(f"  faster with  {of}{helps(report, limit, names)}")
    return lines


def who_text(limit: LimitReport, names: Sequence[str]) -> str:
    match limit.always:
        case "units":
            return units_text(limit, names)
        case "layers":
            slowest = max(limit.layers, key=lambda layer: layer.busy_cycles)
            others = [layer.layer for layer in limit.layers if layer is not slowest]
            are = "are" if len(others) > 1 else "is"
            also = f"; so {are} {layers_text(others, names)}" if others else ""
            return f"{layer_text(slowest, names)}{also}"
        case _:
            return f"rows waiting for others on their way: {nearest_text(limit, names)}"


def units_text(limit: LimitReport, names: Sequence[str]) -> str:
    """`120 of 256 ADCs, always busy: 12 288 cycles an input (ADC 1 of core 3 is one); ...`"""
    one = limit.units == 1
    of = f"{limit.units} of {limit.units_there}" if limit.units_there > 1 else str(limit.units)
    what = SINGLE[limit.kind] if one and limit.units_there < 2 else UNITS[limit.kind]
    text = (
        f"{of} {what}, always busy: {count(limit.unit_cycles)} cycles an input "
        f"({limit.unit}{'' if one else ' is one'})"
    )
    if not limit.layers or limit.kind in ("port", "link"):
        return text
    ranked = sorted(limit.layers, key=lambda layer: -layer.busy_cycles)
    uses = "use" if len(ranked) > 1 else "uses"
    told = layers_text([each.layer for each in ranked], names)
    return f"{text}; {told} {uses} {'it' if one else 'them'}"


def layer_text(layer: LimitingLayer, names: Sequence[str]) -> str:
    """`layer 6 conv, always busy converting: 12 328 cycles an input, 8 232 if it were alone`"""
    text = (
        f"layer {names[layer.layer]}, always busy {DOING[layer.part]}: "
        f"{count(layer.busy_cycles)} cycles an input"
    )
    if not held_up(layer):
        return text
    beside = layers_text(layer.beside, names)
    why = f"; its ADCs also serve {beside}" if layer.beside else ""
    return f"{text}, {count(layer.alone_cycles)} if it were alone{why}"


def held_up(layer: LimitingLayer) -> bool:
    """Whether neighbours make it slower than it is."""
    return layer.busy_cycles > MUCH * layer.alone_cycles


def nearest_text(limit: LimitReport, names: Sequence[str]) -> str:
    """Of an interval in which nothing is always busy, what is most of it."""
    if limit.kind in UNITS and limit.unit_cycles >= busy_of(limit):
        share = percent(limit.unit_cycles / max(1, limit.interval_cycles))
        return f"no layer and no unit is always busy; nearest is the {limit.unit}, {share}"
    slowest = max(limit.layers, key=lambda layer: layer.busy_cycles)
    share = percent(slowest.busy_cycles / max(1, limit.interval_cycles))
    return f"no layer and no unit is always busy; nearest is layer {names[slowest.layer]}, {share}"


def busy_of(limit: LimitReport) -> int:
    return max((layer.busy_cycles for layer in limit.layers), default=0)


def layers_text(numbers: Sequence[int], names: Sequence[str]) -> str:
    """`layers 1 conv, 2 pool and 3 more`"""
    told = ", ".join(names[n] for n in numbers[:LAYERS_NAMED])
    rest = len(numbers) - LAYERS_NAMED
    more = f" and {rest} more" if rest > 0 else ""
    return f"layer{'s' * (len(numbers) > 1)} {told}{more}"


def undivided(layer: StageReport) -> str:
    """Why a layer can't have more copies."""
    is_matrix = bool(layer.blocks)
    if layer.copies > 1:
        return f"each of its {layer.copies} copies makes one {'read' if is_matrix else 'row'}"
    return "it makes one read an input" if is_matrix else "its rows can't be dealt out"


def helps(report: ReportData, limit: LimitReport, names: Sequence[str]) -> str:
    """What to change, and whether more cores would do and how far that goes."""
    keys = KEYS[limit.kind]
    if limit.kind not in BY_CORES:
        return f"{keys}; not with more cores"
    more = "more cores (--mesh)"
    if limit.always == "layers" and all(held_up(layer) for layer in limit.layers):
        more = f"so many {more} that {'they share' if len(limit.layers) > 1 else 'it shares'} less"
    if limit.floor_layer < 0 or limit.floor_cycles < NEAR * limit.interval_cycles:
        return f"{more}; {keys}"
    layer, each = names[limit.floor_layer], undivided(report.stages[limit.floor_layer])
    if limit.floor_cycles >= HELPS * limit.interval_cycles:
        return (
            f"another way for layer {layer} to lie (--plan); {keys}; not with more cores, since "
            f"{each}, so that it can't have more copies"
        )
    return (
        f"{more}, but layer {layer}, as it lies now, needs "
        f"{count(limit.floor_cycles)} cycles alone and can't have more copies, since {each}; {keys}"
    )
