"""From what stands on the command line to arrays: `X.npz`, `X.npz:key`, `name=X.npy`, `random:7`.

All arrays come as [samples, *one sample], one for each input of the model, as many samples each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from nmc.data.files import ArrayFile, open_arrays
from nmc.data.fit import fit, has_shape
from nmc.ir.design import Calibration
from nmc.ir.diagnostics import Loc, NmcError, Report, error, warning
from nmc.ir.graph import Array, Value
from nmc.ir.text import did_you_mean

__all__ = [
    "RANDOM_CALIBRATION_SAMPLES",
    "InputData",
    "calibration",
    "from_arrays",
    "random_inputs",
    "read_inputs",
    "read_labels",
]

RANDOM_CALIBRATION_SAMPLES = 16
LABEL_NAMES = ("y", "labels", "label", "targets")


@dataclass(frozen=True, slots=True)
class InputData:
    """Arrays by input name, and what to call where they came from."""

    arrays: dict[str, Array]
    origin: str

    @property
    def samples(self) -> int:
        return min((len(a) for a in self.arrays.values()), default=0)

    def first(self, count: int) -> InputData:
        """The first `count` samples, or all if there are fewer."""
        return replace(self, arrays={name: a[:count] for name, a in self.arrays.items()})


@dataclass(frozen=True, slots=True)
class Source:
    """One -i or --calib: for which input (empty: all or the only one), which file, which key."""

    text: str
    name: str
    path: Path
    key: str


def read_inputs(texts: Sequence[str], inputs: Sequence[Value], *, samples: int = 1) -> InputData:
    """The data that the texts name, for each of the model's inputs; NmcError if they don't fit.

    `samples` says how many `random` makes.
    """
    seeds = [text for text in texts if is_random(text)]
    if seeds and len(texts) > 1:
        raise NmcError(error("bad-option", "`random` stands for all inputs: give it alone"))
    if seeds:
        seed = random_seed(seeds[0])
        return InputData(random_inputs(inputs, seed, samples), f"random inputs, seed {seed}")
    report = Report()
    arrays: dict[str, Array] = {}
    for source in [split(text, inputs, report) for text in texts]:
        if source is not None:
            collect(source, inputs, arrays, report)
    report.check()
    return complete(arrays, inputs, ", ".join(map(origin_of, texts)))


def origin_of(text: str) -> str:
    """The text without folders: where files lie on this machine is nobody's business."""
    name, equals, file = text.rpartition("=")
    return f"{name}{equals}{PurePath(file).name}"


def from_arrays(given: Any, inputs: Sequence[Value]) -> InputData:
    """The same from arrays: a mapping by input name, or one array for a model of one input."""
    if not isinstance(given, Mapping):
        if len(inputs) != 1:
            names = ", ".join(v.name for v in inputs)
            message = f"the model has {len(inputs)} inputs: give a mapping with {names}"
            raise NmcError(error("bad-data-shape", message))
        given = {inputs[0].name: given}
    known = {v.name: v for v in inputs}
    arrays = {}
    for name, array in given.items():
        if name not in known:
            hint = did_you_mean(str(name), known)
            raise NmcError(error("bad-data-file", f"the model has no input `{name}`", remedy=hint))
        arrays[name] = fit(known[name], np.asarray(array))
    return complete(arrays, inputs, "arrays")


def complete(arrays: dict[str, Array], inputs: Sequence[Value], origin: str) -> InputData:
    """Refuses data with inputs missing, or with different numbers of samples."""
    missing = [f"`{v.name}`" for v in inputs if v.name not in arrays]
    if missing:
        message = f"no data for input {' and '.join(missing)}"
        remedy = "name the file for each input: -i NAME=FILE.npy"
        raise NmcError(error("bad-data-file", message, remedy=remedy))
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"`{name}` {count}" for name, count in counts.items())
        raise NmcError(error("bad-data-shape", f"inputs differ in number of samples: {found}"))
    return InputData({v.name: arrays[v.name] for v in inputs}, origin)


# Files


def split(text: str, inputs: Sequence[Value], report: Report) -> Source | None:
    """`[NAME=]FILE[:KEY]`; names of inputs and files may hold `=` and `:` themselves."""
    known = [v.name for v in inputs if text.startswith(f"{v.name}=")]
    name = max(known, key=len, default="")
    rest = text[len(name) + 1 :] if name else text
    if not name and "=" in rest and not Path(rest.rpartition(":")[0] or rest).exists():
        wrong = rest.partition("=")[0]
        hint = did_you_mean(wrong, [v.name for v in inputs])
        report.add(error("bad-data-file", f"the model has no input `{wrong}`", remedy=hint))
        return None
    path, _, key = rest.rpartition(":")
    if not path or Path(rest).exists() or len(path) == 1:  # a Windows drive is no file
        path, key = rest, ""
    return Source(text, name, Path(path), key)


def collect(
    source: Source, inputs: Sequence[Value], arrays: dict[str, Array], report: Report
) -> None:
    """Puts what the source gives into `arrays`."""
    try:
        file = open_arrays(source.path)
        wanted = [v for v in inputs if source.name in ("", v.name)]
        for value, key in chosen(source, file, wanted).items():
            origin = f"{source.path}:{key}" if key else str(source.path)
            arrays[value.name] = fit(value, file.load(key), origin)
    except NmcError as failure:
        for each in failure.diagnostics:
            report.add(each)


