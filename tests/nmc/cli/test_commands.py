"""Every command, done right: what it prints, what it writes, what its JSON holds."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from nmc.cli.app import COMMANDS
from nmc.ir.diagnostics import CODES
from nmc.passes.book import PASSES
from tests.nmc.cli.commands import Nmc, dense_bytes

GRAPH = """\
graph @g {
  input %x : f32[1,2]
  const @a : f32[2] = [1, 2]
  const @b : f32[2] = [3, 4]
  %k = add @a, @b : f32[2]
  %y = add %x, %k : f32[1,2]
  output %y
}
"""


@pytest.mark.parametrize("command", COMMANDS)
def test_help(nmc: Nmc, command: str) -> None:
    done = nmc(command, "--help")
    assert done.exit_code == 0
    assert "--json" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_the_group_lists_every_command(nmc: Nmc) -> None:
    text = nmc("--help").stdout
    assert all(f" {command} " in text for command in COMMANDS)


def test_version(nmc: Nmc) -> None:
    version = nmc("--version", "--json").json["version"]
    assert nmc("--version").stdout == f"nmc {version}\n"


def test_a_misspelt_command(nmc: Nmc) -> None:
    done = nmc("complie")
    assert done.exit_code == 2
    assert "did you mean `compile`?" in done.stderr


def test_quiet_results_only(nmc: Nmc, here: Path) -> None:
    done = nmc("compile", "digits_cnn.onnx", "-o", "o.nmc", "--calib", "digits.npz:calib", "-q")
    assert done.stderr == ""
    assert done.stdout == "o.nmc\n"
    check = nmc("check", "digits_cnn.onnx", "-q")
    assert check.stdout == "  verdict   YES\n"
    assert nmc("run", "o.nmc", "-i", "random", "-q").stdout.count("\n") > 10
    assert nmc("compile", "none.onnx", "-q").stdout == ""


def test_text_fits_a_terminal_and_has_no_colour(nmc: Nmc, here: Path) -> None:
    for words in (
        ("check", "digits_cnn.onnx"),
        ("compile", "digits_cnn.onnx", "--calib", "digits.npz:calib"),
        ("report", "exact.nmc"),
        ("run", "exact.nmc", "-i", "random", "--batch", "2"),
        ("verify", "exact.nmc", "--model", "digits_cnn.onnx", "--per-layer"),
        ("inspect", "exact.nmc"),
        ("inspect", "exact.nmc", "layer", "1"),
        ("inspect", "exact.nmc", "crossbar", "0:0"),
        ("targets",),
        ("targets", "show", "spin-128"),
        ("passes",),
    ):
        done = nmc(*words)
        assert done.exit_code == 0, done.stderr
        assert "\x1b" not in done.stdout
        wide = [line for line in done.stdout.splitlines() if len(line) > 80]
        assert wide == [], words


# check


def test_check_says_yes(nmc: Nmc, here: Path) -> None:
    found = nmc("check", "digits_cnn.onnx", "--json").json
    assert found["verdict"] == "yes"
    assert found["nodes"] == 13
    assert found["macs"] == found["macs_on_crossbars"] == 604160
    assert found["crossbars_needed"] == 13
    assert found["crossbars_available"] == 512
    assert list(here.glob("*.part")) == []


def test_check_says_no_and_by_how_much(nmc: Nmc, here: Path) -> None:
    done = nmc("check", "digits_cnn.onnx", "--mesh", "1x1")
    assert done.exit_code == 4
    assert done.stdout.splitlines()[-1] == "  verdict   NO"
    assert "crossbars 13 needed, 8 there" in done.stdout


def test_check_names_what_the_host_does(nmc: Nmc, tmp_path: Path, shared: Path) -> None:
    model = shared / "arm_kws_basic_lstm_s.onnx"
    found = nmc("check", model, "--json").json
    assert found["verdict"] == "yes, with host operations"
    assert "LSTM" in [op["op"] for op in found["host"]]
    denied = nmc("check", model, "--host-ops", "deny")
    assert denied.exit_code == 3
    assert "error[host-operator]" in denied.stderr


# compile


COMPILE_KEYS = {
    "crossbars_used", "crossbars_available", "cores_used", "macs", "macs_on_crossbars",
    "host_nodes", "adc_bound_cycles", "program_bytes", "compile_s", "peak_rss_bytes", "stages",
}  # fmt: skip


def test_compile_json(nmc: Nmc, here: Path) -> None:
    done = nmc("compile", "digits_cnn.onnx", "-o", "o.nmc", "--calib", "digits.npz:calib", "--json")
    assert done.stderr == ""
    found = done.json
    assert found["ok"] is True
    assert set(found) >= COMPILE_KEYS
    assert set(found["stages"][0]) >= {"name", "way", "copies", "crossbars"}
    assert found["crossbars_used"] == sum(stage["crossbars"] for stage in found["stages"])
    assert Path(found["output"]).stat().st_size == found["file_bytes"]
    assert found["outlook"]["objective"] == "throughput"
    assert 0 < found["outlook"]["bound"] <= found["outlook"]["value"]
    assert found["bottleneck_steps"] == max(stage["steps"] for stage in found["stages"])
    assert found["adc_least_cycles"] <= found["adc_bound_cycles"]


def test_compile_twice_gives_the_same_bytes(nmc: Nmc, here: Path) -> None:
    (here / "deeper").mkdir()
    for model, out in (("digits_cnn.onnx", "a.nmc"), (here / "digits_cnn.onnx", "deeper/b.nmc")):
        assert nmc("compile", model, "-o", out, "--calib", "digits.npz:calib").exit_code == 0
    assert (here / "a.nmc").read_bytes() == (here / "deeper" / "b.nmc").read_bytes()


def test_random_calibration_is_said_loudly(nmc: Nmc, here: Path) -> None:
    done = nmc("compile", "digits_cnn.onnx", "-o", "o.nmc")
    assert done.exit_code == 0
    assert "warning[random-calibration]" in done.stderr
    assert "RANDOM INPUTS" in done.stdout
    assert "RANDOM INPUTS" in nmc("report", "o.nmc").stdout


def test_the_output_is_named_after_the_model(nmc: Nmc, here: Path) -> None:
    nmc("compile", "digits_cnn.onnx", "-q")
    assert (here / "digits_cnn.nmc").exists()


def test_the_file_holds_no_trace_of_this_machine(nmc: Nmc, here: Path) -> None:
    full = here / "digits_cnn.onnx"
    nmc("compile", full, "-o", "o.nmc", "--calib", f"{here / 'digits.npz'}:calib")
    with zipfile.ZipFile("o.nmc") as archive:
        for name in archive.namelist():
            assert str(here).encode() not in archive.read(name), name


def test_overrides_are_recorded(nmc: Nmc, here: Path) -> None:
    words = ("--set", "crossbar.rows=64", "--mesh", "4x2", "--input-shape", "image=1,1,8,8")
    nmc("compile", "digits_cnn.onnx", "-o", "o.nmc", *words, "-q")
    manifest = nmc("inspect", "o.nmc", "--json").json["manifest"]
    assert manifest["options"]["set"] == ["crossbar.rows=64"]
    assert manifest["options"]["mesh"] == "4x2"
    assert manifest["options"]["input_shapes"] == ["image=1,1,8,8"]
    assert manifest["pipeline"].startswith("fold-constants, canonicalize")
    assert nmc("report", "o.nmc", "--json").json["totals"]["cores_available"] == 8


def test_intermediate_forms(nmc: Nmc, here: Path) -> None:
    wanted = ("quantize", "tile", "codegen")
    flags = [word for name in wanted for word in ("--emit-ir", f"after={name}")]
    assert nmc("compile", "digits_cnn.onnx", "-o", "o.nmc", *flags).exit_code == 0
    assert (here / "o.quantize.graph.txt").read_text().startswith("graph @")
    assert '"tiles"' in (here / "o.tile.mapping.json").read_text()
    assert "mvm" in (here / "o.codegen.asm").read_text()
    assert nmc("compile", "digits_cnn.onnx", "--emit-ir", "tile").exit_code == 2


# run


RUN_KEYS = {
    "cycles", "latency_cycles", "interval_cycles", "instructions", "adc_utilization", "stalls",
    "wall_s",
}  # fmt: skip


def test_run(nmc: Nmc, here: Path) -> None:
    done = nmc("run", "exact.nmc", "-i", "digits.npz:x", "-n", "6", "--batch", "3", "-o", "y.npz",
               "--json")  # fmt: skip
    found = done.json
    assert set(found) >= RUN_KEYS
    assert found["samples"] == 6
    assert 0 < found["latency_cycles"] < found["cycles"]
    assert 0 < found["interval_cycles"] < found["latency_cycles"]
    assert 0 < found["adc_utilization"] <= 1
    with np.load(here / "y.npz") as outputs:
        assert outputs["scores"].shape == (6, 10)
        labels = np.load(here / "digits.npz")["y"][:6]
        assert (outputs["scores"].argmax(axis=1) == labels).mean() > 0.8


def test_run_writes_npy(nmc: Nmc, here: Path) -> None:
    assert nmc("run", "exact.nmc", "-i", "random:4", "-o", "y.npy").exit_code == 0
    assert np.load(here / "y.npy").shape == (1, 10)


def test_one_input_has_no_interval(nmc: Nmc, here: Path) -> None:
    done = nmc("run", "exact.nmc", "-i", "random")
    assert "needs --batch 2 or more" in done.stdout
    assert "sequencers wait for" in done.stdout


def test_runs_are_the_same_each_time(nmc: Nmc, here: Path) -> None:
    for name in ("a.npz", "b.npz"):
        nmc("run", "spin.nmc", "-i", "random:1", "-o", name)
    assert (here / "a.npz").read_bytes() == (here / "b.npz").read_bytes()


# verify


VERIFY_KEYS = {
    "exact", "max_abs_error", "snr_db", "top1_agreement", "accuracy", "layers",
}  # fmt: skip
ON_DIGITS = ("--model", "digits_cnn.onnx", "-i", "digits.npz:x", "--labels", "digits.npz:y")


def test_verify_on_lossless_reads(nmc: Nmc, here: Path) -> None:
    found = nmc("verify", "exact.nmc", *ON_DIGITS, "--per-layer", "--exact", "--json").json
    assert set(found) >= VERIFY_KEYS
    assert found["exact"] is True
    assert found["samples"] == 450
    assert abs(found["accuracy"] - found["reference_accuracy"]) <= 0.011
    assert found["snr_db"] > 25
    assert len(found["layers"]) >= 5


def test_verify_on_lossy_reads(nmc: Nmc, here: Path) -> None:
    found = nmc("verify", "spin.nmc", *ON_DIGITS, "-n", "100", "--json").json
    assert found["exact"] is False
    assert abs(found["accuracy"] - found["reference_accuracy"]) <= 0.011


def test_verify_uses_all_samples_unless_told_otherwise(nmc: Nmc, here: Path) -> None:
    words = ("verify", "exact.nmc", "-i", "digits.npz:x")
    assert nmc(*words).stdout.splitlines()[0].split() == ["samples", "450"]
    assert nmc(*words, "-n", "20").stdout.splitlines()[0].split() == ["samples", "20", "of", "450"]


@pytest.mark.parametrize(
    ("demand", "code", "says"),
    [
        (("--exact",), "not-exact", "-t exact-128"),
        (("--min-snr", "90"), "threshold-failed", "at least 90 dB was asked for"),
        (("--min-top1", "1"), "threshold-failed", "at least 1 was asked for"),
    ],
)
def test_thresholds(nmc: Nmc, here: Path, demand: tuple[str, ...], code: str, says: str) -> None:
    done = nmc("verify", "spin.nmc", *ON_DIGITS, *demand)
    assert done.exit_code == 5
    assert f"error[{code}]" in done.stderr
    assert says in done.stderr
    assert "exact             false" in done.stdout


def test_agreement_is_a_share(nmc: Nmc, here: Path) -> None:
    done = nmc("verify", "spin.nmc", *ON_DIGITS, "--min-top1", "97", "--json")
    assert (done.exit_code, done.codes) == (2, ["bad-option"])


def test_what_the_adcs_cost_shows_layer_by_layer(nmc: Nmc, here: Path) -> None:
    """On the chip no stage can be nearer to the original than where nothing but rounding is lost,
    and the last stage's figure is that of the outputs."""
    found = nmc("verify", "spin.nmc", *ON_DIGITS, "--per-layer", "-n", "20", "--json").json
    layers = found["layers"]
    assert sum(layer["quantized_snr_db"] - layer["snr_db"] for layer in layers) > 0.3
    assert layers[-1]["snr_db"] == pytest.approx(found["snr_db"], abs=0.05)
    exact = nmc("verify", "exact.nmc", *ON_DIGITS, "--per-layer", "-n", "20", "--json").json
    assert all(layer["snr_db"] == layer["quantized_snr_db"] for layer in exact["layers"])


