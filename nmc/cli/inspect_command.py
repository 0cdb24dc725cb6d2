"""`nmc inspect`: what is in a mapping file, and one layer or crossbar in detail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rich_click as click

from nmc.cli.session import Session, common

if TYPE_CHECKING:
    from nmc.api import Compiled


@click.command("inspect")
@click.argument("file", metavar="OUT.nmc")
@click.argument("what", required=False, type=click.Choice(["layer", "crossbar"]))
@click.argument("which", required=False, metavar="[L | CORE:CROSSBAR]")
@common
def command(session: Session, file: str, what: str | None, which: str | None) -> int:
    """Show what OUT.nmc holds; `layer L` or `crossbar CORE:CROSSBAR` for one in every detail."""
    from nmc.api import load

    if what and which is None:
        raise click.UsageError(f"which {what}? such as: nmc inspect {file} {what} 0")
    compiled = load(file)
    if what == "layer":
        return layer(session, compiled, which or "")
    if what == "crossbar":
        return crossbar(session, compiled, which or "")
    return whole(session, compiled, file)


def layer(session: Session, compiled: Compiled, name: str) -> int:
    from nmc.report.places import find_layer, layer_data, layer_lines

    contents = compiled.contents
    found = find_layer(contents.mapping, name)
    report = compiled.report()
    data = layer_data(contents, report, found)
    return session.result(data, fit(session, layer_lines(contents, report, found)))


def crossbar(session: Session, compiled: Compiled, text: str) -> int:
    from nmc.report.places import crossbar_data, crossbar_lines, find_crossbar

    contents, report = compiled.contents, compiled.report()
    place = find_crossbar(contents, text)
    data = crossbar_data(contents, report, place)
    return session.result(data, fit(session, crossbar_lines(contents, report, place)))


def fit(session: Session, lines: list[str]) -> list[str]:
    """Lines that fit the terminal, with a word on what was cut; whole ones under -v."""
    from nmc.report.text import clipped, table_width

    if session.verbosity > 0:
        return lines
    cut = clipped(lines, table_width())
    return cut if cut == lines else [*cut, "", "names are cut to fit: -v or --json has them whole"]


def whole(session: Session, compiled: Compiled, file: str) -> int:
    from dataclasses import asdict

    from nmc.ir.layers import layers_of
    from nmc.report.names import short_names
    from nmc.report.text import BYTES, line_width, same_unit, table, wrap

    manifest = compiled.contents.manifest
    folders: dict[str, list[int]] = {}
    for name, member in manifest.members.items():
        folder, slash, _ = name.partition("/")
        folders.setdefault(folder + slash, []).append(member.bytes)
    texts, unit = same_unit([sum(sizes) for sizes in folders.values()], BYTES)
    rows = [
        (name, str(len(sizes)), text)
        for (name, sizes), text in zip(folders.items(), texts, strict=True)
    ]
    given = {name: value for name, value in manifest.options.items() if value}
    names = [layer.name for layer in layers_of(compiled.contents.mapping)]
    shown = {name: name for name in names} if session.verbosity > 0 else short_names(names, 32)
    layers = ", ".join(f"{number} {shown[name]}" for number, name in enumerate(names))
    lines = [
        f"{file}: {manifest.format} {manifest.version}, written by nmc {manifest.tool_version}",
        f"  model     {manifest.model.name}, sha256 {manifest.model.sha256[:16]}...",
        f"  target    {manifest.target}",
        *wrap(f"  pipeline  {manifest.pipeline}", 78, indent=12),
        f"  seed      {manifest.seed}",
        *(f"  option    {name} = {value}" for name, value in given.items()),
        "",
        *table(("member", "files", unit), rows),
        "",
        *wrap(f"layers: {layers}", line_width(), indent=4),
    ]
    return session.result({"file": file, "manifest": asdict(manifest)}, lines)