def chosen(source: Source, file: ArrayFile, wanted: Sequence[Value]) -> dict[Value, str]:
    """Which array of the file is for which input.

    By key, else by name, else the only array, else by position (`input_0`, `arr_0`), else the only
    array that has the right shape.  Inputs that the file has nothing for are left out if another
    file may bring them.
    """
    if source.key:
        if len(wanted) > 1:
            names = ", ".join(f"{v.name}=..." for v in wanted)
            raise file.problem(f"gives one array, the model has {len(wanted)} inputs", names)
        return {wanted[0]: source.key}
    found = {v: v.name for v in wanted if v.name in file.headers}
    if found and (len(found) == len(wanted) or not source.name):
        return found
    if len(wanted) == 1:
        return {wanted[0]: only_array(file, wanted[0])}
    for prefix in ("input_", "arr_"):
        keys = [f"{prefix}{i}" for i in range(len(wanted))]
        if all(key in file.headers for key in keys):
            return dict(zip(wanted, keys, strict=True))
    names = ", ".join(v.name for v in wanted)
    raise file.problem(f"has arrays of other names than the inputs ({names}): {file.listing}")


def only_array(file: ArrayFile, value: Value) -> str:
    if len(file.headers) == 1:
        return next(iter(file.headers))
    for name in ("input_0", "arr_0"):
        if name in file.headers:
            return name
    fitting = [name for name, h in file.headers.items() if has_shape(value.type, h.shape)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        text = f"has no array that fits input `{value.name}` : {value.type}; it holds"
        raise file.problem(f"{text} {file.listing}")
    text = f"has several arrays for input `{value.name}`: {', '.join(fitting)}"
    raise file.problem(text, f"name one: {file.path}:{fitting[0]}")


# Made-up inputs


def is_random(text: str) -> bool:
    return text == "random" or (text.startswith("random:") and not Path(text).exists())


def random_seed(text: str) -> int:
    _, _, seed = text.partition(":")
    if seed and not (seed.isascii() and seed.isdigit() and len(seed) <= 18):
        message = f"`random:{seed}`: the seed must be a whole number, not below 0"
        raise NmcError(error("bad-option", message))
    return int(seed or 0)


def random_inputs(inputs: Sequence[Value], seed: int, samples: int) -> dict[str, Array]:
    """Seeded standard-normal floats, integers over the type's range (small ones where it is wide).

    Each input has a stream of its own, so that one more input leaves the others as they were.
    """
    streams = np.random.SeedSequence(seed).spawn(len(inputs))
    return {
        v.name: made_up(v, np.random.default_rng(stream), samples)
        for v, stream in zip(inputs, streams, strict=True)
    }


def made_up(value: Value, rng: np.random.Generator, samples: int) -> Array:
    shape, dtype = (samples, *value.type.sample_shape), value.type.numpy
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    if dtype.itemsize == 1:
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max + 1, shape).astype(dtype)
    return rng.integers(0, 10, shape).astype(dtype)  # wide integers are mostly indices


def calibration(
    texts: Sequence[str],
    inputs: Sequence[Value],
    seed: int,
    report: Report,
    *,
    samples: int = RANDOM_CALIBRATION_SAMPLES,
) -> Calibration:
    """Calibration inputs from files; without any, `samples` random ones, with a warning."""
    if texts:
        data = read_inputs(texts, inputs, samples=RANDOM_CALIBRATION_SAMPLES)
        made = is_random(texts[0])
    else:
        arrays = random_inputs(inputs, seed, samples)
        data, made = InputData(arrays, f"random inputs, seed {seed}"), True
    if made:
        report.add(random_calibration(data.samples))
    return Calibration(data.arrays, data.origin, random=made)


def random_calibration(samples: int) -> Any:
    return warning(
        "random-calibration",
        f"calibrated on {samples} random inputs: the accuracy says nothing about real data",
        remedy="give inputs like those the model will see: --calib DATA.npz",
    )


# Labels


def read_labels(text: str, samples: int) -> Array:
    """int64[samples] from FILE.npy, FILE.npz or FILE.npz:KEY; one-hot rows become their index."""
    path, _, key = text.rpartition(":")
    if not path or Path(text).exists() or len(path) == 1:
        path, key = text, ""
    file = open_arrays(Path(path))
    array = file.load(key or label_key(file))
    if array.ndim == 2:
        array = array[:, 0] if array.shape[1] == 1 else chosen_classes(array, text)
    loc = Loc(file=text)
    if array.ndim != 1 or len(array) < samples:
        sizes = ", ".join(map(str, array.shape))
        message = f"{text} has shape [{sizes}]; {samples} labels are needed, one a sample"
        raise NmcError(error("bad-data-shape", message, loc))
    if array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
        message = f"labels are class numbers, {text} holds fractions"
        raise NmcError(error("bad-data-file", message, loc))
    return array[:samples].astype(np.int64)


def chosen_classes(rows: Array, text: str) -> Array:
    """The class of each one-hot row; `bad-data-file` for rows that choose none, or two."""
    undecided = np.flatnonzero((rows == rows.max(axis=1, keepdims=True)).sum(axis=1) != 1)
    if len(undecided):
        message = f"row {undecided[0]} of {text} is no class: no single element of it is largest"
        notes = [f"{len(undecided)} of {len(rows)} rows are like that"]
        raise NmcError(error("bad-data-file", message, Loc(file=text), notes=notes))
    return np.asarray(rows.argmax(axis=1))


def label_key(file: ArrayFile) -> str:
    if len(file.headers) == 1:
        return next(iter(file.headers))
    for name in LABEL_NAMES:
        if name in file.headers:
            return name
    fitting = [n for n, h in file.headers.items() if len(h.shape) == 1 and h.dtype.kind in "iu"]
    if len(fitting) == 1:
        return fitting[0]
    raise file.problem(
        f"has no array that is labels for sure: {file.listing}", f"name one: {file.path}:KEY"
    )
