"""`nmc check`: in seconds, what runs where, how much of it, all problems, a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich_click as click

from nmc.cli.arguments import (
    host_ops_option,
    input_shape_option,
    mesh_option,
    set_option,
    target_option,
)
from nmc.cli.session import Session, common

if TYPE_CHECKING:
    from nmc.checking import Verdict


@click.command("check")
@click.argument("model", metavar="MODEL.onnx")
@target_option
@set_option
@input_shape_option
@mesh_option
@host_ops_option
@common
def command(
    session: Session,
    model: str,
    target: str,
    overrides: tuple[str, ...],
    input_shapes: tuple[str, ...],
    mesh: str,
    host_ops: str,
) -> int:
    """Say whether MODEL.onnx compiles for a target, what runs where, and what is in the way.

    Needs no calibration data.  The verdict is YES, YES WITH HOST OPS or NO; there is none of a file
    that can't be read.  With -q the verdict alone is printed.
    """
    from nmc.checking import Answer, check_model
    from nmc.compiling import Wish, read_input_shapes

    wish = Wish(
        model,
        target=target,
        overrides=overrides,
        input_shapes=read_input_shapes(input_shapes),
        mesh=mesh,
        host_ops=host_ops,
    )
    verdict = check_model(wish)
    session.diagnose(verdict.diagnostics)
    told = [] if verdict.answer is Answer.UNREAD else lines(session, verdict)
    return session.result(as_dict(verdict), told, exit=verdict.exit, brief=told[-1:])


def as_dict(verdict: Verdict) -> dict[str, Any]:
    from dataclasses import asdict

    found = {name: part for name, part in asdict(verdict).items() if name != "diagnostics"}
    found["verdict"] = found.pop("answer").value
    return found


def lines(session: Session, verdict: Verdict) -> list[str]:
    from nmc.checking import Answer
    from nmc.report.text import number, percent, short

    rows = [f"{verdict.model} on {verdict.target}"]
    rows += [f"  input     {name} : {text}" for name, text in verdict.inputs.items()]
    rows += [f"  output    {name} : {text}" for name, text in verdict.outputs.items()]
    if verdict.nodes is not None and verdict.macs is not None:
        units = ", ".join(f"{n} {unit}" for unit, n in sorted(verdict.units.items()))
        on_chip = verdict.nodes - (verdict.host_nodes or 0)
        share = (verdict.macs_on_crossbars or 0) / verdict.macs if verdict.macs else 1.0
        rows.append(f"  nodes     {on_chip} of {verdict.nodes} on the chip ({units})")
        rows.append(f"  MACs      {number(verdict.macs)}, {percent(share)} of them on crossbars")
    if verdict.crossbars_needed is not None:
        there = verdict.crossbars_available
        rows.append(f"  crossbars {verdict.crossbars_needed} needed, {there} there")
    for op in verdict.host:
        rows.append(f"  host      {op.count} x {op.op}: {short(op.why, 60)}")
    style = "error" if verdict.answer is Answer.NO else "good"
    words = {Answer.YES: "YES", Answer.WITH_HOST: "YES WITH HOST OPS", Answer.NO: "NO"}
    rows.append(f"  verdict   {session.paint(words[verdict.answer], style)}")
    return rows
