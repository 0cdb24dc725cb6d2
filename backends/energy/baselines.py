"""GPUs to compare with, and the claim of a hundredth of their energy, decided one by one."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from nmc.backends.energy.parts import Scope

__all__ = ["FACTOR", "FACTOR_NOTE", "Baseline", "Claim", "claims_of", "gpu_baselines"]

FACTOR = 100
"""The claim in question: a hundredth of a GPU's energy per multiply-accumulate."""

FACTOR_NOTE = (
    "TDK announced (2024-10-02) that spin memristors could cut the power consumption of AI "
    'applications "down to 1/100th of traditional devices"; it named no GPU, precision or '
    "utilisation, so whether it holds for multiply-accumulates depends on the baseline."
)


@dataclass(frozen=True, slots=True)
class Baseline:
    """A GPU: what one 8-bit multiply-accumulate costs it, by whose figures, of which grade."""

    name: str
    what: str
    fj_per_mac: float
    grade: str
    source: str

    @property
    def needed_fj(self) -> float:
        """What a chip may take for the claim to hold."""
        return self.fj_per_mac / FACTOR


@dataclass(frozen=True, slots=True)
class Claim:
    """Whether a chip takes a hundredth of a baseline's energy at one scope."""

    baseline: Baseline
    scope: Scope
    fj_per_mac: float

    @property
    def needed_fj(self) -> float:
        return self.baseline.needed_fj

    @property
    def holds(self) -> bool:
        return self.fj_per_mac <= self.needed_fj


@cache
def gpu_baselines() -> tuple[Baseline, ...]:
    """The baselines of `gpus.toml`, in its order."""
    text = files("nmc.backends.energy").joinpath("gpus.toml").read_text("utf-8")
    return tuple(baseline_of(entry) for entry in tomllib.loads(text)["gpu"])


def baseline_of(entry: Mapping[str, Any]) -> Baseline:
    if "tops" in entry:
        joules = entry["watt"] / (entry["tops"] * 1e12 / 2)
    else:
        joules = 1 / (entry["inferences_per_j"] * entry["macs"])
    return Baseline(entry["name"], entry["what"], joules * 1e15, entry["grade"], entry["source"])


def claims_of(fj_per_mac: Mapping[Scope, float]) -> tuple[Claim, ...]:
    """The claim for each baseline at each scope."""
    return tuple(
        Claim(baseline, scope, fj)
        for baseline in gpu_baselines()
        for scope, fj in fj_per_mac.items()
    )
