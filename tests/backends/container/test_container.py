"""Mapping files are deterministic, whole or absent, and read back to what was written."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from nmc.backends.container import CalibrationInfo, Contents, read_container, write_container
from nmc.backends.container.writing import container_bytes
from nmc.ir.diagnostics import Exit, NmcError
from nmc.ir.graph_text import print_graph
from nmc.ir.mapping import mapping_from_json
from nmc.ir.program import Program
from nmc.ir.program_text import arrays_of, print_program
from nmc.ir.target_toml import parse_target
from tests.backends.models import compiled

MODELS = ["chip", "shared"]


def written(tmp_path: Path, contents: Contents) -> Path:
    path = tmp_path / "out.nmc"
    write_container(path, contents)
    return path


def texts(contents: Contents) -> list[str]:
    return [print_graph(contents.graph), *map(print_program, contents.programs)]


def arrays(programs: tuple[Program, ...]) -> dict[str, np.ndarray]:
    return {key: array for program in programs for key, array in arrays_of(program).items()}


@pytest.mark.parametrize("model", MODELS)
def test_reads_back_what_was_written(model: str, tmp_path: Path) -> None:
    contents = compiled(model)
    back = read_container(written(tmp_path, contents))
    assert back.mapping == contents.mapping
    assert back.target == contents.target
    assert texts(back) == texts(contents)  # levels and weights stand in them as hashes
    assert back.programs == contents.programs
    assert back.host_models == contents.host_models
    assert replace(back.manifest, members={}) == contents.manifest
    assert back.diagnostics == contents.diagnostics
    for (key, got), (other, wanted) in zip(
        arrays(back.programs).items(), arrays(contents.programs).items(), strict=True
    ):
        assert key == other
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("model", MODELS)
def test_same_contents_same_bytes(model: str, tmp_path: Path) -> None:
    contents = compiled(model)
    data = container_bytes(contents)
    path = written(tmp_path, contents)
    assert path.read_bytes() == data
    assert container_bytes(read_container(path)) == data


def test_compiling_again_gives_the_same_bytes() -> None:
    again = compiled.__wrapped__("shared")
    assert container_bytes(again) == container_bytes(compiled("shared"))


def test_members_are_those_of_the_manual(tmp_path: Path) -> None:
    with zipfile.ZipFile(written(tmp_path, compiled("shared"))) as archive:
        assert archive.testzip() is None
        infos = archive.infolist()
        names = [info.filename for info in infos]
        assert names[:7] == [
            "mimetype",
            "manifest.json",
            "report.json",
            "diagnostics.json",
            "target.toml",
            "mapping.json",
            "quantization.json",
        ]
        assert infos[0].compress_type == zipfile.ZIP_STORED
        assert archive.read("mimetype") == b"application/vnd.nmc.mapping+zip"
        assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
        steps = [step.name for step in compiled("shared").mapping.steps]
        assert len(steps) == 4
        _, chip, host, last = steps
        for name in (chip, last):
            for end in (".json", ".words.npy", ".images.npy", ".asm"):
                assert f"program/{name}{end}" in names
        assert f"host/{host}.onnx" in names
        assert {"graph.txt", "weights/index.json", "tiles/0.npy", "tiles/1.npy"} <= set(names)


def test_members_open_with_ordinary_tools(tmp_path: Path) -> None:
    contents = compiled("shared")
    with zipfile.ZipFile(written(tmp_path, contents)) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert manifest["format"] == "nmc-mapping"
        assert manifest["version"] == "1.0"
        assert manifest["model"] == {"name": "shared.onnx", "sha256": "ab" * 32}
        assert manifest["tool_version"] == "9.9"
        assert manifest["seed"] == 3
        assert set(manifest["members"]) == set(archive.namelist()) - {"mimetype", "manifest.json"}
        levels = np.load(io.BytesIO(archive.read("tiles/0.npy")), allow_pickle=False)
        np.testing.assert_array_equal(levels, contents.programs[0].tiles[0].levels)
        assert mapping_from_json(archive.read("mapping.json")) == contents.mapping
        assert parse_target(archive.read("target.toml").decode()) == contents.target
        onnx.checker.check_model(onnx.load_from_string(archive.read("host/2-host.onnx")))
        quant = json.loads(archive.read("quantization.json"))
        for value in contents.graph.values():
            if value.type.quant:
                assert quant[value.name]["scale"] == value.type.quant.scale
        report = json.loads(archive.read("report.json"))
        assert report["totals"]["crossbars_used"] == len(report["crossbars"])


def test_nothing_of_this_machine_is_inside(tmp_path: Path) -> None:
    with zipfile.ZipFile(written(tmp_path, compiled("shared"))) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            assert b"some/where" not in data
            assert str(tmp_path).encode() not in data


def test_optional_parts_of_the_manifest(tmp_path: Path) -> None:
    contents = compiled("chip")
    assert contents.manifest.calibration == CalibrationInfo("random:7", 6, True)
    without = replace(contents, manifest=replace(contents.manifest, calibration=None))
    assert read_container(written(tmp_path, without)).manifest.calibration is None


# Places


def codes(error: NmcError) -> list[str]:
    return [d.code for d in error.diagnostics]


def test_an_existing_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.nmc"
    path.write_bytes(b"something else")
    write_container(path, compiled("chip"))
    assert path.read_bytes()[:2] == b"PK"
    assert [p.name for p in tmp_path.iterdir()] == ["out.nmc"]


def fail(problem: BaseException) -> Callable[[int], None]:
    def raising(_: int) -> None:
        raise problem

    return raising


@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_nothing_is_left_behind_when_writing_fails(
    problem: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.nmc"
    path.write_bytes(b"the last good one")
    monkeypatch.setattr(os, "fsync", fail(problem))
    with pytest.raises((NmcError, KeyboardInterrupt)) as caught:
        write_container(path, compiled("chip"))
    if isinstance(caught.value, NmcError):
        assert codes(caught.value) == ["file-unreadable"]
        assert "No space left" in str(caught.value)
    assert path.read_bytes() == b"the last good one"
    assert [p.name for p in tmp_path.iterdir()] == ["out.nmc"]


def test_standard_output_is_refused() -> None:
    with pytest.raises(NmcError, match="standard output") as caught:
        write_container("-", compiled("chip"))
    assert caught.value.exit is Exit.USAGE


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(NmcError, match="no ordinary file") as caught:
        write_container(tmp_path, compiled("chip"))
    assert codes(caught.value) == ["file-unreadable"]
    with pytest.raises(NmcError, match="no folder `there`") as caught:
        write_container(tmp_path / "there" / "out.nmc", compiled("chip"))
    assert codes(caught.value) == ["file-not-found"]
    with pytest.raises(NmcError) as caught:
        write_container(tmp_path / ("long" * 100), compiled("chip"))
    assert codes(caught.value) == ["file-unreadable"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_places_that_cannot_be_read(tmp_path: Path) -> None:
    cases = {"missing.nmc": "file-not-found", "": "file-unreadable", "empty.nmc": "file-empty"}
    (tmp_path / "empty.nmc").touch()
    for name, code in cases.items():
        with pytest.raises(NmcError) as caught:
            read_container(tmp_path / name)
        assert codes(caught.value) == [code]
        assert caught.value.exit is Exit.BAD_INPUT


def test_an_archive_packed_by_others_is_read(tmp_path: Path) -> None:
    """Another date, no seal, other compression: the members are what counts."""
    with zipfile.ZipFile(written(tmp_path, compiled("chip"))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    path = tmp_path / "other.nmc"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    assert read_container(path).mapping == compiled("chip").mapping
