"""Steps as layers are mapped: against the solver's, and against a simulation."""

from __future__ import annotations

import json

import pytest

from benchmarks import mapped_steps
from benchmarks.mapped_steps import CHIP, TARGET
from benchmarks.replication_steps import WEIGHTS_HELD, Case, steps
from nmc import targets


def test_the_chip_holds_as_many_whole_weights_as_the_solver_counts_with() -> None:
    target = targets.load(TARGET, CHIP)
    assert target.slices == 1
    assert target.crossbars * mapped_steps.SIDE**2 == WEIGHTS_HELD
    assert target.adcs_per_core == target.core.crossbars * mapped_steps.SIDE  # one a channel


def test_mapped_copies_make_no_more_steps_than_the_solver_finds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    mapped_steps.main(["resnet18", "--size", "112", "--width", "0.5", "--json"])
    (row,) = json.loads(capsys.readouterr().out)["networks"]
    wanted = steps(Case("resnet18", mapped_steps.SIDE, size=112, width=0.5))
    assert row["solver_steps"] == wanted.joint_steps == 2  # with 56 rows, so that copies share them
    assert row["steps"] <= wanted.joint_steps
    assert wanted.dense_arrays < row["crossbars"] <= 9216


def test_what_can_t_be_mapped_is_a_line_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    mapped_steps.main(["missing.onnx"])
    table = capsys.readouterr().out.splitlines()
    assert table[0] == "| network | failure |"
    assert "missing.onnx" in table[2]


@pytest.mark.slow
def test_the_simulated_interval_is_what_the_mapping_promised(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ["mobilenet_v1", "--size", "32", "--width", "0.25", "--compile", "--json"]
    mapped_steps.main(given)
    (row,) = json.loads(capsys.readouterr().out)["networks"]
    assert "failure" not in row
    assert row["exact"] is True
    assert row["steps"] <= row["interval_steps"] < row["steps"] + 1
