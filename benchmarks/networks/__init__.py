"""Networks of the size that people use, as ONNX models with random weights."""

from __future__ import annotations

from benchmarks.networks.registry import BUILT, NAMES, build, parameters

__all__ = ["BUILT", "NAMES", "build", "parameters"]
