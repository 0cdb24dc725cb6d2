"""ONNX's own backend suite: what the imported graphs compute against the outputs that it stores.

Operands that the suite passes as inputs but that decide shapes (axes, pads, ...) are given to the
importer as constants, as models have them; if that does not do, all are, and what is tested is the
folding of constants.
"""

from __future__ import annotations

import fnmatch
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

from nmc.backends.host import OrtHost
from nmc.frontend import import_model
from nmc.ir.diagnostics import NmcError
from nmc.ir.graph import Array, Graph
from nmc.ir.interpreter import run_graph
from nmc.ir.ops import Onnx

NO_TENSOR = "strings, sequences and optional values can't enter a graph, nor leave it"
SHAPED_BY_DATA = "the size of its result is known only while running"
NO_KERNEL = "onnxruntime has no kernel for it"
RANDOM = "draws random numbers"
TRAINING = "trains, or is in training mode"
ORT_DIFFERS = "runs on the host, and onnxruntime computes otherwise"
EMPTY = "an input without elements"

EXCLUDED: dict[str, str] = {
    "*string*": NO_TENSOR,
    "test_ai_onnx_ml_label_encoder_*": NO_TENSOR,
    "test_strnorm*": NO_TENSOR,
    "test_regex_full_match_*": NO_TENSOR,
    "test_*sequence*": NO_TENSOR,
    "test_*optional*": NO_TENSOR,
    "test_*_opt": NO_TENSOR,
    "test_*_seq": NO_TENSOR,
    "test_loop16_seq_none": NO_TENSOR,
    "test_loop11": SHAPED_BY_DATA,
    "test_image_decoder_*": NO_KERNEL,
    "test_bernoulli*": RANDOM,
    "test_training_dropout*": TRAINING,
    "test_gradient_*": TRAINING,
    "test_attention_4d_with_past_and_present_qk_matmul_bias_*": ORT_DIFFERS,
    "test_attention_4d_diff_heads_mask4d_padded_kv": ORT_DIFFERS,
    "test_attention_4d*_bf16*": ORT_DIFFERS,
    "test_convinteger_with_padding": ORT_DIFFERS,
    "test_*dft*": ORT_DIFFERS,
    "test_stft*": ORT_DIFFERS,
    "test_maxunpool_export_with_output_shape": ORT_DIFFERS,
    "test_mod_float*_fmod_0*": ORT_DIFFERS,
    "test_scan_sum": "an old Scan whose body onnx's version converter spoils for the host",
    "test_resize_downsample_scales_*_align_corners": ORT_DIFFERS,
    "test_*_empty_set*": EMPTY,
    "test_operator_add*": "has float64 data that float32 can't hold",
}
"""Cases (by pattern) that may fail, with the reason."""

LEAST_PASSED = 0.94
LEAST_NATIVE = 0.33
"""Shares of all node cases: that agree, and that do so in ops of ours alone, inputs and all."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case went: why it failed, or "", and whether ops of ours alone computed it."""

    name: str
    failure: str
    native: bool


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    model: onnx.ModelProto
    data: Sequence[tuple[Sequence[Any], Sequence[Any]]]
    rtol: float
    atol: float


def cases(kind: str) -> Iterator[Case]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the suite's own generators
        loaded = load_model_tests(kind=kind)
    for case in loaded:
        if case.model is not None:
            yield Case(case.name, case.model, case.data_sets or [], case.rtol, case.atol)
            continue
        folder = Path(case.model_dir or "")
        sets = [
            (stored(path, "input"), stored(path, "output"))
            for path in sorted(folder.glob("test_data_set_*"))
        ]
        yield Case(case.name, onnx.load(folder / "model.onnx"), sets, case.rtol, case.atol)


def stored(folder: Path, prefix: str) -> list[Any]:
    paths = [folder / f"{prefix}_{i}.pb" for i in range(len([*folder.glob(f"{prefix}_*.pb")]))]
    return [onnx.TensorProto.FromString(path.read_bytes()) for path in paths]


def array(value: Any) -> Any:
    """A stored tensor as an array; sequences and the like stay what they are."""
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, np.generic | int | float) else value


