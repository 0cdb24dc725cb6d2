"""Compiled models run the same on both engines: random nets, and real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nmc import api
from nmc.backends.simulator import Result, simulate
from nmc.ir.graph import DTYPES, Array
from nmc.ir.program import Program
from nmc.ir.target import Target
from tests.passes.lowering import lowered, roomy
from tests.passes.random_nets import random_net

MODELS = (
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

MACHINES = {
    "whole matrices": roomy(),
    "partial sums": roomy(["crossbar.rows=16"]),
    "one sample-and-hold": roomy(["crossbar.sample_holds=1", "adc.wiring=blocked"]),
    "conversions that clip": roomy(["adc.bits=6"]),
}


def random_inputs(program: Program, samples: int) -> dict[str, Array]:
    rng = np.random.default_rng(5)
    return {
        io.name: (100 * rng.random((samples, *io.shape))).astype(DTYPES[io.dtype])
        for io in program.inputs
    }


def check(program: Program, target: Target, inflight: int) -> None:
    inputs = random_inputs(program, 2 * inflight)
    slow, fast = (
        simulate(program, target, inputs, inflight=inflight, engine=engine, detect_races=False)
        for engine in ("reference", "fast")
    )
    assert_same(slow, fast)


def assert_same(slow: Result, fast: Result) -> None:
    assert slow.output_cycles == fast.output_cycles
    assert slow.sequencers == fast.sequencers
    assert slow.adcs == fast.adcs
    assert slow.units == fast.units
    assert slow.span == fast.span
    for name, array in slow.outputs.items():
        assert array.tobytes() == fast.outputs[name].tobytes()


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("seed", range(6))
def test_random_nets(seed: int, machine: str) -> None:
    for program in lowered(random_net(seed, 8), MACHINES[machine]).programs:
        check(program, MACHINES[machine], 1 + seed % 3)


@pytest.mark.filterwarnings("ignore:calibrated on:UserWarning")
@pytest.mark.parametrize("name", MODELS)
def test_real_models(name: str, shared: Path) -> None:
    contents = api.compile(shared / f"{name}.onnx", target="exact-128").contents
    for program in contents.programs:
        check(program, contents.target, 2)
