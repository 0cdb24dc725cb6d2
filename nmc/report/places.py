"""One layer, or one crossbar, in every detail that the mapping has of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from nmc.ir.diagnostics import Diagnostic, NmcError, error
from nmc.ir.layers import Layer, layers_of
from nmc.ir.shares import first_share, parts_of
from nmc.ir.text import did_you_mean
from nmc.report.mapping_text import cut_ranges, more, ranges
from nmc.report.names import short_names
from nmc.report.tables import fitted
from nmc.report.text import BYTES, count, percent, plural, same_unit, table, wrap

if TYPE_CHECKING:
    from nmc.backends.container import Contents
    from nmc.backends.report_records import ReportData, StageReport
    from nmc.ir.mapping import Mapping, Stage, Tile

__all__ = ["Found", "crossbar_data", "crossbar_lines", "find_crossbar", "find_layer",
           "layer_data", "layer_lines"]  # fmt: skip

WIDTH = 78
PICTURE = (16, 64)
STAGES_SHOWN = 2
PARTS_SHOWN = 16
NAME = 32
LAYERS_LISTED = 12
SHARES = "row: pixels"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Found:
    """Layer number `layer`, and those of its stages that are meant: all, or one."""

    layer: int
    stages: tuple[int, ...]


def find_layer(mapping: Mapping, name: str) -> Found:
    """A layer by name, by number, or by a node or value of it, or one copy or piece of it by the
    stage's name; `bad-option` if there is none."""
    layers = layers_of(mapping)
    if name.isdecimal() and len(name) < 10 and int(name) < len(layers):
        return Found(int(name), tuple(layers[int(name)].stages))
    for number, layer in enumerate(layers):
        stage = mapping.stages[layer.first]
        if name in (layer.name, *stage.nodes, mapping.streams[stage.output].value):
            return Found(number, tuple(layer.stages))
    for number, layer in enumerate(layers):
        for index in layer.stages:
            if name == mapping.stages[index].name:
                return Found(number, (index,))
    raise NmcError(no_layer(name, layers))


def no_layer(name: str, layers: Sequence[Layer]) -> Diagnostic:
    """With the numbers that there are and, of what isn't a number, a name that is like it."""
    number = name.lstrip("-").isdecimal()
    like = "" if number else did_you_mean(name, [layer.name for layer in layers])
    hint = like if like.startswith("did") else ""
    last = f"0 to {len(layers) - 1}, as in `nmc report`, or names" if len(layers) > 1 else "0"
    message = f"there is no layer `{name}`; layers are {last}"
    shown = short_names([layer.name for layer in layers], NAME)
    listed = [f"{i} {shown[layer.name]}" for i, layer in enumerate(layers)][:LAYERS_LISTED]
    rest = len(layers) - len(listed)
    notes = [", ".join(listed) + (f" and {rest} more" if rest > 0 else "")]
    return error("bad-option", message, notes=notes, remedy=hint)


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


def layer_data(contents: Contents, report: ReportData, found: Found) -> dict[str, Any]:
    mapping, wanted = contents.mapping, set(found.stages)
    return {
        "layer": asdict(report.stages[found.layer]),
        "parts": [asdict(report.parts[index]) for index in found.stages],
        "stages": [asdict(mapping.stages[index]) for index in found.stages],
        "tiles": [
            {"index": i, **asdict(t)} for i, t in enumerate(mapping.tiles) if t.stage in wanted
        ],
        "rings": [asdict(r) for r in mapping.rings if r.stage in wanted],
        "buffers": [asdict(b) for b in mapping.buffers if b.stage in wanted],
        "sequencers": [asdict(s) for s in mapping.sequencers if s.stage in wanted],
    }


def layer_lines(contents: Contents, report: ReportData, found: Found) -> list[str]:
    """The layer as a whole, its copies and pieces, then the first of them in every detail."""
    mapping, layer = contents.mapping, report.stages[found.layer]
    stage = mapping.stages[found.stages[0]]
    out = mapping.streams[stage.output]
    lines = [
        f"layer {found.layer}: {layer.name}",
        f"  does        {layer.kind}, on the {layer.unit} unit, step {layer.step}",
        f"  gives       {out.value}: {plural(out.rows, 'row')} x {plural(out.cols, 'pixel')} x "
        f"{plural(out.chans, 'channel')}, "
        f"{out.dtype}",
    ]
    lines += wrap(f"  at home on  {core_list(layer.homes)}", WIDTH, indent=14)
    lines += [f"  {operand}" for operand in operand_lines(mapping, stage)]
    if layer.blocks:
        lines += matrix_lines(stage, layer)
    lines += node_lines(layer)
    several = layer.copies * layer.pieces > 1
    if several:
        lines += ["", *part_table(mapping, report, found)]
    for index in found.stages[:STAGES_SHOWN]:
        lines += stage_lines(mapping, index, named=several)
    hidden = len(found.stages) - STAGES_SHOWN
    if hidden > 0:
        last = mapping.stages[found.stages[-1]].name
        text = f"and {hidden} more: --json has all, `inspect FILE layer {last}` shows one"
        lines += ["", *wrap(text, WIDTH, indent=4)]
    return lines


