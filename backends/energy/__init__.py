"""What a run costs in energy and a chip in area: by component, layer and core, beside GPUs."""

from nmc.backends.energy.area import AdcArea, AreaReport, AreaRow, area_of, crossbar_area_um2
from nmc.backends.energy.baselines import (
    FACTOR,
    FACTOR_NOTE,
    Baseline,
    Claim,
    claims_of,
    gpu_baselines,
)
from nmc.backends.energy.ledger import Charge, Leak
from nmc.backends.energy.parts import COMPONENTS, Scope
from nmc.backends.energy.peak import Rated, macs_per_s, mvm_ns, phase_ns, rated_power
from nmc.backends.energy.report import UNATTRIBUTED, EnergyReport, MacCount, energy_of
from nmc.backends.energy.runs import energy_of_run, mac_count

__all__ = [
    "COMPONENTS",
    "FACTOR",
    "FACTOR_NOTE",
    "UNATTRIBUTED",
    "AdcArea",
    "AreaReport",
    "AreaRow",
    "Baseline",
    "Charge",
    "Claim",
    "EnergyReport",
    "Leak",
    "MacCount",
    "Rated",
    "Scope",
    "area_of",
    "claims_of",
    "crossbar_area_um2",
    "energy_of",
    "energy_of_run",
    "gpu_baselines",
    "mac_count",
    "macs_per_s",
    "mvm_ns",
    "phase_ns",
    "rated_power",
]
