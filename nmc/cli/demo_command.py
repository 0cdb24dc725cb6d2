"""`nmc demo`: the whole way with a small trained model and real data, in seconds and offline."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from nmc.cli.arguments import target_option
from nmc.cli.progress import Progress
from nmc.cli.session import Session, common

if TYPE_CHECKING:
    from nmc.api import Compiled

BATCH = 4
INEXACT = (
    "Not exact is as it should be: this chip's ADCs have fewer bits than the sums of a column.\n"
    "On `nmc demo -t exact-128` every bit agrees."
)


@click.command("demo")
@click.option("--dir", "folder", metavar="DIR", help="Keep model, data and results there.")
@target_option
@common
def command(session: Session, folder: str | None, target: str) -> int:
    """Compile a small network that reads handwritten digits, report, run and verify it.

    Prints each command that you could type yourself.  Everything happens in a temporary folder,
    or in --dir to keep it.
    """
    from nmc.demo import unpack
    from nmc.targets import load

    load(target)  # a target that is none leaves no folder behind
    if folder:
        unpack(Path(folder))
        return tour(session, Path(folder), target, kept=True)
    import tempfile

    with tempfile.TemporaryDirectory(prefix="nmc-demo-") as temporary:
        unpack(Path(temporary))
        return tour(session, Path(temporary), target, kept=False)


def tour(session: Session, folder: Path, target: str, *, kept: bool) -> int:
    from nmc.demo import DATA, MODEL

    say(
        session,
        "A network that reads handwritten digits (8x8 pixels), trained with PyTorch, on the\n"
        f"test images that it has never seen.  Working in {folder}\n",
    )
    results: dict[str, Any] = {"folder": str(folder) if kept else None}
    on = ("-t", target)
    heading(session, "compile", MODEL, *on, "--calib", f"{DATA}:calib", "-o", "digits.nmc")
    compiled = compile_step(session, folder, target, results)
    heading(session, "report", "digits.nmc")
    report_step(session, compiled)
    heading(
        session, "run", "digits.nmc", "-i", f"{DATA}:x", "-n", str(BATCH), "--batch", str(BATCH)
    )
    run_step(session, compiled, folder, results)
    heading(
        session, "verify", "digits.nmc", "--model", MODEL, "-i", f"{DATA}:x",
        "--labels", f"{DATA}:y",
    )  # fmt: skip
    code = verify_step(session, compiled, folder, results)
    if not kept:
        say(session, "\nTo keep the files and try the commands yourself: nmc demo --dir DIR")
    return session.result(results, exit=code)


def say(session: Session, text: str) -> None:
    if not session.json:
        session.say(text)


def heading(session: Session, *words: str) -> None:
    if not session.json:
        session.out("\n" + session.paint(f"$ nmc {shlex.join(words)}", "head"))


def show(session: Session, lines: list[str]) -> None:
    if not session.json:
        for line in lines:
            session.out(line)


def compile_step(session: Session, folder: Path, target: str, results: dict[str, Any]) -> Compiled:
    import time

    from nmc.cli.compile_command import Emitter, compiled_by, peak_rss_bytes
    from nmc.compiling import Wish
    from nmc.demo import DATA, MODEL
    from nmc.ir.diagnostics import Report
    from nmc.report.summary import compile_data, compile_lines

    began = time.perf_counter()
    wish = Wish(
        str(folder / MODEL),
        target=target,
        calib=(f"{folder / DATA}:calib",),
        input_shapes={"image": (1, 1, 8, 8)},
    )
    path = folder / "digits.nmc"
    _, compiled = compiled_by(session, wish, Report(), Emitter((), path))
    compiled.save(path)
    took, size = time.perf_counter() - began, path.stat().st_size
    results["compile"] = compile_data(compiled, path, took, peak_rss_bytes())
    results["compile"]["output"] = path.name  # in `folder`, which need not stay
    show(session, compile_lines(compiled, MODEL, Path(path.name), took, size)[:-2])
    return compiled


def report_step(session: Session, compiled: Compiled) -> None:
    from nmc.report.mapping_text import layer_lines

    show(session, [*layer_lines(compiled.report()), "... and more"])


def run_step(session: Session, compiled: Compiled, folder: Path, results: dict[str, Any]) -> None:
    from nmc.cli.run_command import as_dict
    from nmc.demo import DATA
    from nmc.report.runs import run_lines

    given = compiled.inputs(f"{folder / DATA}:x").first(BATCH)
    with Progress(session) as progress:
        progress.simulates(None, lossy=not compiled.target.exact)
        run = compiled.run(given, inflight=BATCH, progress=progress.cycles)
    results["run"] = as_dict(run, BATCH, None)
    show(session, run_lines(compiled, run, BATCH, None))


def verify_step(session: Session, compiled: Compiled, folder: Path, results: dict[str, Any]) -> int:
    from nmc.demo import DATA, MODEL
    from nmc.report.runs import verify_data, verify_lines

    with Progress(session) as progress:
        result = compiled.verify(
            str(folder / MODEL),
            f"{folder / DATA}:x",
            labels=f"{folder / DATA}:y",
            progress=progress.cycles,
        )
    session.diagnose(result.diagnostics)
    if not (result.exact or compiled.target.exact):
        say(session, INEXACT)
    results["verify"] = verify_data(result)
    show(session, verify_lines(result))
    return next((d.exit for d in result.diagnostics if d.exit), 0)
