"""`nmc targets`: the chips that ship, one in full with the origin of each figure, all keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import rich_click as click

from nmc.cli.session import Session, common

if TYPE_CHECKING:
    from nmc.ir.target import Target


@click.command("targets")
@click.argument("what", required=False, default="list", type=click.Choice(["list", "show", "keys"]))
@click.argument("name", required=False)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a key.")
@click.option("--toml", is_flag=True, help="show: print a complete target file instead.")
@common
def command(
    session: Session, what: str, name: str | None, overrides: tuple[str, ...], toml: bool
) -> int:
    """List the targets that ship; `show NAME` one with the origin of each value; or all `keys`."""
    if what == "keys":
        return keys(session, name or "")
    if what == "show":
        return show(session, name, overrides, toml)
    return listing(session)


def listing(session: Session) -> int:
    import textwrap

    from nmc.targets import DEFAULT, devices, load, shipped

    targets = {name: load(name) for name in shipped()}
    data = {
        "targets": [summary(name, target) for name, target in targets.items()],
        "default": DEFAULT,
        "devices": list(devices()),
    }
    lines = []
    for name, target in targets.items():
        star = "  (default)" if name == DEFAULT else ""
        lines += [
            f"{name}{star}",
            *textwrap.wrap(target.description, 76, initial_indent="  ", subsequent_indent="  "),
        ]
        lines += [f"  {size_line(target)}", ""]
    lines += textwrap.wrap(f"device presets: {', '.join(devices())}", 78, subsequent_indent="    ")
    return session.result(data, lines)


def size_line(target: Target) -> str:
    crossbar = target.crossbar
    return (
        f"{target.mesh.width}x{target.mesh.height} cores of {target.core.crossbars} crossbars "
        f"{crossbar.rows}x{crossbar.cols}, {crossbar.cell_bits} bits a cell, "
        f"{target.adc.bits}-bit ADCs"
    )


def summary(name: str, target: Target) -> dict[str, Any]:
    return {
        "name": name,
        "description": target.description,
        "cores": target.cores,
        "crossbars": target.crossbars,
        "rows": target.crossbar.rows,
        "cols": target.crossbar.cols,
        "exact": target.exact,
    }


def show(session: Session, name: str | None, overrides: tuple[str, ...], toml: bool) -> int:
    from nmc.ir.diagnostics import Report
    from nmc.ir.target_toml import resolved, target_to_toml
    from nmc.targets import DEFAULT, load

    report = Report()
    target = load(name or DEFAULT, overrides, report)
    session.diagnose(report)
    values = resolved(target)
    data = {
        "name": target.name,
        "exact": target.exact,
        "values": [
            {
                "key": key,
                "value": value,
                "origin": str(target.origin_of(key)),
                "source": target.source_of(key),
            }
            for key, value in values.items()
        ],
    }
    if toml:
        return session.result(data, target_to_toml(target).splitlines())
    return session.result(data, [*heading(target, name or DEFAULT), *by_table(target, values)])


def heading(target: Target, name: str) -> list[str]:
    """Which file the line numbers are of, and how to have all of it as a file."""
    from nmc.targets import find

    return [
        f"# {target.name}; file:line is of {find(name)}",
        f"# a file of your own with all of it: nmc targets show {name} --toml",
    ]


def by_table(target: Target, values: Mapping[str, object]) -> Iterator[str]:
    """`name = value` under its table, the line that gives it, and below its source."""
    from nmc.report.text import wrap

    table, shown = "", ("", "")
    for key, value in sorted(values.items(), key=lambda entry: "." in entry[0]):
        section, _, name = key.rpartition(".")
        if section != table:
            table = section
            yield f"[{table}]"
        line = f"{name} = {value_text(value)}"
        yield from beside(line, f"# {target.origin_of(key)}")
        source = target.source_of(key)
        if source and (source, section) != shown:
            shown = (source, section)
            yield from (f"    # {piece}" for piece in wrap(source, 74, indent=0))


def beside(line: str, remark: str) -> list[str]:
    """A line and a remark to its right, if 80 columns have room for that; else below."""
    from nmc.report.text import wrap

    room = max(len(line), 34)
    if room + 2 + len(remark) <= 80:
        return [f"{line:<34}  {remark}"]
    return [*wrap(line, 80, indent=4), f"{remark:>{max(80, len(remark))}}"]


def value_text(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(value_text(item) for item in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def keys(session: Session, name: str) -> int:
    """All keys, or the one of this name and those inside it."""
    import textwrap

    from nmc.ir.diagnostics import NmcError, error
    from nmc.ir.target_manual import describe_keys
    from nmc.ir.text import did_you_mean

    entries = [e for e in describe_keys() if not name or f"{e.path}.".startswith(f"{name}.")]
    if not entries:
        hint = did_you_mean(name, [entry.path for entry in describe_keys()])
        raise NmcError(error("unknown-key", f"targets have no key `{name}`", remedy=hint))
    lines = []
    for entry in entries:
        default = entry.default if entry.default == "required" else f"default {entry.default}"
        parts = [entry.values, entry.unit, default]
        lines.append(f"{entry.path}: {', '.join(part for part in parts if part)}")
        lines += textwrap.wrap(entry.doc, 76, initial_indent="    ", subsequent_indent="    ")
    return session.result({"keys": [asdict(entry) for entry in entries]}, lines)
