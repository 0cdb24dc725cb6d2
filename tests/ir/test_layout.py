"""Layouts of row streams against numpy's own reshapes and transposes."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc.ir.layout import Digit, Form, image_form, row_form, token_form

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


def test_image_form_streams_rows_of_pixels_with_channels_innermost() -> None:
    form = image_form((1, 3, 4, 5))
    assert form is not None
    expected = np.arange(60).reshape(3, 4, 5).transpose(1, 2, 0)
    np.testing.assert_array_equal(form.order(), expected)


def test_signals_stream_steps() -> None:
    form = image_form((1, 6, 10))
    assert form is not None
    assert (form.rows, form.cols, form.chans) == (10, 1, 6)
    np.testing.assert_array_equal(form.order()[:, 0], np.arange(60).reshape(6, 10).T)


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (3, 4), (1, 2, 3, 4, 5)])
def test_no_image_form_for_batches_and_other_ranks(shape: tuple[int, ...]) -> None:
    assert image_form(shape) is None


def test_tokens_stream_leading_indices() -> None:
    form = token_form((1, 4, 7))
    np.testing.assert_array_equal(form.order()[:, 0], np.arange(28).reshape(4, 7))


@given(shapes, st.data())
def test_transpose_only_renames_places(shape: tuple[int, ...], data: st.DataObject) -> None:
    perm = data.draw(st.permutations(range(len(shape))))
    form = token_form(shape)
    renamed = form.transposed(shape, perm)
    assert renamed is not None
    tensor = np.arange(prod(shape)).reshape(shape)
    stream = tensor.reshape(-1)[form.order()]
    np.testing.assert_array_equal(tensor.transpose(perm).reshape(-1)[renamed.order()], stream)


@given(shapes, st.data())
def test_factors_and_perm_say_the_same_as_the_digits(
    shape: tuple[int, ...], data: st.DataObject
) -> None:
    perm = data.draw(st.permutations(range(len(shape))))
    form = row_form(shape).transposed(shape, perm)
    assert form is not None
    factors, order = form.factors_and_perm()
    flat = np.arange(prod(shape)).reshape(factors).transpose(order).reshape(-1)
    np.testing.assert_array_equal(flat, form.order().reshape(-1))


def test_a_digit_across_uneven_dimensions_has_no_transpose() -> None:
    # Places 0, 4 of a 3x2 tensor: the step of 4 elements is two rows, of which there are 1.5.
    form = Form((), (), (Digit(2, 4), Digit(4, 1)))
    assert form.transposed((3, 2), (1, 0)) is None


def test_same_sees_through_spelling() -> None:
    one = Form((Digit(6, 2),), (), (Digit(2, 1),))
    other = Form((Digit(2, 6), Digit(3, 2)), (Digit(1, 9),), (Digit(2, 1),))
    assert one.same(other)
    assert not one.same(row_form((12,)))
