"""`nmc verify`: simulated outputs against the quantised graph, and against onnxruntime."""

from __future__ import annotations

import rich_click as click

from nmc.cli.progress import Progress
from nmc.cli.session import Session, common

MADE_UP_SAMPLES = 64
MADE_UP = "No -i: compared on RANDOM inputs, which say little about real ones; give -i DATA."


@click.command("verify")
@click.argument("file", metavar="OUT.nmc")
@click.option("--model", metavar="MODEL.onnx", help="The model it was compiled from.")
@click.option(
    "-i",
    "--input",
    "inputs",
    multiple=True,
    metavar="DATA",
    help="As for nmc run; without it, random inputs.",
)
@click.option("--labels", metavar="Y.npy|Y.npz:KEY", help="The right class of each sample.")
@click.option("--per-layer", is_flag=True, help="SNR of each stage, quantised and on the chip.")
@click.option("--min-snr", type=float, metavar="DB", help="Fail below this SNR.")
@click.option(
    "--min-top1",
    type=click.FloatRange(0, 1),
    metavar="P",
    help="Fail below this top-1 agreement, 0..1.",
)
@click.option("--exact", is_flag=True, help="Fail unless equal to the quantised graph.")
@click.option("-n", "samples", type=click.IntRange(min=1), help="Use the first N samples only.")
@common
def command(
    session: Session,
    file: str,
    model: str | None,
    inputs: tuple[str, ...],
    labels: str | None,
    per_layer: bool,
    min_snr: float | None,
    min_top1: float | None,
    exact: bool,
    samples: int | None,
) -> int:
    """Compare the simulated outputs of OUT.nmc with what they should be.

    With the quantised graph: on a target of lossless reads they are equal, bit for bit.  With
    --model: against onnxruntime on the model itself.  Exit code 5 if a threshold is not reached.
    """
    from nmc.api import load
    from nmc.verifying import Demands

    needs_model(model, per_layer=per_layer, min_snr=min_snr, min_top1=min_top1)
    compiled = load(file)
    given = compiled.inputs(list(inputs or ("random",)), samples=samples or MADE_UP_SAMPLES)
    if samples and samples > given.samples:
        session.say(f"-n {samples}: the data have {given.samples} samples, all are used")
    with Progress(session) as progress:
        progress.simulates(None, lossy=not compiled.target.exact)
        result = compiled.verify(
            model,
            given,
            labels=labels,
            samples=samples,
            per_layer=per_layer,
            demands=Demands(exact, min_snr, min_top1),
            progress=progress.cycles,
        )
    session.diagnose(result.diagnostics)
    return finish(session, result, bool(inputs))


def needs_model(model: str | None, **options: object) -> None:
    """Options that compare with the model need one."""
    given = [name for name, value in options.items() if value]
    if given and not model:
        raise click.UsageError(f"--{given[0].replace('_', '-')} needs --model MODEL.onnx")


def finish(session: Session, result: object, given: bool) -> int:
    from nmc.ir.diagnostics import Exit
    from nmc.report.runs import verify_data, verify_lines
    from nmc.verifying import Verification

    if not isinstance(result, Verification):
        raise TypeError("a verification is a Verification")
    if not given:
        session.say(MADE_UP)
    code = Exit.OK if result.passed else Exit.THRESHOLD
    return session.result(verify_data(result), verify_lines(result), exit=code)
