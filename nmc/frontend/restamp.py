"""Gives onnxruntime a model that is newer than itself, where that is only a matter of its stamp.

`onnx.helper.make_model` writes the newest versions that onnx knows, by default, and onnx is ahead
of onnxruntime: a plain MLP is then refused for a number in its header.
"""

from __future__ import annotations

import onnx

from nmc.frontend.host import HostRefuses, newest_opset, versions_for
from nmc.frontend.prepare import normalise_domains
from nmc.frontend.reading import ReadModel

__all__ = ["onnxruntime_source"]

IR_VERSION = 10
"""The newest IR version that every onnxruntime we depend on reads."""


def onnxruntime_source(model: ReadModel) -> str | bytes:
    """What to pass to an `InferenceSession`: the file, the bytes, or those with older versions.

    A model with an operator that has changed since stays as it is, for onnxruntime to refuse.
    """
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    opsets = normalise_domains(proto)
    version = opsets.get("", 0)
    if version <= newest_opset() and proto.ir_version <= IR_VERSION:
        if model.companions.folder:
            return model.file
        return bytes(model.proto.SerializeToString())
    try:
        for node in proto.graph.node:
            if not node.domain:
                versions_for(node, version)
    except HostRefuses:
        return bytes(model.proto.SerializeToString())
    for entry in proto.opset_import:
        if not entry.domain:
            entry.version = min(version, newest_opset())
    proto.ir_version = min(proto.ir_version, IR_VERSION)
    for tensor in proto.graph.initializer:
        tensor.CopyFrom(model.companions.resolve(tensor))
    return bytes(proto.SerializeToString())
