"""The zip around a mapping file: deterministic to write, and safe to open whoever wrote it.

Written: a first member `mimetype` that tells what the file is, the others deflated, all with one
fixed date, and a comment with the sha256 of everything before it.  Read: the directory is checked
before any member, declared sizes before anything is allocated, real sizes while inflating.
"""

from __future__ import annotations

import hashlib
import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from nmc.ir.diagnostics import Loc, NmcError, error

__all__ = ["MIMETYPE", "Archive", "Limits", "pack"]

MIMETYPE = "mimetype"
CONTENT_TYPE = b"application/vnd.nmc.mapping+zip"
DATE = (1980, 1, 1, 0, 0, 0)
DEFLATE_LEVEL = 1
SEAL = b"nmc-mapping sha256:"
LOCAL_HEADER = struct.Struct("<4s5H3L2H")
UNIX = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a mapping file may be: no file makes us allocate more than `total_bytes`."""

    file_bytes: int = 1 << 31
    members: int = 1 << 17
    member_bytes: int = 1 << 30
    total_bytes: int = 1 << 32


def pack(members: Mapping[str, bytes]) -> bytes:
    """The archive of these members, in this order; the same members give the same bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=DEFLATE_LEVEL) as archive:
        archive.comment = SEAL + b"0" * 64
        add(archive, MIMETYPE, CONTENT_TYPE, zipfile.ZIP_STORED)
        for name, data in members.items():
            add(archive, name, data, zipfile.ZIP_DEFLATED)
    body = stream.getbuffer()[: -len(SEAL) - 64]
    return b"".join([body, SEAL, hashlib.sha256(body).hexdigest().encode()])


def add(archive: zipfile.ZipFile, name: str, data: bytes, method: int) -> None:
    info = zipfile.ZipInfo(name, DATE)
    info.compress_type = method
    info.create_system = UNIX
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    archive.writestr(info, data)


class Archive:
    """An open archive, of which the directory has been checked and no member read yet.

    NmcError `bad-archive` for what is no sound zip, `unsafe-archive` for one that reaches outside
    its bounds, `hash-mismatch` for bytes that are not those that were written.
    """

    def __init__(self, data: bytes, file: str, limits: Limits) -> None:
        self.data = memoryview(data)
        self.file = file
        self.limits = limits
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                self.comment = archive.comment
                self.directory_at = archive.start_dir
                infos = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as problem:
            raise self.refusal("bad-archive", f"not a sound zip archive: {problem}") from None
        self.check_directory(infos)
        self.infos = {info.filename: info for info in infos}

    def loc(self, member: str = "") -> Loc:
        return Loc(file=self.file, member=member)

    def refusal(self, code: str, message: str, member: str = "") -> NmcError:
        return NmcError(error(code, message, self.loc(member)))

    # The directory

    def check_directory(self, infos: list[zipfile.ZipInfo]) -> None:
        if len(infos) > self.limits.members:
            message = f"{len(infos)} members, at most {self.limits.members} can be"
            raise self.refusal("unsafe-archive", message)
        seen: set[str] = set()
        total = 0
        for info in infos:
            self.check_entry(info)
            if info.filename in seen:
                message = f"two members are called `{info.filename}`"
                raise self.refusal("bad-archive", message, info.filename)
            seen.add(info.filename)
            total += info.file_size
            if total > self.limits.total_bytes:
                message = f"more than {self.limits.total_bytes} bytes when unpacked"
                raise self.refusal("unsafe-archive", message, info.filename)
        if not infos or infos[0].filename != MIMETYPE or infos[0].header_offset != 0:
            message = f"not a mapping file: its first member is not `{MIMETYPE}`"
            raise self.refusal("bad-archive", message)

    def check_entry(self, info: zipfile.ZipInfo) -> None:
        name = info.orig_filename
        if is_unsafe(name) or name != info.filename:
            message = f"member `{name}` has a path that leads outside of the archive"
            raise self.refusal("unsafe-archive", message, name)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or name.endswith("/"):
            message = f"member `{name}` is a link, a folder or a device; only files can be"
            raise self.refusal("unsafe-archive", message, name)
        if info.flag_bits & 0x1:
            raise self.refusal("bad-archive", f"member `{name}` is encrypted", name)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            message = f"member `{name}` is packed in a way that mapping files don't use"
            raise self.refusal("bad-archive", message, name)
        if info.file_size > self.limits.member_bytes:
            message = (
                f"member `{name}` claims {info.file_size} bytes, at most "
                f"{self.limits.member_bytes} can be"
            )
            raise self.refusal("unsafe-archive", message, name)

    # Members

    def read(self, name: str) -> bytes:
        """The bytes of a member, as many as its directory entry says, with the right checksum."""
        info = self.infos.get(name)
        if info is None:
            raise self.refusal("bad-archive", f"it has no member `{name}`", name)
        packed = self.packed(info)
        data = self.inflated(info, packed)
        if len(data) > info.file_size:
            message = f"member `{name}` unpacks to more than the {info.file_size} bytes it claims"
            raise self.refusal("unsafe-archive", message, name)
        if len(data) < info.file_size or zlib.crc32(data) != info.CRC:
            raise self.damaged(name)
        return data

    def packed(self, info: zipfile.ZipInfo) -> memoryview:
        """The compressed bytes, found behind the member's own header."""
        start = info.header_offset
        head = bytes(self.data[start : start + LOCAL_HEADER.size])
        if len(head) < LOCAL_HEADER.size:
            raise self.damaged(info.filename)
        magic, *_, name_length, extra_length = LOCAL_HEADER.unpack(head)
        start += LOCAL_HEADER.size
        name = bytes(self.data[start : start + name_length])
        start += name_length + extra_length
        end = start + info.compress_size
        spelled = info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437")
        if magic != b"PK\x03\x04" or name != spelled or end > self.directory_at:
            raise self.damaged(info.filename)
        return self.data[start:end]

    def inflated(self, info: zipfile.ZipInfo, packed: memoryview) -> bytes:
        if info.compress_type == zipfile.ZIP_STORED:
            return bytes(packed)
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = inflater.decompress(packed, info.file_size + 1)
        except zlib.error:
            raise self.damaged(info.filename) from None
        if len(data) == info.file_size and not inflater.eof:
            # An empty rest may still hold the end mark.
            data += inflater.decompress(inflater.unconsumed_tail, 1)
        if not inflater.eof and len(data) <= info.file_size:
            raise self.damaged(info.filename)
        return data

    def damaged(self, name: str) -> NmcError:
        message = f"the bytes of member `{name}` are not those that were written"
        return self.refusal("hash-mismatch", message, name)

    # The seal

    def check_seal(self) -> None:
        """The comment's hash of everything before it; archives packed by others have none."""
        if not self.comment:
            return
        body = self.data[: len(self.data) - len(self.comment)]
        if self.comment != SEAL + hashlib.sha256(body).hexdigest().encode():
            message = "the archive's directory or its seal are not those that were written"
            raise self.refusal("hash-mismatch", message)


def is_unsafe(name: str) -> bool:
    parts = name.split("/")
    return (
        not name
        or any(part in ("", ".", "..") for part in parts[:-1])
        or parts[-1] in (".", "..")
        or "\\" in name
        or ":" in name
        or not name.isprintable()
    )
