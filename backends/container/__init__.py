"""The mapping file `.nmc`: a zip of JSON, arrays and texts, all that a simulator needs.

The format is documented in docs/mapping-file.md.  Writing is deterministic and leaves a whole file
or none; reading trusts nothing.
"""

from nmc.backends.container.contents import (
    FORMAT,
    VERSION,
    CalibrationInfo,
    Contents,
    Manifest,
    MemberInfo,
    ModelInfo,
    contents_of,
)
from nmc.backends.container.reading import read_container
from nmc.backends.container.writing import write_container

__all__ = [
    "FORMAT",
    "VERSION",
    "CalibrationInfo",
    "Contents",
    "Manifest",
    "MemberInfo",
    "ModelInfo",
    "contents_of",
    "read_container",
    "write_container",
]