def node_lines(layer: StageReport) -> Iterator[str]:
    for node in layer.nodes:
        names = f" from {', '.join(node.onnx_nodes)}" if node.onnx_nodes else ""
        yield from wrap(f"  {node.op} {node.name}{names}: {node.why}", WIDTH, indent=6)
        yield from (f"      {source}" for source in node.source_lines)


def core_list(cores: Sequence[int]) -> str:
    return f"core{'s' * (len(cores) > 1)} {cut_ranges(cores)}"


def part_table(mapping: Mapping, report: ReportData, found: Found) -> list[str]:
    """A line for each copy and piece: where it is, what it makes and what that costs."""
    rows = []
    for index in found.stages[:PARTS_SHOWN]:
        part, stage = report.parts[index], mapping.stages[index]
        rows.append(
            (
                str(part.copy),
                str(part.piece),
                span(*mapping.made_chans(stage)),
                *([pixels_text(mapping, stage)] if stage.share else []),
                str(part.home),
                ranges(part.cores) if len(part.cores) < 3 else f"{len(part.cores)} cores",
                str(len(part.crossbars)),
                count(part.steps),
                count(part.adc_cycles),
                count(part.cycles),
            )
        )
    shares = [SHARES] if report.stages[found.layer].share else []
    made = ("copy", "piece", "channels", *shares)
    head = (*made, "home", "on", "xbars", "reads", "ADC cyc", "cycles")
    return [
        *fitted(head, rows, left=("channels", SHARES, "on"), drop=("on", "xbars")),
        *more(len(found.stages) - PARTS_SHOWN, "copies and pieces"),
    ]


def pixels_text(mapping: Mapping, stage: Stage) -> str:
    """``0: 24..27, 1: 0..11``: the pixels that a copy makes of the first rows that are shared;
    of many rows the first and the last."""
    first, down = first_share(mapping, stage), stage.grid[0]
    texts = [
        f"{span((first + part.row) * down, down) if down > 1 else first + part.row}: "
        f"{span(part.pixel0, part.pixels)}"
        for part in parts_of(mapping, stage)
    ]
    return ", ".join(texts if len(texts) < 3 else [texts[0], f"... {texts[-1]}"])


def stage_lines(mapping: Mapping, index: int, *, named: bool) -> list[str]:
    """Tiles, memory and sequencers of one stage of the layer."""
    lines = ["", f"stage {index}: {mapping.stages[index].name}"] if named else []
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
    rows, outputs = found.blocks[0]
    many = f"{len(found.blocks)} blocks of " if len(found.blocks) > 1 else ""
    copies = f"{found.copies} cop{'y' if found.copies == 1 else 'ies'}"
    copies += f" that share {plural(found.shared_rows, 'row')}" if found.share else ""
    pieces = f" of {found.pieces} pieces" if found.pieces > 1 else ""
    return [
        f"  matrix      {many}{plural(rows, 'row')} x {plural(outputs, 'output')}; "
        f"window {window}, "
        f"strides {strides}",
        f"  laid by     {found.way}, {copies}{pieces}, {plural(found.tiles, 'tile')}, "
        f"{percent(found.occupancy)} full",
        *(grid_lines(stage) if stage.grid != (1, 1) else ()),
        f"  an input    {plural(found.steps, 'read')} of a copy, "
        f"{plural(found.conversions, 'conversion')}, "
        f"{plural(found.macs, 'MAC')}",
    ]


def grid_lines(stage: Stage) -> Iterator[str]:
    """What one read gives of a matrix that has columns for several pixels, and its size."""
    (down, right), block = stage.grid, stage.blocks[0]
    outputs = plural(block.outputs * down * right, "column")
    yield f"  a read      gives {down} x {right} pixels: {plural(block.rows, 'row')} x {outputs}"


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
    held = [
        (f"ring of operand {r.operand}", r.core, r.address, r.depth * r.row_bytes, str(r.depth))
        for r in mapping.rings
        if r.stage == index
    ]
    held += [(b.role, b.core, b.address, b.bytes, "") for b in mapping.buffers if b.stage == index]
    sizes, unit = same_unit([entry[3] for entry in held], BYTES)
    rows = [
        (what, str(core), str(address), size, depth)
        for (what, core, address, _, depth), size in zip(held, sizes, strict=True)
    ]
    head = ("memory", "core", "address", unit, "rows")
    lines = ["", *fitted(head, rows, names=("memory",))] if rows else []
    uses = [s for s in mapping.sequencers if s.stage == index]
    if uses:
        listed = ", ".join(f"{s.role} {s.core}:{s.sequencer}" for s in uses)
        lines += ["", *wrap(f"sequencers (core:number): {listed}", WIDTH, indent=4)]
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
            lines += wrap(f"  ADC {adc.adc}: {load}, for {', '.join(adc.stages)}", WIDTH, indent=6)
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
