"""`nmc compile --plan`, `--write-plan` and `--objective`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests.nmc.cli.commands import Nmc, model_bytes


@pytest.fixture
def model(tmp_path: Path) -> Path:
    weights = {"w": np.random.default_rng(1).standard_normal((6, 3, 3, 3))}
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv", pads=[1, 1, 1, 1])
    path = tmp_path / "net.onnx"
    path.write_bytes(model_bytes([node], [1, 3, 6, 6], [1, 6, 6, 6], weights=weights))
    return path


def test_a_plan_is_written_edited_and_followed(nmc: Nmc, model: Path, tmp_path: Path) -> None:
    plan, out = tmp_path / "plan.toml", str(tmp_path / "net.nmc")
    assert nmc("compile", str(model), "-o", out, "--write-plan", str(plan)).exit_code == 0
    text = plan.read_text()
    assert "[layers.conv]" in text
    lines = ["copies = 2" if each.startswith("copies") else each for each in text.split("\n")]
    plan.write_text("\n".join(lines))
    done = nmc("compile", str(model), "-o", out, "--plan", str(plan), "--json")
    assert done.exit_code == 0
    assert {s["copies"] for s in done.json["stages"] if s["kind"] == "matrix"} == {2}


def test_what_cannot_be_followed_is_refused(nmc: Nmc, model: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('format = "nmc-plan 1"\n[layers.conv]\ncopies = 70\n')
    done = nmc("compile", str(model), "-o", str(tmp_path / "net.nmc"), "--plan", str(plan))
    assert done.exit_code == 6
    assert "error[bad-plan]" in done.stderr
    assert "plan.toml:3:1" in done.stderr
    assert "copies = 70" in done.stderr
    assert not (tmp_path / "net.nmc").exists()


def test_the_file_and_its_report_tell_the_plan(nmc: Nmc, model: Path, tmp_path: Path) -> None:
    plan, out = tmp_path / "plan.toml", str(tmp_path / "net.nmc")
    plan.write_text('format = "nmc-plan 1"\n')
    assert nmc("compile", str(model), "-o", out, "--plan", str(plan), "-q").exit_code == 0
    digest = hashlib.sha256(plan.read_bytes()).hexdigest()[:16]
    told = nmc("report", out).stdout
    assert f"  plan         plan.toml, sha256 {digest}" in told
    assert "  copies       for throughput: " in told
    assert nmc("inspect", out, "--json").json["manifest"]["options"]["objective"] == "throughput"
    assert nmc("compile", str(model), "-o", out, "-q").exit_code == 0
    assert "  plan " not in nmc("report", out).stdout


def test_the_plan_that_is_read_is_not_overwritten(nmc: Nmc, model: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('format = "nmc-plan 1"\n')
    for options in (["--write-plan", str(plan)], ["-o", str(plan)]):
        done = nmc("compile", str(model), "--plan", str(plan), *options)
        assert done.exit_code == 2
        assert "bad-option" in done.stderr
    assert plan.read_text() == 'format = "nmc-plan 1"\n'


@pytest.mark.parametrize("objective", ["latency", "energy", "crossbars"])
def test_an_objective_is_recorded(nmc: Nmc, model: Path, tmp_path: Path, objective: str) -> None:
    out = str(tmp_path / "net.nmc")
    done = nmc("compile", str(model), "-o", out, "--objective", objective, "--json")
    assert done.exit_code == 0
    assert f"replicate{{objective={objective}" in done.json["pipeline"]
