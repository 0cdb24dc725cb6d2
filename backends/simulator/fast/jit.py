"""How kernels of the fast engine are compiled: cached on disk, without the interpreter's lock.

Floating-point shortcuts stay off: results have the same bytes as numpy's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

__all__ = [
    "at_hand",
    "compiled",
    "copy_bytes",
    "inlined",
    "popcount",
    "spliced",
    "trailing_zeros",
]

F = TypeVar("F", bound=Callable[..., Any])


OPTIONS: dict[str, Any] = {"error_model": "numpy", "_nrt": False}
"""Kernels allocate nothing: without numba's reference counts, which cost more than the work."""

PART_OPTIONS: dict[str, Any] = OPTIONS | {
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "no_rewrites": True,
    "forceinline": False,
}
"""Of parts of kernels.  What Python would need to call them is left out; and they say whether they
are inlined, or would do as their callers, with which all that they call would be compiled again and
again, once for each place."""


@cache
def fingerprint() -> str:
    """Of all modules of the engine.  numba's cache looks at a kernel's own module alone, and would
    keep kernels whose parts have changed."""
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def compiled(function: F) -> F:
    """A kernel that Python calls.  It is kept beside its module or, where that can't be written, in
    the user's folder for caches; where there is none, it is compiled in each process."""
    try:
        kernel: Any = numba.njit(cache=True, nogil=True, **OPTIONS)(function)
    except RuntimeError:
        kernel = numba.njit(nogil=True, **OPTIONS)(function)
    cached = getattr(getattr(kernel, "_cache", None), "_cache_file", None)
    if cached is not None:
        cached._source_stamp = fingerprint()
    return cast("F", kernel)


def at_hand(kernel: Any) -> bool:
    """Whether a kernel is compiled, in this process or in the cache on disk."""
    if kernel.signatures:
        return True
    cached = getattr(getattr(kernel, "_cache", None), "_cache_file", None)
    return cached is not None and bool(cached._load_index())


def inlined(function: F) -> F:
    """A part of kernels, compiled with each that calls it."""
    return register_jitable(**PART_OPTIONS)(function)


def spliced(function: F) -> F:
    """A part that hands on to others, put into its only caller before anything is compiled: a part
    of its own would have all below it compiled once more.  Long ones take more time this way."""
    return cast("F", numba.njit(inline="always", **PART_OPTIONS)(function))


def counting(result: Any, word: Any) -> Any:
    """The processor's population count, of a type of words, as another type of the same size."""

    def typed(_: Any, value: Any) -> Any:
        def code(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            return builder.ctpop(args[0])

        return result(word), code

    return intrinsic(typed)


popcount: Callable[[Any], Any] = counting(types.uint64, types.uint64)


raw_memcpy: Any = cgutils.raw_memcpy


def copying(_: Any, to: Any, row: Any, at: Any, of: Any, of_row: Any, of_at: Any, n: Any) -> Any:
    """The C library's memcpy, between rows of u8 arrays [rows, bytes] that don't overlap."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def address(array: int) -> Any:
            made = context.make_array(signature.args[array])(context, builder, args[array])
            step = builder.extract_value(made.strides, 0)
            offset = builder.add(builder.mul(args[array + 1], step), args[array + 2])
            return builder.gep(made.data, [offset])

        raw_memcpy(builder, address(0), address(3), args[6], 1)
        return context.get_dummy_value()

    wide = types.int64
    return types.void(to, wide, wide, of, wide, wide, wide), code


copy_bytes: Callable[..., None] = intrinsic(copying)
"""copy_bytes(to, row, at, of, row, at, count)."""


@inlined
def trailing_zeros(word: Any) -> Any:
    """Zero bits below the lowest 1 of a u64."""
    return popcount(~word & (word - np.uint64(1)))
