"""One layer, or one crossbar, in every detail that the mapping has of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nmc.ir.diagnostics import NmcError, error
from nmc.ir.text import did_you_mean
from nmc.report.text import bytes_text, count, percent, plural, table, wrap

if TYPE_CHECKING:
    from nmc.backends.container import Contents
    from nmc.backends.report_records import ReportData, StageReport
    from nmc.ir.mapping import Mapping, Stage, Tile

__all__ = ["crossbar_data", "crossbar_lines", "find_crossbar", "find_stage", "stage_data",
           "stage_lines"]  # fmt: skip

PICTURE = (16, 64)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def find_stage(mapping: Mapping, name: str) -> int:
    """A stage by name, by number, or by a node or value of it; `bad-option` if there is none."""
    stages = mapping.stages
    if name.isdecimal() and int(name) < len(stages):
        return int(name)
    for index, stage in enumerate(stages):
        if name in (stage.name, *stage.nodes, mapping.streams[stage.output].value):
            return index
    hint = did_you_mean(name, [stage.name for stage in stages])
    raise NmcError(error("bad-option", f"there is no layer `{name}`", remedy=hint))


def find_crossbar(contents: Contents, text: str) -> tuple[int, int]:
    """`CORE:CROSSBAR`, or one number that counts through all cores."""
    target = contents.target
    core, colon, crossbar = text.partition(":")
    numbers = [core, crossbar] if colon else [core]
    if all(n.isdecimal() and len(n) < 10 for n in numbers):
        place = divmod(int(core), target.core.crossbars)
        if colon:
            place = (int(core), int(crossbar))
        if place[0] < target.cores and place[1] < target.core.crossbars:
            return place
    message = (
        f"there is no crossbar `{text}`: write CORE:CROSSBAR, cores 0 to {target.cores - 1}, "
        f"crossbars 0 to {target.core.crossbars - 1}"
    )
    raise NmcError(error("bad-option", message))


# A layer


def stage_data(contents: Contents, report: ReportData, index: int) -> dict[str, Any]:
    mapping = contents.mapping
    return {
        "layer": asdict(report.stages[index]),
        "stage": asdict(mapping.stages[index]),
        "tiles": [{"index": i, **asdict(tile)} for i, tile in mapping.tiles_of(index)],
        "rings": [asdict(r) for r in mapping.rings if r.stage == index],
        "buffers": [asdict(b) for b in mapping.buffers if b.stage == index],
        "sequencers": [asdict(s) for s in mapping.sequencers if s.stage == index],
    }


def stage_lines(contents: Contents, report: ReportData, index: int) -> list[str]:
    mapping, stage, found = contents.mapping, contents.mapping.stages[index], report.stages[index]
    out = mapping.streams[stage.output]
    lines = [
        f"layer {index}: {stage.name}",
        f"  does        {stage.kind}, on the {stage.unit} unit, step {found.step}",
        f"  gives       {out.value}: {plural(out.rows, 'row')} x {plural(out.cols, 'pixel')} x "
        f"{plural(out.chans, 'channel')}, "
        f"{out.dtype}",
        f"  at home on  core {stage.home}",
    ]
    lines += [f"  {line}" for operand in operand_lines(mapping, stage) for line in [operand]]
    if stage.blocks:
        lines += matrix_lines(stage, found)
    for node in found.nodes:
        names = f" from {', '.join(node.onnx_nodes)}" if node.onnx_nodes else ""
        lines += wrap(f"  {node.op} {node.name}{names}: {node.why}", 78, indent=6)
        lines += [f"      {source}" for source in node.source_lines]
    tiles = list(mapping.tiles_of(index))
    if tiles:
        lines += ["", *tile_table(tiles)]
    return [*lines, *memory_lines(mapping, index)]


def operand_lines(mapping: Mapping, stage: Stage) -> Iterator[str]:
    for operand in stage.operands:
        stream = mapping.streams[operand.stream]
        pads = (operand.top, operand.left, operand.bottom, operand.right)
        padded = f", padded {pads[0]} {pads[1]} {pads[2]} {pads[3]}" if any(pads) else ""
        yield f"takes       {stream.value} ({operand.role}{padded})"


def matrix_lines(stage: Stage, found: StageReport) -> list[str]:
    window = "x".join(map(str, stage.window.kernel))
    strides = "x".join(map(str, stage.window.strides))
    block = stage.blocks[0]
    many = f"{len(stage.blocks)} blocks of " if len(stage.blocks) > 1 else ""
    grid = "" if stage.grid == (1, 1) else f" of {stage.grid[0]} x {stage.grid[1]} pixels"
    return [
        f"  matrix      {many}{plural(block.rows, 'row')} x {plural(block.outputs, 'output')}{grid}; "
        f"window {window}, "
        f"strides {strides}",
        f"  laid by     {stage.way}, {stage.copies} cop{'y' if stage.copies == 1 else 'ies'}, "
        f"{plural(found.tiles, 'tile')}, {percent(found.occupancy)} full",
        f"  an input    {plural(found.reads, 'read')}, {plural(found.conversions, 'conversion')}, "
        f"{plural(found.macs, 'MAC')}",
    ]


def tile_table(tiles: Sequence[tuple[int, Tile]]) -> list[str]:
    """Where each tile is from in the matrix, where it is, and how each slice is converted."""
    rows = [
        (
            str(index),
            span(tile.row0, tile.rows),
            span(tile.output0, tile.outputs),
            f"{tile.core}:{tile.crossbar}",
            str(tile.cell_row0),
            str(tile.channel0),
            conversions_text(tile),
        )
        for index, tile in tiles
    ]
    head = ("tile", "rows", "outputs", "crossbar", "from row", "channel", "slices: bits / step")
    return table(head, rows, left=(6,))


def span(start: int, length: int) -> str:
    return f"{start}..{start + length - 1}"


def conversions_text(tile: Tile) -> str:
    """Of each slice the ADC's bits and step; `-` where nothing is converted."""
    parts = zip(tile.bits, tile.steps, tile.converted, strict=False)
    return ", ".join(f"{bits} / {step}" if on else "-" for bits, step, on in parts)


