"""The Python API: the words of the command line, on arrays and on models in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import nmc
from nmc.demo import unpack
from nmc.targets import load


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    unpack(folder)
    return folder


@pytest.fixture(scope="module")
def compiled(digits: Path) -> nmc.Compiled:
    with np.load(digits / "digits.npz") as data:
        return nmc.compile(digits / "digits_cnn.onnx", "exact-128", calib=data["calib"])


def test_the_public_names_are_these() -> None:
    assert nmc.__all__ == [
        "Compiled", "Diagnostic", "NmcError", "Run", "Target", "Verdict", "Verification",
        "__version__", "check", "compile", "load",
    ]  # fmt: skip
    assert all(getattr(nmc, name) is not None for name in nmc.__all__)
    assert set(nmc.__all__) <= set(dir(nmc))
    with pytest.raises(AttributeError, match="has no attribute 'complie'"):
        nmc.complie  # noqa: B018


def test_importing_it_is_light() -> None:
    probe = "import sys, nmc; nmc.__version__; print({'numpy', 'onnx', 'click'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_model_is_a_path_bytes_or_a_proto(digits: Path, compiled: nmc.Compiled) -> None:
    path = digits / "digits_cnn.onnx"
    for model in (str(path), path.read_bytes(), onnx.load(path)):
        other = nmc.compile(model, "exact-128", calib=f"{digits / 'digits.npz'}:calib")
        x = np.zeros((1, 1, 8, 8), np.float32)
        assert np.array_equal(other.run(x).outputs["scores"], compiled.run(x).outputs["scores"])


def test_saved_and_loaded_it_does_the_same(tmp_path: Path, compiled: nmc.Compiled) -> None:
    compiled.save(tmp_path / "a.nmc")
    loaded = nmc.load(tmp_path / "a.nmc")
    loaded.save(tmp_path / "b.nmc")
    assert (tmp_path / "a.nmc").read_bytes() == (tmp_path / "b.nmc").read_bytes()
    first, second = compiled.run("random:5", inflight=2), loaded.run("random:5", inflight=2)
    assert np.array_equal(first.outputs["scores"], second.outputs["scores"])
    assert first.cycles == second.cycles
    assert first.interval_cycles is not None


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 1, 8, 8)])
def test_samples_are_the_first_axis(compiled: nmc.Compiled, shape: tuple[int, ...]) -> None:
    count = shape[0] if len(shape) == 4 else 1
    for x in (np.ones(shape), {"image": np.ones(shape)}):
        run = compiled.run(x)
        assert run.outputs["scores"].shape == (count, 10)
        assert run.samples == count


def test_one_sample_in_flight_has_no_interval(compiled: nmc.Compiled) -> None:
    run = compiled.run("random")
    assert run.interval_cycles is None
    assert run.latency_cycles == run.cycles
    assert 0 < run.adc_utilization <= 1
    assert sum(run.stalls.values()) > 0
    assert run.instructions > 0


def test_verify(digits: Path, compiled: nmc.Compiled) -> None:
    data = digits / "digits.npz"
    result = compiled.verify(
        digits / "digits_cnn.onnx", f"{data}:x", labels=np.load(data)["y"], samples=50
    )
    assert result.exact
    assert result.passed
    assert result.samples == 50
    assert result.accuracy == pytest.approx(result.reference_accuracy, abs=0.021)
    assert result.max_abs_error is not None
    assert 0 < result.max_abs_error < 1


def test_verify_without_a_model_needs_nothing_else(compiled: nmc.Compiled) -> None:
    result = compiled.verify()
    assert result.exact
    assert (result.snr_db, result.top1_agreement, result.outputs) == (None, None, ())


def test_a_trace_is_written_and_given(tmp_path: Path, compiled: nmc.Compiled) -> None:
    trace = compiled.trace(tmp_path / "run.json", inflight=2, window=(100, 900))
    written = json.loads((tmp_path / "run.json").read_text())["traceEvents"]
    assert sum(event["ph"] == "X" for event in written) == len(trace.slices) > 0
    with pytest.raises(nmc.NmcError, match="traces are written as"):
        compiled.trace(tmp_path / "run.vcd")


def test_check_gives_a_verdict_and_does_not_raise(digits: Path) -> None:
    assert nmc.check(digits / "digits_cnn.onnx").answer == "yes"
    missing = nmc.check(digits / "nothing.onnx")
    assert missing.answer == "not checked"
    assert [d.code for d in missing.diagnostics] == ["file-not-found"]


def test_all_problems_come_in_one_error(digits: Path) -> None:
    with pytest.raises(nmc.NmcError) as raised:
        nmc.compile(digits / "digits_cnn.onnx", set=["crossbar.rwos=1", "adc.bits=-1"])
    assert {d.code for d in raised.value.diagnostics} == {"unknown-key", "bad-value"}


def test_a_target_may_be_given_as_one(digits: Path) -> None:
    made = nmc.compile(
        digits / "digits_cnn.onnx", load("exact-128"), calib="random", set=["mesh.width=4"]
    )
    assert made.target.cores == 32
    assert {d.code for d in made.diagnostics} == {"random-calibration", "dynamic-shape"}


def test_the_mesh_takes_its_ports_along(digits: Path) -> None:
    made = nmc.compile(
        digits / "digits_cnn.onnx", calib="random", mesh="2x3", set=["mesh.memory_ports=[[7, 7]]"]
    )
    assert (made.target.mesh.width, made.target.mesh.height) == (2, 3)
    assert made.target.mesh.memory_ports == ((1, 2),)


def test_a_quantised_model_needs_no_calibration(tmp_path: Path, shared: Path) -> None:
    made = nmc.compile(shared / "mlperf_ad01_autoencoder_int8.onnx", "exact-128")
    assert made.contents.manifest.calibration is None
    assert "random-calibration" not in [d.code for d in made.diagnostics]
    lossy = nmc.compile(shared / "mlperf_ad01_autoencoder_int8.onnx", "spin-128")
    assert "random-calibration" in [d.code for d in lossy.diagnostics]


@pytest.mark.parametrize("inflight", [0, -1, "a", 1.5, True])
def test_inflight_is_a_count(compiled: nmc.Compiled, inflight: Any) -> None:
    with pytest.raises(nmc.NmcError, match="bad-option: `inflight` is"):
        compiled.run("random", inflight=inflight)


def test_what_is_no_model(digits: Path) -> None:
    nothing: Any = None
    for call in (nmc.compile, nmc.check):
        with pytest.raises(nmc.NmcError, match="bad-option: a model is a path"):
            call(nothing)


def test_one_change_of_the_target_needs_no_list(digits: Path) -> None:
    verdict = nmc.check(str(digits / "digits_cnn.onnx"), set="crossbar.rows=64")
    assert not [d for d in verdict.diagnostics if d.exit]


def test_random_calibration_warns(digits: Path) -> None:
    with pytest.warns(UserWarning, match="calibrated on 16 random inputs"):
        nmc.compile(str(digits / "digits_cnn.onnx"))


def test_a_glance_is_short(compiled: nmc.Compiled) -> None:
    assert len(repr(compiled)) < 100
    assert len(repr(compiled.run("random"))) < 100
