"""Energy of a run: what `energy_of` makes of a simulation, and the sums over it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from nmc.backends.energy.baselines import Claim, claims_of
from nmc.backends.energy.cells import digit_activity
from nmc.backends.energy.ledger import Charge, Leak, charges_of, leaks_of
from nmc.backends.energy.parts import COMPONENTS, Scope, within
from nmc.backends.simulator import Result
from nmc.ir.program import Program
from nmc.ir.target import Target

__all__ = ["UNATTRIBUTED", "EnergyReport", "MacCount", "energy_of"]

UNATTRIBUTED = ""
"""The layer of leakage, and the core of what the chip has beside its cores is None."""

J_PER_PJ = 1e-12

Item = TypeVar("Item", bound=Charge | Leak)
Name = TypeVar("Name")


@dataclass(frozen=True, slots=True)
class MacCount:
    """Multiply-accumulates of one input that the chip does, by where; the host's are not in it."""

    crossbars: int
    vector: int = 0

    def counted(self, scope: Scope) -> int:
        """Cells and converters serve crossbars alone, the whole chip serves all."""
        return self.crossbars + (self.vector if scope is Scope.SYSTEM else 0)


@dataclass(frozen=True, slots=True)
class EnergyReport:
    """Charges and leakage of `inputs` inputs on the chip, `time_ns` from launch to the last output.

    All sums are over the same two lists, so that they agree: components, layers with what no
    layer has, and cores with what no core has, each sum to the total.
    """

    charges: tuple[Charge, ...]
    leaks: tuple[Leak, ...]
    inputs: int
    time_ns: float
    macs: MacCount
    activity: float
    input_bits: int
    weight_bits: int
    adc_bits: int
    adc_model: str

    # Sums, of all inputs

    @property
    def dynamic_pj(self) -> float:
        return math.fsum(charge.pj for charge in self.charges)

    @property
    def leakage_pj(self) -> float:
        return math.fsum(leak.pj for leak in self.leaks)

    @property
    def total_pj(self) -> float:
        return math.fsum((self.dynamic_pj, self.leakage_pj))

    def scope_pj(self, scope: Scope) -> float:
        """What a scope counts, leakage of its parts included."""
        counted = (item.pj for item in self.items() if within(item.component, scope))
        return math.fsum(counted)

    @property
    def by_component_pj(self) -> dict[str, float]:
        """Events and leakage, in the order of COMPONENTS; all of them, those of 0 too."""
        sums = grouped(self.items(), lambda item: item.component)
        return {name: sums.get(name, 0.0) for name in COMPONENTS}

    @property
    def leakage_by_component_pj(self) -> dict[str, float]:
        return grouped(self.leaks, lambda leak: leak.component)

    @property
    def by_layer_pj(self) -> dict[str, float]:
        """By layer, in order of their names; what none of them caused is UNATTRIBUTED."""
        sums = grouped(self.charges, lambda charge: charge.layer)
        sums[UNATTRIBUTED] = sums.get(UNATTRIBUTED, 0.0) + self.leakage_pj
        return dict(sorted(sums.items()))

    @property
    def by_core_pj(self) -> dict[int | None, float]:
        """By core; None is what the chip has beside its cores.  A message is its sender's."""
        sums = grouped(self.items(), lambda item: item.core)
        return dict(sorted(sums.items(), key=lambda entry: (entry[0] is None, entry[0])))

    def items(self) -> Iterable[Charge | Leak]:
        yield from self.charges
        yield from self.leaks

    # Per input

    @property
    def energy_j(self) -> float:
        """Of one input."""
        return self.total_pj * J_PER_PJ / self.inputs

    @property
    def by_component_j(self) -> dict[str, float]:
        """Of one input."""
        return {k: pj * J_PER_PJ / self.inputs for k, pj in self.by_component_pj.items()}

    @property
    def by_layer_j(self) -> dict[str, float]:
        """Of one input."""
        return {k: pj * J_PER_PJ / self.inputs for k, pj in self.by_layer_pj.items()}

    @property
    def by_core_j(self) -> dict[int | None, float]:
        """Of one input."""
        return {k: pj * J_PER_PJ / self.inputs for k, pj in self.by_core_pj.items()}

    @property
    def mean_power_w(self) -> float:
        return self.total_pj / self.time_ns * 1e-3 if self.time_ns else 0.0

    @property
    def fj_per_mac(self) -> dict[Scope, float]:
        """At each scope; empty for a model of which the chip multiplies nothing."""
        counts = {scope: self.macs.counted(scope) * self.inputs for scope in Scope}
        return {s: self.scope_pj(s) * 1e3 / n for s, n in counts.items() if n}

    @property
    def claims(self) -> tuple[Claim, ...]:
        return claims_of(self.fj_per_mac)


def grouped(items: Iterable[Item], name: Callable[[Item], Name]) -> dict[Name, float]:
    held: defaultdict[Name, list[float]] = defaultdict(list)
    for item in items:
        held[name(item)].append(item.pj)
    return {key: math.fsum(parts) for key, parts in held.items()}


def energy_of(
    runs: Sequence[tuple[Program, Result]],
    target: Target,
    macs: MacCount,
    *,
    activity: float | None = None,
    layers: Mapping[str, str] | None = None,
) -> EnergyReport:
    """The energy of the chip steps of a run, each a program and what its simulation gave.

    `activity` is the mean of (digit / highest digit)^2 over inputs, rows and phases; without it
    all digits count as equally likely.  `layers` has the layer of each stage by their names;
    without it stages count as layers.
    """
    used = digit_activity(target) if activity is None else activity
    inputs = {len(result.output_cycles) for _, result in runs}
    if len(inputs) > 1:
        raise ValueError(f"steps with different numbers of inputs in flight: {sorted(inputs)}")
    return EnergyReport(
        tuple(
            charge
            for program, result in runs
            for charge in charges_of(program, result, target, used, layers or {})
        ),
        tuple(leak for program, result in runs for leak in leaks_of(program, result, target)),
        inputs.pop() if inputs else 1,
        sum(result.cycles for _, result in runs) / target.clock_ghz,
        macs,
        used,
        target.numbers.input_bits,
        target.numbers.weight_bits,
        target.adc.bits,
        target.adc.model,
    )
