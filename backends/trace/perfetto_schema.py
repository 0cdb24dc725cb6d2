"""The messages of Perfetto's trace format that we write, as protobuf classes.

The tables below are an excerpt of the public schema, protos/perfetto/trace/perfetto_trace.proto of
release 59 (Apache-2.0): names, numbers and types are its own, which a test compares.  Classes are
made from them at run time: docs/decisions/0008-traces.md.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

__all__ = ["EXPLICIT", "MESSAGES", "Field", "Sequence", "Type", "message"]


class Field(NamedTuple):
    """`type` is a type of protobuf or another message; enums are int32, as they are written."""

    name: str
    number: int
    type: str
    repeated: bool = False


MESSAGES: dict[str, tuple[Field, ...]] = {
    "Trace": (Field("packet", 1, "TracePacket", repeated=True),),
    "TracePacket": (
        Field("timestamp", 8, "uint64"),
        Field("trusted_packet_sequence_id", 10, "uint32"),
        Field("track_event", 11, "TrackEvent"),
        Field("interned_data", 12, "InternedData"),
        Field("sequence_flags", 13, "uint32"),
        Field("track_descriptor", 60, "TrackDescriptor"),
    ),
    "TrackDescriptor": (
        Field("uuid", 1, "uint64"),
        Field("name", 2, "string"),
        Field("parent_uuid", 5, "uint64"),
        Field("counter", 8, "CounterDescriptor"),
        Field("child_ordering", 11, "int32"),
        Field("sibling_order_rank", 12, "int32"),
        Field("description", 14, "string"),
    ),
    "CounterDescriptor": (Field("unit_name", 6, "string"),),
    "TrackEvent": (
        Field("category_iids", 3, "uint64", repeated=True),
        Field("debug_annotations", 4, "DebugAnnotation", repeated=True),
        Field("type", 9, "int32"),
        Field("name_iid", 10, "uint64"),
        Field("track_uuid", 11, "uint64"),
        Field("counter_value", 30, "int64"),
        Field("double_counter_value", 44, "double"),
        Field("flow_ids", 47, "fixed64", repeated=True),
        Field("terminating_flow_ids", 48, "fixed64", repeated=True),
    ),
    "DebugAnnotation": (
        Field("name_iid", 1, "uint64"),
        Field("string_value_iid", 17, "uint64"),
    ),
    "InternedData": (
        Field("event_categories", 1, "EventCategory", repeated=True),
        Field("event_names", 2, "EventName", repeated=True),
        Field("debug_annotation_names", 3, "DebugAnnotationName", repeated=True),
        Field("debug_annotation_string_values", 29, "InternedString", repeated=True),
    ),
    "EventCategory": (Field("iid", 1, "uint64"), Field("name", 2, "string")),
    "EventName": (Field("iid", 1, "uint64"), Field("name", 2, "string")),
    "DebugAnnotationName": (Field("iid", 1, "uint64"), Field("name", 2, "string")),
    "InternedString": (Field("iid", 1, "uint64"), Field("str", 2, "bytes")),
}


class Type:
    """TrackEvent.Type."""

    SLICE_BEGIN = 1
    SLICE_END = 2
    COUNTER = 4


class Sequence:
    """TracePacket.SequenceFlags."""

    INCREMENTAL_STATE_CLEARED = 1
    NEEDS_INCREMENTAL_STATE = 2


EXPLICIT = 3
"""TrackDescriptor.ChildTracksOrdering: children by their rank."""

PACKAGE = "nmc.perfetto"


@cache
def message(name: str) -> Any:
    """The class of a message."""
    return GetMessageClass(pool().FindMessageTypeByName(f"{PACKAGE}.{name}"))


@cache
def pool() -> DescriptorPool:
    file = FileDescriptorProto(name="nmc/perfetto.proto", package=PACKAGE, syntax="proto2")
    for name, fields in MESSAGES.items():
        made = file.message_type.add(name=name)
        for field in fields:
            made.field.append(descriptor(field))
    own = DescriptorPool()
    own.Add(file)
    return own


def descriptor(field: Field) -> FieldDescriptorProto:
    repeated = FieldDescriptorProto.LABEL_REPEATED
    label = repeated if field.repeated else FieldDescriptorProto.LABEL_OPTIONAL
    made = FieldDescriptorProto(name=field.name, number=field.number, label=label)
    if field.type in MESSAGES:
        made.type = FieldDescriptorProto.TYPE_MESSAGE
        made.type_name = f".{PACKAGE}.{field.type}"
    else:
        made.type = FieldDescriptorProto.Type.Value(f"TYPE_{field.type.upper()}")
    return made
