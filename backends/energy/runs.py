"""The energy of a run of a mapping file."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from nmc.backends.energy.report import EnergyReport, MacCount, energy_of
from nmc.ir.graph import Unit
from nmc.ir.layers import layer_names
from nmc.ir.mapping import Mapping

if TYPE_CHECKING:
    # Reports that containers hold ask for energies: neither may be loaded from here.
    from nmc.backends.container.contents import Contents
    from nmc.backends.execute import Execution

__all__ = ["energy_of_run", "mac_count"]


def energy_of_run(
    contents: Contents, execution: Execution, *, activity: float | None = None
) -> EnergyReport:
    """Energy of all chip steps; what the host takes is not known and not in it.

    `activity` as `energy_of` takes it.
    """
    programs = contents.program_of
    runs = [
        (programs[step.name], step.result) for step in execution.steps if step.result is not None
    ]
    return energy_of(
        runs,
        contents.target,
        mac_count(contents.mapping),
        activity=activity,
        layers=layer_names(contents.mapping),
    )


def mac_count(mapping: Mapping) -> MacCount:
    """Multiply-accumulates of one input on crossbars and on vector units, products with padding
    among them."""
    counts: Counter[str] = Counter()
    for stage in mapping.stages:
        if stage.copy == 0:  # each copy states what all of them do together
            counts[stage.unit] += stage.macs
    return MacCount(counts[Unit.CROSSBAR], counts[Unit.VECTOR])
