"""Walks protobuf's wire format one level deep, to tell a truncated model from another file.

protobuf itself only says that it can't parse.  The fields of a message carry their lengths, so a
file that was cut short still tells how long it should have been.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Scan", "scan"]

MODEL_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})
"""Numbers of the fields that a ModelProto has."""

IR_VERSION = 1 << 3
"""Key of field 1 as a number."""


@dataclass(frozen=True, slots=True)
class Scan:
    """Fields met in order, and how many bytes the last of them needs the file to have.

    `first` is the first byte, which tells number and kind of the first field.
    """

    fields: tuple[int, ...]
    needed: int
    first: int

    @property
    def looks_like_a_model(self) -> bool:
        """It begins as all exporters write: with the version of the IR, a known field."""
        return self.first == IR_VERSION and MODEL_FIELDS.issuperset(self.fields)


def scan(data: bytes) -> Scan:
    fields: list[int] = []
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if number == 0 or kind not in {0, 1, 2, 5}:
            return Scan(tuple(fields), len(data), data[0])
        fields.append(number)
        if kind == 0:
            _, at = varint(data, at)
        elif kind == 2:
            length, at = varint(data, at)
            at += length
        else:
            at += 8 if kind == 1 else 4
    return Scan(tuple(fields), at, data[0] if data else 0)


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number and where the next thing starts; past the end of the data if it is cut."""
    result = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        result |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return result, at
        shift += 7
    return result, len(data) + 1