def outcome(case: Case) -> Outcome:
    try:
        graph = imported(case)
    except NmcError as refusal:
        return Outcome(case.name, f"refused: {refusal}", False)
    native = bool(graph.inputs) and not any(isinstance(node.op, Onnx) for node in graph)
    try:
        for inputs, outputs in case.data:
            compare(case, graph, [array(x) for x in inputs], [array(y) for y in outputs])
    except (NmcError, AssertionError) as failure:
        return Outcome(case.name, str(failure), native)
    return Outcome(case.name, "", native)


def imported(case: Case) -> Graph:
    """The case's graph, with as many of the inputs made constants as it takes."""
    names = [value.name for value in case.model.graph.input]
    given = (
        [(n, array(x)) for n, x in zip(names, case.data[0][0], strict=False)] if case.data else []
    )
    tensors = [(n, x) for n, x in given if isinstance(x, np.ndarray)]
    empty = [(n, x) for n, x in tensors if not x.size]
    small = [(n, x) for n, x in tensors if x.ndim < 2 and n != names[0]]
    refusal: NmcError | None = None
    for constants in (empty, [*empty, *small], tensors):
        try:
            return import_model(with_constants(case.model, dict(constants)))
        except NmcError as problem:
            refusal = refusal or problem
    raise refusal or NmcError()


def with_constants(model: onnx.ModelProto, constants: dict[str, Array]) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    entries = {value.name: value.type.tensor_type for value in model.graph.input}
    for name, x in constants.items():
        if x.dtype != object and name in entries:
            copy.graph.initializer.append(numpy_helper.from_array(x, name))
    return copy


def compare(case: Case, graph: Graph, inputs: list[Any], outputs: list[Any]) -> None:
    names = [value.name for value in case.model.graph.input]
    given = dict(zip(names, inputs, strict=False))
    with np.errstate(all="ignore"):
        feeds = {v.name: np.asarray(given[v.name]).astype(v.type.numpy) for v in graph.inputs}
    results = run_graph(graph, feeds, host=OrtHost())
    for entry, wanted in zip(case.model.graph.output, outputs, strict=False):
        same(results[entry.name], np.asarray(wanted), case)


def same(ours: Array, wanted: Array, case: Case) -> None:
    assert ours.shape == wanted.shape
    if wanted.dtype.kind not in "fV":
        np.testing.assert_array_equal(ours, wanted)
        return
    coarse = 2.0**-7 if wanted.dtype.name == "bfloat16" else 1e-3
    rtol, atol = max(case.rtol, coarse), max(case.atol, 1e-5)
    np.testing.assert_allclose(ours.astype(float), wanted.astype(float), rtol=rtol, atol=atol)


def excluded(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in EXCLUDED)


def check(outcomes: Sequence[Outcome]) -> None:
    failed = {o.name: o.failure for o in outcomes if o.failure and not excluded(o.name)}
    assert not failed


@pytest.fixture(scope="module")
def node_outcomes() -> list[Outcome]:
    return [outcome(case) for case in cases("node")]


def test_node_cases(node_outcomes: list[Outcome]) -> None:
    check(node_outcomes)
    assert sum(not o.failure for o in node_outcomes) >= LEAST_PASSED * len(node_outcomes)


def test_node_cases_that_ops_of_ours_compute(node_outcomes: list[Outcome]) -> None:
    """Where no operator stays opaque, there is no excuse."""
    ours = [o for o in node_outcomes if o.native]
    assert not {o.name: o.failure for o in ours if o.failure}
    assert len(ours) >= LEAST_NATIVE * len(node_outcomes)


def test_exclusions_are_needed(node_outcomes: list[Outcome]) -> None:
    """A pattern that matches cases must match one that fails, in some kind of cases."""
    names = [o for o in node_outcomes if excluded(o.name)]
    for pattern in EXCLUDED:
        matched = [o for o in names if fnmatch.fnmatchcase(o.name, pattern)]
        assert not matched or any(o.failure for o in matched), pattern


@pytest.mark.parametrize(
    ("kind", "least"), [("simple", 15), ("pytorch-converted", 82), ("pytorch-operator", 31)]
)
def test_stored_models(kind: str, least: int) -> None:
    outcomes = [outcome(case) for case in cases(kind)]
    check(outcomes)
    assert sum(not o.failure for o in outcomes) >= least
