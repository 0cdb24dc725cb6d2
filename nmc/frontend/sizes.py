"""Fixes the sizes of a model's inputs: what the model says, what the user says, and a batch of one.

The user binds an input by its name to a whole shape, or a symbol of the model (`seq_len`) to one
size.  A first axis that nobody fixes is taken for the batch and becomes 1, with one note.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import onnx

from nmc.frontend.tensors import NotATensor, input_element
from nmc.ir.diagnostics import Diagnostic, Loc, NmcError, Report, error, note
from nmc.ir.graph import TensorType

__all__ = ["input_types"]

Shape = tuple[int, ...]
Axis = int | str | None
"""A size, a symbol, or nothing known."""

MAX_SIZE = 1 << 31


@dataclass(slots=True)
class Declared:
    """An input as the model declares it; `axes` is None if not even the rank is known."""

    name: str
    dtype: str
    axes: list[Axis] | None

    def __str__(self) -> str:
        if self.axes is None:
            return f"{self.name} (rank unknown)"
        return f"{self.name}[{', '.join('?' if a is None else str(a) for a in self.axes)}]"

    @property
    def known(self) -> bool:
        return self.axes is not None and all(isinstance(axis, int) for axis in self.axes)


@dataclass(slots=True)
class Binding:
    """Collects what is known of the sizes, and what contradicts it."""

    file: str
    inputs: list[Declared]
    symbols: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    problems: list[Diagnostic] = field(default_factory=list[Diagnostic])

    def refuse(self, message: str, remedy: str = "") -> None:
        self.problems.append(error("bad-input-shape", message, Loc(self.file), remedy=remedy))

    def give(self, name: str, shape: Shape) -> None:
        """Take one of the user's bindings."""
        named = {declared.name: declared for declared in self.inputs}
        symbols = {a for d in self.inputs for a in d.axes or () if isinstance(a, str)}
        if bad := [size for size in shape if not 0 < size <= MAX_SIZE]:
            self.refuse(f"--input-shape {spelled(name, shape)}: {bad[0]} is no size")
        elif name in named:
            self.give_shape(named[name], shape)
        elif name in symbols and len(shape) == 1:
            self.fix(name, shape[0], f"--input-shape {spelled(name, shape)}")
        elif name in symbols:
            self.refuse(
                f"--input-shape {spelled(name, shape)}: `{name}` is a symbol, which has one size",
                f"--input-shape {name}=N",
            )
        else:
            self.refuse_name(name, [*named, *sorted(symbols)])

    def refuse_name(self, name: str, known: Sequence[str]) -> None:
        close = difflib.get_close_matches(name, known, 1)
        listed = "; ".join(map(str, self.inputs)) or "none"
        remedy = f"did you mean `{close[0]}`?" if close else f"inputs of the model: {listed}"
        self.refuse(f"the model has no input `{name}`; its inputs are {listed}", remedy)

    def give_shape(self, declared: Declared, shape: Shape) -> None:
        if declared.axes is None:
            declared.axes = list(shape)
            return
        text = f"--input-shape {spelled(declared.name, shape)}"
        if len(shape) != len(declared.axes):
            self.refuse(
                f"{text} has {len(shape)} sizes, the model's {declared} has {len(declared.axes)}",
                f"--input-shape {wanted(declared)}",
            )
            return
        for place, (axis, size) in enumerate(zip(declared.axes, shape, strict=True)):
            if isinstance(axis, str):
                self.fix(axis, size, text)
            elif axis is not None and axis != size:
                self.refuse(
                    f"{text}: size {size} on axis {place}, the model fixes {axis} ({declared})",
                    f"--input-shape {wanted(declared)}",
                )
            else:
                declared.axes[place] = size

    def fix(self, symbol: str, size: int, reason: str) -> None:
        known, before = self.symbols.setdefault(symbol, (size, reason))
        if known != size:
            self.refuse(f"`{symbol}` would be {known} by {before}, and {size} by {reason}")

    def apply_symbols(self) -> None:
        for declared in self.inputs:
            declared.axes = declared.axes and [
                self.symbols[a][0] if isinstance(a, str) and a in self.symbols else a
                for a in declared.axes
            ]

    def assume_batch_of_one(self) -> list[str]:
        """Bind first axes that are still unknown to 1; says of which inputs."""
        assumed = [d for d in self.inputs if d.axes and not isinstance(d.axes[0], int)]
        names = [str(declared) for declared in assumed]
        for declared in assumed:
            first = declared.axes[0] if declared.axes else None
            if isinstance(first, str):
                self.fix(first, 1, "the batch")
            elif declared.axes:
                declared.axes[0] = 1
        self.apply_symbols()
        return names


