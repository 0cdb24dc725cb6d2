"""Images per second: the fast engine, with values and cycles, beside plain inference.

The same samples go, on the same number of host cores, through the simulator, through onnxruntime
with the model as it is and as int8, and through numpy with the quantised graph.  onnxruntime takes
them one by one, as most exported models ask.  A float model's int8 twin is made by onnxruntime's
own static quantisation; a model that comes quantised is its own.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, quantize_static

from benchmarks.clock import best_s
from nmc import api
from nmc.backends.simulator.fast.engine import host_cores
from nmc.ir.graph import Array
from nmc.layers import run_quantized

CALIBRATION = 4
"""Samples are enough: only the speed of the int8 model is looked at."""


class Samples(CalibrationDataReader):  # type: ignore[misc]
    """Hands samples out one by one, as onnxruntime's calibration asks for them."""

    def __init__(self, feeds: Iterator[dict[str, Array]]) -> None:
        self.feeds = feeds

    def get_next(self) -> dict[str, Array] | None:
        return next(self.feeds, None)


def feeds(arrays: dict[str, Array], ranks: dict[str, int], count: int) -> list[dict[str, Array]]:
    """One dictionary a sample, with the leading axis of one that the model may have."""
    return [
        {
            name: a[i][np.newaxis] if a[i].ndim < ranks[name] else np.ascontiguousarray(a[i])
            for name, a in arrays.items()
        }
        for i in range(count)
    ]


def session(model: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def simplified(model: Path, folder: Path) -> Path:
    """The model with BatchNorm folded: static quantisation leaves it as it stands."""
    path = folder / "simplified.onnx"
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 4
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return path


def int8_twin(model: Path, samples: list[dict[str, Array]], folder: Path) -> Path:
    nodes = onnx.load(model, load_external_data=False).graph.node
    if any("Quantize" in node.op_type or "QLinear" in node.op_type for node in nodes):
        return model
    logging.getLogger().setLevel(logging.ERROR)
    path = folder / "int8.onnx"
    reader = Samples(iter(samples[:CALIBRATION]))
    quantize_static(simplified(model, folder), path, reader, per_channel=True)
    return path


def onnxruntime_s(model: Path, samples: list[dict[str, Array]], threads: int, turns: int) -> float:
    running = session(model, threads)
    return best_s(lambda: [running.run(None, feed) for feed in samples], turns)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # random calibration: time is not affected
        compiled = api.compile(options.model, options.target, mesh=options.mesh)
    cores, turns, batch = host_cores(), options.turns, options.batch
    given = compiled.inputs("random", samples=batch)
    ranks = {i.name: len(i.shape) for i in session(options.model, 1).get_inputs()}
    samples = feeds(dict(given.arrays), ranks, batch)
    compiled.run(given.first(1), engine="fast")  # what is compiled once does not count
    seconds = {"simulator": best_s(lambda: compiled.run(given, engine="fast"), turns)}
    with tempfile.TemporaryDirectory() as folder:
        twin = int8_twin(options.model, samples, Path(folder))
        if twin != options.model:
            seconds["onnxruntime"] = onnxruntime_s(options.model, samples, cores, turns)
        seconds["onnxruntime_int8"] = onnxruntime_s(twin, samples, cores, turns)
    graph = compiled.contents.graph
    seconds["numpy_int8"] = best_s(lambda: run_quantized(graph, given.arrays), turns)
    return {
        "model": options.model.name,
        "target": compiled.target.name,
        "host_cores": cores,
        "batch": batch,
        "images_per_s": {name: batch / each for name, each in seconds.items()},
        "simulator_over": {
            name: each / seconds["simulator"]
            for name, each in seconds.items()
            if name != "simulator"
        },
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.images_per_second", description=__doc__
    )
    parser.add_argument("model", type=Path, help="an ONNX model")
    parser.add_argument("--target", default="exact-128")
    parser.add_argument("--mesh", default="", help="WxH")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--turns", type=int, default=3, help="the best of so many counts")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args(arguments)
    result = measure(options)
    print(json.dumps(result, indent=2) if options.json else "\n".join(lines(result)))


def lines(result: dict[str, Any]) -> list[str]:
    ratios = result["simulator_over"]
    rows = [
        f"{name:18} {speed:10.1f} images/s"
        + (f"   simulator: {ratios[name]:.3g} of it" if name in ratios else "")
        for name, speed in result["images_per_s"].items()
    ]
    head = f"{result['model']} on {result['target']}, batches of {result['batch']}, "
    return [f"{head}{result['host_cores']} host cores", *rows]


if __name__ == "__main__":
    main()
