"""The steps that benchmarks put a network through, each in a child process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Child, run_child

__all__ = ["DOES_NOT_FIT", "MESHES", "Bench"]

DOES_NOT_FIT = 4
"""The exit code of `nmc compile` for a model that the chip has no room for."""

MESHES = ("32x36", "auto")
"""9,216 crossbars where a core has eight of them; or as many as it takes."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where files go, what is compiled for, and how long a step may take."""

    folder: Path
    target: str = "exact-128"
    meshes: Sequence[str] = MESHES
    options: Sequence[str] = ()
    limit_s: float = 600.0

    def model(self, network: str, *options: object) -> tuple[Path, Child | None]:
        """The ONNX file of a network: one that is there already, or else one of ours.

        The child is the one that wrote it, if it had to be written.
        """
        if network.endswith(".onnx"):
            return Path(network).resolve(), None
        path = self.folder / f"{network}.onnx"
        return path, run_child(
            "benchmarks.networks", network, "-o", path, *options, limit_s=self.limit_s
        )

    def compile(self, model: Path) -> tuple[Path, str, Child]:
        """The mapping file, the mesh that it is for, and `nmc compile`'s JSON.

        The next mesh is tried where the model doesn't fit on one.
        """
        path = self.folder / f"{model.stem}.nmc"
        for mesh in self.meshes:
            child = self.compile_for(model, path, mesh)
            if child.exit_code != DOES_NOT_FIT:
                break
        return path, mesh, child

    def compile_for(self, model: Path, path: Path, mesh: str) -> Child:
        size = ["--mesh", mesh] if mesh else []
        return run_child(
            "nmc",
            *("compile", model, "-t", self.target, *size, *self.options),
            *("-o", path, "--json"),
            limit_s=self.limit_s,
        )

    def simulate(self, path: Path, *options: object) -> Child:
        return run_child("benchmarks.simulated", path, *options, limit_s=self.limit_s)
