"""What a simulated run and a verification look like on a terminal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nmc.report.energy_text import energy_lines
from nmc.report.tables import fitted
from nmc.report.text import bar, count, line_width, percent, plural, seconds, short, table, wrap
from nmc.report.units_text import unit_lines, unit_name

if TYPE_CHECKING:
    from nmc.api import Compiled, Run
    from nmc.backends.execute import StepRun
    from nmc.backends.report_units import UnitRow
    from nmc.comparing import Comparison
    from nmc.verifying import Verification

__all__ = ["finite", "host_steps", "least_interval", "run_lines", "verify_data", "verify_lines"]


SERVING = ("adc", "array", "fill", "write-back", "vector", "port", "link", "memory", "memory-out")
"""Kinds of units that are busy only while they do something for an input; others also hold what
waits for these."""


def time_text(cycles: float, clock_ghz: float) -> str:
    """Cycles as time at the target's clock."""
    nanoseconds = cycles / clock_ghz
    for limit, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
        if nanoseconds >= limit:
            return f"{nanoseconds / limit:.3g} {unit}"
    return f"{nanoseconds:.3g} ns"


def run_lines(compiled: Compiled, run: Run, inflight: int, output: str | None) -> list[str]:
    clock = compiled.target.clock_ghz
    held = f", {inflight} in flight" if inflight > 1 else ""
    lines = [f"{compiled.contents.manifest.model.name} on {compiled.target.name}"]
    lines.append(f"  samples       {run.samples}{held}")
    lines.append(f"  cycles        {count(run.cycles)}, {time_text(run.cycles, clock)}")
    latency = f"{count(run.latency_cycles)} cycles, {time_text(run.latency_cycles, clock)}"
    lines.append(f"  latency       {latency} at {clock:g} GHz")
    if run.interval_cycles is None:
        lines.append("  interval      needs --batch 2 or more")
    else:
        steady = run.interval_cycles >= least_interval(run).cycles
        rate = clock * 1e9 / run.interval_cycles if run.interval_cycles else math.inf
        fast = f", {count(rate)} inputs a second" if steady and not host_steps(run) else ""
        lines.append(f"  interval      {count(run.interval_cycles)} cycles an input{fast};")
        lines += pace_lines(run, run.interval_cycles)
    if host_steps(run):
        took = seconds(sum(step.wall_s for step in host_steps(run)))
        lines.append(
            f"  host          {len(host_steps(run))} of {len(run.execution.steps)} steps, "
            f"{took} of this machine's time;"
        )
        lines.append("                cycles, latency and interval do NOT include the host's time")
    if any(step.recodes for step in run.execution.steps):
        lines.append("  border        the host recodes inputs or outputs as it brings them in or")
        lines.append("                fetches them, which is in no cycles and no joules")
    lines.append(f"  instructions  {count(run.instructions)}")
    most = percent(run.execution.busiest_adc_utilization)
    lines.append(f"  ADCs busy     busiest {most}, mean {percent(run.adc_utilization)}")
    lines.append(f"  wall time     {seconds(run.wall_s)}")
    sections = (stall_lines(run), unit_lines(run.contention), energy_lines(run.energy))
    for section in sections:
        if section:
            lines += ["", *(f"  {line}".rstrip() for line in section)]
    lines.append("")
    for name, array in run.outputs.items():
        sizes = ",".join(map(str, array.shape))
        lines.append(f"  output        {short(name, 40)} {array.dtype.name}[{sizes}]")
    if output:
        lines.append(f"  written to    {output}")
    return lines


def host_steps(run: Run) -> list[StepRun]:
    """The steps of a run in which the host computed, of which no cycles are known."""
    return [step for step in run.execution.steps if step.result is None and not step.recodes]


def pace_lines(run: Run, interval_cycles: float) -> list[str]:
    """How far the mean distance of outputs can be trusted: it is no steady pace where so few are in
    flight that the busiest unit would need longer."""
    inputs = run.execution.inflight
    mean = f"mean of {inputs - 1}"
    least = least_interval(run)
    if interval_cycles < least.cycles:
        text = (
            f"{mean}, NOT the steady pace, which is at least {count(least.cycles)}: so long the "
            f"{least.unit} is busy for each input; try --batch {max(8, 2 * inputs)}"
        )
    else:
        text = f"{mean}: the last ones have the chip to themselves, so many in flight take a " + (
            f"little more; the {least.unit} is busy for {count(least.cycles)} of it"
            if least.unit
            else "little more"
        )
    return wrap(f"{'':16}{text}", line_width(), indent=16)


@dataclass(frozen=True, slots=True)
class Least:
    """No steady pace is quicker: the cycles an input for which a unit is busy, and which; of
    several chip steps all together, and the unit of the longest."""

    cycles: float
    unit: str


def least_interval(run: Run) -> Least:
    """By the units that the run has accounted for; 0 where it hasn't."""
    most: dict[str, UnitRow] = {}
    for row in run.contention.units:
        of_step = most.get(row.step)
        if row.use.kind in SERVING and (of_step is None or row.use.busy > of_step.use.busy):
            most[row.step] = row
    if not most:
        return Least(0.0, "")
    longest = max(most.values(), key=lambda row: row.use.busy)
    inputs = run.execution.inflight
    return Least(sum(row.use.busy for row in most.values()) / inputs, unit_name(longest.use))


