"""Writes a network: python -m benchmarks.networks resnet18 -o resnet18.onnx --size 224"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import onnx

from benchmarks.networks import BUILT, NAMES, build, parameters


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.networks", description=__doc__)
    parser.add_argument("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("-o", "--output", type=Path, help="by default NAME.onnx")
    parser.add_argument("--size", type=int, default=0, help="of the square image, in pixels")
    parser.add_argument("--width", type=float, default=1.0, help="factor for all channels")
    parser.add_argument("--seed", type=int, default=0, help="of the weights")
    options = parser.parse_args(arguments)
    path = options.output or Path(f"{options.name}.onnx")
    try:
        model = build(options.name, options.size, options.width, options.seed)
    except ValueError as problem:
        parser.error(str(problem))
    onnx.save(model, path)
    result = {"name": options.name, "file": str(path), "bytes": path.stat().st_size}
    if options.name in BUILT:
        result["parameters"] = parameters(options.name, options.size, options.width)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