def input_types(
    graph: onnx.GraphProto, given: Mapping[str, Shape], file: str, report: Report
) -> dict[str, TensorType]:
    """The inputs' types, all sizes known; NmcError lists everything that is wrong or missing.

    Before IR 4 initialisers were listed as inputs; they are none.
    """
    constant = {tensor.name for tensor in graph.initializer}
    constant |= {sparse.values.name for sparse in graph.sparse_initializer}
    declared = [declare(value, file) for value in graph.input if value.name not in constant]
    binding = Binding(file, declared)
    for name, shape in given.items():
        binding.give(name, tuple(shape))
    binding.apply_symbols()
    if binding.problems:
        raise NmcError(*binding.problems)
    assumed = binding.assume_batch_of_one()
    if unknown := [d for d in declared if not d.known]:
        raise NmcError(unknown_sizes(unknown, declared, file))
    if assumed:
        report.add(batch_note(assumed, declared, file))
    return {
        d.name: TensorType(d.dtype, tuple(a for a in d.axes or () if isinstance(a, int)))
        for d in declared
    }


def declare(value: onnx.ValueInfoProto, file: str) -> Declared:
    kind = value.type.WhichOneof("value")
    loc = Loc(file, node=value.name)
    if kind is None:
        text = f"input `{value.name}` has no type"
        raise NmcError(error("onnx-invalid", text, loc, remedy="export the model again"))
    if kind != "tensor_type":
        what = kind.removesuffix("_type").replace("_", " ")
        text = f"input `{value.name}` is a {what}, where only tensors can enter"
        remedy = "export the model with tensors as inputs"
        raise NmcError(error("unsupported-operator", text, loc, remedy=remedy))
    tensor = value.type.tensor_type
    try:
        dtype = input_element(tensor.elem_type)
    except NotATensor as problem:
        text = f"input `{value.name}` {problem}, where only numbers can enter"
        remedy = "keep what works on text outside of the model"
        raise NmcError(error("unsupported-operator", text, loc, remedy=remedy)) from None
    axes = [axis_of(dim) for dim in tensor.shape.dim] if tensor.HasField("shape") else None
    return Declared(value.name, dtype, axes)


def axis_of(dim: onnx.TensorShapeProto.Dimension) -> Axis:
    """Old exporters write an unknown size as 0 or -1."""
    if dim.HasField("dim_value") and dim.dim_value > 0:
        return dim.dim_value
    return dim.dim_param or None


def spelled(name: str, shape: Iterable[object]) -> str:
    return f"{name}={','.join(map(str, shape))}"


def wanted(declared: Declared) -> str:
    """How to bind an input, with what the model fixes filled in and letters for the rest."""
    axes = declared.axes
    if axes is None:
        return f"{declared.name}=SIZE,..."
    return spelled(declared.name, (a if isinstance(a, int) else f"<{a or 'size'}>" for a in axes))


def any_batch(declared: Declared) -> str:
    """As `wanted`, with the first axis left to the reader, whatever was taken for it."""
    return wanted(replace(declared, axes=["batch", *(declared.axes or ())[1:]]))


def unknown_sizes(unknown: Sequence[Declared], inputs: Sequence[Declared], file: str) -> Diagnostic:
    names = ", ".join(str(declared) for declared in unknown)
    symbols = sorted({a for d in unknown for a in d.axes or () if isinstance(a, str)})
    notes = [f"inputs of the model: {'; '.join(map(str, inputs))}"]
    if symbols:
        flags = " ".join(f"--input-shape {symbol}=SIZE" for symbol in symbols)
        notes.append(f"a symbol can be bound by itself: {flags}")
    remedy = " ".join(f"--input-shape {wanted(declared)}" for declared in unknown)
    text = f"sizes are unknown: {names}; they must be known to compile"
    return error("dynamic-shape", text, Loc(file), notes=notes, remedy=remedy)


def batch_note(assumed: Sequence[str], inputs: Sequence[Declared], file: str) -> Diagnostic:
    names = {text.split("[")[0] for text in assumed}
    flags = " ".join(f"--input-shape {any_batch(d)}" for d in inputs if d.name in names)
    text = f"the first axis of {', '.join(assumed)} is open: taken as a batch of 1"
    return note("dynamic-shape", text, Loc(file), remedy=f"for another: {flags}")
