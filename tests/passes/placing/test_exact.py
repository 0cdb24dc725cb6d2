"""The exact bound against brute force, and how far the search stays above it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from nmc.ir.adc_load import least_busiest
from nmc.ir.diagnostics import Exit, NmcError
from nmc.passes.placing import exact
from nmc.passes.placing.exact import least_limit


def best_of_all(heats: list[int], clusters: int, size: int) -> int:
    best = sum(heats)
    for owners in product(range(clusters), repeat=len(heats)):
        held = np.bincount(owners, minlength=clusters)
        if held.max() <= size:
            best = min(best, int(np.bincount(owners, heats, clusters).max()))
    return best


@pytest.mark.parametrize("seed", range(12))
def test_the_bound_is_what_brute_force_finds(seed: int) -> None:
    pytest.importorskip("ortools")
    rng = np.random.default_rng(seed)
    clusters, size = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    heats = rng.choice([1, 3, 4, 7, 10], rng.integers(1, min(clusters * size, 7) + 1)).tolist()
    best = best_of_all(heats, clusters, size)
    assert least_limit(heats, clusters, size, at_most=best + int(rng.integers(0, 9))) == best
    assert least_busiest(np.array(heats)[:, None], clusters) <= best


def test_instances_of_very_many_patterns_are_refused() -> None:
    pytest.importorskip("ortools")
    with pytest.raises(NmcError) as caught:
        least_limit(list(range(1, 100)), 50, 8, at_most=800)
    assert [d.code for d in caught.value.diagnostics] == ["bad-option"]


def test_without_or_tools_the_command_that_installs_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(exact, "import_module", missing)
    with pytest.raises(NmcError) as caught:
        least_limit([1], 1, 1, at_most=1)
    assert caught.value.exit is Exit.MISSING_PACKAGE
    assert caught.value.diagnostics[0].remedy == "pip install 'nmc[exact]'"