def test_stages_are_compared_as_they_are_rounded(nmc: Nmc, tmp_path: Path, shared: Path) -> None:
    """A quantised model has the real and the rounded value; ours is the rounded one."""
    model, out = shared / "mlperf_ic01_resnet8_int8.onnx", tmp_path / "r.nmc"
    nmc("compile", model, "-t", "exact-128", "-o", out, "-q")
    layers = nmc(
        "verify", out, "--model", model, "-n", "1", "--per-layer", "--json"
    ).json["layers"]  # fmt: skip
    assert min(layer["snr_db"] or 999 for layer in layers) > 45


def test_inexact_is_explained(nmc: Nmc, here: Path) -> None:
    assert "as expected: its ADCs have fewer bits" in nmc("verify", "spin.nmc", "-n", "2").stdout


def test_random_inputs_are_named(nmc: Nmc, here: Path) -> None:
    done = nmc("verify", "exact.nmc")
    assert done.stdout.splitlines()[0].split(maxsplit=1)[1].startswith("64 random inputs, seed 0")
    assert "RANDOM" in done.stderr


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (np.arange(100, 550), "the labels go from 100 to 549, but output `scores` has 10 classes"),
        (np.zeros((450, 10)), "row 0 of y.npy is no class"),
        (np.arange(450) % 10 + 1, "the labels go from 1 to 10"),
    ],
)
def test_labels_that_no_output_could_give(
    nmc: Nmc, here: Path, labels: np.ndarray, says: str
) -> None:
    np.save("y.npy", labels)
    done = nmc("verify", "exact.nmc", "-i", "digits.npz:x", "--labels", "y.npy", "--json")
    assert (done.exit_code, done.codes) == (6, ["bad-data-file"])
    assert done.json["diagnostics"][0]["message"].startswith(says)


