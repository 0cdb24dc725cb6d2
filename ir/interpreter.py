"""The reference interpreter of Graphs: numpy, one node after the other, float and quantised.

`run_graph` computes one input as the graph's types say.  `run_graph_batch` takes many along the
first axis: most ops are computed for all samples at once, the others sample by sample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nmc.ir.batching import batched_kernel
from nmc.ir.diagnostics import NmcError, error
from nmc.ir.graph import Array, Graph, Node, Value
from nmc.ir.kernels import KERNELS
from nmc.ir.ops import Onnx

__all__ = ["HostRunner", "evaluate", "run_graph", "run_graph_batch"]

HostRunner = Callable[[Node, Sequence[Array | None]], Sequence[Array]]
"""Computes an opaque `Onnx` node: its operands in, its results out."""

CHUNK_BYTES = 1 << 28
"""About how much memory a batch's activations may take; larger batches run in parts."""


def run_graph(
    graph: Graph,
    inputs: Mapping[str, Array],
    *,
    keep: Collection[str] = (),
    host: HostRunner | None = None,
) -> dict[str, Array]:
    """Values of the graph's outputs, and of those named in `keep`, by name.

    NmcError `bad-data-shape` if an input is missing or of another type than the graph's.
    """
    run = Run(graph, keep, host)
    for value in graph.inputs:
        run.env[value] = checked(value, given(inputs, value))
    run.all_nodes()
    return run.results()


def run_graph_batch(
    graph: Graph,
    inputs: Mapping[str, Array],
    *,
    keep: Collection[str] = (),
    host: HostRunner | None = None,
) -> dict[str, Array]:
    """As `run_graph` on many samples: arrays have N times the graph's size along the first axis.

    An input that has exactly the graph's shape is shared by all samples.  Results have N times
    the graph's size along their first axis (results without axes become arrays of N).
    """
    arrays = {v: np.asarray(given(inputs, v)) for v in graph.inputs}
    count = samples(arrays)
    if count == 1:
        return run_graph(graph, inputs, keep=keep, host=host)
    parts = []
    step = chunk(graph)
    for start in range(0, count, step):
        stop = min(start + step, count)
        run = Run(graph, keep, host)
        for value, array in arrays.items():
            if array.shape == value.type.shape:
                run.env[value] = checked(value, array)
            else:
                run.batched.add(value)
                run.env[value] = cut(value, array, start, stop)
        run.all_nodes()
        parts.append(run.merged(stop - start))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def evaluate(node: Node) -> tuple[Array, ...]:
    """Results of a node whose operands are all constants."""
    arrays = [None if v is None else v.array for v in node.inputs]
    return compute(node, arrays, None)


@dataclass(eq=False, slots=True)
class Run:
    """One walk over the nodes.  Values in `batched` have samples as an additional first axis."""

    graph: Graph
    keep: Collection[str]
    host: HostRunner | None
    env: dict[Value, Array] = field(default_factory=dict[Value, Array])
    batched: set[Value] = field(default_factory=set[Value])

    def all_nodes(self) -> None:
        """Compute every node; an array is dropped once nobody needs it any more."""
        waiting = Counter(v for node in self.graph for v in node.operands)
        waiting.update(v for v in (*self.graph.outputs, *self.kept()))
        for node in self.graph:
            self.compute(node)
            for value in node.operands:
                waiting[value] -= 1
                if not waiting[value] and not value.is_constant:
                    del self.env[value]

    def compute(self, node: Node) -> None:
        arrays = [self.read(v) for v in node.inputs]
        flags = [v in self.batched for v in node.inputs]
        if any(flags):
            self.batched.update(node.outputs)
            kernel = batched_kernel(node, flags)
            results = (kernel(arrays),) if kernel else self.each(node, arrays, flags)
        else:
            results = compute(node, arrays, self.host)
        self.env.update(zip(node.outputs, results, strict=True))

    def each(
        self, node: Node, arrays: Sequence[Array | None], flags: Sequence[bool]
    ) -> tuple[Array, ...]:
        """Sample by sample, for what has no batched form."""
        count = next(
            len(a) for a, flag in zip(arrays, flags, strict=True) if flag and a is not None
        )
        rows = []
        for i in range(count):
            sample = [
                a[i] if flag and a is not None else a for a, flag in zip(arrays, flags, strict=True)
            ]
            rows.append(compute(node, sample, self.host))
        return tuple(np.stack(column) for column in zip(*rows, strict=True))

    def read(self, value: Value | None) -> Array | None:
        if value is None:
            return None
        return value.data if value.data is not None else self.env[value]

    def kept(self) -> list[Value]:
        return [v for v in self.graph.values() if v.name in self.keep]

    def results(self) -> dict[str, Array]:
        values = (*self.graph.outputs, *self.kept())
        return {v.name: value_array(self.read(v)) for v in values}

    def merged(self, count: int) -> dict[str, Array]:
        """Results with samples and first axis merged, also of what is the same for all samples."""
        values = (*self.graph.outputs, *self.kept())
        result = {}
        for value in values:
            array = value_array(self.read(value))
            if value not in self.batched:
                array = np.broadcast_to(array, (count, *array.shape))
            shape = value.type.shape
            result[value.name] = array.reshape(count * shape[0], *shape[1:]) if shape else array
        return result


