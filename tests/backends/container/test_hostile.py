"""Mapping files that somebody bent: each is refused at once, with the member and the reason."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import struct
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc.backends.container import read_container
from nmc.backends.container.archive import Archive, Limits, pack
from nmc.backends.container.arrays import decode_array, encode_array
from nmc.backends.container.writing import container_bytes
from nmc.ir.diagnostics import Exit, Loc, NmcError
from nmc.ir.graph import DTYPES
from tests.backends.models import compiled

Members = dict[str, bytes]
Edit = Callable[[Members], None]


def members() -> Members:
    """All members of a good file but mimetype, to be bent."""
    archive = Archive(container_bytes(compiled("shared")), "good", Limits())
    return {name: archive.read(name) for name in archive.infos if name != "mimetype"}


def rehashed(parts: Members) -> bytes:
    """A file whose manifest and seal agree with its members, as a careful attacker makes it."""
    manifest = json.loads(parts["manifest.json"])
    manifest["members"] = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in parts.items()
        if name != "manifest.json"
    }
    return pack({**parts, "manifest.json": json.dumps(manifest).encode()})


def refused(data: bytes, tmp_path: Path, limits: Limits | None = None) -> NmcError:
    path = tmp_path / "bad.nmc"
    path.write_bytes(data)
    with pytest.raises(NmcError) as caught:
        read_container(path, limits or Limits())
    assert caught.value.exit is Exit.BAD_INPUT
    assert list(tmp_path.iterdir()) == [path]
    return caught.value


def check(
    data: bytes, tmp_path: Path, code: str, words: str, member: str = "", limits: Any = None
) -> None:
    error = refused(data, tmp_path, limits)
    first = error.diagnostics[0]
    assert first.code == code, str(error)
    assert words in str(error)
    assert first.loc.file.endswith("bad.nmc")
    assert first.loc.member == member


# Bytes


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    data = container_bytes(compiled("shared"))
    ends = [*range(120), *range(len(data) - 120, len(data))]
    path = tmp_path / "bad.nmc"
    for at in (*ends, *range(120, len(data) - 120, len(data) // 150)):
        bent = bytearray(data)
        bent[at] ^= 0x10
        path.write_bytes(bent)
        with pytest.raises(NmcError) as caught:
            read_container(path)
        assert caught.value.exit is Exit.BAD_INPUT


def test_a_flipped_byte_names_its_member(tmp_path: Path) -> None:
    data = bytearray(container_bytes(compiled("shared")))
    info = Archive(bytes(data), "good", Limits()).infos["tiles/0.npy"]
    data[info.header_offset + 30 + len("tiles/0.npy") + info.compress_size // 2] ^= 1
    check(bytes(data), tmp_path, "hash-mismatch", "`tiles/0.npy`", "tiles/0.npy")


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99])
def test_truncated(share: float, tmp_path: Path) -> None:
    data = container_bytes(compiled("chip"))
    error = refused(data[: int(len(data) * share)], tmp_path).diagnostics[0]
    assert error.code == "bad-archive"


def test_a_seal_that_is_cut_off(tmp_path: Path) -> None:
    data = container_bytes(compiled("chip"))
    assert refused(data[:-4], tmp_path).diagnostics[0].code == "hash-mismatch"


@pytest.mark.parametrize("data", [b"x", b"PK", b"\x08\x08" * 50, b"PK\x05\x06" + bytes(18)])
def test_no_mapping_file(data: bytes, tmp_path: Path) -> None:
    assert refused(data, tmp_path).diagnostics[0].code == "bad-archive"


def test_bytes_behind_the_seal(tmp_path: Path) -> None:
    data = container_bytes(compiled("chip"))
    assert refused(data + b"more", tmp_path).diagnostics[0].code in ("bad-archive", "hash-mismatch")


def test_hash_of_the_manifest_does_not_fit(tmp_path: Path) -> None:
    parts = members()
    parts["graph.txt"] += b"\n"
    check(pack(parts), tmp_path, "hash-mismatch", "`graph.txt` has sha256", "graph.txt")


# The archive


def zipped(entries: list[tuple[zipfile.ZipInfo, bytes]]) -> bytes:
    """Entries as they are, behind a right beginning."""
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
        warnings.simplefilter("ignore")  # of duplicate names
        archive.writestr("mimetype", b"application/vnd.nmc.mapping+zip")
        for info, data in entries:
            archive.writestr(info, data)
    return stream.getvalue()


def entry(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "/etc/evil", "a//b", "./a", "a\\b", "C:evil", "..", "line\nbreak"],
)
def test_paths_that_leave_the_archive(name: str, tmp_path: Path) -> None:
    check(zipped([(entry(name), b"x")]), tmp_path, "unsafe-archive", "outside", name)


@pytest.mark.parametrize(
    ("name", "mode"), [("link", 0o120777), ("pipe", 0o010644), ("folder/", 0o040755)]
)
def test_members_that_are_no_files(name: str, mode: int, tmp_path: Path) -> None:
    check(zipped([(entry(name, mode), b"x")]), tmp_path, "unsafe-archive", "only files", name)


def test_two_members_of_one_name(tmp_path: Path) -> None:
    data = zipped([(entry("a"), b"x"), (entry("a"), b"y")])
    check(data, tmp_path, "bad-archive", "two members are called `a`", "a")


def test_encrypted_member(tmp_path: Path) -> None:
    data = bytearray(zipped([(entry("a"), b"x")]))
    at = data.rindex(b"PK\x01\x02")
    data[at + 8] |= 1
    check(bytes(data), tmp_path, "bad-archive", "`a` is encrypted", "a")


def test_other_compression(tmp_path: Path) -> None:
    info = entry("a")
    info.compress_type = zipfile.ZIP_LZMA
    check(zipped([(info, b"x" * 50)]), tmp_path, "bad-archive", "packed in a way", "a")


def test_mimetype_must_come_first_and_be_right(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("manifest.json", b"{}")
        archive.writestr("mimetype", b"application/vnd.nmc.mapping+zip")
    check(stream.getvalue(), tmp_path, "bad-archive", "first member")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("mimetype", b"application/epub+zip")
    check(stream.getvalue(), tmp_path, "bad-archive", "mimetype is not")


def with_size(data: bytes, name: str, size: int) -> bytes:
    """The directory's claim of a member's uncompressed size replaced."""
    bent = bytearray(data)
    at = bent.rindex(b"PK\x01\x02", 0, bent.rindex(name.encode()))
    bent[at + 24 : at + 28] = struct.pack("<L", size)
    return bytes(bent)


def bomb() -> bytes:
    info = entry("bomb")
    info.compress_type = zipfile.ZIP_DEFLATED
    return zipped([(info, bytes(30_000_000))])


def test_bombs_are_refused_before_they_unpack(tmp_path: Path) -> None:
    data = bomb()
    assert len(data) < 40_000
    tracemalloc.start()
    small = Limits(member_bytes=1_000_000)
    check(data, tmp_path, "unsafe-archive", "claims 30000000 bytes", "bomb", small)
    few = Limits(total_bytes=1_000_000)
    check(data, tmp_path, "unsafe-archive", "1000000 bytes when unpacked", "bomb", few)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3_000_000


def test_a_bomb_that_lies_about_its_size(tmp_path: Path) -> None:
    data = with_size(bomb(), "bomb", 1000)
    archive = Archive(data, "bomb", Limits())
    tracemalloc.start()
    with pytest.raises(NmcError, match="more than the 1000 bytes") as caught:
        archive.read("bomb")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    assert caught.value.diagnostics[0].code == "unsafe-archive"


def test_too_many_members_and_too_large_a_file(tmp_path: Path) -> None:
    data = container_bytes(compiled("chip"))
    check(data, tmp_path, "unsafe-archive", "at most 3", limits=Limits(members=3))
    check(data, tmp_path, "unsafe-archive", "at most 99", limits=Limits(file_bytes=99))


# Members


def drop(name: str) -> Edit:
    def edit(parts: Members) -> None:
        del parts[name]

    return edit


def put(name: str, data: bytes) -> Edit:
    return lambda parts: parts.update({name: data})


def in_json(name: str, change: Callable[[Any], Any]) -> Edit:
    def edit(parts: Members) -> None:
        tree = json.loads(parts[name])
        change(tree)
        parts[name] = json.dumps(tree).encode()

    return edit


def in_text(name: str, old: str, new: str) -> Edit:
    def edit(parts: Members) -> None:
        text = parts[name].decode()
        assert old in text
        parts[name] = text.replace(old, new).encode()

    return edit


def npy(descr: str, shape: str, data: bytes = b"", fortran: str = "False") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def set_at(*path: str | int, to: Any) -> Callable[[Any], None]:
    def change(tree: Any) -> None:
        for key in path[:-1]:
            tree = tree[key]
        tree[path[-1]] = to

    return change


CHIP, HOST, LAST = "program/1-chip", "host/2-host.onnx", "program/3-chip"
HUGE = 1 << 60


def external_weights(parts: Members) -> None:
    model = onnx.load_from_string(parts[HOST])
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    tensor.external_data.add(key="location", value="../../etc/passwd")
    parts[HOST] = model.SerializeToString()


def other_output(parts: Members) -> None:
    model = onnx.load_from_string(parts[HOST])
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 99
    parts[HOST] = model.SerializeToString()


def bad_words(parts: Members) -> None:
    words = np.frombuffer(parts[f"{CHIP}.words.npy"][-4000:], np.uint32).copy()
    parts[f"{CHIP}.words.npy"] = encode_array(np.full(len(words) * 50, 0xFF, np.uint32))


ZOO: dict[str, tuple[Edit, str, str, str]] = {
    "huge tensor": (
        put("tiles/0.npy", npy("'|i1'", f"({HUGE},)")), "bad-archive", str(HUGE), "tiles/0.npy"),
    "huge axes": (
        put("tiles/0.npy", npy("'<f8'", f"({HUGE}, {HUGE}, {HUGE})")), "bad-archive", "claims",
        "tiles/0.npy"),
    "pickle": (
        put("tiles/0.npy", npy("'|O'", "(1,)", b"cos\nsystem\n")), "bad-archive", "header",
        "tiles/0.npy"),
    "structured": (
        put("tiles/0.npy", npy("[('a', '<i4')]", "(1,)", bytes(4))), "bad-archive", "header",
        "tiles/0.npy"),
    "big-endian": (
        put("tiles/0.npy", npy("'>i4'", "(1,)", bytes(4))), "bad-archive", "header",
        "tiles/0.npy"),
    "16-byte floats": (
        put("tiles/0.npy", npy("'<f1'", "(1,)", bytes(1))), "bad-archive", "type `<f1`",
        "tiles/0.npy"),
    "Fortran": (
        put("tiles/0.npy", npy("'|i1'", "(1, 1)", bytes(1), "True")), "bad-archive", "Fortran",
        "tiles/0.npy"),
    "no array": (put("tiles/0.npy", b"\x93NUMPY"), "bad-archive", "does not begin", "tiles/0.npy"),
    "deep header": (
        put("tiles/0.npy", npy("'|i1'", "(" * 2000)), "bad-archive", "header", "tiles/0.npy"),
    "long header": (
        put("tiles/0.npy", npy("'|i1'", "()" + " " * 9000, bytes(1))), "bad-archive", "at most",
        "tiles/0.npy"),
    "other levels": (
        put("tiles/0.npy", encode_array(np.zeros((1, 2), np.int8))), "bad-mapping",
        "levels of shape", "mapping.json"),
    "levels of floats": (
        put("tiles/0.npy", encode_array(np.zeros((1, 2), np.float32))), "bad-program",
        "does not hold levels", f"{CHIP}.json"),
    "missing member": (drop("tiles/0.npy"), "bad-archive", "missing", "tiles/0.npy"),
    "missing mapping": (drop("mapping.json"), "bad-archive", "missing", "mapping.json"),
    "missing host": (drop(HOST), "bad-archive", "missing", HOST),
    "manifest is no JSON": (
        put("manifest.json", b'{"members": {}, '), "bad-archive", "form it should",
        "manifest.json"),
    "mapping is no JSON": (
        put("mapping.json", b"[" * 100_000), "bad-mapping", "form", "mapping.json"),
    "mapping of another form": (
        in_json("mapping.json", set_at("tiles", 0, "rows", to="many")), "bad-mapping",
        "$.tiles[0].rows", "mapping.json"),
    "tile on no crossbar": (
        in_json("mapping.json", set_at("tiles", 0, "crossbar", to=10**6)), "bad-mapping",
        "tiles[0].crossbar is 1000000", "mapping.json"),
    "negative index": (
        in_json("mapping.json", set_at("tiles", 0, "stage", to=-1)), "bad-mapping",
        "tiles[0].stage is -1", "mapping.json"),
    "index beyond 64 bits": (
        in_json("mapping.json", set_at("tiles", 0, "stage", to=10**30)), "bad-mapping",
        "tiles[0].stage", "mapping.json"),
    "ring beyond memory": (
        in_json("mapping.json", set_at("rings", 0, "depth", to=HUGE)), "bad-mapping",
        "rings[0]", "mapping.json"),
    "step that names a path": (
        in_json("mapping.json", set_at("steps", 0, "name", to="../x")), "bad-mapping",
        "can't name a member", "mapping.json"),
    "value that is none": (
        in_json("mapping.json", set_at("stages", 0, "operands", 0, "value", to="ghost")),
        "bad-mapping", "%ghost", "mapping.json"),
    "node that is none": (
        in_json("mapping.json", set_at("steps", 0, "nodes", 0, to="ghost")), "bad-mapping",
        "%ghost", "mapping.json"),
    "channels read out of reach": (
        in_json("mapping.json", set_at("stages", -1, "reading", to=[[4, 1000]])), "bad-mapping",
        "does not read each of 4 channels", "mapping.json"),
    "windows of another size": (
        in_json("mapping.json", set_at("stages", -1, "window", "strides", to=[1, 2])),
        "bad-mapping", "does not see its node's windows", "mapping.json"),
    "padding without end": (
        in_json("mapping.json", set_at("stages", -1, "operands", 0, "bottom", to=1 << 30)),
        "bad-mapping", "is not padded as far as its reads reach", "mapping.json"),
    "rows that no grid gives": (
        in_json("mapping.json", set_at("stages", -1, "grid", to=[1, 1 << 30])),
        "bad-mapping", "", "mapping.json"),
    "matrix that is none": (
        in_json("mapping.json", set_at("stages", 0, "kind", to="matrix")), "bad-mapping",
        "does not begin with one", "mapping.json"),
    "needs what comes later": (
        in_json("mapping.json", lambda m: m["steps"][0]["inputs"].append("conv2")),
        "bad-mapping", "nothing before it", "mapping.json"),
    "target of another chip": (
        in_text("target.toml", "rows = 128", "rows = -3"), "bad-value", "rows", "target.toml"),
    "target without sense": (
        put("target.toml", b"]["), "target-syntax", "", "target.toml"),
    "target is no text": (put("target.toml", b"\xff\xfe"), "bad-archive", "text", "target.toml"),
    "graph without sense": (put("graph.txt", b"graph {"), "syntax", "", "graph.txt"),
    "graph of huge values": (
        in_text("graph.txt", "f32[1,3,4,4]", "f32[1048576,1048576,1048576]"), "shape-mismatch",
        "at most", "graph.txt"),
    "graph of other weights": (
        in_json("weights/index.json", lambda index: index.clear()), "weights-missing", "",
        "graph.txt"),
    "weights from elsewhere": (
        in_json("weights/index.json", lambda index: index.update(x="../../etc/passwd")),
        "bad-archive", "missing", "../../etc/passwd"),
    "quantisation of another graph": (
        in_json("quantization.json", lambda quant: quant.popitem()), "bad-mapping",
        "does not say", "quantization.json"),
    "words that mean nothing": (bad_words, "bad-program", "", f"{CHIP}.json"),
    "words out of reach": (
        in_json(f"{CHIP}.json",
                set_at("cores", 0, "sequencers", 0, "first", to=HUGE)),
        "bad-program", "sequencer 0 lies at", f"{CHIP}.json"),
    "plan of another tile": (
        in_json(f"{CHIP}.json", set_at("cores", 0, "plans", 0, "reads", 0, "tile", to=99)),
        "bad-program", "tile", f"{CHIP}.json"),
    "frames of 2^60 bytes": (
        in_json(f"{CHIP}.json", set_at("frame_bytes", to=HUGE)), "bad-program", str(HUGE),
        f"{CHIP}.json"),
    "program of another step": (
        in_json(f"{CHIP}.json", set_at("outputs", 0, "name", to="other")), "bad-program",
        "other", f"{CHIP}.json"),
    "slices of zero": (
        in_json(f"{CHIP}.json", set_at("tiles", 0, "slices", to=0)), "bad-program",
        "0 slices", f"{CHIP}.json"),
    "host that reads files": (external_weights, "unsafe-archive", "outside", HOST),
    "host that is no model": (put(HOST, b"\xff" * 99), "bad-archive", "no ONNX model", HOST),
    "host of other sizes": (other_output, "bad-mapping", "gives", HOST),
    "diagnostic of no kind": (
        put("diagnostics.json", b'[{"code": "no-such", "message": ""}]'), "bad-archive",
        "no-such", "diagnostics.json"),
    "another format": (
        in_json("manifest.json", set_at("format", to="epub")), "format-version", "epub",
        "manifest.json"),
    "a later format": (
        in_json("manifest.json", set_at("version", to="2.0")), "format-version",
        "has version 2.0 of the format, and this nmc reads version 1.x", "manifest.json"),
}  # fmt: skip


@pytest.mark.parametrize("case", ZOO)
def test_zoo(case: str, tmp_path: Path) -> None:
    edit, code, words, member = ZOO[case]
    parts = members()
    edit(parts)
    data = pack(parts) if "manifest is" in case else rehashed(parts)
    if "missing" in case:
        kept = members()
        edit(kept)
        data = pack(kept)
    check(data, tmp_path, code, words, member)


def test_the_good_file_is_read_after_rehashing(tmp_path: Path) -> None:
    """The zoo's own machinery breaks nothing."""
    path = tmp_path / "good.nmc"
    path.write_bytes(rehashed(members()))
    assert read_container(path).mapping == compiled("shared").mapping


