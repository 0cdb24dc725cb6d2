"""Which of several points no other one beats."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["nondominated"]

BLOCK = 256


def nondominated(points: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Indices, rising, of the rows of i64[n, dims] that no other row is at most in every column.

    Of equal rows the first is kept.
    """
    # What beats a point comes before it in this order.
    order = np.lexsort(points.T[::-1])
    if points.shape[1] <= 2:
        last = points[order, -1]
        return np.sort(order[last < np.minimum.accumulate(before(last))])
    kept = np.empty(0, np.int64)
    for begin in range(0, len(order), BLOCK):
        block = order[begin : begin + BLOCK]
        block = block[~beaten(points[block], points[kept])]
        inside = (points[block][None, :, :] <= points[block][:, None, :]).all(axis=2)
        kept = np.concatenate([kept, block[~np.tril(inside, -1).any(axis=1)]])
    return np.sort(kept)


def before(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Each value's predecessor; the first has one that is greater than all."""
    return np.concatenate([[np.iinfo(np.int64).max], values[:-1]])


def beaten(points: npt.NDArray[np.int64], by: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether any row of `by` is at most a point in every column: bool[points]."""
    at_most = np.asarray(by[None, :, :] <= points[:, None, :])
    return np.asarray(np.any(np.all(at_most, axis=2), axis=1))
