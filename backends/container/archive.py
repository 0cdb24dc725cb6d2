"""The zip around a mapping file: deterministic to write, and safe to open whoever wrote it.

Written: a first member `mimetype` that tells what the file is, the others deflated, all with one
fixed date, and a comment with the sha256 of everything before it.  Read: the directory is checked
before any member, declared sizes before anything is allocated, real sizes while inflating.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

from nmc.ir.diagnostics import Loc, NmcError, error

__all__ = ["MIMETYPE", "Archive", "Limits", "pack"]

MIMETYPE = "mimetype"
CONTENT_TYPE = b"application/vnd.nmc.mapping+zip"
DATE = (0, 1 << 5 | 1)
"""Midnight, 1 January 1980, as zip archives spell times and days."""

DEFLATE_LEVEL = 6
BATCH = 32
"""Members that a thread takes at a time: most are so small that handing them out takes longer."""

SEAL = b"nmc-mapping sha256:"
LOCAL_HEADER = struct.Struct("<4s5H3L2H")
ZIP_VERSION, UNIX = 20, 3
ORDINARY_FILE = stat.S_IFREG | 0o644
UTF8_NAME = 1 << 11
MOST_COUNTED = (1 << 16) - 1
MOST_BYTES = 1 << 31


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a mapping file may be: no file makes us allocate more than `total_bytes`."""

    file_bytes: int = MOST_BYTES
    members: int = 1 << 17
    member_bytes: int = 1 << 30
    total_bytes: int = 1 << 32


# Writing


def pack(members: Mapping[str, bytes], dense: Collection[str] = ()) -> bytes:
    """The archive of these members, in this order; the same members give the same bytes.

    `dense` names those that hold numbers which hardly repeat, such as weights: they are deflated
    by their frequencies and runs alone, which takes half the time and no more bytes.
    """

    def deflated(names: Sequence[str]) -> list[Entry]:
        usual, quick = zlib.Z_DEFAULT_STRATEGY, zlib.Z_RLE
        return [entry(name, members[name], quick if name in dense else usual) for name in names]

    names = list(members)
    batches = [names[at : at + BATCH] for at in range(0, len(names), BATCH)]
    # zlib lets go of the interpreter, so that threads deflate side by side.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        packed = pool.map(deflated, batches)
        entries = [entry(MIMETYPE, CONTENT_TYPE), *chain.from_iterable(packed)]
    parts, directory, offset = [], [], 0
    for each in entries:
        parts += [head := each.local_header(), each.packed]
        directory.append(each.directory_entry(offset))
        offset += len(head) + len(each.packed)
    listed = b"".join(directory)
    parts += [listed, directory_end(len(entries), len(listed), offset)]
    seal = hashlib.sha256()
    for part in parts:
        seal.update(part)
    return b"".join([*parts, SEAL, seal.hexdigest().encode()])


@dataclass(frozen=True, slots=True)
class Entry:
    """A member as it lies in the archive; `fields` are those that both of its headers have."""

    name: bytes
    fields: bytes
    packed: bytes

    def local_header(self) -> bytes:
        return b"PK\3\4" + self.fields + struct.pack("<2H", len(self.name), 0) + self.name

    def directory_entry(self, offset: int) -> bytes:
        """Its line in the directory; no comment, no extra field, on the only disk."""
        made_by = struct.pack("<2B", ZIP_VERSION, UNIX)
        rest = struct.pack("<5H2L", len(self.name), 0, 0, 0, 0, ORDINARY_FILE << 16, offset)
        return b"PK\1\2" + made_by + self.fields + rest + self.name


def entry(name: str, data: bytes, strategy: int | None = None) -> Entry:
    """A member deflated by a strategy of zlib, or stored as it is."""
    spelled = name.encode()
    method, packed = zipfile.ZIP_STORED, data
    if strategy is not None:
        method = zipfile.ZIP_DEFLATED
        deflater = zlib.compressobj(DEFLATE_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, 8, strategy)
        packed = deflater.compress(data) + deflater.flush()
    flags = 0 if name.isascii() else UTF8_NAME
    fields = struct.pack(
        "<5H3L", ZIP_VERSION, flags, method, *DATE, zlib.crc32(data), len(packed), len(data)
    )
    return Entry(spelled, fields, packed)


def directory_end(count: int, size: int, offset: int) -> bytes:
    """What follows the directory, with the length of the seal: an archive's comment.

    More members than 16 bits can count are counted in a record of their own (ZIP64).
    """
    if offset + size > MOST_BYTES:
        message = f"the mapping file would have {offset + size} bytes, at most {MOST_BYTES} can be"
        raise NmcError(error("file-unreadable", message))
    more = b""
    if count > MOST_COUNTED:
        record = struct.pack("<Q2H2L4Q", 44, 45, 45, 0, 0, count, count, size, offset)
        locator = struct.pack("<LQL", 0, offset + size, 1)
        more = b"PK\6\6" + record + b"PK\6\7" + locator
    counted = min(count, MOST_COUNTED)
    end = struct.pack("<4H2LH", 0, 0, counted, counted, size, offset, len(SEAL) + 64)
    return more + b"PK\5\6" + end


# Reading


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
