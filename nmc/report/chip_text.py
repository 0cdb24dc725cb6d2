"""The head of a report: which chip this is, what was changed of it, what its reads can lose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nmc.ir.design import Outlook
from nmc.report.summary import outlook_lines
from nmc.report.text import line_width, wrap

if TYPE_CHECKING:
    from nmc.backends.container import Contents

__all__ = ["changes", "chip_lines", "unsourced"]

NO_SOURCE = "overridden without a source"


def chip_lines(contents: Contents) -> list[str]:
    target = contents.target
    changed = changes(contents)
    reads = "lossless" if target.exact else "lossy: fewer than a full column's sums need"
    lines = [
        f"  chip         {target.mesh.width}x{target.mesh.height} cores of "
        f"{target.core.crossbars} crossbars {target.crossbar.rows}x{target.crossbar.cols}, "
        f"{target.crossbar.cell_bits} bits a cell",
        f"  ADCs         {target.adc.bits} bits; reads are {reads}",
        f"  device       {target.device.preset}; cells are simulated as ideal",
    ]
    if changed:
        lines.insert(0, f"  changed      {', '.join(changed)}")
    lines += made_lines(contents)
    missing = unsourced(contents)
    if missing:
        lines.append(f"  no source    {', '.join(missing)}")
    return [piece for line in lines for piece in wrap(line, line_width(), indent=15)]


def made_lines(contents: Contents) -> list[str]:
    """What ways and copies were chosen for, and by which plan; nothing of files that don't say."""
    options = contents.manifest.options
    found = [options.get(f"objective{part}") for part in ("", "_value", "_bound")]
    objective, value, bound = found
    lines = []
    if isinstance(objective, str) and isinstance(value, int) and isinstance(bound, int):
        lines += outlook_lines(Outlook(objective, value, bound))
    if options.get("plan"):
        lines.append(f"  plan         {options['plan']}")
    return lines


def changes(contents: Contents) -> list[str]:
    """What `--set` and `--mesh` changed of the target, as they were given."""
    options = contents.manifest.options
    given = options.get("set", ())
    texts = [str(text) for text in given] if isinstance(given, tuple | list) else []
    mesh = options.get("mesh", "")
    return [*texts, *([f"mesh {mesh}"] if mesh else [])]


def unsourced(contents: Contents) -> list[str]:
    """Figures that were changed and for which nobody says where they are from."""
    return sorted(key for key, source in contents.target.sources.items() if source == NO_SOURCE)