def stall_lines(run: Run) -> list[str]:
    """Sequencers' waiting by cause, longest first, of all of them together."""
    total = sum(run.stalls.values())
    if not total:
        return []
    sequencers = sum(len(result.sequencers) for result in run.execution.results)
    ranked = sorted(run.stalls.items(), key=lambda item: (-item[1], item[0]))
    rows = [(cause, count(n), percent(n / total), bar(n / total)) for cause, n in ranked if n]
    about = (
        f"cycles of all {plural(sequencers, 'sequencer')} of all cores together, which wait side "
        "by side; share of all that waiting"
    )
    lines = table(("sequencers wait for", "cycles", "share", ""), rows, left=(0, 3))
    return [*lines, *wrap(about, line_width() - 2, indent=0)]


# Verification


def finite(value: float | None) -> float | None:
    """A number as JSON has it: without infinities."""
    return value if value is None or math.isfinite(value) else None


def comparison_data(compared: Comparison) -> dict[str, Any]:
    return {
        "name": compared.name,
        "elements": compared.elements,
        "differing": compared.differing,
        "max_abs_error": finite(compared.max_abs_error),
        "snr_db": finite(compared.snr_db),
        "max_quanta": compared.max_quanta,
        "quanta_equal": compared.quanta_equal,
    }


def verify_data(result: Verification) -> dict[str, Any]:
    """The JSON of a verification; an SNR of null beside differences of 0 means: no noise."""
    return {
        "samples": result.samples,
        "samples_available": result.available,
        "data": result.data,
        "exact": result.exact,
        "lossless_reads": result.lossless,
        "max_abs_error": finite(result.max_abs_error),
        "snr_db": finite(result.snr_db),
        "max_quanta": result.max_quanta,
        "quanta_equal": result.quanta_equal,
        "top1_agreement": result.top1_agreement,
        "accuracy": result.accuracy,
        "reference_accuracy": result.reference_accuracy,
        "cycles": result.cycles,
        "wall_s": result.wall_s,
        "against_quantized_graph": [comparison_data(c) for c in result.against_graph],
        "outputs": [comparison_data(c) for c in result.outputs],
        "layers": [
            {
                "stage": layer.stage,
                "value": layer.value,
                "snr_db": finite(layer.snr_db),
                "quantized_snr_db": finite(layer.quantized_snr_db),
                "below_threshold": layer.below,
            }
            for layer in result.layers
        ],
    }


def decibel_text(value: float) -> str:
    return "equal" if value == math.inf else f"{value:.1f} dB"


def verify_lines(result: Verification) -> list[str]:
    """The result in words."""
    of = f" of {result.available}" if result.available != result.samples else ""
    made = f" {result.data}" if result.data.startswith("random") else ""
    lines = [f"samples           {result.samples}{made or of}"]
    lines.append(f"exact             {str(result.exact).lower()}{exact_text(result)}")
    lines += [f"                  {text}" for text in why_inexact(result)]
    for compared in result.outputs:
        lines += output_lines(compared)
    lines += [f"                  {text}" for text in why_other_steps(result)]
    if result.top1_agreement is not None:
        lines.append(f"top-1 agreement   {result.top1_agreement:.4f}")
    if result.accuracy is not None:
        lines.append(f"accuracy          {result.accuracy:.4f} simulated")
    if result.reference_accuracy is not None:
        lines[-1] += f", {result.reference_accuracy:.4f} onnxruntime"
    lines.append(f"cycles            {count(result.cycles)}, simulated in {seconds(result.wall_s)}")
    told = [piece for line in lines for piece in wrap(line, line_width(), indent=18)]
    return [*told, *layer_lines(result)]


def exact_text(result: Verification) -> str:
    """What `exact` was decided on."""
    if result.exact:
        return "   the simulator's outputs equal the quantised graph's"
    differing = sum(c.differing for c in result.against_graph)
    elements = sum(c.elements for c in result.against_graph)
    worst = min(c.snr_db for c in result.against_graph)
    text = f"   {differing} of {elements} values differ from the quantised graph's"
    return f"{text}, {decibel_text(worst)}"


def why_inexact(result: Verification) -> list[str]:
    """What to think of outputs that are not exact."""
    if result.exact:
        return []
    if result.lossless:
        return ["which should not be: this target's reads are lossless"]
    return ["as expected: its ADCs have fewer bits than a column's sums need"]


def why_other_steps(result: Verification) -> list[str]:
    """Why a model of integers need not give onnxruntime's, though it is computed exactly."""
    if not (result.exact and result.quantized_source and result.max_quanta):
        return []
    return [
        "onnxruntime fuses and rounds quantised operators in ways of its own, and computes some in "
        "float; a step apart in one layer grows in the next"
    ]


def output_lines(compared: Comparison) -> list[str]:
    figures = f"{decibel_text(compared.snr_db)}, at most {compared.max_abs_error:.4g} off"
    name = short(compared.name, 40 - len(figures))
    lines = [f"output            {name} against onnxruntime: {figures}"]
    if compared.max_quanta is not None and compared.quanta_equal is not None:
        same = percent(compared.quanta_equal)
        lines.append(
            f"                  in steps of its scale: {same} of {count(compared.elements)} equal, "
            f"others at most {compared.max_quanta} off"
        )
    return lines


def layer_lines(result: Verification) -> list[str]:
    if not result.layers:
        return []
    first = next((layer for layer in result.layers if layer.below), None)
    from nmc.layers import SAMPLES

    rows = [
        (
            layer.stage,
            decibel_text(layer.quantized_snr_db),
            decibel_text(layer.snr_db),
            "<-- first below the threshold" if layer is first else "",
        )
        for layer in result.layers
    ]
    head = ("stage, against the original's", "quantised", "on chip", "")
    used = min(result.samples, SAMPLES)
    about = f"SNR up to each stage, over {used} samples: what rounding to integers costs,"
    return [
        "",
        *fitted(head, rows, left=("",), names=head[:1]),
        "",
        about,
        "and with what the ADCs take away",
    ]
