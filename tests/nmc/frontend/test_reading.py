"""Reading a model: whatever the file is instead, the user hears what it is and what to do."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from nmc.frontend import import_model, read_model
from nmc.frontend.files import MAX_BYTES
from nmc.ir.diagnostics import Exit, NmcError
from tests.nmc.frontend.models import FLOAT, model, noise, problem, single


@pytest.fixture
def good() -> onnx.ModelProto:
    return single("MatMul", {"x": noise(1, 4)}, {"w": noise(4, 3)})


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "content")
    return buffer.getvalue()


def test_a_path_gives_proto_name_and_hash(tmp_path: Path, good: onnx.ModelProto) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(good, path)
    read = read_model(path)
    assert read.proto == good
    assert read.file == str(path)
    assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_bytes_and_protos_are_sources_and_are_not_changed(good: onnx.ModelProto) -> None:
    data = good.SerializeToString()
    assert read_model(data).sha256 == hashlib.sha256(data).hexdigest()
    import_model(good)
    assert good.SerializeToString() == data


def test_what_was_read_can_be_imported(good: onnx.ModelProto) -> None:
    assert [v.name for v in import_model(read_model(good)).outputs] == ["y"]


def test_a_missing_file_suggests_a_near_name(tmp_path: Path, good: onnx.ModelProto) -> None:
    onnx.save(good, tmp_path / "mobilenet.onnx")
    found = problem(tmp_path / "mobilnet.onnx")
    assert found.code == "file-not-found"
    assert found.exit is Exit.BAD_INPUT
    assert found.remedy == f"did you mean {tmp_path / 'mobilenet.onnx'}?"


def test_a_missing_file_in_a_missing_folder(tmp_path: Path) -> None:
    found = problem(tmp_path / "nowhere" / "net.onnx")
    assert found.code == "file-not-found"
    assert str(tmp_path / "nowhere") in found.message


def test_a_missing_file_without_neighbours(tmp_path: Path) -> None:
    assert "holds no .onnx file" in problem(tmp_path / "net.onnx").remedy


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").touch()
    assert problem(tmp_path / "net.onnx").code == "file-empty"
    assert problem(b"").code == "file-empty"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert problem(tmp_path / "pipe").code == "file-unreadable"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all files")
def test_a_file_without_permission(tmp_path: Path, good: onnx.ModelProto) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(good, path)
    path.chmod(0)
    assert problem(path).code == "file-unreadable"


def test_a_name_that_no_file_can_have() -> None:
    assert problem("net\0.onnx").code in {"file-unreadable", "file-not-found"}


def test_a_file_beyond_protobuf_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)  # sparse: takes no room
    found = problem(path)
    assert found.code == "file-unreadable"
    assert "2.0 GiB" in found.message
    assert "save_as_external_data=True" in found.remedy


def test_a_folder_names_a_model_inside(tmp_path: Path, good: onnx.ModelProto) -> None:
    onnx.save(good, tmp_path / "net.onnx")
    found = problem(tmp_path)
    assert found.code == "not-an-onnx-model"
    assert str(tmp_path / "net.onnx") in found.remedy


def test_a_saved_model_folder(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"x")
    assert f"--saved-model {tmp_path}" in problem(tmp_path).remedy


FOREIGN = {
    "TensorFlow Lite": (b"\x1c\x00\x00\x00TFL3" + bytes(40), "tf2onnx.convert --tflite net.onnx"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(40), 'format="onnx"'),
    "PyTorch checkpoint": (zipped("archive/data.pkl"), "torch.onnx.export"),
    "pickle": (b"\x80\x02}q\x00.", "torch.onnx.export"),
    "Keras model": (zipped("config.json", "model.weights.h5"), "model.export"),
    "ONNX model inside": (zipped("deep/net.onnx"), "unzip net.onnx"),
    "compiled": (zipped("manifest.json", "mapping.json"), "nmc run net.onnx"),
    "NumPy archive": (zipped("x.npy"), "data"),
    "NumPy array": (b"\x93NUMPY\x01\x00", "data"),
    "zip archive": (zipped("readme.txt"), "unpack"),
    "damaged zip": (zipped("readme.txt")[:20], "download"),
    "gzip": (b"\x1f\x8b\x08" + bytes(20), "gunzip net.onnx"),
    "ORT-format": (b"\x18\x00\x00\x00ORTM" + bytes(40), ".onnx"),
    "safetensors": ((30).to_bytes(8, "little") + b'{"w":{}}' + b" " * 30, "torch.onnx.export"),
    "JSON": (b'{"layers": []}', "model"),
    "Git LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "lfs pull"),
    "web page": (b"<!DOCTYPE html>\n<html><body>404</body></html>", "download"),
    "protobuf's text form": (b'ir_version: 8\nproducer_name: "me"\n', "textproto"),
    "ONNX text syntax": (b'<ir_version: 8, opset_import: ["" : 17]>\n', "parse_model"),
    "a text": ("Größe: 3\n".encode() * 2000, "binary"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_file_of_another_kind_is_called_by_its_name(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, advice = FOREIGN[what]
    monkeypatch.chdir(tmp_path)
    Path("net.onnx").write_bytes(data)
    found = problem("net.onnx")
    assert found.code == "not-an-onnx-model"
    assert what in found.message
    assert advice in found.remedy


def test_random_bytes() -> None:
    for seed in range(20):
        found = problem(np.random.default_rng(seed).bytes(500))
        assert found.code in {"not-an-onnx-model", "onnx-damaged"}, found


def test_a_tensorflow_graph_is_told_by_its_ending(tmp_path: Path) -> None:
    path = tmp_path / "frozen.pb"
    path.write_bytes(b"\x0a\x10\x0a\x01x\x12\x0bPlaceholder" + bytes(1))
    assert f"--graphdef {path}" in problem(path).remedy


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_truncated_model_says_how_much_is_missing(good: onnx.ModelProto, share: float) -> None:
    data = good.SerializeToString()
    found = problem(data[: max(int(len(data) * share), 3)])
    assert found.code == "onnx-damaged"
    assert "bytes of at least" in found.message


def test_every_cut_and_every_flip_is_diagnosed(good: onnx.ModelProto) -> None:
    """No prefix and no damaged byte may end in anything but a graph or a diagnostic."""
    data = good.SerializeToString()
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 0xFF
        for source in (data[:at], bytes(damaged)):
            with contextlib.suppress(NmcError):
                import_model(source)


def test_a_model_without_a_graph() -> None:
    found = problem(onnx.ModelProto(ir_version=8))
    assert found.code == "onnx-damaged"
    assert "without a graph" in found.message


def test_an_empty_graph_is_a_model() -> None:
    graph = helper.make_graph([], "none", [helper.make_tensor_value_info("x", FLOAT, [1])], [])
    assert import_model(helper.make_model(graph)).nodes == []


def test_names_need_not_be_unique_across_kinds() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["x.relu"]),
        helper.make_node("Neg", ["x.relu"], ["y"]),
    ]
    graph = import_model(model(nodes, [("x", FLOAT, [2])], ["y"]))
    assert [v.name for v in graph.values()] == ["x", "x.relu", "y"]
