"""The manual of target files: one entry a key, for docs/targets.md and the command line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nmc.ir.target_keys import REQUIRED, Kind, Leaf
from nmc.ir.target_toml import schema, spell
from nmc.ir.target_values import DEFAULT

__all__ = ["KeyEntry", "describe_keys", "keys_markdown"]


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A key in words.  `default` is its spelling in TOML, or `required`."""

    path: str
    section: str
    name: str
    doc: str
    values: str
    unit: str
    default: str


def describe_keys() -> tuple[KeyEntry, ...]:
    """All keys of a target file, by table, in the order in which `target_to_toml` prints them."""
    leaves = schema().leaves.values()
    return tuple(
        entry(leaf) for section in schema().sections for leaf in leaves if leaf.section == section
    )


def entry(leaf: Leaf) -> KeyEntry:
    return KeyEntry(
        leaf.path, leaf.section, leaf.name, leaf.key.doc, values(leaf), leaf.unit, default(leaf)
    )


def values(leaf: Leaf) -> str:
    """What a key takes: its kind and range, or its choices."""
    match leaf.kind:
        case Kind.CHOICE:
            return ", ".join(f'"{choice}"' for choice in leaf.choices)
        case Kind.BOOL | Kind.STR:
            return str(leaf.kind)
        case _:
            return ", ".join(filter(None, (str(leaf.kind), leaf.key.range)))


def default(leaf: Leaf) -> str:
    if leaf.default is REQUIRED:
        return f"entry `{DEFAULT}` required" if leaf.kind.is_map else "required"
    if leaf.path == "name":
        return "the file's name"
    return "empty" if leaf.kind.is_map else f"`{spell(leaf.default)}`"


def keys_markdown() -> str:
    """The tables of docs/targets.md: a heading and a table of keys for each table of the file."""
    return "\n".join([*key_tables(), *cost_tables()])


def key_tables() -> Iterator[str]:
    for section, cls in schema().sections.items():
        if section == "costs" or section in schema().parts:
            continue
        yield f"### {f'[{section}]' if section else 'At the top'}\n"
        if section:
            yield f"{(cls.__doc__ or '').strip().partition(chr(10))[0]}\n"
        yield from table(section)


def cost_tables() -> Iterator[str]:
    """Rows of costs share their keys, so one table says the keys and one the rows."""
    yield "### [costs.*]\n"
    yield "| table | `e_pj` is of | `area_um2` and `leak_uw` are of |"
    yield "| --- | --- | --- |"
    for section, part in schema().parts.items():
        yield f"| `[{section}]` | {part.event} | {part.part} |"
    yield ""
    yield from table("costs.dac")
    yield "`[costs.vector]` has a table of energies instead of one:\n"
    yield from table("costs.vector")


def table(section: str) -> Iterator[str]:
    yield "| key | meaning | unit | values | default |"
    yield "| --- | --- | --- | --- | --- |"
    for key in describe_keys():
        if key.section == section:
            yield f"| `{key.name}` | {key.doc} | {key.unit} | {key.values} | {key.default} |"
    yield ""
