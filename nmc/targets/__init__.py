"""The target files that ship with nmc: one chip a `.toml`, one memory cell a `.device.toml`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable

from nmc.ir.diagnostics import NOWHERE, Report
from nmc.ir.target import Target
from nmc.ir.target_layers import DEVICE, Shelves, locate, names_on
from nmc.ir.target_toml import load_target, with_overrides

__all__ = ["DEFAULT", "devices", "find", "folder", "load", "override", "shipped"]

DEFAULT = "spin-128"


def folder() -> Traversable:
    """Where the shipped files lie; what `search` of the functions in `nmc.ir` is given."""
    return files("nmc.targets")


def shipped() -> dict[str, Traversable]:
    """The shipped targets by name, sorted."""
    return {name: folder().joinpath(f"{name}.toml") for name in sorted(names_on(folder()))}


def devices() -> dict[str, Traversable]:
    """The shipped device presets by name, sorted."""
    names = sorted(names_on(folder(), DEVICE))
    return {name: folder().joinpath(f"{name}{DEVICE}") for name in names}


def find(name: str) -> Traversable:
    """The file of a shipped target, or of a path; raises `unknown-target` or `file-not-found`."""
    return locate(name, Shelves((folder(),)), ".toml", None, NOWHERE).place


def load(
    name_or_path: str = DEFAULT, overrides: Sequence[str] = (), report: Report | None = None
) -> Target:
    """A shipped target, or that of a `.toml` file, with `KEY=VALUE` overrides."""
    return load_target(name_or_path, search=(folder(),), overrides=overrides, report=report)


def override(target: Target, overrides: Sequence[str], report: Report | None = None) -> Target:
    """The target with `KEY=VALUE` overrides, which may name a shipped `device.preset`."""
    return with_overrides(target, overrides, search=(folder(),), report=report)
