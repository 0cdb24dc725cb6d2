"""The shipped targets: what they promise, that they load, and that every figure has a source."""

from __future__ import annotations

import pytest

from nmc import targets
from nmc.ir.diagnostics import NmcError, Report
from nmc.ir.target_keys import REQUIRED, Kind
from nmc.ir.target_toml import resolved, schema


@pytest.mark.parametrize("name", sorted(targets.shipped()))
def test_shipped_target_loads_without_a_warning(name: str) -> None:
    report = Report()
    target = targets.load(name, report=report)
    assert target.name == name
    assert target.description
    assert list(report) == []


@pytest.mark.parametrize("name", sorted(targets.devices()))
def test_shipped_device_loads(name: str) -> None:
    target = targets.load("spin-128", [f"device.preset={name}", "crossbar.cell_bits=1"])
    assert target.device.preset == name
    assert not target.device.verified_by_vendor
    assert target.device.faults.total <= 0.02


def test_the_default_is_what_it_says() -> None:
    spin = targets.load()
    assert spin.name == targets.DEFAULT == "spin-128"
    assert (spin.crossbar.rows, spin.crossbar.cols, spin.crossbar.cell_bits) == (128, 128, 4)
    assert (spin.adc.crossbars_per_cluster, spin.adc.adcs_per_cluster) == (4, 2)
    assert (spin.core.crossbars, spin.device.on_off) == (8, 2.5)
    assert not spin.exact


def test_exact_is_exact_and_else_the_default() -> None:
    exact, spin = targets.load("exact-128"), targets.load()
    assert exact.exact
    differ = {key for key, value in resolved(exact).items() if resolved(spin).get(key) != value}
    own = {"name", "description", "adc.bits", "adc.range"}
    assert {key for key in differ if not key.startswith("device.")} == own


@pytest.mark.parametrize("name", sorted(targets.shipped()))
def test_every_time_energy_and_area_has_a_source(name: str) -> None:
    target = targets.load(name)
    units = {"ns", "GHz", "pJ", "um2", "uW", "uS", "uA", "mA", "V", "ohm", "1/K"}
    figures = {leaf.path for leaf in schema().leaves.values() if leaf.unit in units}
    given = {key for key in resolved(target) if target.origin_of(key).kind != "default"}
    unsourced = {key for key in figures & given if not target.source_of(key)}
    # Zero is the absence of an effect, in the ideal device as in others.
    assert {key for key in unsourced if resolved(target)[key]} <= {
        "device.t_attempt_ns",
        "device.t_drift_ns",
    }


@pytest.mark.parametrize("name", sorted(targets.devices()))
def test_every_required_figure_of_a_device_has_a_source(name: str) -> None:
    target = targets.load("spin-128", [f"device.preset={name}", "crossbar.cell_bits=1"])
    for leaf in schema().leaves.values():
        if leaf.section != "device" or leaf.default is not REQUIRED:
            continue
        value = resolved(target)[leaf.path]
        means_none = value in (0, (0.0,), float("inf")) or leaf.kind in (Kind.BOOL, Kind.STR)
        assert means_none or target.source_of(leaf.path), leaf.path


def test_find_gives_the_file() -> None:
    assert targets.find("spin-128").read_text("utf-8").startswith("# The default target")
    with pytest.raises(NmcError, match="did you mean 'spin-128'"):
        targets.find("spin128")
