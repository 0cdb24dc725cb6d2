"""Real models on an exact machine: several inputs in flight, bit for bit, without a race."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nmc.frontend import import_model
from nmc.ir.design import Calibration, Design
from nmc.ir.diagnostics import Report
from nmc.ir.graph import Array, Value
from nmc.ir.interpreter import run_graph_batch
from nmc.passes.base import Pass, mapping_of
from nmc.passes.book import PASSES
from nmc.passes.replicate import Replicate
from nmc.passes.tile import TileMatrices
from nmc.targets import load
from tests.passes.lowering import run_machine

# All but the LSTM, whose recurrence runs on the host (tests/nmc/cli/test_commands.py).
MODELS = [
    "accel_magic_wand_cnn_int8",
    "imu_wand_cnn1d",
    "mlperf_ad01_autoencoder_fp32",
    "mlperf_ad01_autoencoder_int8",
    "mlperf_ic01_resnet8_fp32",
    "mlperf_ic01_resnet8_int8",
    "mlperf_sww01_ds_tcn_fp32",
    "mlperf_sww01_ds_tcn_int8",
    "mnist_burn_cnn_bn",
]


def made_up(value: Value, samples: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    shape = (samples, *value.type.shape[1:])
    if value.type.dtype == "f32":
        return rng.standard_normal(shape).astype(np.float32)
    return rng.integers(-128, 128, shape).astype(value.type.numpy)


def compiled(path: Path, *instead: Pass) -> Design:
    """The design after all passes, some of them with other options."""
    graph = import_model(path)
    calibration = Calibration({v.name: made_up(v, 8, 0) for v in graph.inputs}, "made up")
    design = Design(graph, load("exact-128"), calibration)
    report = Report()
    changed = {step.name: step for step in instead}
    for pass_ in PASSES:
        changed.get(pass_.name, pass_()).run(design, report)
        report.check()
    return design


def check(design: Design) -> None:
    """Two lanes of two inputs in flight: bit for bit what the interpreter says, without a race."""
    graph = design.graph
    inputs = {v.name: made_up(v, 4, 1) for v in graph.inputs}
    got, result = run_machine(design, inputs, inflight=2)
    assert not result.races
    for output, wanted in run_graph_batch(graph, inputs).items():
        np.testing.assert_array_equal(got[output], wanted, err_msg=output)


@pytest.mark.parametrize("name", MODELS)
def test_a_real_model_is_exact_with_inputs_in_flight(shared: Path, name: str) -> None:
    check(compiled(shared / f"{name}.onnx"))


@pytest.mark.parametrize(
    ("name", "way", "layers"),
    [
        ("imu_wand_cnn1d", "window 5x1", 3),
        ("mlperf_ic01_resnet8_int8", "window 2x3", 9),
        ("mlperf_sww01_ds_tcn_fp32", "window 4x1", 6),
        ("mnist_burn_cnn_bn", "window 3x5", 2),
    ],
)
def test_a_real_model_is_exact_in_windows(shared: Path, name: str, way: str, layers: int) -> None:
    """Reads that give several outputs, in at least so many of the layers."""
    once = Replicate(objective="crossbars")
    design = compiled(shared / f"{name}.onnx", TileMatrices(way=way), once)
    stages = mapping_of(design).stages
    assert len({s.nodes for s in stages if s.way.endswith(way)}) >= layers
    check(design)
