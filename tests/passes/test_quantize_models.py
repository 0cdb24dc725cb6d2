"""quantize on real models: onnxruntime's integers where a model has some, else its accuracy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from nmc.backends.host import OrtHost
from nmc.frontend import import_model
from nmc.ir.border import is_recoding
from nmc.ir.design import Calibration, Design
from nmc.ir.diagnostics import Report
from nmc.ir.graph import Array, Graph, Unit
from nmc.ir.interpreter import run_graph, run_graph_batch
from nmc.ir.verify import verify_graph
from nmc.passes.canonicalize import Canonicalize
from nmc.passes.fold_constants import FoldConstants
from nmc.passes.lower_conv_transpose import LowerConvTranspose
from nmc.passes.partition import Partition
from nmc.passes.quantize import Quantize
from tests.passes.designs import exact_target

EXAMPLES = Path(__file__).parents[2] / "examples"
INT8 = (
    "accel_magic_wand_cnn_int8",
    "mlperf_ad01_autoencoder_int8",
    "mlperf_ic01_resnet8_int8",
    "mlperf_sww01_ds_tcn_int8",
)


def quantized(model: Path, calibration: Array | None = None) -> Graph:
    graph = import_model(model)
    data = None
    if calibration is not None:
        data = Calibration({graph.inputs[0].name: calibration}, "test")
    design = Design(graph, exact_target(), data, host=OrtHost())
    report = Report()
    front = (FoldConstants(), Canonicalize(), LowerConvTranspose(), Partition(), Quantize())
    for each in front:
        each.run(design, report)
        assert verify_graph(graph) == []
    assert not report.failed
    return graph


def session(model: Path | onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def random_input(graph: Graph, samples: int) -> Array:
    type_ = graph.inputs[0].type
    shape = (samples, *type_.shape[1:])
    rng = np.random.default_rng(4)
    if type_.dtype == "i8":
        return rng.integers(-128, 128, shape).astype(np.int8)
    return (rng.standard_normal(shape) * 500).astype(np.float32)


def quanta(graph: Graph, found: Array, wanted: Array) -> Array:
    """Differences in steps of the result's integers."""
    producer = graph.outputs[0].producer
    assert producer is not None
    stored = graph.outputs[0] if found.dtype != np.float32 else producer.x
    assert stored.type.quant is not None
    step = stored.type.quant.scale if found.dtype == np.float32 else 1
    return np.abs(found.astype(np.float64) - wanted) / step


@pytest.mark.parametrize("name", INT8)
def test_stored_results_of_integer_models(name: str, shared: Path) -> None:
    graph = quantized(shared / f"{name}.onnx")
    assert all(node.unit != Unit.HOST or is_recoding(node) for node in graph)
    with np.load(shared / f"{name}.npz") as data:
        found = run_graph(graph, {graph.inputs[0].name: data["input_0"]})
        off = quanta(graph, next(iter(found.values())), data["output_0"])
    assert off.max() <= 1.001
    assert (off < 0.001).mean() >= 0.99


@pytest.mark.parametrize("name", [name for name in INT8 if "resnet" not in name])
def test_onnxruntime_on_random_inputs(name: str, shared: Path) -> None:
    graph = quantized(shared / f"{name}.onnx")
    x = random_input(graph, 24)
    reference = session(shared / f"{name}.onnx")
    key = graph.inputs[0].name
    wanted = np.concatenate([reference.run(None, {key: x[i : i + 1]})[0] for i in range(len(x))])
    off = quanta(graph, next(iter(run_graph_batch(graph, {key: x}).values())), wanted)
    assert off.max() <= 1.001
    assert (off < 0.001).mean() >= 0.99


def test_onnxruntime_layer_by_layer(shared: Path) -> None:
    """On x86 onnxruntime multiplies i8 activations in floats, whose sums round; every layer passes
    on what the ones before it rounded otherwise, so only the first convolution is tight."""
    path = shared / "mlperf_ic01_resnet8_int8.onnx"
    model = onnx.load(path)
    stored = {
        node.input[0]: node.output[0]
        for node in model.graph.node
        if node.op_type == "QuantizeLinear"
    }
    known = {value.name for value in model.graph.output}
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.INT8, None)
        for name in stored.values()
        if name not in known
    )
    graph = quantized(path)
    x = random_input(graph, 4)
    reference = session(model)
    names = [value.name for value in reference.get_outputs()]
    runs = [reference.run(None, {graph.inputs[0].name: x[i : i + 1]}) for i in range(len(x))]
    wanted = {name: np.concatenate(parts) for name, *parts in zip(names, *runs, strict=True)}
    found = run_graph_batch(graph, {graph.inputs[0].name: x}, keep=list(stored))
    both = [(found[real], wanted[name]) for real, name in stored.items() if real in found]
    shares = [(ours == theirs + 128.0).mean() for ours, theirs in both if ours.dtype == np.uint8]
    assert len(shares) >= 9
    assert shares[0] > 0.9999
    assert min(shares) > 0.97