def compute(
    node: Node, arrays: Sequence[Array | None], host: HostRunner | None
) -> tuple[Array, ...]:
    if not isinstance(node.op, Onnx):
        with np.errstate(all="ignore"):
            return (np.asarray(KERNELS[type(node.op)](node.op, *arrays)),)
    if host is None:
        message = f"`{node.op.op}` can only run on a host, and this interpreter was given none"
        raise NmcError(error("unsupported-operator", message, node.loc))
    return tuple(host(node, arrays))


def value_array(array: Array | None) -> Array:
    if array is None:
        raise TypeError("a result can't be absent")
    return array


# Inputs


def given(inputs: Mapping[str, Array], value: Value) -> Array:
    if value.name not in inputs:
        there = ", ".join(inputs) or "none"
        message = f"no data for input %{value.name} : {value.type}; there are: {there}"
        raise NmcError(error("bad-data-shape", message))
    return inputs[value.name]


def checked(value: Value, array: Array) -> Array:
    array = np.asarray(array)
    if array.shape != value.type.shape:
        raise wrong_shape(value, array)
    return same_dtype(value, array)


def same_dtype(value: Value, array: Array) -> Array:
    if array.dtype != value.type.numpy:
        message = f"input %{value.name} is {value.type}, the data has dtype {array.dtype}"
        raise NmcError(error("bad-data-shape", message))
    return array


def wrong_shape(value: Value, array: Array) -> NmcError:
    sizes = ",".join(map(str, array.shape))
    message = f"input %{value.name} is {value.type}, the data has shape [{sizes}]"
    return NmcError(error("bad-data-shape", message))


def samples(arrays: Mapping[Value, Array]) -> int:
    """How many samples the inputs hold, all alike."""
    counts = {v: sample_count(v, a) for v, a in arrays.items() if a.shape != v.type.shape}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"%{v.name} has {n}" for v, n in counts.items())
        message = f"inputs hold different numbers of samples: {found}"
        raise NmcError(error("bad-data-shape", message))
    return next(iter(counts.values()), 1)


def sample_count(value: Value, array: Array) -> int:
    shape = value.type.shape
    good = shape and array.shape[1:] == shape[1:] and len(array.shape) == len(shape)
    if not good or not shape[0] or not len(array) or len(array) % shape[0]:
        raise wrong_shape(value, array)
    return len(array) // shape[0]


def cut(value: Value, array: Array, start: int, stop: int) -> Array:
    """Samples from start to stop, on an axis of their own."""
    size = value.type.shape[0]
    part = same_dtype(value, array[start * size : stop * size])
    return part.reshape(stop - start, *value.type.shape)


def chunk(graph: Graph) -> int:
    """How many samples fit into CHUNK_BYTES at once, by the largest value of the graph."""
    largest = max((v.type.nbytes for v in graph.values()), default=1)
    return max(1, CHUNK_BYTES // max(16 * largest, 1))
