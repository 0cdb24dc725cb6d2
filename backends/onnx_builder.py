"""Collects the nodes and constants of an ONNX graph that is being written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from nmc.ir.graph import DTYPES, Array, TensorType

__all__ = ["IR_VERSION", "OPSET", "Builder", "element_type", "value_info"]

OPSET = 21
"""What we write unless an opaque operator needs a newer one; never the library's default."""

IR_VERSION = 10


def element_type(dtype: str) -> int:
    """The ONNX number of an element type."""
    return helper.np_dtype_to_tensor_dtype(DTYPES[dtype])


def value_info(name: str, type_: TensorType) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element_type(type_.dtype), type_.shape)


@dataclass(slots=True)
class Builder:
    """Nodes in order; `taken` holds all names in use, so that new ones differ from them.

    `opset` is the model's version of the standard operators, `domains` those of others.
    """

    taken: set[str]
    opset: int = OPSET
    domains: dict[str, int] = field(default_factory=dict[str, int])
    nodes: list[onnx.NodeProto] = field(default_factory=list[onnx.NodeProto])
    constants: list[onnx.TensorProto] = field(default_factory=list[onnx.TensorProto])

    def fresh(self, hint: str) -> str:
        count, name = 0, hint
        while name in self.taken:
            count += 1
            name = f"{hint}.{count}"
        self.taken.add(name)
        return name

    def add(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append a node with one result, whose new name is returned."""
        output = self.fresh(f"nmc.{kind.lower()}")
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(kind, inputs, [output], **given))
        return output

    def constant(self, array: Array | Iterable[int], dtype: str = "i64", name: str = "") -> str:
        """A new initialiser; `dtype` is for what is no array yet."""
        if not isinstance(array, np.ndarray):
            array = np.array(array, DTYPES[dtype])
        name = name or self.fresh("nmc.constant")
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def scalar(self, number: float, dtype: str) -> str:
        return self.constant(np.array(number, DTYPES[dtype]))

    def cast(self, x: str, dtype: str) -> str:
        return self.add("Cast", [x], to=element_type(dtype))
