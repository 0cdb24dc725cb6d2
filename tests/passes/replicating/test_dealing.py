"""Deals of rows to copies: costs are what the busiest copy of such a mapping makes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nmc.passes.replicating.dealing import deal_of, deals
from tests.ir.test_shares import layer, places_of

sizes = st.tuples(st.integers(1, 14), st.integers(1, 14), st.integers(0, 3))


@given(sizes)
def test_costs_are_those_of_the_busiest_copy(size: tuple[int, int, int]) -> None:
    rows, parts, lead = size
    found = deals(rows, parts, lead)
    assert (np.diff(found.copies) >= 0).all()
    for copies, share, places, touched in zip(
        found.copies.tolist(),
        found.share.tolist(),
        found.places.tolist(),
        found.rows.tolist(),
        strict=True,
    ):
        mapping = layer(rows, parts, (1, 1), copies, share)
        made = [places_of(mapping, stage) for stage in mapping.stages]
        assert max(each.sum() for each in made) <= places
        assert max((each > 0).any(axis=1).sum() for each in made) <= touched


@given(sizes, st.data())
def test_no_deal_is_missing(size: tuple[int, int, int], data: st.DataObject) -> None:
    """Whatever copies share, something that was found is as good with no more copies."""
    rows, parts, lead = size
    found = deals(rows, parts, lead)
    copies = data.draw(st.integers(1, rows * parts))
    one = deal_of(rows, parts, lead, copies, 0)
    assert len(one.copies) == 1
    assert (found.places[found.copies <= copies] <= one.places[0]).any()