def test_a_model_of_other_inputs_is_refused(nmc: Nmc, here: Path) -> None:
    (here / "other.onnx").write_bytes(dense_bytes())
    done = nmc("verify", "exact.nmc", "--model", "other.onnx", "--json")
    assert (done.exit_code, done.codes) == (2, ["bad-option"])
    problem = done.json["diagnostics"][0]
    assert "it takes x [1, 4], the compiled one image" in problem["message"]
    assert [note.split(":")[0] for note in problem["notes"]] == ["compiled", "given"]


def test_the_host_s_time_is_said_to_be_missing(nmc: Nmc, tmp_path: Path, shared: Path) -> None:
    out = tmp_path / "kws.nmc"
    nmc("compile", shared / "arm_kws_basic_lstm_s.onnx", "-o", out, "-q")
    text = nmc("run", out, "-i", "random", "--batch", "2").stdout
    assert "do NOT include the host's time" in text
    assert "inputs a second" not in text
    assert nmc("run", out, "-i", "random", "--json").json["host_time_included"] is False


def test_what_the_host_recodes_is_said_and_is_no_operator_of_its(nmc: Nmc, here: Path) -> None:
    report = nmc("report", "exact.nmc", "--json").json
    (entering,) = report["border"]
    assert (entering["value"], entering["enters"], entering["stored"]) == ("image", True, "u8")
    assert (report["totals"]["host_nodes"], report["host"]) == (0, [])
    assert "image: f32, the host writes it as u8 (scale " in nmc("report", "exact.nmc").stdout
    text = nmc("run", "exact.nmc", "-i", "random", "--batch", "32").stdout
    assert "the host recodes inputs or outputs" in text
    assert "inputs a second" in text
    # So few in flight have no steady pace.
    hurried = nmc("run", "exact.nmc", "-i", "random", "--batch", "2").stdout
    assert "NOT the steady pace" in hurried
    assert "inputs a second" not in hurried
    assert "do NOT include the host's time" not in text


