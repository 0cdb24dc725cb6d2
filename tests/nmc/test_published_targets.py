"""The chips of the literature compile a model, and compute it as far as their converters go."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import nmc
from nmc.api import Compiled
from nmc.backends.energy import MacCount, energy_of

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
NAMES = ("isaac-ce", "puma", "hermes-256")


@cache
def digits_on(name: str) -> Compiled:
    with np.load(DIGITS / "digits.npz") as data:
        calib = data["calib"]
    return nmc.compile(DIGITS / "digits_cnn.onnx", name, calib=calib)


@pytest.mark.parametrize("name", NAMES)
def test_digits_are_read_right(name: str) -> None:
    with np.load(DIGITS / "digits.npz") as data:
        x, labels = data["x"][:48], data["y"][:48]
    result = digits_on(name).verify(x=x, labels=labels)
    assert result.accuracy is not None
    assert result.accuracy >= 0.95
    # 8 bits over 128 rows of 2-bit cells clip what digits never reach; 7-bit cells lose precision.
    assert result.exact == (name != "hermes-256")


@pytest.mark.parametrize("name", NAMES)
def test_conversions_reported_are_those_simulated(name: str) -> None:
    compiled = digits_on(name)
    report, run = compiled.report(), compiled.run("random", inflight=2)
    made: Counter[tuple[int, int, int]] = Counter()
    for result in run.execution.results:
        made.update({place: use.conversions for place, use in result.adcs.items()})
    assert {(a.core, a.cluster, a.adc): 2 * a.conversions for a in report.adcs} == +made
    unit = sum(
        tile.encoding != "differential" for p in compiled.contents.programs for tile in p.tiles
    )
    assert bool(unit) == (compiled.target.crossbar.encoding == "offset")


@pytest.mark.parametrize("name", NAMES)
def test_a_run_has_an_energy(name: str) -> None:
    compiled = digits_on(name)
    run = compiled.run("random")
    pairs = zip(compiled.contents.programs, run.execution.results, strict=True)
    report = energy_of(list(pairs), compiled.target, MacCount(604_160))
    assert report.by_component_pj["adcs"] > report.by_component_pj["cells"] > 0
    assert report.adc_model == "table"
