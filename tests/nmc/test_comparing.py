"""Figures of two sets of outputs, on numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nmc.comparing import compare, decibels, winners
from nmc.ir.graph import Quant


def test_equal_tensors_have_no_noise() -> None:
    x = np.array([1.0, -2.0], np.float32)
    compared = compare("y", x, x.copy())
    assert compared.equal
    assert (compared.max_abs_error, compared.snr_db) == (0, math.inf)
    assert compared.max_quanta is None


def test_a_tenth_of_the_signal_as_noise_is_twenty_decibels() -> None:
    compared = compare("y", np.array([11.0, 0.0]), np.array([10.0, 0.0]))
    assert compared.snr_db == pytest.approx(20)
    assert (compared.max_abs_error, compared.differing) == (1, 1)


def test_stored_integers_count_in_steps() -> None:
    quant = Quant(0.5, 10)
    got, wanted = np.array([10, 12, 9], np.uint8), np.array([10, 10, 10], np.uint8)
    compared = compare("y", got, wanted, quant)
    assert compared.max_quanta == 2
    assert compared.quanta_equal == pytest.approx(1 / 3)
    assert compared.max_abs_error == 1.0


def test_floats_that_were_integers_count_in_steps_of_their_scale() -> None:
    compared = compare("y", np.array([0.5, 1.5]), np.array([0.5, 1.0]), Quant(0.25, 3))
    assert (compared.max_quanta, compared.quanta_equal) == (2, 0.5)


def test_the_reference_may_be_stored_otherwise() -> None:
    signed, unsigned = np.array([-128, 0], np.int8), np.array([0, 128], np.uint8)
    compared = compare("y", unsigned, signed, Quant(0.5, 128), Quant(0.5, 0))
    assert compared.equal


def test_nan_in_both_is_no_difference() -> None:
    compared = compare("y", np.array([np.nan, 1.0]), np.array([np.nan, 1.0]))
    assert compared.differing == 0


def test_noise_without_a_signal() -> None:
    assert decibels(np.zeros(2), np.ones(2)) == -math.inf


@pytest.mark.parametrize(
    ("shape", "has"), [((2, 3), True), ((2, 3, 1, 1), True), ((2, 3, 2), False), ((2, 1), False)]
)
def test_only_vectors_of_scores_have_winners(shape: tuple[int, ...], has: bool) -> None:
    found = winners(np.arange(np.prod(shape)).reshape(shape))
    assert (found is not None) == has
    if found is not None:
        assert found.tolist() == [2, 2]