def test_the_first_bad_layer_is_marked(nmc: Nmc, here: Path) -> None:
    text = nmc("verify", "exact.nmc", *ON_DIGITS, "--per-layer", "--min-snr", "45").stdout
    assert text.count("<-- first below the threshold") == 1


def test_verify_compares_with_onnxruntime(nmc: Nmc, here: Path) -> None:
    """The reported error is that of the outputs which `run` writes."""
    nmc("run", "exact.nmc", "-i", "digits.npz:x", "-n", "3", "-o", "y.npz")
    found = nmc("verify", "exact.nmc", *ON_DIGITS, "-n", "3", "--json").json
    session = onnxruntime.InferenceSession("digits_cnn.onnx", providers=["CPUExecutionProvider"])
    theirs = session.run(None, {"image": np.load("digits.npz")["x"][:3]})[0]
    ours = np.load("y.npz")["scores"]
    assert found["max_abs_error"] == pytest.approx(np.abs(ours - theirs).max(), rel=1e-4)


def test_another_model_is_noticed(nmc: Nmc, here: Path) -> None:
    import onnx

    model = onnx.load("digits_cnn.onnx")
    model.producer_name = "somebody else"
    onnx.save(model, "other.onnx")
    done = nmc("verify", "exact.nmc", "--model", "other.onnx", "-n", "1")
    assert done.exit_code == 0
    assert "warning[hash-mismatch]" in done.stderr


