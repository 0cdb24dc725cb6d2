"""GPUs to compare with, and the claim decided for each at each scope."""

from __future__ import annotations

import pytest

from nmc.backends.energy import FACTOR_NOTE, Scope, claims_of, gpu_baselines


def test_every_baseline_is_named_sourced_and_graded() -> None:
    figures = {each.name: each.fj_per_mac / 1e3 for each in gpu_baselines()}
    assert figures == pytest.approx(
        {"V100 SXM2": 9.55, "A100 SXM": 1.28, "H100 SXM": 0.707, "A2 server": 21.1}, rel=2e-3
    )
    assert all(each.what and each.source and each.grade[0] in "SR" for each in gpu_baselines())


def test_the_number_needed_is_a_hundredth() -> None:
    needed = {each.name: each.needed_fj for each in gpu_baselines()}
    assert needed == pytest.approx(
        {"V100 SXM2": 95.5, "A100 SXM": 12.8, "H100 SXM": 7.1, "A2 server": 211}, rel=5e-3
    )


def test_the_claim_is_true_or_false_by_choice_of_baseline_and_scope() -> None:
    claims = claims_of({Scope.ARRAY: 1.0, Scope.MACRO: 100.0, Scope.SYSTEM: 205.0})
    held = {(claim.baseline.name, claim.scope): claim.holds for claim in claims}
    assert len(held) == 12
    assert {name for (name, scope), holds in held.items() if holds and scope is Scope.MACRO} == {
        "A2 server"
    }
    assert held["A2 server", Scope.SYSTEM]
    assert not held["H100 SXM", Scope.SYSTEM]
    assert all(holds for (_, scope), holds in held.items() if scope is Scope.ARRAY)
    assert claims_of({}) == ()


def test_the_note_says_what_was_not_said() -> None:
    assert "named no GPU" in FACTOR_NOTE