def test_member_that_the_manifest_does_not_list(tmp_path: Path) -> None:
    parts = members()
    parts["extra"] = b"x"
    check(pack(parts), tmp_path, "bad-archive", "not in the manifest", "extra")


def test_later_minor_versions_are_read(tmp_path: Path) -> None:
    parts = members()
    in_json("manifest.json", set_at("version", to="1.7"))(parts)
    in_json("manifest.json", set_at("mood", to="sunny"))(parts)
    path = tmp_path / "later.nmc"
    path.write_bytes(rehashed(parts))
    assert read_container(path).manifest.version == "1.7"


# Arrays


@given(
    st.sampled_from(sorted(DTYPES)),
    st.lists(st.integers(0, 4), max_size=4).map(tuple),
    st.integers(0, 9),
)
def test_arrays_read_back(dtype: str, shape: tuple[int, ...], seed: int) -> None:
    array = np.random.default_rng(seed).integers(0, 2, shape).astype(DTYPES[dtype])
    back = decode_array(encode_array(array), Loc())
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@given(st.binary(max_size=200))
def test_any_bytes_as_array(data: bytes) -> None:
    for given_data in (data, b"\x93NUMPY\x01\x00" + data, npy("'|i1'", "(3,)", data)):
        with contextlib.suppress(NmcError):
            assert decode_array(given_data, Loc(member="x")).nbytes <= len(given_data)


def test_arrays_of_objects_are_not_written() -> None:
    with pytest.raises(TypeError):
        encode_array(np.array([None]))


@given(st.binary(max_size=300))
def test_any_bytes_as_archive(data: bytes) -> None:
    for given_data in (data, container_bytes(compiled("chip"))[:5000] + data):
        with pytest.raises(NmcError) as caught:
            Archive(given_data, "any", Limits()).read("manifest.json")
        assert caught.value.exit is Exit.BAD_INPUT


def test_deflate_end_marks_are_demanded() -> None:
    """A member cut short in its compressed bytes, sizes put right, is damaged."""
    body = zlib.compress(b"abc" * 400, 6)[2:-4]
    assert len(body) > 10
    info = entry("a")
    info.compress_type = zipfile.ZIP_DEFLATED
    data = bytearray(zipped([(info, b"abc" * 400)]))
    at = data.rindex(b"PK\x01\x02")
    (size,) = struct.unpack_from("<L", data, at + 20)
    struct.pack_into("<L", data, at + 20, size - 3)
    with pytest.raises(NmcError) as caught:
        Archive(bytes(data), "cut", Limits()).read("a")
    assert caught.value.diagnostics[0].code == "hash-mismatch"
