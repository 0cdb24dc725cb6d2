"""Each rule between keys: what breaks it, what it says, and where."""

from __future__ import annotations

import pytest

from nmc import targets
from nmc.ir.diagnostics import Diagnostic, NmcError, Report, Severity
from nmc.ir.target_check import MAX_CROSSBARS, RULES
from nmc.ir.target_toml import parse_target


def found(*overrides: str) -> tuple[Diagnostic, ...]:
    """Errors or else warnings about the default target so changed."""
    report = Report()
    try:
        targets.load("spin-128", overrides, report)
    except NmcError as refusal:
        return refusal.diagnostics
    return tuple(report)


BROKEN: dict[str, list[tuple[tuple[str, ...], str]]] = {
    "size": [
        (("mesh.width=256", "mesh.height=256", "core.crossbars=20"), f"describe {MAX_CROSSBARS}"),
    ],
    "ports_in_mesh": [
        (("mesh.width=2", "mesh.memory_ports=[[2, 0]]"), "port [2, 0] lies outside the 2 x 8 mesh"),
        (("mesh.memory_ports=[]",), "at least one memory port"),
        (("mesh.memory_ports=[[1, 1], [1, 1]]",), "named twice"),
    ],
    "clusters": [
        (("core.crossbars=6",), "6 crossbars a core do not divide into clusters of 4"),
        (("adc.crossbars_per_cluster=16",), "8 crossbars a core do not divide"),
    ],
    "columns": [
        (("crossbar.cols=127",), "an even number of bit lines, not 127"),
        (("crossbar.cols=2",), "too few for one weight of 2 slices"),
        (("crossbar.encoding=reference",), "with 0 reference columns"),
        (("crossbar.reference_columns=4",), "'differential' with 4 reference columns"),
        (("crossbar.encoding=reference", "crossbar.reference_columns=128"), "too few"),
        (("crossbar.encoding=offset", "crossbar.two_sided=true"), "a way to use pairs"),
    ],
    "digits": [
        (("crossbar.dac_bits=4", "numbers.input_bits=2"), "applies 4 bits, inputs have only 2"),
    ],
    "levels": [
        (("crossbar.cell_bits=5",), "5 bits need 32 levels, device 'dw_spin_memristor' has 16"),
        (("device.preset=mtj_binary_sot",), "4 bits need 16 levels, device 'mtj_binary_sot' has 2"),
    ],
    "converter": [
        (("adc.model=isaac", "adc.bits=11"), "ends at 10 bits, the ADC has 11"),
        (("adc.model=table", "adc.table_e_pj.8=1"), "table_area_um2 has no entry for 8 bits"),
        (("adc.model=table", "adc.table_e_pj.7=1", "adc.table_area_um2.8=1"), "table_e_pj has no"),
    ],
    "polynomials": [
        (("device.sigma_program=[]",), "1 to 4 coefficients"),
        (("device.drift_nu=[0]",), "drift_nu takes four numbers"),
        (("device.drift_nu=[0, 0, 0.2, 0.1]",), "the third not above the fourth"),
        (("device.faults={open=0.6, short=0.6}",), "shares of faults sum to 1.2"),
    ],
    "writing": [
        (("crossbar.write_current_max_ma=0.01",), "takes 30 uA, the bound is 10 uA"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "words"), [case for cases in BROKEN.values() for case in cases]
)
def test_contradiction_is_refused(overrides: tuple[str, ...], words: str) -> None:
    (problem,) = found(*overrides)
    assert (problem.code, problem.severity) == ("target-inconsistent", Severity.ERROR)
    assert words in problem.message
    assert problem.loc.file == "--set"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("adc.adcs_per_cluster=65",), "64 channels, so of 65 ADCs 1 would never convert"),
        (("crossbar.rows=512", "crossbar.cols=256"), "drop too much voltage"),
        (("device.preset=mtj_binary_stt", "crossbar.cell_bits=1"), "= 2.4"),
    ],
)
def test_disappointment_is_a_warning(overrides: tuple[str, ...], words: str) -> None:
    (problem,) = found(*overrides)
    assert (problem.code, problem.severity) == ("target-inconsistent", Severity.WARNING)
    assert words in problem.message


@pytest.mark.parametrize(
    "overrides",
    [
        ("adc.adcs_per_cluster=64",),
        ("adc.crossbars_per_cluster=1", "adc.adcs_per_cluster=1"),
        ("adc.crossbars_per_cluster=8", "adc.adcs_per_cluster=4"),
        ("crossbar.rows=256", "crossbar.cols=256"),
        ("crossbar.rows=1024", "crossbar.cols=1024", "device.preset=ideal"),
        ("device.preset=mtj_binary_sot", "crossbar.cell_bits=1"),
        ("device.preset=rram_hfox",),
        ("device.preset=pcm_gst",),
        (
            "device.preset=dw_mtj_lab",
            "crossbar.cell_bits=2",
            "crossbar.rows=32",
            "crossbar.cols=32",
        ),
        ("crossbar.encoding=reference", "crossbar.reference_columns=8"),
    ],
)
def test_sound_chips_pass_in_silence(overrides: tuple[str, ...]) -> None:
    if "device.preset=rram_hfox" in overrides or "device.preset=pcm_gst" in overrides:
        overrides = (*overrides, "crossbar.rows=64", "crossbar.cols=64")
    assert found(*overrides) == ()


def test_every_rule_is_broken_above() -> None:
    warns = {"ir_drop"}
    assert {rule.__name__ for rule in RULES} == BROKEN.keys() | warns


def test_problem_is_told_at_the_key_that_was_said_last() -> None:
    text = 'base = "spin-128"\n[device]\npreset = "mtj_binary_sot"\n'
    with pytest.raises(NmcError) as caught:
        parse_target(text, "my.toml", search=[targets.folder()])
    (problem,) = caught.value.diagnostics
    assert (problem.loc.file, problem.loc.line) == ("my.toml", 3)
    assert problem.remedy == "crossbar.cell_bits = 1"
