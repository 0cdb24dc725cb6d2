"""The published schema is that of the records, and the files that we write keep to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from nmc.backends.container.schema import schema_text
from nmc.ir.mapping import mapping_to_json
from tests.backends.models import compiled


def test_published_schema_is_up_to_date(golden: Callable[[str, str], None]) -> None:
    golden("../../docs/schema/nmc-mapping-1.json", schema_text())


def conforms(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """As much of JSON Schema as ours uses."""
    if "$ref" in schema:
        return conforms(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        return any(conforms(value, each, root) for each in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    match schema["type"]:
        case "object":
            known, needed = schema["properties"], set(schema["required"])
            if not isinstance(value, dict) or not needed <= set(value) <= set(known):
                return False
            return all(conforms(item, known[key], root) for key, item in value.items())
        case "array":
            return isinstance(value, list) and conforms_array(value, schema, root)
        case "null":
            return value is None
        case name:
            kinds = {"integer": int, "string": str, "boolean": bool, "number": float}
            return type(value) is kinds[name]


def conforms_array(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    if "prefixItems" in schema:
        parts = schema["prefixItems"]
        return len(value) == len(parts) and all(
            conforms(item, part, root) for item, part in zip(value, parts, strict=True)
        )
    return all(conforms(item, schema["items"], root) for item in value)


def test_our_mappings_conform() -> None:
    schema = json.loads(schema_text())
    mapping = json.loads(mapping_to_json(compiled("shared").mapping))
    assert conforms(mapping, schema, schema)
    mapping["tiles"][0]["rows"] = "many"
    assert not conforms(mapping, schema, schema)
