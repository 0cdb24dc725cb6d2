"""Whole models: real ones against stored outputs, and the large topologies of the onnx wheel."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx.backend.test
import pytest

from nmc.backends.host import OrtHost
from nmc.frontend import import_model
from nmc.ir.graph import Graph
from nmc.ir.interpreter import run_graph
from nmc.ir.verify import verify_graph
from tests.nmc.frontend.models import opaque_ops

REAL = (
    "accel_magic_wand_cnn_int8",
    "arm_kws_basic_lstm_s",
    "imu_wand_cnn1d",
    "mlperf_ad01_autoencoder_fp32",
    "mlperf_ad01_autoencoder_int8",
    "mlperf_ic01_resnet8_fp32",
    "mlperf_ic01_resnet8_int8",
    "mlperf_sww01_ds_tcn_fp32",
    "mlperf_sww01_ds_tcn_int8",
    "mnist_burn_cnn_bn",
)

LIGHT = {
    "light_bvlc_alexnet": {"conv": 5, "max_pool": 3, "matmul": 3, "lrn": 2},
    "light_densenet121": {"conv": 121, "batch_norm": 121, "concat": 58, "avg_pool": 3},
    "light_inception_v1": {"conv": 57, "max_pool": 13, "concat": 9, "matmul": 1},
    "light_inception_v2": {"conv": 69, "batch_norm": 69, "concat": 10, "avg_pool": 8},
    "light_resnet50": {"conv": 53, "batch_norm": 53, "relu": 49, "add": 17, "matmul": 1},
    "light_shufflenet": {"conv": 49, "transpose": 16, "add": 14, "concat": 3, "avg_pool": 4},
    "light_squeezenet": {"conv": 26, "relu": 26, "concat": 8, "max_pool": 3, "reduce": 1},
    "light_vgg19": {"conv": 16, "max_pool": 5, "matmul": 3, "relu": 18},
    "light_zfnet512": {"conv": 5, "max_pool": 3, "matmul": 3, "lrn": 2},
}


@pytest.mark.parametrize("name", REAL)
def test_a_real_model_computes_what_onnxruntime_stored(shared: Path, name: str) -> None:
    graph = import_model(shared / f"{name}.onnx")
    assert not verify_graph(graph)
    stored = np.load(shared / f"{name}.npz")
    inputs = {str(n): stored[f"input_{i}"] for i, n in enumerate(stored["input_names"])}
    results = run_graph(graph, inputs, host=OrtHost())
    quantum = max((v.type.quant.scale for v in graph.values() if v.type.quant), default=0.0)
    for i, output in enumerate(stored["output_names"]):
        ours, wanted = results[str(output)], stored[f"output_{i}"]
        assert ours.dtype == wanted.dtype
        within = 1e-4 * max(1.0, float(np.abs(wanted).max()))
        assert np.abs(ours.astype(float) - wanted).max() <= (quantum or within)


@pytest.mark.parametrize("name", REAL)
def test_only_recurrent_layers_stay_opaque(shared: Path, name: str) -> None:
    opaque = opaque_ops(import_model(shared / f"{name}.onnx"))
    assert opaque == (["LSTM"] if "lstm" in name else [])


@pytest.mark.parametrize("name", [name for name in REAL if name.endswith("int8")])
def test_integer_weights_survive(shared: Path, name: str) -> None:
    graph = import_model(shared / f"{name}.onnx")
    weights = [n.inputs[1] for n in graph if n.op.name in {"conv", "matmul"}]
    assert weights
    for value in weights:
        assert value is not None
        assert value.producer is not None
        assert value.producer.op.name in {"dequantize", "dequantize_axis"}
        assert value.producer.x.array.dtype == np.int8


def light(name: str) -> Graph:
    return import_model(Path(onnx.backend.test.__file__).parent / "data" / "light" / f"{name}.onnx")


@pytest.mark.parametrize("name", LIGHT)
def test_a_large_topology_loads(name: str) -> None:
    graph = light(name)
    assert not verify_graph(graph)
    counts = Counter(node.op.name for node in graph)
    assert {op: counts[op] for op in LIGHT[name]} == LIGHT[name]
    assert not opaque_ops(graph)
    (output,) = graph.outputs
    assert output.type.elements == 1000
