"""Steps of the slowest convolution with the best windows and copies, beside im2col with copies.

A step reads all arrays of a layer once.  Arrays hold whole weights; those of the dense layers are
set aside first.  Prints a table, or JSON with --json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from onnx import helper

from benchmarks.networks import BUILT
from benchmarks.networks.builder import Net, feature_size
from nmc.ir.pareto import nondominated
from nmc.passes.replicating.choose import throughput
from nmc.passes.replicating.options import Budget, Option
from nmc.passes.tiling.windows import Array, Shape, im2col, sdk, step_options, vw_sdk

__all__ = ["CASES", "SINGLE_ARRAY", "Case", "layers_of", "single_array", "steps"]

WEIGHTS_HELD = 9216 * 128 * 128
"""PIMCOMP-NN's default chip: 144 cores of 64 arrays 128 x 128."""


@dataclass(frozen=True, slots=True)
class Case:
    """A network on arrays side x side, as many as make up the chip; or on `arrays` of them in all,
    dense layers left out of account.  `size` is the side of its image, 0 for its own, and `width`
    a factor of all channels."""

    network: str
    side: int
    arrays: int = 0
    size: int = 0
    width: float = 1.0


@dataclass(frozen=True, slots=True)
class Result:
    """`arrays`: for one copy by im2col, each group by itself; `packed`: groups on diagonals.

    `joint` chooses windows too.  Steps are 0 where one copy does not fit.
    """

    network: str
    side: int
    available: int
    dense_arrays: int
    arrays: int
    im2col_steps: int
    packed_arrays: int
    packed_steps: int
    joint_steps: int
    joint_arrays: int


CASES = (
    *(Case(name, 128) for name in ("resnet18", "resnet50", "vgg16", "mobilenet_v2")),
    Case("resnet18", 128, 5288),
    *(Case(name, side) for side in (256, 512) for name in ("resnet18", "resnet50")),
)

SINGLE_ARRAY: dict[str, tuple[Shape, ...]] = {
    # The layers of the VW-SDK paper's tables: input sizes without padding, stride 1.
    "ResNet-18": tuple(
        Shape.unpadded(*layer)
        for layer in (
            (112, 7, 3, 64),
            (56, 3, 64, 64),
            (28, 3, 128, 128),
            (14, 3, 256, 256),
            (7, 3, 512, 512),
        )
    ),
    "VGG-13": tuple(
        Shape.unpadded(size, 3, chans, outputs)
        for size, chans, outputs in (
            (224, 3, 64),
            (224, 64, 64),
            (112, 64, 128),
            (112, 128, 128),
            (56, 128, 256),
            (56, 256, 256),
            (28, 256, 512),
            (28, 512, 512),
            (14, 512, 512),
            (14, 512, 512),
        )
    ),
}


def layers_of(net: Net) -> tuple[list[Shape], list[tuple[int, int]]]:
    """Its convolutions, and the rows and columns of its dense layers."""
    shapes = {weight.name: weight.shape for weight in net.weights}
    sizes = {net.input.name: net.size}
    convs: list[Shape] = []
    dense: list[tuple[int, int]] = []
    for node in net.nodes:
        found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        size = sizes[node.input[0]]
        if node.op_type in ("Conv", "MaxPool"):
            kernel, stride = found["kernel_shape"][0], found["strides"][0]
            size = feature_size(size, kernel, stride, found["pads"][0])
        if node.op_type == "Conv":
            outputs, chans, *window = shapes[node.input[1]]
            groups = found["group"]
            convs.append(
                Shape(
                    (size, size),
                    (window[0], window[1]),
                    (stride, stride),
                    chans * groups,
                    outputs,
                    groups,
                )
            )
        elif node.op_type == "Gemm":
            outputs, chans = shapes[node.input[1]]
            dense.append((chans, outputs))
        sizes[node.output[0]] = 1 if node.op_type == "GlobalAveragePool" else size
    return convs, dense


def options_of(shape: Shape, array: Array, *, windows: bool, packed: bool) -> tuple[Option, ...]:
    """Each window that none beats in steps and arrays; a step is a firing of one cycle."""
    every = step_options(shape, array, windows=windows, packed=packed)
    kept = nondominated(np.column_stack([every.steps, every.arrays]))
    return tuple(
        Option(firings=int(steps), cycles=1, held=(int(arrays),))
        for steps, arrays in zip(every.steps[kept], every.arrays[kept], strict=True)
    )


def steps(case: Case) -> Result:
    built = BUILT[case.network]
    convs, dense = layers_of(built.make(case.size or built.size, case.width)[0])
    array = Array(case.side, case.side)
    set_aside = sum(-(-rows // case.side) * -(-cols // case.side) for rows, cols in dense)
    available = case.arrays or WEIGHTS_HELD // case.side**2 - set_aside
    alone, packed, joint = (
        [options_of(shape, array, windows=windows, packed=packed) for shape in convs]
        for windows, packed in ((False, False), (False, True), (True, True))
    )
    plans = [throughput(layers, Budget((available,))) for layers in (alone, packed, joint)]
    intervals = [0 if plan is None else plan.interval for plan in plans]
    return Result(
        case.network,
        case.side,
        available,
        set_aside,
        sum(options[0].held[0] for options in alone),
        intervals[0],
        sum(options[0].held[0] for options in packed),
        intervals[1],
        intervals[2],
        plans[2].held[0] if plans[2] else 0,
    )


def single_array() -> Iterator[dict[str, Any]]:
    """Cycles of each network's layers on one array, one layer after the other."""
    for network, shapes in SINGLE_ARRAY.items():
        for side in (512, 256, 128):
            array = Array(side, side)
            yield {
                "network": network,
                "side": side,
                **{
                    way.__name__: sum(way(shape, array).cycles for shape in shapes)
                    for way in (im2col, sdk, vw_sdk)
                },
            }


def table(rows: list[dict[str, Any]]) -> str:
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([str(v) for v in r.values()] for r in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object instead of tables")
    asked = parser.parse_args()
    one, all_ = list(single_array()), [asdict(steps(case)) for case in CASES]
    if asked.json:
        print(json.dumps({"cycles_on_one_array": one, "steps_on_a_chip": all_}))
    else:
        print(f"Cycles on one array\n\n{table(one)}\n\nSteps on a chip\n\n{table(all_)}")


if __name__ == "__main__":
    main()
