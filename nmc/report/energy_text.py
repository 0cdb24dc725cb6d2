"""Energy and area on a terminal: by component, per multiply-accumulate, beside GPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nmc.report.text import JOULES, count, percent, same_unit, table, wrap

if TYPE_CHECKING:
    from nmc.backends.energy import AreaReport, Claim, EnergyReport

__all__ = ["area_data", "area_lines", "energy_data", "energy_lines", "joules"]

COUNTED = {
    "array": "cells alone",
    "macro": "and DACs, sample-and-hold, ADCs, shift-and-add",
    "system": "and vector units, SRAM, mesh, global memory: all of it",
}

LIKE_FOR_LIKE = "A GPU's figure counts all of it, so compare the system scope."


def joules(value: float) -> str:
    """12.3 uJ: three digits and a prefix."""
    for limit, unit in ((1e-12, "pJ"), (1e-9, "nJ"), (1e-6, "uJ"), (1e-3, "mJ")):
        if value < 999.5 * limit:
            return f"{value / limit:.3g} {unit}"
    return f"{value:.3g} J"


def figure(value: float) -> str:
    """Three digits, more where they stand before the point."""
    return count(value) if value >= 999.5 else f"{value:.3g}"


# Energy


def energy_data(report: EnergyReport) -> dict[str, Any]:
    """The JSON of a run's energy; joules are per input.  The layer "" is leakage,
    the core "chip" what the chip has beside its cores."""
    return {
        "energy_j": report.energy_j,
        "energy_by_component": report.by_component_j,
        "energy_by_layer": report.by_layer_j,
        "energy_by_core": {
            "chip" if core is None else str(core): joule for core, joule in report.by_core_j.items()
        },
        "leakage_j": report.leakage_pj * 1e-12 / report.inputs,
        "mean_power_w": report.mean_power_w,
        "fj_per_mac": {str(scope): fj for scope, fj in report.fj_per_mac.items()},
        "input_bits": report.input_bits,
        "weight_bits": report.weight_bits,
        "adc_bits": report.adc_bits,
        "adc_model": report.adc_model,
        "activity": report.activity,
        "hundredth_of_gpu": [claim_data(claim) for claim in report.claims],
    }


def claim_data(claim: Claim) -> dict[str, Any]:
    return {
        "gpu": claim.baseline.name,
        "what": claim.baseline.what,
        "grade": claim.baseline.grade,
        "source": claim.baseline.source,
        "gpu_fj_per_mac": claim.baseline.fj_per_mac,
        "scope": str(claim.scope),
        "needed_fj_per_mac": claim.needed_fj,
        "fj_per_mac": claim.fj_per_mac,
        "holds": claim.holds,
    }


def energy_lines(report: EnergyReport) -> list[str]:
    total = report.energy_j
    if not total:
        return []
    leakage = report.leakage_by_component_pj
    ranked = sorted(report.by_component_pj.items(), key=lambda entry: -entry[1])
    parts = [(name, pj) for name, pj in ranked if pj]
    each = [pj * 1e-12 / report.inputs for _, pj in parts]
    texts, unit = same_unit([*each, total], JOULES)
    rows = [
        (name, text, percent(pj / report.total_pj), percent(leakage.get(name, 0.0) / pj))
        for (name, pj), text in zip(parts, texts, strict=False)
    ]
    rows.append(("all", texts[-1], "100 %", percent(report.leakage_pj / report.total_pj)))
    head = ("energy of an input", unit, "share", "leaks")
    return [*table(head, rows), *mac_lines(report)]


def mac_lines(report: EnergyReport) -> list[str]:
    """Per multiply-accumulate at three scopes, and the claim for every GPU."""
    if not report.fj_per_mac:
        return []
    from nmc.backends.energy import FACTOR_NOTE

    scopes = [(str(s), COUNTED[s], figure(fj)) for s, fj in report.fj_per_mac.items()]
    bits = (
        f"{report.input_bits}-bit inputs, {report.weight_bits}-bit weights, "
        f"{report.adc_bits}-bit ADCs by the {report.adc_model} model"
    )
    return [
        "",
        *table(("scope", "counts", "fJ/MAC"), scopes, left=(0, 1)),
        bits,
        "",
        *claim_lines(report.claims),
        *wrap(f"{LIKE_FOR_LIKE} {FACTOR_NOTE}", 76, indent=0),
    ]


def claim_lines(claims: tuple[Claim, ...]) -> list[str]:
    """One row a GPU: what it takes, what a hundredth of that is, and whether each scope has it."""
    rows: dict[str, list[str]] = {}
    for claim in claims:
        gpu = claim.baseline
        row = rows.setdefault(
            gpu.name,
            [gpu.name, gpu.what, gpu.grade[0], figure(gpu.fj_per_mac), figure(gpu.needed_fj)],
        )
        row.append(str(claim.holds).lower())
    head = ("1/100 of", "what that is", "", "fJ/MAC", "needs", "array", "macro", "system")
    return table(head, list(rows.values()), left=(0, 1, 2))


# Area


def area_data(area: AreaReport) -> dict[str, Any]:
    """The JSON of a chip's area in mm2; the ADC's figures are of one."""
    low, high = area.range_mm2
    return {
        "area_mm2": area.mm2,
        "area_core_mm2": area.core_mm2,
        "area_crossbar_um2": area.crossbar_um2,
        "area_by_component": {row.component: row.mm2 for row in area.rows},
        "area_range_mm2": [low, high],
        "adc_um2": {
            "model": area.adc.model,
            "own": area.adc.own_um2,
            "murmann": area.adc.murmann_um2,
            "isaac": area.adc.isaac_um2,
        },
    }


def area_lines(area: AreaReport) -> list[str]:
    """By component, largest first, and what other models of the ADC would make of the chip."""
    rows = [
        (row.component, count(row.parts), figure(row.each_um2), f"{row.mm2:.3f}",
         percent(row.mm2 / area.mm2))
        for row in sorted(area.rows, key=lambda row: -row.mm2)
        if row.um2
    ]  # fmt: skip
    rows.append(("all", "", "", f"{area.mm2:.3f}", "100 %"))
    low, high = area.range_mm2
    isaac = "-" if area.adc.isaac_um2 is None else f"{area.adc.isaac_um2:.0f} um2"
    text = (
        f"an ADC takes {area.adc.own_um2:.0f} um2 by the target's {area.adc.model} model, "
        f"{area.adc.murmann_um2:.0f} um2 by murmann, {isaac} by isaac: "
        f"the chip {low:.3g} to {high:.3g} mm2"
    )
    head = ("parts of the whole chip", "number", "um2 each", "mm2", "share")
    return [*table(head, rows), "", *wrap(text, 78, indent=0)]
