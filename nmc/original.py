"""The source model under onnxruntime, with its default options: what everything is held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmc.frontend import ReadModel, onnxruntime_source
from nmc.ir.diagnostics import NmcError, error
from nmc.ir.graph import Array

__all__ = ["Original"]

DTYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(int16)": np.int16,
    "tensor(uint16)": np.uint16,
    "tensor(int32)": np.int32,
    "tensor(uint32)": np.uint32,
    "tensor(int64)": np.int64,
    "tensor(uint64)": np.uint64,
    "tensor(bool)": np.bool_,
}


@dataclass(frozen=True, slots=True)
class Original:
    """A model as its author would run it; one sample at a time, since batches may be fixed."""

    model: ReadModel

    def run(
        self, arrays: Mapping[str, Array], outputs: Mapping[str, tuple[int, ...]]
    ) -> dict[str, Array]:
        """[samples, *one sample] in and out; `outputs` gives the shapes of one sample.

        NmcError `unsupported-operator` where onnxruntime can't run the model.
        """
        session = self.session()
        wanted = {i.name: (DTYPES.get(i.type), len(i.shape)) for i in session.get_inputs()}
        names = [o.name for o in session.get_outputs() if o.name in outputs]
        rows: dict[str, list[Array]] = {name: [] for name in names}
        for index in range(min(len(a) for a in arrays.values())):
            feeds = {
                name: shaped(arrays[name][index], dtype, rank)
                for name, (dtype, rank) in wanted.items()
                if name in arrays
            }
            for name, array in zip(names, self.answer(session, names, feeds), strict=True):
                rows[name].append(np.asarray(array).reshape(outputs[name]))
        return {name: np.stack(each) for name, each in rows.items()}

    def session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        source = onnxruntime_source(self.model)
        try:
            return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as refusal:
            raise NmcError(self.refused(refusal)) from refusal

    def answer(self, session: Any, names: list[str], feeds: dict[str, Array]) -> list[Any]:
        try:
            results: list[Any] = session.run(names, feeds)
        except Exception as refusal:
            raise NmcError(self.refused(refusal)) from refusal
        return results

    def refused(self, refusal: Exception) -> Any:
        why = str(refusal).split("\n")[0]
        message = f"onnxruntime can't run {self.model.file}, so there is nothing to compare with"
        remedy = "verify without --model compares with the quantised graph alone"
        return error("unsupported-operator", message, notes=[why[:300]], remedy=remedy)


def shaped(sample: Array, dtype: Any, rank: int) -> Array:
    """One sample with the leading axis that the model has, and the model's own element type."""
    sample = sample if dtype is None else sample.astype(dtype)
    return np.ascontiguousarray(sample[np.newaxis] if sample.ndim < rank else sample)