@pytest.mark.parametrize("per_channel", [False, True])
def test_onnxruntimes_integer_kernels_exactly(per_channel: bool, tmp_path: Path) -> None:
    """QLinearConv, QLinearMatMul and their kin have one right answer."""
    quantization = pytest.importorskip("onnxruntime.quantization")
    source, data = EXAMPLES / "digits" / "digits_cnn.onnx", np.load(EXAMPLES / "digits/digits.npz")
    key = onnx.load(source).graph.input[0].name

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.samples = iter(data["calib"][:20])

        def get_next(self) -> dict[str, Array] | None:
            sample = next(self.samples, None)
            return None if sample is None else {key: sample[None]}

    made = tmp_path / "integers.onnx"
    quantization.quantize_static(
        source,
        made,
        Reader(),
        quant_format=quantization.QuantFormat.QOperator,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        per_channel=per_channel,
    )
    graph, reference = quantized(made), session(made)
    x = data["x"][:100]
    found = next(iter(run_graph_batch(graph, {key: x}).values()))
    wanted = np.concatenate([reference.run(None, {key: x[i : i + 1]})[0] for i in range(len(x))])
    np.testing.assert_array_equal(found, wanted)


# Accuracy of float models


def accuracies(model: Path, calibration: Array, x: Array, labels: Array) -> tuple[float, float]:
    """Of the float model and of the quantised one."""
    plain = import_model(model)
    graph = quantized(model, calibration)
    inputs = {plain.inputs[0].name: x}
    scores = [run_graph_batch(g, inputs)[plain.outputs[0].name] for g in (plain, graph)]
    right = [float((s.argmax(axis=-1) == labels).mean()) for s in scores]
    return right[0], right[1]


def test_mnist(shared: Path) -> None:
    """Calibrated on the first half of the digits, tried on the other."""
    with np.load(shared / "data" / "mnist_t500.npz") as data:
        x = ((data["x"][:, None] / 255 - 0.1307) / 0.3081).astype(np.float32)
        labels = data["y"]
    model = shared / "mnist_burn_cnn_bn.onnx"
    plain, integers = accuracies(model, x[:250], x[250:], labels[250:])
    assert plain > 0.97
    assert integers >= plain - 0.01


def test_gestures(shared: Path) -> None:
    def scaled(x: Array) -> Array:
        """Accelerations in g to (v+4)/8, rates in degrees/s to (v+2000)/4000."""
        return np.concatenate([(x[:, :3] + 4) / 8, (x[:, 3:] + 2000) / 4000], axis=1)

    with np.load(shared / "data" / "imu_gesture_wand.npz") as data:
        train, x, labels = scaled(data["x_train"]), scaled(data["x_test"]), data["y_test"]
    plain, integers = accuracies(shared / "imu_wand_cnn1d.onnx", train, x, labels)
    assert plain == 0.88
    assert integers >= plain - 0.01


def test_digits_example() -> None:
    with np.load(EXAMPLES / "digits" / "digits.npz") as data:
        model = EXAMPLES / "digits" / "digits_cnn.onnx"
        plain, integers = accuracies(model, data["calib"], data["x"], data["y"])
    assert integers >= plain - 0.01


def test_a_recurrent_layer_stays_on_the_host(shared: Path) -> None:
    """What comes back from the host is calibrated by running the host."""
    path = shared / "arm_kws_basic_lstm_s.onnx"
    with np.load(shared / "arm_kws_basic_lstm_s.npz") as data:
        x, wanted = data["input_0"], data["output_0"]
    graph = quantized(path, np.concatenate([x, x * 0.5, x * 0.8]))
    units = {node.op.name: node.unit for node in graph}
    assert units["onnx"] == Unit.HOST
    assert units["qmatmul"] == Unit.CROSSBAR
    found = run_graph(graph, {graph.inputs[0].name: x}, host=OrtHost())
    np.testing.assert_allclose(next(iter(found.values())), wanted, atol=0.02)
