"""MobileNetV1 (Howard et al., arXiv 1704.04861, table 1) and V2 (Sandler et al., CVPR 2018)."""

from __future__ import annotations

from benchmarks.networks.builder import RELU_GAIN, Feature, Net

__all__ = ["divisible", "mobilenet_v1", "mobilenet_v2"]

V1_BLOCKS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)
"""(channels, stride) of the depthwise separable convolutions."""

V2_BLOCKS = (
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)
"""(expansion, channels, blocks, stride of the first): table 2 of the paper."""

CLASSES = 1000


def mobilenet_v1(size: int, width: float = 1.0) -> tuple[Net, Feature]:
    net = Net("mobilenet_v1", size)
    x = net.conv(net.input, round(32 * width), 3, stride=2, gain=1.0)
    x = net.relu(net.norm(x))
    for chans, stride in V1_BLOCKS:
        x = net.relu(net.norm(net.conv(x, x.chans, 3, stride=stride, groups=x.chans)))
        x = net.relu(net.norm(net.conv(x, round(chans * width), 1)))
    return net, net.dense(net.flat(net.mean(x)), CLASSES, gain=1.0)


def mobilenet_v2(size: int, width: float = 1.0) -> tuple[Net, Feature]:
    net = Net("mobilenet_v2", size)
    x = net.conv(net.input, divisible(32 * width), 3, stride=2, gain=1.0)
    x = net.relu6(net.norm(x))
    for expansion, chans, blocks, stride in V2_BLOCKS:
        for block in range(blocks):
            planes = divisible(chans * width)
            x = inverted(net, x, planes, expansion, stride if block == 0 else 1)
    x = net.relu6(net.norm(net.conv(x, divisible(1280 * max(1.0, width)), 1, gain=1.0)))
    return net, net.dense(net.flat(net.mean(x)), CLASSES, gain=1.0)


def inverted(net: Net, x: Feature, chans: int, expansion: int, stride: int) -> Feature:
    """An inverted residual: expand, filter each channel, project without activation."""
    y = x
    if expansion != 1:
        y = net.relu6(net.norm(net.conv(y, expansion * x.chans, 1, gain=1.0)))
    y = net.relu6(net.norm(net.conv(y, y.chans, 3, stride=stride, groups=y.chans)))
    added = stride == 1 and x.chans == chans
    y = net.norm(net.conv(y, chans, 1, gain=RELU_GAIN), damping=0.3 if added else 1.0)
    return net.plus(x, y) if added else y


def divisible(chans: float) -> int:
    """The nearest multiple of eight that is at least 90 % of it: the authors' rounding."""
    rounded = max(8, int(chans + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * chans else rounded
