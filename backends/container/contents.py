"""What a mapping file holds, as nouns, and how they come out of a finished compilation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Mapping as Dict
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from nmc.backends.host import OrtHost
from nmc.backends.onnx_export import export_onnx
from nmc.ir.design import Design
from nmc.ir.diagnostics import Diagnostic
from nmc.ir.graph import Graph, Value
from nmc.ir.mapping import Mapping, Step, StepKind
from nmc.ir.matrices import nodes_by_result
from nmc.ir.program import Program
from nmc.ir.target import Target

__all__ = [
    "FORMAT",
    "VERSION",
    "CalibrationInfo",
    "Contents",
    "Manifest",
    "MemberInfo",
    "ModelInfo",
    "Option",
    "contents_of",
    "values_by_name",
]

FORMAT = "nmc-mapping"
VERSION = "1.0"

Option = bool | int | float | str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model that was compiled: what it is called, and the sha256 of its bytes."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class CalibrationInfo:
    """What the quantisation was calibrated on; `random` if it was made up."""

    origin: str
    samples: int
    random: bool = False


@dataclass(frozen=True, slots=True)
class MemberInfo:
    """Of one member of the archive, uncompressed."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """How the file came to be, so that it can be made again, and what it must hold.

    `pipeline` is resolved: aliases expanded, seeds filled in.  `options` are the other choices
    that decide the result.  `members` is empty until the file is written.
    """

    model: ModelInfo
    target: str
    pipeline: str
    seed: int
    tool_version: str
    options: dict[str, Option] = field(default_factory=dict[str, Option])
    calibration: CalibrationInfo | None = None
    format: str = FORMAT
    version: str = VERSION
    members: dict[str, MemberInfo] = field(default_factory=dict[str, MemberInfo])


@dataclass(frozen=True, slots=True)
class Contents:
    """A mapping file in memory.

    `programs` has one program per chip step of the mapping, in order, `host_models` the ONNX
    model of each host step by the step's name.
    """

    manifest: Manifest
    graph: Graph
    target: Target
    mapping: Mapping
    programs: tuple[Program, ...]
    host_models: dict[str, bytes]
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def program_of(self) -> dict[str, Program]:
        """Each chip step's program, by the step's name."""
        chip = (s.name for s in self.mapping.steps if s.kind is StepKind.CHIP)
        return dict(zip(chip, self.programs, strict=True))


def contents_of(
    design: Design,
    *,
    model: ModelInfo,
    pipeline: str,
    tool_version: str,
    options: Dict[str, Option] | None = None,
    diagnostics: Iterable[Diagnostic] = (),
) -> Contents:
    """The file of a design that has been through the whole pipeline.

    NmcError `unsupported-operator` if onnxruntime refuses a host step.
    """
    if design.mapping is None:
        raise ValueError("the design has no mapping yet")
    given = design.calibration
    manifest = Manifest(
        model,
        design.target.name,
        pipeline,
        design.seed,
        tool_version,
        dict(options or {}),
        CalibrationInfo(given.origin, given.samples, given.random) if given else None,
    )
    return Contents(
        manifest,
        design.graph,
        design.target,
        design.mapping,
        tuple(design.programs),
        host_models(design.graph, design.mapping.steps),
        tuple(anywhere(d) for d in diagnostics),
    )


def anywhere(diagnostic: Diagnostic) -> Diagnostic:
    """Without the folder from which the user happened to compile."""
    loc = diagnostic.loc
    return replace(diagnostic, loc=replace(loc, file=PurePath(loc.file).name if loc.file else ""))


def host_models(graph: Graph, steps: Sequence[Step]) -> dict[str, bytes]:
    """The ONNX model of each host step, tried on onnxruntime."""
    nodes, values, host = nodes_by_result(graph), values_by_name(graph), OrtHost()
    models = {}
    for step in steps:
        if step.kind is StepKind.HOST:
            part = [nodes[name] for name in step.nodes]
            inputs = [values[name] for name in step.inputs]
            outputs = [values[name] for name in step.outputs]
            models[step.name] = export_onnx(part, inputs, outputs, step.name)
            host.session(models[step.name], part[0].loc)
    return models


def values_by_name(graph: Graph) -> dict[str, Value]:
    """Every value of the graph, constants included."""
    return {v.name: v for v in (*graph.values(), *graph.constants())}
