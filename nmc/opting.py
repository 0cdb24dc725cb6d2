"""Passes alone: a graph from text or ONNX, a pipeline, and the text of what comes out."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from nmc import targets
from nmc.backends.host import OrtHost
from nmc.compiling import calibrated, host_allowed, is_float
from nmc.data.files import open_arrays
from nmc.frontend import import_model
from nmc.ir.design import Design
from nmc.ir.diagnostics import Loc, NmcError, Report, error
from nmc.ir.graph import Array, Graph
from nmc.ir.graph_text import parse_graph, print_graph, weights_of
from nmc.ir.mapping import mapping_to_json
from nmc.ir.program_text import print_program
from nmc.ir.text import did_you_mean
from nmc.output import atomic, save_npz, write_text
from nmc.passes.book import PASSES
from nmc.pipeline import LEVELS, Observer, Pipeline, level_of, pass_named

__all__ = ["opt", "outputs_of", "pass_names", "read_graph", "suffix_of", "text_of", "write"]

MAX_TEXT_BYTES = 1 << 28


def opt(
    file: str,
    pipeline: str,
    *,
    target: str,
    overrides: Sequence[str],
    calib: Sequence[str],
    input_shapes: Mapping[str, tuple[int, ...]],
    host_ops: str,
    seed: int,
    report: Report,
    observer: Observer | None = None,
) -> tuple[Design, str]:
    """The design after the pipeline, and the level that it has come to."""
    chip = targets.load(target, overrides, report)
    passes = Pipeline.parse(pipeline).resolved(seed)
    graph = read_graph(file, input_shapes, report)
    design = Design(graph, chip, seed=seed, host_ops=host_allowed(host_ops), host=OrtHost())
    start = level_of(design)
    end = passes.check_levels(start)
    if calib or looks_at_data(passes, graph):
        design.calibration = calibrated(calib, graph, chip, seed, report)
    passes.run(design, report, start=start, observer=observer)
    return design, end


def looks_at_data(passes: Pipeline, graph: Graph) -> bool:
    """Whether calibration inputs can change what the passes do."""
    names = {step.name for step in passes.passes}
    return "schedule-adc" in names or ("quantize" in names and is_float(graph))


def pass_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names, refused with `unknown-pass` if the book has none of that name."""
    for name in names:
        if pass_named(name) is None:
            hint = did_you_mean(name, [kind.name for kind in PASSES])
            raise NmcError(error("unknown-pass", f"there is no pass `{name}`", remedy=hint))
    return tuple(names)


# In


def read_graph(file: str, input_shapes: Mapping[str, tuple[int, ...]], report: Report) -> Graph:
    """A graph text, recognised by how it begins, or else an ONNX model."""
    if file == "-":
        return parse_graph(sys.stdin.read(), "<stdin>")
    path = Path(file)
    if is_text(path):
        return parse_graph(path.read_text(encoding="utf-8"), file, weights_beside(path))
    return import_model(file, input_shapes=input_shapes, report=report)


def is_text(path: Path) -> bool:
    """Whether the file is UTF-8 whose first line that is no comment opens a graph."""
    try:
        if not path.is_file() or path.stat().st_size > MAX_TEXT_BYTES:
            return False
        with path.open("rb") as stream:
            start = stream.read(1 << 16)
    except OSError:
        return False  # the frontend says why
    lines = (line.strip() for line in start.split(b"\n"))
    return next((line for line in lines if line and line[:1] != b"#"), b"").startswith(b"graph ")


def weights_beside(path: Path) -> dict[str, Array]:
    beside = path.with_suffix(".npz")
    if not beside.exists():
        return {}
    file = open_arrays(beside)
    return {name: file.load(name) for name in file.headers}


# Out


def text_of(design: Design, level: str) -> str:
    """The graph, the mapping or the programs, by how far the design has come."""
    rank = LEVELS.index(level)
    if rank < LEVELS.index("staged"):
        return print_graph(design.graph)
    if level != "program" and design.mapping is not None:
        return mapping_to_json(design.mapping).decode() + "\n"
    return "\n".join(map(print_program, design.programs))


def write(design: Design, level: str, path: Path) -> None:
    """The text to a file; the weights of a graph into an .npz beside it."""
    write_text(path, text_of(design, level))
    weights = weights_of(design.graph)
    if weights and LEVELS.index(level) < LEVELS.index("staged"):
        if path.suffix == ".npz":
            message = f"{path} would be the name of the weights: give the text another ending"
            raise NmcError(error("bad-option", message, Loc(file=str(path))))
        with atomic(path.with_suffix(".npz")) as stream:
            save_npz(stream, weights)


def outputs_of(path: Path, pipeline: str) -> list[Path]:
    """What `write` may write once the pipeline is done; NmcError for one that can't be read."""
    staged = LEVELS.index("staged")
    gives = [step.gives for step in Pipeline.parse(pipeline).passes if step.gives]
    ends_as_graph = all(LEVELS.index(level) < staged for level in gives)
    return [path, path.with_suffix(".npz")] if ends_as_graph else [path]


def suffix_of(level: str) -> str:
    """The ending of a file that holds `text_of`."""
    if LEVELS.index(level) < LEVELS.index("staged"):
        return ".graph.txt"
    return ".asm" if level == "program" else ".mapping.json"
