"""Rows by address: how kernels reach the state without looking at its bounds.

An index into an array may be negative, and numba asks each time.  Rows know no negative places, so
that the main loop works on the bare address of the state's first word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import types
from numba.extending import intrinsic, register_jitable

from nmc.backends.simulator.fast.jit import PART_OPTIONS

__all__ = ["first_word", "merged"]

F = TypeVar("F", bound=Callable[..., Any])


def merged(function: F) -> F:
    """A part of a kernel without a call of its own, for the innermost loops."""
    return register_jitable(**PART_OPTIONS | {"forceinline": True})(function)


pointer: Callable[[Any], Any] = types.CPointer
word = pointer(types.int64)


def pointing(_: Any, array: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return word(array), code


first_word: Any = intrinsic(pointing)
"""Of a contiguous array of int64, for kernels alone: indexed like the array, and no more."""
