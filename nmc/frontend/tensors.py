"""Turns ONNX tensors into arrays, and ONNX element types into ours.

Element types that no value of a graph may have are widened without loss where that can be:
int4 to int8, bfloat16 and float8 to float32.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from nmc.ir.graph import DTYPES, Array

__all__ = [
    "MAX_BYTES",
    "NotATensor",
    "WrongSize",
    "as_float32",
    "element_name",
    "from_sparse",
    "from_tensor",
    "input_element",
    "narrow",
    "widen",
    "without_wide_floats",
]

MAX_BYTES = 1 << 33
"""No tensor of a file, and no constant computed from it, may be larger (8 GiB)."""

ELEMENTS: dict[int, str] = {
    TensorProto.FLOAT: "f32",
    TensorProto.DOUBLE: "f64",
    TensorProto.FLOAT16: "f16",
    TensorProto.INT8: "i8",
    TensorProto.INT16: "i16",
    TensorProto.INT32: "i32",
    TensorProto.INT64: "i64",
    TensorProto.UINT8: "u8",
    TensorProto.UINT16: "u16",
    TensorProto.UINT32: "u32",
    TensorProto.UINT64: "u64",
    TensorProto.BOOL: "bool",
}
ELEMENT_OF = {name: number for number, name in ELEMENTS.items()}

WIDE = {TensorProto.FLOAT16: "f16", TensorProto.BFLOAT16: "f16", TensorProto.DOUBLE: "f64"}
"""Element types that are computed as float32, and what we call them when we say so."""


class NotATensor(Exception):
    """The data can't be an array of ours; the message says why, after "it"."""


class WrongSize(NotATensor):
    """The data does not fill the shape."""


def element_name(element: int) -> str:
    """Our name of an ONNX element type; NotATensor for strings, complex numbers and the like."""
    if element not in ELEMENTS:
        known = element in TensorProto.DataType.values()
        name = TensorProto.DataType.Name(element).lower() if known else f"type {element}"
        raise NotATensor(f"holds {name} elements")
    return ELEMENTS[element]


def input_element(element: int) -> str:
    """As `element_name`, of an input: what we widen may enter, already widened."""
    return "f32" if element == TensorProto.BFLOAT16 else element_name(element)


def from_tensor(tensor: TensorProto) -> Array:
    """The array of a tensor that carries its own data, in its own element type."""
    if tensor.data_type in {TensorProto.STRING, TensorProto.COMPLEX64, TensorProto.COMPLEX128}:
        element_name(tensor.data_type)
    if any(size < 0 for size in tensor.dims):
        raise NotATensor(f"has the negative size {min(tensor.dims)}")
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError) as problem:
        shape = ",".join(map(str, tensor.dims))
        raise WrongSize(f"has shape [{shape}], which its data does not fill: {problem}") from None


def widen(array: Array) -> Array:
    """The same numbers in an element type that values may have; NotATensor for strings."""
    if array.dtype in DTYPES.values():
        return array
    name = array.dtype.name
    if name.startswith(("int", "uint")):  # int4, uint4, int2, uint2 of ml_dtypes
        return array.astype(np.int8 if name.startswith("int") else np.uint8)
    if "float" in name:
        return array.astype(np.float32)
    raise NotATensor(f"holds {name} elements")


def as_float32(array: Array) -> Array:
    """float16 and float64 as float32; what is finite stays finite (masks of -1e308 are common)."""
    if array.dtype == np.float64:
        limits = np.finfo(np.float32)
        array = np.where(np.isfinite(array), np.clip(array, limits.min, limits.max), array)
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def narrow(value: Any) -> float:
    """A float32 that came through protobuf, as the shortest decimal that means the same float32."""
    return float(str(np.float32(value)))


def from_sparse(sparse: onnx.SparseTensorProto) -> Array:
    """A sparse tensor as a dense array."""
    values, indices = from_tensor(sparse.values), from_tensor(sparse.indices)
    shape = tuple(sparse.dims)
    if math.prod(shape) * values.itemsize > MAX_BYTES or min(shape, default=1) < 0:
        raise NotATensor(f"has shape {list(shape)}, which is too large")
    dense = np.zeros(shape, values.dtype)
    places = indices if indices.ndim == 1 else np.ravel_multi_index(tuple(indices.T), shape)
    dense.reshape(-1)[places] = values
    return dense


def without_wide_floats(node: onnx.NodeProto) -> tuple[onnx.NodeProto, set[str]]:
    """The node with float32 in its attributes where they say float16, bfloat16 or float64.

    Also says which of them it found.  Subgraphs stay as they are.
    """
    found: set[str] = set()
    for attribute in node.attribute:
        if attribute.name in {"to", "dtype", "output_dtype"} and attribute.i in WIDE:
            found.add(WIDE[attribute.i])
        if attribute.HasField("t") and attribute.t.data_type in WIDE:
            found.add(WIDE[attribute.t.data_type])
    if not found:
        return node, found
    changed = onnx.NodeProto()
    changed.CopyFrom(node)
    for attribute in changed.attribute:
        if attribute.name in {"to", "dtype", "output_dtype"} and attribute.i in WIDE:
            attribute.i = TensorProto.FLOAT
        if attribute.HasField("t") and attribute.t.data_type in WIDE:
            array = as_float32(from_tensor(attribute.t))
            attribute.t.CopyFrom(numpy_helper.from_array(array, attribute.t.name))
    return changed, found
