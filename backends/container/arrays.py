"""Arrays as .npy members: what numpy.load reads, and nothing more is read here.

The header is parsed by hand, and nothing is allocated before the sizes that it claims have been
held against the bytes that there are.
"""

from __future__ import annotations

import io
import math
import re
from functools import cache

import numpy as np

from nmc.ir.diagnostics import Loc, NmcError, error
from nmc.ir.graph import DTYPES, Array

__all__ = ["decode_array", "encode_array"]

MAGIC = b"\x93NUMPY"
HEADER = re.compile(
    r"\{'descr': '([<|][biuf][1248])', 'fortran_order': (True|False), "
    r"'shape': \(((?:[0-9]{1,20}(?:, |,(?=\))|(?=\))))*)\), \} *\n"
)
MAX_HEADER_BYTES = 4096
MAX_RANK = 32
KNOWN = {dtype.str: dtype for dtype in DTYPES.values()}


def encode_array(array: Array) -> bytes:
    """The array in C order and little-endian, as numpy.save would write it."""
    little = np.require(array, array.dtype.newbyteorder("<"), "C")
    if little.dtype.str not in KNOWN:
        raise TypeError(f"arrays of {array.dtype} don't go into mapping files")
    return header_of(little.dtype, little.shape) + little.tobytes()


@cache
def header_of(dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> bytes:
    """What stands before the elements; most arrays of a file are tiles of one size."""
    stream = io.BytesIO()
    described = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, described)
    return stream.getvalue()


def decode_array(data: bytes, loc: Loc) -> Array:
    """A read-only array over `data`; NmcError `bad-archive` if the bytes are no sound array."""
    dtype, shape, start = header(data, loc)
    claimed = math.prod(shape) * dtype.itemsize
    if claimed != len(data) - start:
        sizes = " x ".join(map(str, shape)) or "1"
        raise refusal(
            loc,
            f"its header claims {sizes} elements of {dtype.name}, which are {claimed} bytes, "
            f"and {len(data) - start} are there",
        )
    return np.frombuffer(data, dtype, offset=start).reshape(shape)


def header(data: bytes, loc: Loc) -> tuple[np.dtype[np.generic], tuple[int, ...], int]:
    """Element type, shape, and where the elements begin."""
    if data[:6] != MAGIC or data[6:8] != b"\x01\x00" or len(data) < 10:
        raise refusal(loc, "it does not begin as an array of .npy format 1.0")
    length = int.from_bytes(data[8:10], "little")
    if length > MAX_HEADER_BYTES:
        raise refusal(loc, f"its header has {length} bytes, at most {MAX_HEADER_BYTES} are read")
    text = data[10 : 10 + length].decode("latin-1")
    match = HEADER.fullmatch(text)
    if not match:
        raise refusal(loc, "its header does not describe an array that we know")
    if match[1] not in KNOWN:
        raise refusal(loc, f"its elements are of type `{match[1]}`, which no value can have")
    if match[2] == "True":
        raise refusal(loc, "its elements are in Fortran order")
    shape = tuple(int(size) for size in re.findall("[0-9]+", match[3]))
    if len(shape) > MAX_RANK:
        raise refusal(loc, f"it has {len(shape)} axes, at most {MAX_RANK} can be")
    return KNOWN[match[1]], shape, 10 + length


def refusal(loc: Loc, message: str) -> NmcError:
    return NmcError(error("bad-archive", f"`{loc.member}` is no sound array: {message}", loc))
