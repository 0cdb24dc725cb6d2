"""A U-Net (Ronneberger et al., MICCAI 2015) with padding, BatchNorm and half of the channels.

Layer for layer that of Buda et al., Computers in Biology and Medicine 109 (2019), for brain MRI.
"""

from __future__ import annotations

from benchmarks.networks.builder import Feature, Net

__all__ = ["unet"]

DEPTH = 4
FIRST = 32


def unet(size: int, width: float = 1.0) -> tuple[Net, Feature]:
    """`size` a multiple of 16, for the halves to meet again."""
    if size % 2**DEPTH:
        raise ValueError(f"the U-Net halves its image {DEPTH} times: {size} is not divisible")
    net = Net("unet", size)
    x = net.input
    skips: list[Feature] = []
    for level in range(DEPTH):
        x = double(net, x, planes(level, width))
        skips.append(x)
        x = net.max_pool(x, 2, 2)
    x = double(net, x, planes(DEPTH, width))
    for level in reversed(range(DEPTH)):
        x = net.concat(net.up_conv(x, planes(level, width)), skips[level])
        x = double(net, x, planes(level, width))
    return net, net.sigmoid(net.conv(x, 1, 1, bias=True))


def planes(level: int, width: float) -> int:
    return round((FIRST << level) * width)


def double(net: Net, x: Feature, chans: int) -> Feature:
    for _ in range(2):
        x = net.relu(net.norm(net.conv(x, chans, 3)))
    return x
