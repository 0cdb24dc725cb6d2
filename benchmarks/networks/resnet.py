"""ResNet-18 and ResNet-50: He et al., CVPR 2016, table 1; strides as torchvision has them."""

from __future__ import annotations

from benchmarks.networks.builder import Feature, Net

__all__ = ["resnet18", "resnet50"]

BRANCH_DAMPING = 0.3
"""Keeps sixteen residual sums from growing without end."""

EXPANSION = 4
CLASSES = 1000


def resnet18(size: int, width: float = 1.0) -> tuple[Net, Feature]:
    net = Net("resnet18", size)
    x = stem(net, width)
    for planes, blocks, stride in stages((2, 2, 2, 2), width):
        for block in range(blocks):
            x = basic(net, x, planes, stride if block == 0 else 1)
    return net, head(net, x)


def resnet50(size: int, width: float = 1.0) -> tuple[Net, Feature]:
    net = Net("resnet50", size)
    x = stem(net, width)
    for planes, blocks, stride in stages((3, 4, 6, 3), width):
        for block in range(blocks):
            x = bottleneck(net, x, planes, stride if block == 0 else 1)
    return net, head(net, x)


def stages(blocks: tuple[int, ...], width: float) -> list[tuple[int, int, int]]:
    """(planes, blocks, stride of the first)"""
    return [(round((64 << i) * width), count, 1 if i == 0 else 2) for i, count in enumerate(blocks)]


def stem(net: Net, width: float) -> Feature:
    x = net.conv(net.input, round(64 * width), 7, stride=2, gain=1.0)
    return net.max_pool(net.relu(net.norm(x)), 3, 2, pad=1)


def basic(net: Net, x: Feature, planes: int, stride: int) -> Feature:
    y = net.relu(net.norm(net.conv(x, planes, 3, stride=stride)))
    y = net.norm(net.conv(y, planes, 3), damping=BRANCH_DAMPING)
    return net.relu(net.plus(y, shortcut(net, x, planes, stride)))


def bottleneck(net: Net, x: Feature, planes: int, stride: int) -> Feature:
    y = net.relu(net.norm(net.conv(x, planes, 1)))
    y = net.relu(net.norm(net.conv(y, planes, 3, stride=stride)))
    y = net.norm(net.conv(y, EXPANSION * planes, 1), damping=BRANCH_DAMPING)
    return net.relu(net.plus(y, shortcut(net, x, EXPANSION * planes, stride)))


def shortcut(net: Net, x: Feature, chans: int, stride: int) -> Feature:
    if stride == 1 and x.chans == chans:
        return x
    return net.norm(net.conv(x, chans, 1, stride=stride, gain=1.0))


def head(net: Net, x: Feature) -> Feature:
    return net.dense(net.flat(net.mean(x)), CLASSES, gain=1.0)
