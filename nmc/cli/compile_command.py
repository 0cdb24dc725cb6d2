"""`nmc compile`: an ONNX model in, a mapping file out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from nmc.cli.arguments import (
    calib_option,
    host_ops_option,
    input_shape_option,
    mesh_option,
    seed_option,
    set_option,
    target_option,
)
from nmc.cli.progress import Progress
from nmc.cli.session import Session, common

if TYPE_CHECKING:
    from nmc.api import Compiled
    from nmc.compiling import Compilation, Wish
    from nmc.ir.design import Design
    from nmc.ir.diagnostics import Report
    from nmc.passes.base import Pass


@click.command("compile")
@click.argument("model", metavar="MODEL.onnx")
@click.option(
    "-o",
    "--output",
    metavar="OUT.nmc",
    help="The mapping file; without this, MODEL.nmc in the current folder.",
)
@target_option
@set_option
@calib_option
@input_shape_option
@mesh_option
@click.option(
    "--objective",
    type=click.Choice(["throughput", "latency", "energy", "crossbars"]),
    help="What ways and copies of layers are chosen for; throughput unless the pipeline says.",
)
@click.option(
    "--plan", metavar="PLAN.toml", help="Ways, copies and pieces of layers, decided beforehand."
)
@click.option(
    "--write-plan", metavar="PLAN.toml", help="Write what was decided, to edit and give to --plan."
)
@host_ops_option
@click.option(
    "-p", "--pipeline", default="@default", show_default=True, help="The passes; see nmc passes."
)
@click.option(
    "--emit-ir",
    multiple=True,
    metavar="after=PASS",
    help="Write the design after PASS as text, beside the output; repeatable.",
)
@seed_option
@common
def command(
    session: Session,
    model: str,
    output: str | None,
    target: str,
    overrides: tuple[str, ...],
    calib: tuple[str, ...],
    input_shapes: tuple[str, ...],
    mesh: str,
    objective: str | None,
    plan: str | None,
    write_plan: str | None,
    host_ops: str,
    pipeline: str,
    emit_ir: tuple[str, ...],
    seed: int,
) -> int:
    """Compile MODEL.onnx for a target and write the mapping file; with -q print its name alone.

    A float model wants --calib: inputs like those that it will see.  A quantised one brings all
    it needs.
    """
    from nmc.compiling import Wish, read_input_shapes
    from nmc.plan import plan_source, read_plan

    wish = Wish(
        model,
        target=target,
        calib=calib,
        input_shapes=read_input_shapes(input_shapes),
        overrides=overrides,
        mesh=mesh,
        seed=seed,
        host_ops=host_ops,
        pipeline=pipeline,
        objective=objective or "",
        plan=read_plan(Path(plan)) if plan else {},
        plan_source=plan_source(Path(plan)) if plan else "",
    )
    path = Path(output) if output else Path(Path(model).stem + ".nmc")
    plans = Plans(plan, Path(write_plan) if write_plan else None)
    return compile_to(session, wish, path, emit_ir, plans)


@dataclass(frozen=True, slots=True)
class Plans:
    """The plan file that was read, and the one to write."""

    read: str | None = None
    written: Path | None = None


NO_PLANS = Plans()


def compile_to(
    session: Session,
    wish: Wish,
    path: Path,
    emit_ir: tuple[str, ...] = (),
    plans: Plans = NO_PLANS,
) -> int:
    """Compile, write, and print the summary."""
    import time

    from nmc.ir.diagnostics import Report
    from nmc.output import check_writable, files_in, keep_inputs, write_text
    from nmc.plan import plan_text

    emitter = Emitter(passes_of(emit_ir), path)
    read = [str(wish.model), str(wish.target), *wish.calib, *filter(None, [plans.read])]
    keep_inputs([path, plans.written, *emitter.paths()], files_in(read))
    for each in filter(None, (path, plans.written)):
        check_writable(each)
    began = time.perf_counter()
    report = Report()
    done, compiled = compiled_by(session, wish, report, emitter)
    compiled.save(path)
    emitter.write()
    if plans.written:
        write_text(plans.written, plan_text(done.design))
    return summarize(session, done, compiled, path, time.perf_counter() - began)


def compiled_by(
    session: Session, wish: Wish, report: Report, emitter: Emitter
) -> tuple[Compilation, Compiled]:
    """Compile under progress; problems found so far are shown also if it fails."""
    from threadpoolctl import threadpool_limits

    from nmc.api import Compiled, contents_from
    from nmc.compiling import compile_design
    from nmc.ir.diagnostics import Severity

    try:
        with Progress(session) as progress, threadpool_limits(1):
            emitter.next = progress
            done = compile_design(wish, report, observer=emitter, announce=progress.announce)
            progress.announce("writing")
            compiled = Compiled(contents_from(done))
    finally:
        session.diagnose(d for d in report if d.severity is not Severity.ERROR)
    return done, compiled


def summarize(
    session: Session, done: Compilation, compiled: Compiled, path: Path, compile_s: float
) -> int:
    from nmc.report.summary import compile_data, compile_lines

    outlook = done.design.outlook
    data = compile_data(compiled, path, compile_s, peak_rss_bytes(), outlook)
    lines = compile_lines(compiled, done.model.file, path, compile_s, path.stat().st_size, outlook)
    return session.result(data, lines, brief=[str(path)])


def peak_rss_bytes() -> int | None:
    """The most memory that this process has had; None where the system doesn't say."""
    import sys

    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


# Intermediate forms


def passes_of(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The passes that `after=PASS` texts name."""
    from nmc.ir.diagnostics import NmcError, error
    from nmc.opting import pass_names

    for text in texts:
        if not text.startswith("after="):
            message = f"`--emit-ir {text}`: write after=PASS"
            raise NmcError(error("bad-option", message, remedy="such as --emit-ir after=tile"))
    return pass_names([text.removeprefix("after=") for text in texts])


class Emitter:
    """An observer that keeps the design's text after some passes, and tells another of all."""

    def __init__(self, wanted: tuple[str, ...], path: Path) -> None:
        self.wanted = wanted
        self.path = path
        self.next: Progress | None = None
        self.texts: dict[Path, str] = {}

    def paths(self) -> list[Path]:
        """What will be written, if the pipeline has those passes."""
        from nmc.pipeline import pass_named

        kinds = [kind for kind in map(pass_named, self.wanted) if kind is not None]
        return [self.path_of(kind.name, kind.gives or kind.needs) for kind in kinds]

    def path_of(self, name: str, level: str) -> Path:
        from nmc.opting import suffix_of

        return self.path.with_name(f"{self.path.stem}.{name}{suffix_of(level)}")

    def starts(self, index: int, total: int, step: Pass) -> None:
        if self.next:
            self.next.starts(index, total, step)

    def ended(self, step: Pass, design: Design, changed: bool, wall_s: float) -> None:
        from nmc.opting import text_of

        if self.next:
            self.next.ended(step, design, changed, wall_s)
        if step.name in self.wanted:
            level = step.gives or step.needs
            self.texts[self.path_of(step.name, level)] = text_of(design, level)

    def write(self) -> None:
        from nmc.output import write_text

        for path, text in self.texts.items():
            write_text(path, text)
