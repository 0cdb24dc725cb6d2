"""What a simulated run and a verification look like on a terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nmc.report.energy_text import energy_lines
from nmc.report.text import bar, count, percent, seconds, short, table

if TYPE_CHECKING:
    from nmc.api import Compiled, Run
    from nmc.comparing import Comparison
    from nmc.verifying import Verification

__all__ = ["finite", "run_lines", "verify_data", "verify_lines"]


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
        rate = clock * 1e9 / run.interval_cycles if run.interval_cycles else math.inf
        text = f"{count(run.interval_cycles)} cycles an input, {count(rate)} inputs a second"
        lines.append(f"  interval      {text}")
    lines.append(f"  instructions  {count(run.instructions)}")
    lines.append(f"  ADCs busy     {percent(run.adc_utilization)}")
    lines.append(f"  wall time     {seconds(run.wall_s)}")
    for section in (stall_lines(run.stalls), energy_lines(run.energy)):
        if section:
            lines += ["", *(f"  {line}".rstrip() for line in section)]
    lines.append("")
    for name, array in run.outputs.items():
        sizes = ",".join(map(str, array.shape))
        lines.append(f"  output        {short(name, 40)} {array.dtype.name}[{sizes}]")
    if output:
        lines.append(f"  written to    {output}")
    return lines


def stall_lines(stalls: dict[str, int]) -> list[str]:
    """Sequencers' waiting by cause, longest first."""
    total = sum(stalls.values())
    if not total:
        return []
    ranked = sorted(stalls.items(), key=lambda item: (-item[1], item[0]))
    rows = [(cause, count(n), percent(n / total), bar(n / total)) for cause, n in ranked if n]
    return table(("sequencers wait for", "cycles", "share", ""), rows, left=(0, 3))


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
        "exact": result.exact,
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
                "below_threshold": layer.below,
            }
            for layer in result.layers
        ],
    }


def decibel_text(value: float) -> str:
    return "equal" if value == math.inf else f"{value:.1f} dB"


def verify_lines(result: Verification, limited: str) -> list[str]:
    """The result in words; `limited` says why not all samples were used, if so."""
    of = f" of {result.available}" if result.available != result.samples else ""
    lines = [f"samples           {result.samples}{of}{limited}"]
    lines.append(f"exact             {str(result.exact).lower()}{exact_text(result)}")
    for compared in result.outputs:
        lines += output_lines(compared)
    if result.top1_agreement is not None:
        lines.append(f"top-1 agreement   {result.top1_agreement:.4f}")
    if result.accuracy is not None:
        lines.append(f"accuracy          {result.accuracy:.4f} simulated")
    if result.reference_accuracy is not None:
        lines[-1] += f", {result.reference_accuracy:.4f} onnxruntime"
    lines.append(f"cycles            {count(result.cycles)}, simulated in {seconds(result.wall_s)}")
    return [*lines, *layer_lines(result)]


def exact_text(result: Verification) -> str:
    """What `exact` was decided on."""
    if result.exact:
        return "   the simulator's outputs equal the quantised graph's"
    differing = sum(c.differing for c in result.against_graph)
    elements = sum(c.elements for c in result.against_graph)
    worst = min(c.snr_db for c in result.against_graph)
    text = f"   {differing} of {elements} values differ from the quantised graph's"
    return f"{text}, {decibel_text(worst)}"


def output_lines(compared: Comparison) -> list[str]:
    text = f"{short(compared.name, 28)} against onnxruntime: {decibel_text(compared.snr_db)}"
    lines = [f"output            {text}, at most {compared.max_abs_error:.4g} off"]
    if compared.max_quanta is not None and compared.quanta_equal is not None:
        same = percent(compared.quanta_equal)
        lines.append(
            f"                  in steps of its scale: {same} equal, "
            f"at most {compared.max_quanta} off"
        )
    return lines


def layer_lines(result: Verification) -> list[str]:
    if not result.layers:
        return []
    first = next((layer for layer in result.layers if layer.below), None)
    rows = [
        (
            short(layer.stage, 36),
            decibel_text(layer.snr_db),
            "<-- first below the threshold" if layer is first else "",
        )
        for layer in result.layers
    ]
    head = ("stage (quantised against float)", "SNR", "")
    return ["", *table(head, rows, left=(0, 2))]
