"""`nmc run`: executes a mapping file on the simulator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from nmc.cli.session import Session, common
from nmc.cli.watching import Watch, Watcher, watch_options

if TYPE_CHECKING:
    from nmc.api import Run


@click.command("run")
@click.argument("file", metavar="OUT.nmc")
@click.option(
    "-i",
    "--input",
    "inputs",
    multiple=True,
    required=True,
    metavar="DATA",
    help="X.npz, X.npz:KEY, X.npy, NAME=X.npy, random or random:SEED; repeatable.",
)
@click.option("-o", "--output", metavar="Y.npz|Y.npy", help="Where to write the outputs.")
@click.option("-n", "samples", type=click.IntRange(min=1), help="Use the first N samples only.")
@click.option(
    "--batch",
    "inflight",
    default=1,
    show_default=True,
    type=click.IntRange(min=1, max=1 << 16),
    help="Inputs in flight at once; with 2 or more, the interval between outputs.",
)
@click.option(
    "--engine",
    metavar="fast|reference",
    help="How it is simulated; both give the same.  [default: fast; reference where watched]",
)
@click.option(
    "--max-cycles", type=click.IntRange(min=1), help="Give up after so many cycles.", metavar="N"
)
@click.option(
    "--units",
    default="20",
    show_default=True,
    metavar="N|all",
    help="How many units and waits --json lists, most waited for first.",
)
@click.option("--races", is_flag=True, help="Look for unordered accesses to memory; slower.")
@common
@watch_options
def command(
    session: Session,
    file: str,
    inputs: tuple[str, ...],
    output: str | None,
    samples: int | None,
    inflight: int,
    engine: str | None,
    max_cycles: int | None,
    units: str,
    races: bool,
    watch: Watch,
) -> int:
    """Run the program of OUT.nmc on inputs; print cycles, stalls and use, write the outputs.

    Timing does not depend on data: all samples are computed at once and take the cycles of one,
    or of --batch many in flight.  --trace and the debugger watch the reference engine.
    """
    from nmc.api import load
    from nmc.backends.debugger import Stopped
    from nmc.backends.execute import races_found
    from nmc.backends.simulator import MAX_CYCLES
    from nmc.ir.diagnostics import CODES, NmcError
    from nmc.output import check_writable, files_in, keep_inputs
    from nmc.report.units_text import units_data, units_limit

    limit = units_limit(units)
    scripts = [watch.debug_script] if watch.debug_script else []
    keep_inputs([output, watch.trace], [file, *files_in(inputs), *scripts])
    if output:
        check_writable(writable(Path(output)))
    compiled = load(file)
    given = compiled.inputs(list(inputs), samples=samples or inflight)
    if samples:
        if samples > given.samples:
            session.say(f"-n {samples}: the data have {given.samples} samples, all are used")
        given = given.first(samples)
    watcher = Watcher(watch, session, compiled.contents)
    engine = watcher.engine(engine)
    try:
        with watcher.progress() as progress:
            progress.simulates(engine, lossy=not compiled.target.exact)
            run = compiled.run(
                given,
                inflight=inflight,
                engine=engine,
                max_cycles=max_cycles or MAX_CYCLES,
                detect_races=races,
                progress=progress.cycles,
                attach=watcher.attach,
            )
    except Stopped as end:
        return watcher.stopped(end.cycle)
    except NmcError:
        watcher.finish()  # what was seen up to there tells why
        raise
    seen = watcher.finish()
    if output:
        write_outputs(run, Path(output))
    found = races_found(compiled.contents, run.execution)
    session.diagnose(found)
    return session.result(
        as_dict(run, inflight, output) | units_data(run.contention, limit) | seen,
        [*lines(compiled, run, inflight, output), *watcher.summary(seen)],
        exit=CODES["race"].exit if found else 0,
    )


def writable(path: Path) -> Path:
    from nmc.ir.diagnostics import NmcError, error

    if path.suffix not in (".npz", ".npy"):
        message = f"`-o {path}`: outputs are written as .npz or .npy"
        remedy = f"such as -o {path.stem or 'outputs'}.npz"
        raise NmcError(error("bad-option", message, remedy=remedy))
    return path


def write_outputs(run: Run, path: Path) -> None:
    """All outputs by name, or the only one."""
    import numpy as np

    from nmc.ir.diagnostics import NmcError, error
    from nmc.output import atomic, save_npz

    if path.suffix == ".npy" and len(run.outputs) > 1:
        names = ", ".join(run.outputs)
        message = f"an .npy holds one array, the model has {len(run.outputs)} outputs: {names}"
        raise NmcError(error("bad-option", message, remedy=f"-o {path.with_suffix('.npz')}"))
    with atomic(path) as stream:
        if path.suffix == ".npy":
            np.save(stream, next(iter(run.outputs.values())), allow_pickle=False)
        else:
            save_npz(stream, run.outputs)


def as_dict(run: Run, inflight: int, output: str | None) -> dict[str, Any]:
    from nmc.report.energy_text import energy_data
    from nmc.report.runs import host_steps, least_interval

    return {
        "samples": run.samples,
        "batch": inflight,
        "cycles": run.cycles,
        "latency_cycles": run.latency_cycles,
        "interval_cycles": run.interval_cycles,
        "interval_least_cycles": least_interval(run).cycles,
        "instructions": run.instructions,
        "adc_utilization": run.adc_utilization,
        "adc_utilization_busiest": run.execution.busiest_adc_utilization,
        "host_time_included": not host_steps(run),
        "stalls": run.stalls,
        **energy_data(run.energy),
        "wall_s": run.wall_s,
        "output": output,
        "outputs": {
            name: {"shape": list(array.shape), "dtype": array.dtype.name}
            for name, array in run.outputs.items()
        },
    }


def lines(compiled: Any, run: Run, inflight: int, output: str | None) -> list[str]:
    from nmc.report.runs import run_lines

    return run_lines(compiled, run, inflight, output)
