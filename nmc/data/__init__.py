"""The user's data: files of arrays, made-up inputs, labels; read safely, fitted to a model."""

from __future__ import annotations

from nmc.data.fit import fit
from nmc.data.inputs import (
    RANDOM_CALIBRATION_SAMPLES,
    InputData,
    calibration,
    from_arrays,
    random_inputs,
    read_inputs,
    read_labels,
)

__all__ = [
    "RANDOM_CALIBRATION_SAMPLES",
    "InputData",
    "calibration",
    "fit",
    "from_arrays",
    "random_inputs",
    "read_inputs",
    "read_labels",
]
