"""quantize on random networks: near the floats, and the same again as another tool's model."""

from __future__ import annotations

import numpy as np
import pytest

from nmc.ir.design import Design
from nmc.ir.diagnostics import Report
from nmc.ir.graph import Array, Graph, Unit
from nmc.ir.interpreter import run_graph_batch
from nmc.ir.verify import verify_graph
from nmc.passes.partition import Partition
from nmc.passes.quantize import Quantize
from nmc.passes.quantizing.needs import find_needs
from nmc.passes.quantizing.normal import normalize
from nmc.passes.quantizing.pairs import insert_pairs
from nmc.passes.quantizing.roles import find_roles
from nmc.passes.quantizing.scales import Ranging, find_scales
from tests.passes.designs import design_of, kinds, normal_inputs
from tests.passes.random_nets import random_net

DIALECT = {
    *("quantize", "dequantize", "qconv", "qmatmul", "qavg_pool", "qreduce_mean", "lut"),
    *("max_pool", "reshape", "transpose", "concat", "slice", "pad", "resize", "depth_to_space"),
    *("add", "sub", "mul", "min", "max", "prelu", "relu", "clip", "softmax", "layer_norm"),
}


def prepared(seed: int) -> Design:
    graph = random_net(seed, steps=seed % 12 + 1)
    design = design_of(graph, None, normal_inputs(graph, 24, seed + 2))
    Partition().run(design, Report())
    return design


def quantized(design: Design) -> Graph:
    report = Report()
    Quantize().run(design, report)
    assert not report.failed
    assert verify_graph(design.graph) == []
    return design.graph


def snr_db(wanted: Array, found: Array) -> float:
    error = float(((wanted.astype(np.float64) - found) ** 2).sum())
    power = float((wanted.astype(np.float64) ** 2).sum())
    return float(10 * np.log10(max(power, 1e-12) / max(error, 1e-12)))


@pytest.mark.parametrize("seed", range(60))
def test_near_the_floats_in_the_dialect(seed: int) -> None:
    """12 dB is far under what 8 bits give (42 in the median), far over what any mistake would."""
    design = prepared(seed)
    inputs = normal_inputs(design.graph, 6, seed + 1)
    wanted = run_graph_batch(design.graph, inputs)
    types = {v.name: v.type for v in design.graph.outputs}
    graph = quantized(design)
    found = run_graph_batch(graph, inputs)
    assert {v.name: v.type for v in graph.outputs} == types
    assert all(snr_db(array, found[name]) > 12 for name, array in wanted.items())
    assert {n.op.name for n in graph if n.unit != Unit.HOST} <= DIALECT
    stored = [v for v in graph.values() if v.type.dtype == "u8"]
    assert all(v.type.quant is not None for v in stored)


@pytest.mark.parametrize("seed", range(60, 90))
def test_the_same_again_from_a_model_with_pairs(seed: int) -> None:
    """Stopped before fusing, the graph is such as another tool's quantiser writes; compiled anew
    as that, without calibration, it gives the same bytes as in one go."""
    pairs = prepared(seed)
    graph = pairs.graph
    names = [v.name for v in graph.outputs]
    normalize(graph)
    roles = find_roles(graph)
    needs = find_needs(graph, roles)
    scales = find_scales(pairs, needs, Ranging("mse", 99.9, 8), Report())
    insert_pairs(graph, roles, needs, scales, 8)
    graph.prune()
    assert verify_graph(graph) == []
    again = design_of(graph)
    Partition().run(again, Report())
    twice, once = quantized(again), quantized(prepared(seed))
    assert sorted(kinds(twice)) == sorted(kinds(once))
    inputs = normal_inputs(once, 4, seed + 1)
    wanted, found = run_graph_batch(once, inputs), run_graph_batch(twice, inputs)
    for name, value in zip(names, twice.outputs, strict=True):
        np.testing.assert_array_equal(found[value.name], wanted[name])


@pytest.mark.parametrize("method", ["minmax", "percentile"])
def test_other_methods(method: str) -> None:
    design = prepared(7)
    inputs = normal_inputs(design.graph, 6)
    wanted = run_graph_batch(design.graph, inputs)
    Quantize(method=method).run(design, Report())  # type: ignore[arg-type]
    found = run_graph_batch(design.graph, inputs)
    assert all(snr_db(array, found[name]) > 12 for name, array in wanted.items())


def test_the_same_bytes_every_time() -> None:
    graphs = [quantized(prepared(11)) for _ in range(2)]
    assert kinds(graphs[0]) == kinds(graphs[1])
    assert [v.type for v in graphs[0].values()] == [v.type for v in graphs[1].values()]
    for a, b in zip(graphs[0].constants(), graphs[1].constants(), strict=True):
        np.testing.assert_array_equal(a.array, b.array)
