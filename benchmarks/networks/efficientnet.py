"""EfficientNet-B0: Tan and Le, ICML 2019, table 1; padding as torchvision has it."""

from __future__ import annotations

from benchmarks.networks.builder import Feature, Net
from benchmarks.networks.mobilenet import divisible

__all__ = ["efficientnet_b0"]

BLOCKS = (
    *((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3)),
    *((6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)),
)
"""(expansion, kernel, stride of the first, channels, blocks)."""

SWISH_GAIN = 2.8
"""What keeps the variance through a swish."""

GATED_GAIN = 11.0
"""As that, for what was multiplied by a gate near one half."""

CLASSES = 1000


def efficientnet_b0(size: int, width: float = 1.0) -> tuple[Net, Feature]:
    net = Net("efficientnet_b0", size)
    x = net.conv(net.input, divisible(32 * width), 3, stride=2, gain=1.0)
    x = net.swish(net.norm(x))
    linear = False
    for expansion, kernel, stride, chans, blocks in BLOCKS:
        for block in range(blocks):
            first = stride if block == 0 else 1
            gain = 1.0 if linear else SWISH_GAIN
            x = mb_conv(net, x, divisible(chans * width), expansion, kernel, first, gain)
            linear = True
    x = net.swish(net.norm(net.conv(x, divisible(1280 * width), 1, gain=1.0)))
    return net, net.dense(net.flat(net.mean(x)), CLASSES, gain=1.0)


def mb_conv(
    net: Net, x: Feature, chans: int, expansion: int, kernel: int, stride: int, gain: float
) -> Feature:
    """An inverted residual with squeeze and excitation; `gain` for what takes its input."""
    y = x
    if expansion != 1:
        y = net.swish(net.norm(net.conv(y, expansion * x.chans, 1, gain=gain)))
        gain = SWISH_GAIN
    y = net.norm(net.conv(y, y.chans, kernel, stride=stride, groups=y.chans, gain=gain))
    y = excited(net, net.swish(y), max(1, x.chans // 4))
    added = stride == 1 and x.chans == chans
    y = net.norm(net.conv(y, chans, 1, gain=GATED_GAIN), damping=0.3 if added else 1.0)
    return net.plus(y, x) if added else y


def excited(net: Net, x: Feature, squeezed: int) -> Feature:
    y = net.swish(net.conv(net.mean(x), squeezed, 1, bias=True, gain=SWISH_GAIN))
    return net.times(x, net.sigmoid(net.conv(y, x.chans, 1, bias=True, gain=SWISH_GAIN)))
