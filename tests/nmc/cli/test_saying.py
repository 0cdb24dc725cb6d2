"""What commands say of what they did, and of what went wrong: names, hints, changes, widths."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.nmc.cli.commands import Nmc

RESNET = "mlperf_ic01_resnet8_int8.onnx"


def test_a_report_says_what_was_changed(nmc: Nmc, here: Path) -> None:
    nmc(
        "compile", "digits_cnn.onnx", "--calib", "digits.npz:calib", "-q", "-o", "c.nmc",
        "--set", "crossbar.rows=64", "--mesh", "4x2",
    )  # fmt: skip
    text = nmc("report", "c.nmc").stdout
    assert "  changed      crossbar.rows=64, mesh 4x2\n" in text
    assert "4x2 cores of 8 crossbars 64x128" in text
    assert "8 bits; reads are lossy" in text
    found = nmc("report", "c.nmc", "--json").json
    assert found["target_changes"] == ["crossbar.rows=64", "mesh 4x2"]
    assert "crossbar.rows" in found["target_unsourced"]
    plain = nmc("report", "spin.nmc").stdout
    assert "changed  " not in plain
    assert "no source" not in plain


def test_layers_in_tables_are_told_apart(nmc: Nmc, tmp_path: Path, shared: Path) -> None:
    out = tmp_path / "r.nmc"
    nmc("compile", shared / RESNET, "--calib", "random", "-q", "-o", out)
    lines = nmc("report", out).stdout.splitlines()
    start = lines.index("layers") + 4
    rows = [line.split() for line in lines[start : lines.index("", start)]]
    assert [row[0] for row in rows] == [str(i) for i in range(len(rows))]
    assert len({row[1] for row in rows}) == len(rows)
    assert max(map(len, lines)) <= 80
    whole = nmc("report", out, "-v").stdout
    assert all(stage["name"] in whole for stage in nmc("report", out, "--json").json["stages"])


def test_a_narrow_terminal(nmc: Nmc, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = nmc("report", "spin.nmc").stdout.splitlines()
    mapping = lines[: lines.index("area")]
    assert max(map(len, mapping)) <= 60


def test_a_report_in_colour(nmc: Nmc, here: Path) -> None:
    assert "\x1b[1mlayers\x1b[0m" in nmc("report", "spin.nmc", "--color", "always").stdout
    assert "\x1b" not in nmc("report", "spin.nmc", "--color", "never").stdout


def test_tables_without_rows_have_a_head(nmc: Nmc, here: Path) -> None:
    nmc("report", "spin.nmc", "--csv", "t", "-q")
    for path in (here / "t").iterdir():
        assert len(next(csv.reader(path.read_text().splitlines()))) > 2, path


def test_explaining_succeeds_whatever_the_code_is_worth(nmc: Nmc) -> None:
    found = nmc("explain", "race", "--json").json
    assert (found["ok"], found["exit_code"], found["code_exit"]) == (True, 0, 6)


@pytest.mark.parametrize(
    ("words", "exit_code", "says"),
    [
        (("report", "digits_cnn.onnx"), 6, "compile it first: nmc compile digits_cnn.onnx"),
        (("report", "cut.nmc"), 6, "was it cut short?"),
        (("report", "digits.npz"), 6, "bad-archive"),
        (("check", "digits_cnn.onnx", "--mesh", "1000x1000"), 2, "`--mesh 1000x1000`: no chip"),
        (("check", "digits_cnn.onnx", "--mesh", "foo"), 2, "`--mesh foo`: write columns x rows"),
        (("check", "digits_cnn.onnx", "--mesh", "0x4"), 2, "`--mesh 0x4`: write columns x rows"),
        (("report", "model.bin"), 6, "looks like an ONNX model; compile it first: nmc compile"),
        (("report", "text.onnx"), 6, "this is a text; a mapping file is what `nmc compile` writes"),
        (("report", "other.nmc"), 6, "this is another zip archive; a mapping file is what"),
        (("inspect", "spin.nmc", "layer", "99"), 2, "layers are 0 to 6, as in `nmc report`"),
        (("inspect", "spin.nmc", "layer", "99"), 2, "= note: 0 image"),
        (("inspect", "spin.nmc", "layer", "node_Conv_66"), 2, "did you mean"),
        (("run", "spin.nmc", "-i", "random", "--trace", "a.csv"), 2, "such as a.pftrace"),
        (("run", "spin.nmc", "-i", "random", "--trace", "."), 2, "such as trace.pftrace"),
        (("run", "spin.nmc", "-i", "random", "-o", "y.txt"), 2, "such as -o y.npz"),
        (("opt", "digits_cnn.onnx", "-p", "@fron"), 2, "did you mean `@front`?"),
        (("opt", "digits_cnn.onnx", "-p", "bogus"), 2, "there are: buffers"),
        (("report", "spin.nmc", "--jsn"), 2, "did you mean `--json`?"),
        (("report", "spin.nmc", "--foo"), 2, "nmc report --help"),
        (("run", "spin.nmc", "-i", "random", "-n", "x"), 2, "not a valid whole number"),
        (("run", "spin.nmc", "-i", "random", "--max-cycles", "9"), 5, "--max-cycles N"),
        (("targets", "keys", "crossbar.rosw"), 6, "did you mean `crossbar.rows`?"),
        (("run", "spin.nmc", "-i", "text.npz"), 6, "x (text or objects, not numbers)"),
        (("run", "spin.nmc", "-i", "text.npz:x"), 6, "has text or objects in the array `x`"),
    ],
)
def test_hints(nmc: Nmc, here: Path, words: tuple[str, ...], exit_code: int, says: str) -> None:
    (here / "cut.nmc").write_bytes((here / "spin.nmc").read_bytes()[:2000])
    np.savez(here / "text.npz", x=np.array(["a", "b"]))
    (here / "model.bin").write_bytes((here / "digits_cnn.onnx").read_bytes())
    (here / "text.onnx").write_text("no model at all\n")
    (here / "other.nmc").write_bytes((here / "digits.npz").read_bytes())
    done = nmc(*words)
    assert done.exit_code == exit_code
    assert says in " ".join(done.stderr.split())


def test_a_file_that_can_not_be_read_gets_no_verdict(nmc: Nmc, here: Path) -> None:
    (here / "text.onnx").write_text("no model at all\n")
    for name, code in (("none.onnx", "file-not-found"), ("text.onnx", "not-an-onnx-model")):
        done = nmc("check", name)
        assert (done.exit_code, done.stdout) == (6, "")
        assert f"error[{code}]" in done.stderr
        assert nmc("check", name, "--json").json["verdict"] == "not checked"


def test_a_batch_that_was_taken_is_not_advised_again(nmc: Nmc, here: Path) -> None:
    said = " ".join(nmc("check", "digits_cnn.onnx").stderr.split())
    assert "taken as a batch of 1" in said
    assert "for another: --input-shape image=<batch>,1,8,8" in said


def test_a_report_as_a_page(nmc: Nmc, here: Path) -> None:
    done = nmc("report", "spin.nmc", "--html", "r.html", "--json")
    assert done.json["html"] == "r.html"
    assert (here / "r.html").read_text().startswith("<!DOCTYPE html>")
    assert "written: r.html" in nmc("report", "spin.nmc", "--html", "r.html").stdout
    before = (here / "spin.nmc").read_bytes()
    assert nmc("report", "spin.nmc", "--html", "spin.nmc").exit_code == 2
    assert (here / "spin.nmc").read_bytes() == before
    assert nmc("report", "spin.nmc", "--html", "no/r.html").exit_code == 6


def test_inspecting_long_names_fits_and_says_what_was_cut(
    nmc: Nmc, here: Path, shared: Path
) -> None:
    out = "r.nmc"
    nmc("compile", shared / RESNET, "-t", "exact-128", "-q", "-o", out)
    for words in (("layer", "6"), ("crossbar", "9:0"), ()):
        text = nmc("inspect", out, *words).stdout
        assert max(map(len, text.splitlines())) <= 80
    text = nmc("inspect", out, "layer", "6").stdout
    assert text.endswith("-v or --json has them whole\n")
    whole = nmc("inspect", out, "layer", "6", "-v").stdout
    assert nmc("inspect", out, "layer", "6", "--json").json["layer"]["name"] in whole
    assert "names are cut" not in whole


def test_a_run_tells_what_its_sums_are_of(nmc: Nmc, here: Path) -> None:
    text = " ".join(nmc("run", "exact.nmc", "-i", "random", "--batch", "4").stdout.split())
    assert "sequencers of all cores together" in text
    assert "waiters: how many pieces of work wait" in text
    found = nmc("run", "exact.nmc", "-i", "random", "--batch", "4", "--json").json
    assert 0 < found["interval_least_cycles"] < found["cycles"]


def test_fewer_samples_than_asked_for(nmc: Nmc, here: Path) -> None:
    done = nmc("run", "spin.nmc", "-i", "digits.npz:calib", "-n", "1000")
    assert "-n 1000: the data have 100 samples" in done.stderr


def test_a_target_is_shown_with_its_sources(nmc: Nmc) -> None:
    lines = nmc("targets", "show", "spin-128").stdout.splitlines()
    assert Path(lines[0].rpartition(" ")[2]).is_file()
    assert "[]" not in lines
    assert any("PUMA" in line for line in lines)
    keys = nmc("targets", "keys", "mesh", "--json").json["keys"]
    assert {key["path"].partition(".")[0] for key in keys} == {"mesh"}


def test_a_demo_that_can_t_be_leaves_nothing(nmc: Nmc, tmp_path: Path) -> None:
    done = nmc("demo", "--dir", tmp_path / "d", "-t", "nochip", "--json")
    assert done.codes == ["unknown-target"]
    assert not (tmp_path / "d").exists()


def test_a_demo_as_json_says_nothing_else(nmc: Nmc) -> None:
    done = nmc("demo", "--json")
    assert done.stderr == ""
    assert done.json["compile"]["output"] == "digits.nmc"


def test_verify_fits_a_terminal(nmc: Nmc, tmp_path: Path, shared: Path) -> None:
    out = tmp_path / "r.nmc"
    nmc("compile", shared / RESNET, "-t", "exact-128", "-q", "-o", out)
    text = nmc("verify", out, "--model", shared / RESNET, "-n", "8", "--per-layer").stdout
    assert max(map(len, text.splitlines())) <= 80
    assert "in steps of its scale: " in text
    assert "onnxruntime fuses and rounds" in text
