"""The published JSON Schema of `mapping.json`, for readers that are not nmc."""

from __future__ import annotations

import json

from nmc.backends.container.contents import FORMAT, VERSION
from nmc.ir.mapping import mapping_schema

__all__ = ["schema_text"]


def schema_text() -> str:
    """The schema as it lies in docs/schema; it follows from the records of `nmc.ir.mapping`."""
    major = VERSION.partition(".")[0]
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{FORMAT}-{major}.json",
        "title": "How a quantised graph lies on a chip: mapping.json of an nmc mapping file",
        **mapping_schema(),
    }
    return json.dumps(schema, indent=1) + "\n"