def test_verify_needs_a_model_for_what_compares_with_one(nmc: Nmc, here: Path) -> None:
    done = nmc("verify", "exact.nmc", "--per-layer")
    assert done.exit_code == 2
    assert "--per-layer needs --model" in done.stderr


# report, inspect


def test_report_tells_where_what_lies(nmc: Nmc, here: Path) -> None:
    text = nmc("report", "exact.nmc").stdout
    for title in (
        "layers",
        "where each layer lies",
        "ADCs, busiest first",
        "cores, fullest memory first",
    ):
        assert f"\n{title}\n" in text
    assert "train.py:73 in forward" in text
    assert re.search(r"core \d+: crossbars? \d", text)
    assert re.search(r"crossbars of cores \d", text)


def test_report_json_and_csv(nmc: Nmc, here: Path) -> None:
    found = nmc("report", "exact.nmc", "--csv", "tables", "--json").json
    assert found["totals"]["crossbars_used"] == len(found["crossbars"])
    rows = (here / "tables" / "stages.csv").read_text().splitlines()
    assert len(rows) == len(found["stages"]) + 1
    assert rows[0].startswith("name,step,kind")
    parts = (here / "tables" / "parts.csv").read_text().splitlines()
    assert len(parts) == len(found["parts"]) + 1 > len(rows)
    assert sum(stage["copies"] * stage["pieces"] for stage in found["stages"]) == len(parts) - 1


def test_report_names_host_operators(nmc: Nmc, tmp_path: Path, shared: Path) -> None:
    out = tmp_path / "o.nmc"
    nmc("compile", shared / "arm_kws_basic_lstm_s.onnx", "-o", out, "-q")
    text = nmc("report", out).stdout
    assert "what the host does, and why" in text
    assert "LSTM" in text.partition("what the host does")[2]


