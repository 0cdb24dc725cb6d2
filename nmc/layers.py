"""Where quality is lost: each stage's result as the original has it, quantised, and on the chip."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from nmc.backends.container import Contents
from nmc.backends.host import OrtHost
from nmc.backends.mapping_interpreter import run_mapping
from nmc.comparing import compare
from nmc.compiling import read_input_shapes
from nmc.frontend import ReadModel, import_model
from nmc.ir import ops
from nmc.ir.diagnostics import Report
from nmc.ir.graph import Array, Graph, Value
from nmc.ir.interpreter import run_graph_batch
from nmc.ir.layers import layers_of
from nmc.ir.mapping import Stage

__all__ = ["LayerQuality", "layer_qualities", "run_quantized"]

QUANTIZED = re.compile(r"\.q(\.\d+)?$")
"""What the pass `quantize` adds to the name of a value when it makes integers of it."""

SAMPLES = 32
"""So many at most: the chip's values are computed tile by tile, one sample after the other."""


@dataclass(frozen=True, slots=True)
class LayerQuality:
    """How well a stage's result matches the original's, before any of it was changed for the chip.

    `quantized_snr_db` is that of the quantised graph; `snr_db` that of the chip, whose ADCs may
    take more away.  Both hold all that was lost up to this stage, infinite where nothing was.
    """

    stage: str
    value: str
    snr_db: float
    quantized_snr_db: float = math.inf
    below: bool = False


def run_quantized(
    graph: Graph, arrays: Mapping[str, Array], keep: tuple[str, ...] = ()
) -> dict[str, Array]:
    """Outputs, and values to keep, of a graph on [samples, *one sample], in that form again."""
    values = {v.name: v for v in (*graph.inputs, *graph.values())}
    count = min(len(a) for a in arrays.values())
    batched = {name: stacked(values[name], array) for name, array in arrays.items()}
    results = run_graph_batch(graph, batched, keep=keep, host=OrtHost())
    outputs = {v.name: v for v in graph.outputs}
    return {
        name: array.reshape(count, *(outputs.get(name) or values[name]).type.sample_shape)
        for name, array in results.items()
    }


def stacked(value: Value, array: Array) -> Array:
    """Samples along the graph's own first axis, as the interpreter takes them."""
    shape = value.type.shape
    return array.reshape(-1, *shape[1:]) if shape else array


def layer_qualities(
    contents: Contents, read: ReadModel, arrays: Mapping[str, Array], min_snr_db: float | None
) -> tuple[LayerQuality, ...]:
    """Of each layer whose result the original has too, over the first `SAMPLES` of the inputs."""
    used = {name: array[:SAMPLES] for name, array in arrays.items()}
    shapes = contents.manifest.options.get("input_shapes", ())
    texts = shapes if isinstance(shapes, tuple | list) else ()
    original = import_model(read, input_shapes=read_input_shapes(texts), report=Report())
    mine = {v.name: v for v in contents.graph.values()}
    theirs = {v.name: v for v in original.values()}
    mapping = contents.mapping
    found = {
        layer.name: twins(contents, mapping.stages[layer.first], mine, theirs)
        for layer in layers_of(mapping)
    }
    pairs = {name: pair for name, pair in found.items() if pair}
    keep = tuple({a for a, _ in pairs.values()})
    wanted = run_quantized(original, used, tuple({b for _, b in pairs.values()}))
    quantized = run_quantized(contents.graph, used, keep)
    # Lossless reads give the quantised graph's own values.
    on_chip = quantized if contents.target.exact else run_mapping(contents, used, keep=keep)
    layers: list[LayerQuality] = []
    for stage, (a, b) in pairs.items():
        quants = mine[a].type.quant, theirs[b].type.quant
        chip, graph = (compare(a, each[a], wanted[b], *quants) for each in (on_chip, quantized))
        below = min_snr_db is not None and chip.snr_db < min_snr_db
        layers.append(LayerQuality(stage, a, chip.snr_db, graph.snr_db, below))
    return tuple(layers)


def twins(
    contents: Contents, stage: Stage, mine: Mapping[str, Value], theirs: Mapping[str, Value]
) -> tuple[str, str] | None:
    """The last value of a stage that the original has too, and what it is called there."""
    results = (contents.mapping.streams[stage.output].value, *reversed(stage.nodes))
    for name in results:
        twin = name if name in theirs else QUANTIZED.sub("", name)
        alike = name in mine and twin in theirs
        if alike and theirs[twin].type.shape == mine[name].type.shape:
            return name, rounded(mine[name], theirs[twin]).name
    return None


def rounded(mine: Value, theirs: Value) -> Value:
    """What the original makes of a value by the same rounding, if ours is rounded; else the value.

    A quantised model names both the real result and the integers that follow; ours is named after
    the first but is the second.
    """
    quant = mine.type.quant
    if quant is None or theirs.type.quant is not None:
        return theirs
    for user in theirs.users:
        made = user.output.type.quant
        if isinstance(user.op, ops.Quantize) and made is not None and made.scale == quant.scale:
            return user.output
    return theirs
