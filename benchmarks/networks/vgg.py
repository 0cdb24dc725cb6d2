"""VGG16, without BatchNorm: Simonyan and Zisserman, ICLR 2015, column D of table 1."""

from __future__ import annotations

from benchmarks.networks.builder import Feature, Net

__all__ = ["vgg16"]

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""(channels, convolutions), a pooling after each."""

HIDDEN = 4096
CLASSES = 1000


def vgg16(size: int, width: float = 1.0) -> tuple[Net, Feature]:
    net = Net("vgg16", size)
    x = net.input
    for chans, convs in BLOCKS:
        for _ in range(convs):
            x = net.relu(net.conv(x, round(chans * width), 3, bias=True))
        x = net.max_pool(x, 2, 2)
    x = net.flat(x)
    for _ in range(2):
        x = net.relu(net.dense(x, round(HIDDEN * width)))
    return net, net.dense(x, CLASSES, gain=1.0)
