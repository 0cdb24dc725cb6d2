"""The networks by name: those built here layer by layer, and those of the onnx package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx

from benchmarks.networks.builder import Feature, Net
from benchmarks.networks.efficientnet import efficientnet_b0
from benchmarks.networks.mobilenet import mobilenet_v1, mobilenet_v2
from benchmarks.networks.resnet import resnet18, resnet50
from benchmarks.networks.unet import unet
from benchmarks.networks.vgg import vgg16
from benchmarks.networks.wheel import WHEEL, light_model

__all__ = ["BUILT", "NAMES", "Built", "build", "parameters"]


@dataclass(frozen=True, slots=True)
class Built:
    """A network made of layers; `parameters` is the published count, at its own size and width."""

    make: Callable[[int, float], tuple[Net, Feature]]
    size: int
    parameters: int


BUILT: dict[str, Built] = {
    "resnet18": Built(resnet18, 224, 11_689_512),
    "resnet50": Built(resnet50, 224, 25_557_032),
    "vgg16": Built(vgg16, 224, 138_357_544),
    "mobilenet_v1": Built(mobilenet_v1, 224, 4_231_976),
    "mobilenet_v2": Built(mobilenet_v2, 224, 3_504_872),
    "efficientnet_b0": Built(efficientnet_b0, 224, 5_288_548),
    "unet": Built(unet, 256, 7_763_041),
}

NAMES = (*BUILT, *(f"light_{name}" for name in WHEEL))


def build(name: str, size: int = 0, width: float = 1.0, seed: int = 0) -> onnx.ModelProto:
    """A model with random weights; its own size where `size` is 0.

    ValueError for a size that the network can't have; KeyError for a name not in `NAMES`.
    """
    if name.startswith("light_") and name in NAMES:
        if size or width != 1.0:
            raise ValueError(f"{name} comes as a file: its size and width can't be changed")
        return light_model(name.removeprefix("light_"), seed)
    net, output = made(name, size, width)
    return net.model(output, seed)


def parameters(name: str, size: int = 0, width: float = 1.0) -> int:
    """The learned parameters of a built network, without drawing them."""
    return made(name, size, width)[0].parameters


def made(name: str, size: int, width: float) -> tuple[Net, Feature]:
    built = BUILT[name]
    return built.make(size or built.size, width)
