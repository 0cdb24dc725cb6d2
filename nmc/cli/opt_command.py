"""`nmc opt`: runs passes over a graph, from text or ONNX, and prints what comes out as text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from nmc.cli.arguments import (
    calib_option,
    host_ops_option,
    input_shape_option,
    seed_option,
    set_option,
    target_option,
)
from nmc.cli.session import Session, common

if TYPE_CHECKING:
    from nmc.ir.design import Design
    from nmc.passes.base import Pass


@click.command("opt")
@click.argument("file", metavar="FILE")
@click.option(
    "-p",
    "--pipeline",
    default="",
    help="Passes to run, such as 'fold-constants, canonicalize' or @front; none if left out.",
)
@target_option
@set_option
@calib_option
@input_shape_option
@host_ops_option
@seed_option
@click.option("--print-after", multiple=True, metavar="PASS", help="Print after this pass too.")
@click.option("-o", "--output", default="-", metavar="FILE", help="Where to, instead of stdout.")
@common
def command(
    session: Session,
    file: str,
    pipeline: str,
    target: str,
    overrides: tuple[str, ...],
    calib: tuple[str, ...],
    input_shapes: tuple[str, ...],
    host_ops: str,
    seed: int,
    print_after: tuple[str, ...],
    output: str,
) -> int:
    """Run a pipeline of passes over FILE and print the result as text.

    FILE is an ONNX model or a graph text (its larger weights in an .npz of the same name beside
    it; - is stdin).  What is printed depends on how far the passes went: the graph, the mapping
    as JSON, or assembly.
    """
    from nmc.compiling import read_input_shapes
    from nmc.ir.diagnostics import Report
    from nmc.opting import opt, outputs_of, pass_names
    from nmc.output import check_writable, files_in, keep_inputs

    if output != "-":
        beside = str(Path(file).with_suffix(".npz"))
        written = outputs_of(Path(output), pipeline)
        keep_inputs(written, [file, beside, target, *files_in(calib)])
        check_writable(written[0])
    report = Report()
    wanted = pass_names(print_after)
    stages: dict[str, str] = {}
    design, level = opt(
        file,
        pipeline,
        target=target,
        overrides=overrides,
        calib=calib,
        input_shapes=read_input_shapes(input_shapes),
        host_ops=host_ops,
        seed=seed,
        report=report,
        observer=Printer(wanted, stages),
    )
    session.diagnose(report)
    return show(session, design, level, stages, output)


def show(session: Session, design: Design, level: str, stages: dict[str, str], output: str) -> int:
    from nmc.opting import text_of, write

    text = text_of(design, level)
    if output != "-":
        write(design, level, Path(output))
    data = {"level": level, "text": text, "after": stages}
    lines = [f"# after {name}\n{stage.rstrip()}" for name, stage in stages.items()]
    if stages and output == "-":
        lines.append("# result")
    return session.result(data, [*lines, *([text.rstrip()] if output == "-" else [])])


class Printer:
    """Keeps the text of the design after each pass that was asked for."""

    def __init__(self, wanted: tuple[str, ...], stages: dict[str, str]) -> None:
        self.wanted, self.stages = wanted, stages

    def starts(self, index: int, total: int, step: Pass) -> None:
        pass

    def ended(self, step: Pass, design: Design, changed: bool, wall_s: float) -> None:
        from nmc.opting import text_of

        if step.name in self.wanted:
            self.stages[step.name] = text_of(design, step.gives or step.needs)
