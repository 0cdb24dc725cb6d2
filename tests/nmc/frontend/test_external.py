"""Weights in companion files: found beside the model, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from nmc.frontend import import_model
from tests.nmc.frontend.models import noise, problem, single

WEIGHTS = noise(4, 3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    proto = single("MatMul", {"x": noise(1, 4)}, {"w": WEIGHTS})
    path = tmp_path / "net.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="net.data", size_threshold=0)
    return path


def relocated(path: Path, **entries: str) -> Path:
    """The model with other words about where its data lies."""
    proto = onnx.load(path, load_external_data=False)
    tensor = proto.graph.initializer[0]
    for key, value in entries.items():
        entry = next((e for e in tensor.external_data if e.key == key), None)
        entry = tensor.external_data.add(key=key) if entry is None else entry
        entry.value = value
    path.write_bytes(proto.SerializeToString())
    return path


def test_the_data_is_read(path: Path) -> None:
    (weights,) = import_model(path).constants()
    np.testing.assert_array_equal(weights.array, WEIGHTS)


def test_the_current_folder_does_not_matter(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    import_model("net.onnx")
    monkeypatch.chdir("/")
    import_model(path)


def test_a_slice_of_a_larger_file(path: Path) -> None:
    data = path.parent / "net.data"
    data.write_bytes(bytes(4096) + WEIGHTS.tobytes() + bytes(7))
    relocated(path, offset="4096", length=str(WEIGHTS.nbytes))
    (weights,) = import_model(path).constants()
    np.testing.assert_array_equal(weights.array, WEIGHTS)


def test_a_missing_file_is_named_with_the_place(path: Path) -> None:
    (path.parent / "net.data").unlink()
    found = problem(path)
    assert found.code == "external-data-missing"
    assert "'net.data'" in found.message
    assert str(path.parent / "net.data") in found.message
    assert "external_data=False" in found.remedy


def test_bytes_have_no_folder(path: Path) -> None:
    found = problem(path.read_bytes())
    assert found.code == "external-data-missing"
    assert "path" in found.remedy


def test_a_truncated_file(path: Path) -> None:
    data = path.parent / "net.data"
    data.write_bytes(data.read_bytes()[:-8])
    found = problem(path)
    assert found.code == "onnx-damaged"
    assert "40 bytes" in found.message
    assert "48" in found.message


@pytest.mark.parametrize(
    "location", ["../net.data", "/etc/hostname", "C:\\net.data", "a/../../net.data", "\\x", ""]
)
def test_a_location_outside_of_the_folder_is_refused(path: Path, location: str) -> None:
    (path.parent.parent / "net.data").write_bytes(WEIGHTS.tobytes())
    assert problem(relocated(path, location=location)).code == "onnx-invalid"


def test_a_link_out_of_the_folder_is_refused(
    path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "secret"
    elsewhere.write_bytes(WEIGHTS.tobytes())
    data = path.parent / "net.data"
    data.unlink()
    data.symlink_to(elsewhere)
    found = problem(path)
    assert found.code == "onnx-invalid"
    assert "link" in found.message


def test_a_link_within_the_folder_is_followed(path: Path) -> None:
    data = path.parent / "net.data"
    data.rename(path.parent / "blob")
    data.symlink_to(path.parent / "blob")
    import_model(path)


@pytest.mark.parametrize("entries", [{"offset": "-4"}, {"length": "many"}])
def test_nonsense_about_the_place(path: Path, entries: dict[str, str]) -> None:
    assert problem(relocated(path, **entries)).code == "onnx-invalid"


def test_too_little_data_for_the_shape(path: Path) -> None:
    found = problem(relocated(path, length="8"))
    assert found.code == "onnx-damaged"
    assert "w" in found.message