def test_inspect_a_layer_by_any_name(nmc: Nmc, here: Path) -> None:
    by_number = nmc("inspect", "exact.nmc", "layer", "1").stdout
    name = nmc("inspect", "exact.nmc", "layer", "1", "--json").json["layer"]["name"]
    assert nmc("inspect", "exact.nmc", "layer", name).stdout == by_number
    assert nmc("inspect", "exact.nmc", "layer", "nothing").exit_code == 2


def test_a_layer_is_shown_with_its_copies_and_each_alone(nmc: Nmc, here: Path) -> None:
    report = nmc("report", "exact.nmc", "--json").json
    on_crossbars = [n for n, stage in enumerate(report["stages"]) if stage["tiles"]]
    number = max(on_crossbars, key=lambda n: report["stages"][n]["copies"])
    stage = report["stages"][number]
    count = stage["copies"] * stage["pieces"]
    assert count > 2
    whole = nmc("inspect", "exact.nmc", "layer", str(number))
    assert f"and {count - 2} more: --json has all" in " ".join(whole.stdout.split())
    found = nmc("inspect", "exact.nmc", "layer", stage["name"], "--json").json
    assert found["layer"] == stage
    assert len(found["parts"]) == len(found["stages"]) == count
    assert len(found["tiles"]) == stage["tiles"]
    last = found["parts"][-1]["name"]
    alone = nmc("inspect", "exact.nmc", "layer", last, "--json").json
    assert [part["name"] for part in alone["parts"]] == [last]
    assert alone["layer"] == stage
    assert {tile["stage"] for tile in alone["tiles"]} == {found["tiles"][-1]["stage"]}
    assert f": {last}\n" in nmc("inspect", "exact.nmc", "layer", last).stdout


def test_energies_and_waits_are_those_of_layers(nmc: Nmc, here: Path) -> None:
    found = nmc("run", "exact.nmc", "-i", "random", "--units", "all", "--json").json
    report = nmc("report", "exact.nmc", "--json").json
    layers = {stage["name"] for stage in report["stages"]}
    parts = {part["name"] for part in report["parts"]} - layers
    assert parts
    named = set(found["energy_by_layer"])
    named |= {wait[key] for wait in found["waits"] for key in ("layer", "behind")}
    assert not named & parts
    assert {s["name"] for s in report["stages"] if s["conversions"]} <= named
    compared = nmc("verify", "exact.nmc", *ON_DIGITS, "-n", "1", "--per-layer", "--json").json
    assert {layer["stage"] for layer in compared["layers"]} <= layers