def memory_lines(mapping: Mapping, index: int) -> list[str]:
    rows = [
        (f"ring of operand {r.operand}", str(r.core), str(r.address),
         f"{plural(r.depth, 'row')}, {bytes_text(r.depth * r.row_bytes)}")
        for r in mapping.rings
        if r.stage == index
    ]  # fmt: skip
    rows += [
        (b.role, str(b.core), str(b.address), bytes_text(b.bytes))
        for b in mapping.buffers
        if b.stage == index
    ]
    lines = ["", *table(("memory", "core", "address", "size"), rows, left=(0, 3))] if rows else []
    uses = [s for s in mapping.sequencers if s.stage == index]
    if uses:
        listed = ", ".join(f"{s.role} {s.core}:{s.sequencer}" for s in uses)
        lines += ["", *wrap(f"sequencers (core:number): {listed}", 78, indent=4)]
    return lines


# A crossbar


def tiles_on(mapping: Mapping, place: tuple[int, int]) -> list[tuple[int, Tile]]:
    return [(i, t) for i, t in enumerate(mapping.tiles) if (t.core, t.crossbar) == place]


def crossbar_data(contents: Contents, report: ReportData, place: tuple[int, int]) -> dict[str, Any]:
    found = [c for c in report.crossbars if (c.core, c.crossbar) == place]
    cluster = place[1] // contents.target.adc.crossbars_per_cluster
    return {
        "core": place[0],
        "crossbar": place[1],
        "cluster": cluster,
        "use": asdict(found[0]) if found else None,
        "adcs": [asdict(a) for a in report.adcs if (a.core, a.cluster) == (place[0], cluster)],
        "tiles": [{"index": i, **asdict(t)} for i, t in tiles_on(contents.mapping, place)],
    }


def crossbar_lines(contents: Contents, report: ReportData, place: tuple[int, int]) -> list[str]:
    target, mapping = contents.target, contents.mapping
    tiles = tiles_on(mapping, place)
    cluster = place[1] // target.adc.crossbars_per_cluster
    rows, channels = target.crossbar.rows, target.channels
    lines = [
        f"crossbar {place[1]} of core {place[0]}: {rows} rows x {channels} readout channels, "
        f"ADC cluster {cluster}"
    ]
    if not tiles:
        return [*lines, "  nothing lies on it"]
    found = next(c for c in report.crossbars if (c.core, c.crossbar) == place)
    lines.append(
        f"  {percent(found.occupancy)} of its cells are used, {count(found.conversions)} "
        "conversions an input"
    )
    for adc in report.adcs:
        if (adc.core, adc.cluster) == (place[0], cluster):
            load = f"{count(adc.conversions)} conversions, {count(adc.cycles)} cycles an input"
            lines += wrap(f"  ADC {adc.adc}: {load}, for {', '.join(adc.stages)}", 78, indent=6)
    lines.append("")
    for letter, (index, tile) in zip(LETTERS, tiles, strict=False):
        lines.append(f"  {letter} = tile {index} of {mapping.stages[tile.stage].name}")
    lines += ["", *(f"  |{line}|" for line in picture(tiles, rows, channels, target.slices)), ""]
    return [*lines, *tile_table(tiles)]


def picture(tiles: Sequence[tuple[int, Tile]], rows: int, channels: int, slices: int) -> list[str]:
    """The crossbar from above, scaled down; a letter where a tile has any cell."""
    height, width = min(PICTURE[0], rows), min(PICTURE[1], channels)
    grid = [["."] * width for _ in range(height)]
    for letter, (_, tile) in zip(LETTERS, tiles, strict=False):
        across = scaled(tile.channel0, tile.outputs * slices, channels, width)
        for y in scaled(tile.cell_row0, tile.rows, rows, height):
            for x in across:
                grid[y][x] = letter
    return ["".join(line) for line in grid]


def scaled(start: int, length: int, whole: int, room: int) -> range:
    return range(start * room // whole, -(-(start + length) * room // whole))
