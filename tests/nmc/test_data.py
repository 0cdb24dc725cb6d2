"""Data of the user: chosen from files, fitted to a model's inputs, refused with a hint."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmc.data import calibration, fit, from_arrays, read_inputs, read_labels
from nmc.ir import ops
from nmc.ir.diagnostics import Diagnostic, NmcError, Report
from nmc.ir.graph import Graph, TensorType, Value
from nmc.ir.types import emit

IMAGE = Value("image", TensorType("f32", (1, 1, 8, 8)))
SOUND = Value("sound:0", TensorType("i8", (1, 5)))


def refused(texts: list[str], *inputs: Value) -> Diagnostic:
    with pytest.raises(NmcError) as raised:
        read_inputs(texts, inputs)
    return raised.value.diagnostics[0]


def npz(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return str(path)


def npy(path: Path, array: Any) -> str:
    np.save(path, array)
    return str(path)


def ramp(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


# Choosing


@pytest.mark.parametrize("extra", ["", ":x"])
@pytest.mark.parametrize("prefix", ["", "image="])
def test_one_array(tmp_path: Path, prefix: str, extra: str) -> None:
    file = npz(tmp_path / "d.npz", x=ramp(3, 1, 8, 8))
    data = read_inputs([f"{prefix}{file}{extra}"], [IMAGE])
    assert np.array_equal(data.arrays["image"], ramp(3, 1, 8, 8))
    assert data.samples == 3


def test_npy(tmp_path: Path) -> None:
    data = read_inputs([npy(tmp_path / "d.npy", ramp(2, 1, 8, 8))], [IMAGE])
    assert data.samples == 2


def test_the_array_of_the_inputs_name_comes_first(tmp_path: Path) -> None:
    file = npz(tmp_path / "d.npz", other=ramp(3, 1, 8, 8), image=ramp(2, 1, 8, 8))
    assert read_inputs([file], [IMAGE]).samples == 2


def test_positional_names(tmp_path: Path) -> None:
    file = npz(tmp_path / "d.npz", input_0=ramp(2, 1, 8, 8), output_0=ramp(2, 1, 8, 8))
    assert read_inputs([file], [IMAGE]).samples == 2


def test_else_the_only_array_that_fits(tmp_path: Path) -> None:
    file = npz(tmp_path / "d.npz", y=np.arange(4), pictures=ramp(4, 1, 8, 8), names=["a", "b"])
    assert read_inputs([file], [IMAGE]).samples == 4


def test_two_that_fit_are_not_guessed_between(tmp_path: Path) -> None:
    file = npz(tmp_path / "d.npz", calib=ramp(2, 1, 8, 8), x=ramp(3, 1, 8, 8))
    problem = refused([file], IMAGE)
    assert problem.code == "bad-data-file"
    assert problem.message == f"{file} has several arrays for input `image`: calib, x"
    assert problem.remedy == f"name one: {file}:calib"


def test_inputs_whose_names_hold_colons(tmp_path: Path) -> None:
    sound = npy(tmp_path / "s.npy", np.zeros((2, 5), np.int8))
    image = npz(tmp_path / "d.npz", x=ramp(2, 1, 8, 8))
    data = read_inputs([f"sound:0={sound}", f"image={image}:x"], [IMAGE, SOUND])
    assert list(data.arrays) == ["image", "sound:0"]


def test_one_file_for_several_inputs(tmp_path: Path) -> None:
    file = npz(
        tmp_path / "d.npz", **{"sound:0": np.zeros((2, 5), np.int8), "image": ramp(2, 1, 8, 8)}
    )
    assert read_inputs([file], [IMAGE, SOUND]).samples == 2


def test_an_input_left_out_is_named(tmp_path: Path) -> None:
    file = npz(tmp_path / "d.npz", image=ramp(2, 1, 8, 8), more=ramp(2))
    assert refused([f"image={file}"], IMAGE, SOUND).message == "no data for input `sound:0`"


def test_an_input_misspelt_is_answered(tmp_path: Path) -> None:
    file = npy(tmp_path / "d.npy", ramp(1, 8, 8))
    problem = refused([f"imgae={file}"], IMAGE)
    assert problem.message == "the model has no input `imgae`"
    assert problem.remedy == "did you mean `image`?"


def test_a_key_misspelt_is_answered(tmp_path: Path) -> None:
    file = npz(tmp_path / "d.npz", calib=ramp(2, 1, 8, 8), x=ramp(3, 1, 8, 8))
    problem = refused([f"{file}:clib"], IMAGE)
    assert "has no array `clib`; it holds calib float32[2,1,8,8]" in problem.message
    assert problem.remedy == "did you mean `calib`?"


def test_different_numbers_of_samples(tmp_path: Path) -> None:
    file = npz(
        tmp_path / "d.npz", **{"sound:0": np.zeros((3, 5), np.int8), "image": ramp(2, 1, 8, 8)}
    )
    problem = refused([file], IMAGE, SOUND)
    assert problem.code == "bad-data-shape"
    assert problem.message == "inputs differ in number of samples: `image` 2, `sound:0` 3"


# Fitting


@pytest.mark.parametrize(
    ("shape", "samples"),
    [((8, 8, 8)[1:], 0), ((1, 8, 8), 1), ((4, 1, 8, 8), 4), ((4, 1, 1, 8, 8), 4)],
)
def test_samples_are_the_first_axis(shape: tuple[int, ...], samples: int) -> None:
    if not samples:
        with pytest.raises(NmcError, match="bad-data-shape"):
            fit(IMAGE, np.zeros(shape, np.float32))
    else:
        assert fit(IMAGE, np.zeros(shape, np.float32)).shape == (samples, 1, 8, 8)


def test_a_model_with_a_batch_of_its_own_takes_samples_of_batches() -> None:
    value = Value("x", TensorType("f32", (4, 3)))
    assert fit(value, np.zeros((4, 3), np.float32)).shape == (1, 4, 3)
    assert fit(value, np.zeros((2, 4, 3), np.float32)).shape == (2, 4, 3)


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((5, 8, 8, 1), "the axes are in another order: x.transpose(0, 3, 1, 2) would fit"),
        ((5, 64), "the sizes agree in all: x.reshape(5, 1, 8, 8) would fit"),
        ((64,), "the sizes agree in all: x.reshape(1, 1, 8, 8) would fit"),
        ((0, 1, 8, 8), "there must be at least one sample"),
        ((5, 7), ""),
    ],
)
def test_layouts_that_nearly_fit_get_a_hint(shape: tuple[int, ...], hint: str) -> None:
    with pytest.raises(NmcError) as raised:
        fit(IMAGE, np.zeros(shape, np.float32), "d.npy")
    (problem,) = raised.value.diagnostics
    assert problem.code == "bad-data-shape"
    sizes = ", ".join(map(str, shape))
    assert problem.message == (
        f"input `image` takes f32 of shape [samples, 1, 8, 8], d.npy has [{sizes}]"
    )
    assert problem.remedy == hint


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.uint8, np.int64])
def test_numbers_become_float32(dtype: Any) -> None:
    result = fit(IMAGE, np.ones((1, 8, 8), dtype))
    assert result.dtype == np.float32
    assert (result == 1).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_are_refused(bad: float) -> None:
    array = np.zeros((1, 8, 8), np.float32)
    array[0, 0, :2] = bad
    with pytest.raises(NmcError, match="holds NaN or infinity, 2 times"):
        fit(IMAGE, array)


def test_doubles_beyond_float32_are_refused() -> None:
    with pytest.raises(NmcError, match="can't be stored as that"):
        fit(IMAGE, np.full((1, 8, 8), 1e300))


@pytest.mark.parametrize("array", [np.full(5, 200), np.full(5, 0.5), np.full(5, -129)])
def test_values_that_int8_lacks_are_refused(array: Any) -> None:
    with pytest.raises(NmcError, match="bad-data-file: input `sound:0` takes i8"):
        fit(SOUND, array)


def test_whole_floats_become_integers() -> None:
    assert fit(SOUND, np.full(5, -3.0)).tolist() == [[-3] * 5]


# Files of strangers


def header(shape: str) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize("shape", ["(1152921504606846976,)", "(1073741824, 1073741824)"])
@pytest.mark.parametrize("packed", [False, True])
def test_sizes_beyond_the_file_are_not_allocated(tmp_path: Path, shape: str, packed: bool) -> None:
    path = tmp_path / ("d.npz" if packed else "d.npy")
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", header(shape))
    else:
        path.write_bytes(header(shape))
    problem = refused([str(path)], IMAGE)
    assert problem.code == "bad-data-file"
    assert "bytes (float32" in problem.message


def test_a_negative_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.npy"
    path.write_bytes(header("(-1, 8)"))
    assert "negative size" in refused([str(path)], IMAGE).message


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "d.npy"
    np.save(path, np.array([{}, []], dtype=object), allow_pickle=True)
    assert refused([str(path)], IMAGE).message == f"{path} holds objects or text, not numbers"


def cut_npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, x=ramp(2, 1, 8, 8))
    return stream.getvalue()[:-30]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "file-empty"),
        (b"hello, this is text\n", "bad-data-file"),
        (b"\x93NUMPY\x07\x00", "bad-data-file"),
        (header("(2, 1, 8, 8)")[:40], "bad-data-file"),
        (header("((((((((((("), "bad-data-file"),
        (cut_npz(), "bad-data-file"),
    ],
)
def test_damaged_files(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "d.npz"
    path.write_bytes(content)
    assert refused([str(path)], IMAGE).code == code


def test_a_flipped_byte_in_an_archive_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    np.savez(path, x=ramp(2, 1, 8, 8))
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    assert "CRC" in refused([str(path)], IMAGE).message


def test_a_missing_file_gets_a_hint(tmp_path: Path) -> None:
    npy(tmp_path / "images.npy", ramp(1))
    problem = refused([str(tmp_path / "imags.npy")], IMAGE)
    assert problem.code == "file-not-found"
    assert problem.remedy == "did you mean `images.npy`?"


# Made up


def test_random_is_seeded_and_each_input_has_its_own_stream() -> None:
    one = read_inputs(["random:3"], [IMAGE], samples=2)
    two = read_inputs(["random:3"], [IMAGE, SOUND], samples=2)
    assert np.array_equal(one.arrays["image"], two.arrays["image"])
    assert two.arrays["sound:0"].dtype == np.int8
    assert not np.array_equal(one.arrays["image"], read_inputs(["random"], [IMAGE]).arrays["image"])


@pytest.mark.parametrize("text", ["random:x", "random:-1", "random:1.5"])
def test_a_seed_is_a_number(text: str) -> None:
    assert refused([text], IMAGE).code == "bad-option"


def test_random_calibration_is_said_loudly() -> None:
    report = Report()
    made = calibration((), [IMAGE], 0, report)
    assert (made.samples, made.random) == (16, True)
    assert [d.code for d in report] == ["random-calibration"]


def test_calibration_from_a_file_is_silent(tmp_path: Path) -> None:
    report = Report()
    file = npz(tmp_path / "d.npz", x=ramp(3, 1, 8, 8))
    assert calibration([file], [IMAGE], 0, report).samples == 3
    assert list(report) == []


def test_arrays_of_the_python_api() -> None:
    assert from_arrays(np.zeros((3, 1, 8, 8)), [IMAGE]).samples == 3
    assert from_arrays({"image": np.zeros((3, 1, 8, 8))}, [IMAGE]).samples == 3
    with pytest.raises(NmcError, match="no input `imag`"):
        from_arrays({"imag": np.zeros(1)}, [IMAGE])


# Labels


@pytest.mark.parametrize(
    "array", [np.array([2, 0, 1]), np.array([[2], [0], [1]]), np.eye(3)[[2, 0, 1]], [2.0, 0.0, 1.0]]
)
def test_labels_in_all_the_usual_ways(tmp_path: Path, array: Any) -> None:
    assert read_labels(npy(tmp_path / "y.npy", array), 3).tolist() == [2, 0, 1]


def test_labels_by_name_in_an_archive(tmp_path: Path) -> None:
    file = npz(tmp_path / "d.npz", x=ramp(3, 8), z=np.arange(3), y=np.array([1, 2, 3]))
    assert read_labels(file, 2).tolist() == [1, 2]
    assert read_labels(f"{file}:z", 2).tolist() == [0, 1]


def test_too_few_labels(tmp_path: Path) -> None:
    with pytest.raises(NmcError, match=r"bad-data-shape: .*; 4 labels are needed"):
        read_labels(npy(tmp_path / "y.npy", np.arange(3)), 4)


def test_labels_that_are_no_classes(tmp_path: Path) -> None:
    with pytest.raises(NmcError, match="holds fractions"):
        read_labels(npy(tmp_path / "y.npy", np.array([0.5, 1.0])), 2)


def test_real_numbers_for_stored_integers_are_quantised_as_the_model_reads_them() -> None:
    graph = Graph("g")
    value = graph.add_input("x", TensorType("i8", (1, 3)))
    emit(graph, ops.Dequantize(0.5, -2), [value], "real")
    fitted = fit(value, np.array([[0.0, 1.3, 900.0]], np.float32))
    assert fitted.tolist() == [[-2, 1, 127]]
    assert fit(value, np.array([[1.0, 2.0, -3.0]])).tolist() == [[1, 2, -3]]  # integers as they are


def test_real_numbers_for_integers_that_stand_for_nothing_are_refused() -> None:
    value = Graph("g").add_input("x", TensorType("i8", (1, 3)))
    with pytest.raises(NmcError) as raised:
        fit(value, np.array([[0.5, 1.3, 9.0]], np.float32))
    assert raised.value.diagnostics[0].code == "bad-data-file"
