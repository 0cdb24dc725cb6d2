"""Where a node comes from: its place in the model and, if the exporter wrote it, the user's line.

PyTorch's exporter keeps the Python stack of every node in its metadata, older ones a few frames in
the node's doc string.  Both are free text, so they are read defensively.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath, PureWindowsPath

import onnx

from nmc.ir.diagnostics import Loc

__all__ = ["locate", "source_line"]

STACK = "pkg.torch.onnx.stack_trace"
LIBRARIES = ("/torch/", "site-packages", "dist-packages", "<frozen", "<eval_with_key>")
MAX_TEXT = 100_000
MAX_CODE = 120

FRAME = re.compile(
    r'File "?(?P<file>[^",\n]+)"?, line (?P<line>\d+)(?:, in (?P<where>[^\s,]+))?'
    r"(?:,[ \t]*(?P<same>[^\n]+)|[ \t]*\n[ \t]+(?!File )(?P<next>[^\n]+))?"
)
"""A frame of Python's own traceback: newest last; its code stands in the next line, or behind."""

OLD_FRAME = re.compile(
    r"(?m)^[#\s]*(?P<file>[^\s:(]+\.py)"
    r"(?:\((?P<line>\d+)\)|:(?P<line2>\d+))(?::\d+)?(?:: (?P<where>\w+))?"
)
"""A frame as TorchScript wrote it, ``model.py(17): forward`` or ``model.py:17:0``: newest first."""


def locate(nodes: Iterable[onnx.NodeProto], total: int, file: str, prefix: str = "") -> list[Loc]:
    """The places of a graph's nodes; one without a name is called after its operator, ``Conv #3``,
    the third Conv of its graph."""
    counts: Counter[str] = Counter()
    places: list[Loc] = []
    for index, node in enumerate(nodes, start=1):
        counts[node.op_type] += 1
        name = node.name or f"{node.op_type} #{counts[node.op_type]}"
        place = Loc(
            file=file,
            node=prefix + name,
            op=node.op_type,
            index=index,
            total=total,
            source=source_line(node),
        )
        places.append(place)
    return places


def source_line(node: onnx.NodeProto) -> str:
    """The user's own line, ``model.py:17 in forward: x = torch.relu(x)``, or "" if unknown."""
    stack = next((p.value for p in node.metadata_props if p.key == STACK), "")[:MAX_TEXT]
    frames = list(FRAME.finditer(stack))[::-1]
    if not frames:
        frames = list(OLD_FRAME.finditer(node.doc_string[:MAX_TEXT]))
    if not frames:
        return ""
    return spelled(next(users(frames), frames[0]))


def users(frames: Iterable[re.Match[str]]) -> Iterator[re.Match[str]]:
    """Frames in the user's own files."""
    for frame in frames:
        path = frame["file"].replace("\\", "/")
        if not any(library in path for library in LIBRARIES):
            yield frame


def spelled(frame: re.Match[str]) -> str:
    parts = frame.groupdict()
    windows = "\\" in parts["file"]
    name = (PureWindowsPath if windows else PurePosixPath)(parts["file"]).name
    text = f"{name}:{parts['line'] or parts.get('line2')}"
    if parts["where"]:
        text += f" in {parts['where']}"
    code = (parts.get("next") or parts.get("same") or "").strip()
    return f"{text}: {code[:MAX_CODE]}" if code else text