def test_inspect_a_crossbar(nmc: Nmc, here: Path) -> None:
    used = {
        (c["core"], c["crossbar"]) for c in nmc("report", "exact.nmc", "--json").json["crossbars"]
    }
    core, crossbar = min(used)
    by_place = nmc("inspect", "exact.nmc", "crossbar", f"{core}:{crossbar}")
    assert "|A" in by_place.stdout
    number = str(core * 8 + crossbar)
    assert nmc("inspect", "exact.nmc", "crossbar", number).stdout == by_place.stdout
    core, crossbar = min({(n // 8, n % 8) for n in range(64 * 8)} - used)
    empty = nmc("inspect", "exact.nmc", "crossbar", f"{core}:{crossbar}").stdout
    assert "nothing lies on it" in empty
    assert nmc("inspect", "exact.nmc", "crossbar", "64:0").exit_code == 2


# opt


def test_opt_reads_stdin_and_prints_after(nmc: Nmc) -> None:
    done = nmc("opt", "-", "-p", "fold-constants, canonicalize", "--print-after", "fold-constants",
               stdin=GRAPH)  # fmt: skip
    assert done.stdout.startswith("# after fold-constants\ngraph @g {")
    assert "# result\ngraph @g {" in done.stdout


def test_opt_writes_text_and_weights_that_it_reads_again(nmc: Nmc, here: Path) -> None:
    assert nmc("opt", "digits_cnn.onnx", "-p", "@front", "-o", "g.txt").exit_code == 0
    assert (here / "g.npz").exists()
    again = nmc("opt", "g.txt")
    assert again.exit_code == 0, again.stderr
    assert again.stdout == (here / "g.txt").read_text()
    # It goes on from where it had come to.
    assert nmc("opt", "g.txt", "-p", "quantize, stage").stdout.startswith("{")
    assert nmc("opt", "g.txt", "-p", "partition").exit_code == 2


@pytest.mark.parametrize(
    ("pipeline", "begin"),
    [("@front", "graph @"), ("@front, quantize, stage", "{"), ("@default", "")],
)
def test_opt_prints_what_the_design_has_become(
    nmc: Nmc, here: Path, pipeline: str, begin: str
) -> None:
    done = nmc("opt", "digits_cnn.onnx", "-p", pipeline, "--calib", "digits.npz:calib")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith(begin)


def test_opt_without_weights_says_where_they_should_be(nmc: Nmc, here: Path) -> None:
    nmc("opt", "digits_cnn.onnx", "-o", "g.txt")
    (here / "g.npz").unlink()
    done = nmc("opt", "g.txt")
    assert done.exit_code == 6
    assert "error[weights-missing]" in done.stderr


# targets, passes, explain, demo


def test_targets(nmc: Nmc, tmp_path: Path) -> None:
    found = nmc("targets", "--json").json
    assert found["default"] == "spin-128"
    assert {"spin-128", "exact-128"} <= {target["name"] for target in found["targets"]}
    shown = nmc("targets", "show", "spin-128", "--set", "adc.bits=6", "--json").json["values"]
    bits = next(value for value in shown if value["key"] == "adc.bits")
    assert (bits["value"], bits["origin"]) == (6, "--set adc.bits=6")
    assert any(
        key["path"] == "crossbar.rows" for key in nmc("targets", "keys", "--json").json["keys"]
    )


def test_a_target_that_was_printed_is_one(nmc: Nmc, tmp_path: Path) -> None:
    text = nmc("targets", "show", "spin-128", "--toml").stdout
    (tmp_path / "mine.toml").write_text(text)
    (tmp_path / "m.onnx").write_bytes(dense_bytes())
    assert nmc("check", tmp_path / "m.onnx", "-t", tmp_path / "mine.toml").exit_code == 0


def test_passes(nmc: Nmc) -> None:
    found = nmc("passes", "--json").json
    assert [p["name"] for p in found["passes"]] == [kind.name for kind in PASSES]
    assert "CVPR" in nmc("passes", "--cite").stdout


@pytest.mark.parametrize("kind", PASSES, ids=lambda kind: kind.name)
def test_each_pass_has_a_page(nmc: Nmc, kind: type) -> None:
    done = nmc("passes", kind.name)  # type: ignore[attr-defined]
    assert done.exit_code == 0, done.stderr
    assert "needs: " in done.stdout


def test_explain(nmc: Nmc) -> None:
    assert nmc("explain", "too-many-tiles").stdout.startswith("# too-many-tiles\n")
    assert [c["code"] for c in nmc("explain", "--json").json["codes"]] == list(CODES)
    assert nmc("explain", "too-many-tile").exit_code == 2


def test_demo(nmc: Nmc, tmp_path: Path) -> None:
    found = nmc("demo", "--dir", tmp_path / "d", "-t", "exact-128", "--json").json
    assert found["ok"] is True
    assert found["verify"]["exact"] is True
    assert found["verify"]["samples"] == 450
    assert found["verify"]["accuracy"] > 0.98
    assert sorted(p.name for p in (tmp_path / "d").iterdir()) == [
        "digits.nmc", "digits.npz", "digits_cnn.onnx",
    ]  # fmt: skip


def test_demo_prints_commands_that_work(
    nmc: Nmc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shlex

    folder = tmp_path / "d"
    text = nmc("demo", "--dir", folder).stdout
    monkeypatch.chdir(folder)
    commands = [line.removeprefix("$ nmc ") for line in text.splitlines() if line[:6] == "$ nmc "]
    assert len(commands) == 4
    for command in commands:
        assert nmc(*shlex.split(command)).exit_code == 0, command


def test_a_reader_that_has_enough_is_no_failure() -> None:
    command = [sys.executable, "-m", "nmc", "targets", "show"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0
