"""Archives as every zip tool reads them, whatever their members."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import numpy as np
import pytest

from nmc.backends.container.archive import CONTENT_TYPE, MIMETYPE, Archive, Limits, pack

ALL = Limits()


def some_members() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    return {
        "manifest.json": b"{}\n" * 400,
        "empty": b"",
        "graph.txt": b"one line of many\n" * 1000,
        "host/tête.onnx": b"not ASCII in its name",
        "tiles/0.npy": rng.integers(-7, 8, 10_000).astype(np.int8).tobytes(),
        "tiles/1.npy": bytes(10_000),
    }


def read_by_zipfile(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {info.filename: archive.read(info) for info in archive.infolist()}


def read_by_us(data: bytes) -> dict[str, bytes]:
    archive = Archive(data, "some.nmc", ALL)
    archive.check_seal()
    return {name: archive.read(name) for name in archive.infos}


@pytest.mark.parametrize("dense", [(), ("tiles/0.npy", "tiles/1.npy")])
def test_members_come_back_in_order(dense: tuple[str, ...]) -> None:
    members = some_members()
    data = pack(members, dense)
    expected = {MIMETYPE: CONTENT_TYPE, **members}
    for found in (read_by_zipfile(data), read_by_us(data)):
        assert list(found.items()) == list(expected.items())


def test_headers_are_those_that_zipfile_writes() -> None:
    members = some_members()
    data = pack(members)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = data[-len("nmc-mapping sha256:") - 64 :]
        for name, content in {MIMETYPE: CONTENT_TYPE, **members}.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_STORED if name == MIMETYPE else zipfile.ZIP_DEFLATED
            info.create_system = 3
            info.external_attr = 0o100644 << 16
            archive.writestr(info, content)
    assert data == stream.getvalue()


def test_the_same_members_give_the_same_bytes() -> None:
    many = {f"tiles/{i}.npy": bytes([i % 256]) * (i % 700) for i in range(3000)}
    assert pack(many, list(many)[::2]) == pack(many, list(many)[::2])


def sizes(members: Mapping[str, bytes], dense: tuple[str, ...]) -> dict[str, int]:
    with zipfile.ZipFile(io.BytesIO(pack(members, dense))) as archive:
        return {info.filename: info.compress_size for info in archive.infolist()}


def test_what_hardly_repeats_takes_no_more_when_called_dense() -> None:
    members = some_members()
    dense, plain = sizes(members, ("tiles/0.npy", "tiles/1.npy")), sizes(members, ())
    assert dense["tiles/0.npy"] <= plain["tiles/0.npy"] < 10_000
    assert dense["tiles/1.npy"] < 100  # runs are seen


@pytest.mark.parametrize("count", [(1 << 16) - 2, 1 << 16])
def test_more_members_than_16_bits_count(count: int) -> None:
    members = {str(i): b"" for i in range(count)}
    data = pack(members, ())
    assert (b"PK\x06\x06" in data) == (count >= 1 << 16)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == [MIMETYPE, *members]
    assert len(Archive(data, "some.nmc", ALL).infos) == count + 1
