"""What the names of an ONNX model stand for while it is imported."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx

from nmc.frontend.external import Companions
from nmc.frontend.tensors import (
    NotATensor,
    WrongSize,
    as_float32,
    from_sparse,
    from_tensor,
    widen,
)
from nmc.ir.diagnostics import Diagnostic, Loc, error
from nmc.ir.graph import Array, Graph, Value

__all__ = ["WIDE_FLOATS", "Known", "List", "Missing", "Scope", "Values"]

WIDE_FLOATS = {"f16": "float16", "f64": "float64"}
"""Element types that are computed as float32, and their long names."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Stands for a value that could not be made; `reason` is empty if that is reported already."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class List:
    """A sequence of tensors: its length and elements are known when importing."""

    items: tuple[Value, ...]


Known = Value | List | Missing
Entry = Known | onnx.TensorProto | onnx.SparseTensorProto
"""What a name stands for; initialisers become values when they are first used."""


@dataclass(slots=True)
class Scope:
    """Names of one graph, then of those around it."""

    outer: Scope | None = None
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])

    @classmethod
    def of(cls, proto: onnx.GraphProto, outer: Scope | None = None) -> Scope:
        """A scope with the graph's initialisers in it."""
        scope = cls(outer)
        scope.entries.update((tensor.name, tensor) for tensor in proto.initializer)
        scope.entries.update((sparse.values.name, sparse) for sparse in proto.sparse_initializer)
        return scope

    def find(self, name: str) -> tuple[Scope, Entry] | None:
        if name in self.entries:
            return self, self.entries[name]
        return self.outer.find(name) if self.outer else None


@dataclass(slots=True)
class Values:
    """Makes values of names, and remembers what constants were before they were made to fit.

    `exact` holds constants in the element type that the model gave them (int4, say) where no value
    can have it; `narrowed` the float types that became float32.
    """

    graph: Graph
    file: str
    companions: Companions
    problems: list[Diagnostic] = field(default_factory=list[Diagnostic])
    narrowed: set[str] = field(default_factory=set[str])
    floats: dict[Value, Value] = field(default_factory=dict[Value, Value])
    exact: dict[Value, Array] = field(default_factory=dict[Value, Array])

    def get(self, name: str, scope: Scope) -> Known:
        found = scope.find(name)
        if found is None:
            return Missing(f"`{name}` is defined nowhere")
        holder, entry = found
        if isinstance(entry, onnx.TensorProto | onnx.SparseTensorProto):
            entry = holder.entries[name] = self.loaded(name, entry)
        return entry

    def loaded(
        self, name: str, tensor: onnx.TensorProto | onnx.SparseTensorProto
    ) -> Value | Missing:
        try:
            if isinstance(tensor, onnx.SparseTensorProto):
                return self.constant(name, from_sparse(tensor))
            return self.constant(name, from_tensor(self.companions.resolve(tensor)))
        except WrongSize as problem:
            text = f"initialiser `{name}` {problem}"
            self.problems.append(error("onnx-damaged", text, Loc(self.file)))
            return Missing()
        except NotATensor as problem:
            return Missing(f"`{name}` {problem}")

    def constant(self, name: str, array: Array) -> Value:
        """A constant; NotATensor for strings and the like."""
        wide = widen(array)
        value = self.graph.constant(name, wide)
        if wide.dtype != array.dtype:
            self.exact[value] = array
        return value

    def exact_array(self, value: Value) -> Array | None:
        """The data of a constant in the model's own element type."""
        return self.exact.get(value, value.data)

    def narrow_type(self, value: Value) -> str:
        """The model's element type of a constant if it is narrower than any of ours, else ""."""
        name = self.exact[value].dtype.name if value in self.exact else ""
        return "" if name == "bfloat16" else name

    def in_float32(self, value: Value) -> Value:
        """The value as ops of ours take it: no wide floats outside of shape arithmetic."""
        if value.data is None or value.type.dtype not in WIDE_FLOATS:
            return value
        self.narrowed.add(value.type.dtype)
        if value not in self.floats:
            self.floats[value] = self.graph.constant(value.name, as_float32(value.data))
        return self.floats[value]
