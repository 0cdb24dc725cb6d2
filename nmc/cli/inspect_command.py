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
    return session.result(data, layer_lines(contents, report, found))


def crossbar(session: Session, compiled: Compiled, text: str) -> int:
    from nmc.report.places import crossbar_data, crossbar_lines, find_crossbar

    contents, report = compiled.contents, compiled.report()
    place = find_crossbar(contents, text)
    data = crossbar_data(contents, report, place)
    return session.result(data, crossbar_lines(contents, report, place))


def whole(session: Session, compiled: Compiled, file: str) -> int:
    from dataclasses import asdict

    from nmc.ir.layers import layers_of
    from nmc.report.text import bytes_text, table, wrap

    manifest = compiled.contents.manifest
    folders: dict[str, list[int]] = {}
    for name, member in manifest.members.items():
        folder, slash, _ = name.partition("/")
        folders.setdefault(folder + slash, []).append(member.bytes)
    rows = [(name, str(len(sizes)), bytes_text(sum(sizes))) for name, sizes in folders.items()]
    given = {name: value for name, value in manifest.options.items() if value}
    layers = ", ".join(layer.name for layer in layers_of(compiled.contents.mapping))
    lines = [
        f"{file}: {manifest.format} {manifest.version}, written by nmc {manifest.tool_version}",
        f"  model     {manifest.model.name}, sha256 {manifest.model.sha256[:16]}...",
        f"  target    {manifest.target}",
        *wrap(f"  pipeline  {manifest.pipeline}", 78, indent=12),
        f"  seed      {manifest.seed}",
        *(f"  option    {name} = {value}" for name, value in given.items()),
        "",
        *table(("member", "files", "size"), rows),
        "",
        *wrap(f"layers: {layers}", 78, indent=4),
    ]
    return session.result({"file": file, "manifest": asdict(manifest)}, lines)
