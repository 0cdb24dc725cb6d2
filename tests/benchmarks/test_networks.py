"""Networks built by code: published topologies, valid ONNX, outputs that depend on inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from benchmarks.networks import BUILT, NAMES, build, parameters
from benchmarks.networks.__main__ import main
from benchmarks.networks.mobilenet import divisible
from benchmarks.networks.wheel import reweighted

SMALL = dict.fromkeys(BUILT, 32) | {"resnet50": 64}


def answers(model: onnx.ModelProto, seed: int = 0, inputs: int = 2) -> list[Any]:
    """The first output for some random inputs."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (given,) = session.get_inputs()
    rng = np.random.default_rng(seed)
    return [
        session.run(None, {given.name: rng.standard_normal(given.shape).astype(np.float32)})[0]
        for _ in range(inputs)
    ]


@pytest.mark.parametrize("name", BUILT)
def test_has_the_published_number_of_parameters(name: str) -> None:
    assert parameters(name) == BUILT[name].parameters


@pytest.mark.parametrize("name", BUILT)
def test_is_valid_and_answers_to_its_input(name: str) -> None:
    model = build(name, SMALL[name], width=0.25)
    onnx.checker.check_model(model, full_check=True)
    first, second = answers(model)
    assert list(first.shape) == [
        d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim
    ]
    assert np.isfinite(first).all()
    assert 1e-3 < first.std() < 1e3
    assert np.abs(first - second).std() > 1e-3 * first.std()


def test_the_same_seed_gives_the_same_model() -> None:
    first, same, other = (build("mobilenet_v2", 32, 0.25, seed) for seed in (1, 1, 2))
    assert first.SerializeToString() == same.SerializeToString()
    assert first.SerializeToString() != other.SerializeToString()


def test_batch_norm_stands_apart_as_exporters_leave_it() -> None:
    ops = [node.op_type for node in build("resnet18", 32, 0.25).graph.node]
    assert ops.count("Conv") == ops.count("BatchNormalization") == 20
    assert ops.count("Add") == 8


@pytest.mark.parametrize(("name", "size"), [("unet", 40), ("vgg16", 16), ("light_vgg19", 64)])
def test_a_size_that_can_not_be_is_refused(name: str, size: int) -> None:
    with pytest.raises(ValueError, match=r"divisible|does not fit|can't be changed"):
        build(name, size)


def test_a_width_keeps_channels_divisible() -> None:
    assert [divisible(x) for x in (4, 12, 22.4, 24, 33.6)] == [8, 16, 24, 24, 32]


def test_writes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.onnx"
    main(["resnet18", "-o", str(path), "--size", "32", "--width", "0.125"])
    said = json.loads(capsys.readouterr().out)
    assert said["bytes"] == path.stat().st_size
    assert said["parameters"] == parameters("resnet18", 32, 0.125)


def test_a_wrong_size_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["unet", "--size", "30"])
    assert stop.value.code == 2
    assert "30 is not divisible" in capsys.readouterr().err


# Those of the onnx package


def test_a_wheel_topology_gets_weights() -> None:
    assert "light_squeezenet" in NAMES
    model = build("light_squeezenet")
    onnx.checker.check_model(model)
    assert "ConstantOfShape" not in {node.op_type for node in model.graph.node}
    assert len(model.graph.input) == 1
    first, second = answers(model)
    assert not np.array_equal(first, second)
    assert first.max() < 0.5  # not saturated


LIGHT = """
<ir_version: 3, opset_import: ["" : 9]>
g (float[1,4,6,6] x, int64[4] ws, int64[1] cs, int64[2] fs, int64[1] bs)
  => (float[1,5] y)
  <int64[4] ws = {4, 4, 3, 3}, int64[1] cs = {4}, int64[2] fs = {5, 144}, int64[1] bs = {5}>
{
  w = ConstantOfShape <value = float[1] {0.5}> (ws)
  scale = ConstantOfShape <value = float[1] {0.5}> (cs)
  shift = ConstantOfShape <value = float[1] {0.5}> (cs)
  mean = ConstantOfShape <value = float[1] {0.5}> (cs)
  var = ConstantOfShape <value = float[1] {0.5}> (cs)
  factor = ConstantOfShape <value = float[1] {0.5}> (cs)
  fc = ConstantOfShape <value = float[1] {0.5}> (fs)
  fcb = ConstantOfShape <value = float[1] {0.5}> (bs)
  a = Conv <pads = [1, 1, 1, 1]> (x, w)
  b = BatchNormalization (a, scale, shift, mean, var)
  f = Unsqueeze <axes = [1, 2]> (factor)
  c = Mul (b, f)
  d = BatchNormalization (c, scale, shift, mean, var)
  e = Sum (d, x)
  h = Flatten (e)
  y = Gemm <transB = 1> (h, fc, fcb)
}
"""


def test_weights_are_drawn_for_what_they_are_used_as() -> None:
    model = reweighted(onnx.parser.parse_model(LIGHT), seed=3)
    onnx.checker.check_model(model)
    drawn = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    assert set(drawn) == {"w", "scale", "shift", "mean", "var", "factor", "fc", "fcb"}
    assert [value.name for value in model.graph.input] == ["x"]
    assert (drawn["var"] > 0).all()
    assert 0.1 < drawn["w"].std() / np.sqrt(2 / 36) < 1.5
    assert np.allclose(drawn["factor"], 1.0, atol=0.6)
    assert np.allclose(drawn["scale"], 0.3, atol=0.2)  # its branch ends in a sum: damped
    assert drawn["fc"].std() < 0.5 * np.sqrt(2 / 144)  # the last layer: damped
