"""What values of a target must agree on with each other: one function a rule.

A rule yields findings; each names the keys that it compared, so that it is reported at the one that
was said last, and left out where one of them is wrong by itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from nmc.ir.diagnostics import Diagnostic, Loc, Severity
from nmc.ir.target import Target
from nmc.ir.target_costs import ISAAC_E_PJ

__all__ = ["MAX_CROSSBARS", "RULES", "Finding", "check_target"]

MAX_CROSSBARS = 1 << 20
"""A chip of more would only be a slip of the keyboard, and cost gigabytes to describe."""

MAX_IR_DROP = 0.5
"""Bound on rows * cols * wire / R_on.  The error of a raw read is about 0.65 of this; gain
correction leaves some two fifths of that (nodal solutions for 64 to 256 rows)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A contradiction between keys."""

    keys: tuple[str, ...]
    message: str
    remedy: str = ""
    severity: Severity = Severity.ERROR


Rule = Callable[[Target], Iterator[Finding]]


def check_target(target: Target, wrong: AbstractSet[str] = frozenset()) -> tuple[Diagnostic, ...]:
    """Errors, and warnings about chips that can be built but would disappoint.

    What concerns the keys or tables in `wrong` is left out.
    """
    return tuple(
        Diagnostic(
            "target-inconsistent",
            finding.message,
            culprit(target, finding.keys),
            finding.severity,
            remedy=finding.remedy,
        )
        for rule in RULES
        for finding in rule(target)
        if not any(is_within(key, wrong) for key in finding.keys)
    )


def is_within(key: str, tables: AbstractSet[str]) -> bool:
    while key and key not in tables:
        key = key.rpartition(".")[0]
    return bool(key)


def culprit(target: Target, keys: tuple[str, ...]) -> Loc:
    """The place of the key that was said last: what it builds on had been right before."""
    rank = ("default", "preset", "base", "file", "set")
    return max((target.origin_of(key) for key in keys), key=lambda o: rank.index(o.kind)).loc


def ports_in_mesh(target: Target) -> Iterator[Finding]:
    mesh = target.mesh
    keys = ("mesh.memory_ports", "mesh.width", "mesh.height")
    for x, y in mesh.memory_ports:
        if x >= mesh.width or y >= mesh.height:
            size = f"{mesh.width} x {mesh.height}"
            yield Finding(keys, f"memory port [{x}, {y}] lies outside the {size} mesh")
    if not mesh.memory_ports:
        yield Finding(keys, "the mesh needs at least one memory port", "memory_ports = [[0, 0]]")
    if len(set(mesh.memory_ports)) < len(mesh.memory_ports):
        yield Finding(keys, "a core is named twice among the memory ports")


def size(target: Target) -> Iterator[Finding]:
    if target.crossbars > MAX_CROSSBARS:
        keys = ("mesh.width", "mesh.height", "core.crossbars")
        yield Finding(keys, f"{target.crossbars} crossbars; nmc can describe {MAX_CROSSBARS}")


def clusters(target: Target) -> Iterator[Finding]:
    m, n = target.adc.crossbars_per_cluster, target.adc.adcs_per_cluster
    if target.core.crossbars % m:
        yield Finding(
            ("adc.crossbars_per_cluster", "core.crossbars"),
            f"{target.core.crossbars} crossbars a core do not divide into clusters of {m}",
            f"make core.crossbars a multiple of {m}",
        )
    if n > max(target.channels, 1):
        yield Finding(
            ("adc.adcs_per_cluster", "crossbar.cols", "crossbar.encoding"),
            f"a crossbar has {target.channels} channels, so of {n} ADCs "
            f"{n - target.channels} would never convert",
            severity=Severity.WARNING,
        )


def columns(target: Target) -> Iterator[Finding]:
    crossbar = target.crossbar
    keys = (
        "crossbar.cols",
        "crossbar.encoding",
        "crossbar.reference_columns",
        "crossbar.cell_bits",
    )
    if crossbar.encoding == "differential" and crossbar.cols % 2:
        yield Finding(keys, f"pairs need an even number of bit lines, not {crossbar.cols}")
    if (crossbar.encoding == "reference") != bool(crossbar.reference_columns):
        yield Finding(
            ("crossbar.reference_columns", "crossbar.encoding"),
            f"encoding {crossbar.encoding!r} with {crossbar.reference_columns} reference columns",
            'reference columns belong to encoding "reference", which needs at least one',
        )
    elif target.outputs_per_crossbar < 1:
        yield Finding(
            keys,
            f"{crossbar.cols} bit lines are too few for one weight of {target.slices} slices "
            f"in encoding {crossbar.encoding!r}",
            "more crossbar.cols, or more crossbar.cell_bits",
        )
    if crossbar.two_sided and crossbar.encoding != "differential":
        message = f"two_sided is a way to use pairs; encoding {crossbar.encoding!r} has none"
        yield Finding(("crossbar.two_sided", "crossbar.encoding"), message)


def digits(target: Target) -> Iterator[Finding]:
    if target.crossbar.dac_bits > target.numbers.input_bits:
        yield Finding(
            ("crossbar.dac_bits", "numbers.input_bits"),
            f"a phase applies {target.crossbar.dac_bits} bits, inputs have only "
            f"{target.numbers.input_bits}",
        )


def levels(target: Target) -> Iterator[Finding]:
    wanted, there = 1 << target.crossbar.cell_bits, target.device.levels
    if 0 < there < wanted:
        yield Finding(
            ("crossbar.cell_bits", "device.levels", "device.preset"),
            f"cells of {target.crossbar.cell_bits} bits need {wanted} levels, device "
            f"{target.device.preset!r} has {there}",
            f"crossbar.cell_bits = {there.bit_length() - 1}" if there > 1 else "",
        )


def converter(target: Target) -> Iterator[Finding]:
    adc = target.adc
    keys = ("adc.model", "adc.bits", "adc.table_e_pj", "adc.table_area_um2")
    if adc.model == "isaac" and adc.bits > max(ISAAC_E_PJ):
        message = f"the isaac model ends at {max(ISAAC_E_PJ)} bits, the ADC has {adc.bits}"
        yield Finding(keys, message, 'model = "murmann"')
    if adc.model == "table":
        tables = {"table_e_pj": adc.table_e_pj, "table_area_um2": adc.table_area_um2}
        for name, table in tables.items():
            if max(map(int, table), default=0) < adc.bits:
                yield Finding(keys, f"{name} has no entry for {adc.bits} bits")


def polynomials(target: Target) -> Iterator[Finding]:
    device = target.device
    if not 1 <= len(device.sigma_program) <= 4:
        yield Finding(("device.sigma_program",), "sigma_program takes 1 to 4 coefficients")
    if len(device.drift_nu) != 4 or device.drift_nu[2] > device.drift_nu[3]:
        yield Finding(
            ("device.drift_nu",), "drift_nu takes four numbers, the third not above the fourth"
        )
    if device.faults.total > 1:
        keys = tuple(f"device.faults.{fault.name}" for fault in dataclasses.fields(device.faults))
        yield Finding(keys, f"shares of faults sum to {device.faults.total:g}")


def writing(target: Target) -> Iterator[Finding]:
    bound_ua = target.crossbar.write_current_max_ma * 1e3
    if target.device.i_write_ua > bound_ua:
        yield Finding(
            ("crossbar.write_current_max_ma", "device.i_write_ua", "device.preset"),
            f"writing one cell takes {target.device.i_write_ua:g} uA, the bound is {bound_ua:g} uA",
        )


def ir_drop(target: Target) -> Iterator[Finding]:
    crossbar = target.crossbar
    drop = crossbar.rows * crossbar.cols * crossbar.wire_ohm * target.device.g_max_us * 1e-6
    if drop > MAX_IR_DROP and not target.device.ideal:
        yield Finding(
            (
                "crossbar.rows",
                "crossbar.cols",
                "crossbar.wire_ohm",
                "device.g_max_us",
                "device.preset",
            ),
            f"wires of {crossbar.rows} x {crossbar.cols} cells drop too much voltage: "
            f"rows * cols * wire_ohm * g_max = {drop:.2g}, sound reads need about 0.1",
            "smaller crossbars, or a device of higher resistance",
            Severity.WARNING,
        )


RULES: tuple[Rule, ...] = (
    size,
    ports_in_mesh,
    clusters,
    columns,
    digits,
    levels,
    converter,
    polynomials,
    writing,
    ir_drop,
)
