"""Children: their results, their memory, and why they fail."""

from __future__ import annotations

import math
from pathlib import Path

from benchmarks.harness import run_child

ROOT = Path(__file__).parents[2]
MIB = 1 << 20


def test_gives_the_result_time_and_memory_of_a_child() -> None:
    child = run_child("nmc", "targets", "--json")
    assert child.ok
    assert child.exit_code == 0
    assert child.result["command"] == "targets"
    assert 0 < child.wall_s < 60
    assert 10 * MIB < child.peak_rss_bytes < 4096 * MIB


def test_a_diagnostic_is_the_reason_of_a_failure(tmp_path: Path) -> None:
    child = run_child("nmc", "compile", tmp_path / "none.onnx", "--json")
    assert not child.ok
    assert child.exit_code == 6
    assert child.result == {}
    code, _, message = child.failure.partition(": ")
    assert code.replace("-", "").isalpha()
    assert "none.onnx" in message


def test_without_a_diagnostic_the_last_words_are_the_reason() -> None:
    child = run_child("benchmarks.networks", "resnet18", "--size", "-1000")
    assert child.exit_code == 2
    assert "does not fit" in child.failure


def test_a_child_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "vgg16.onnx"
    child = run_child("benchmarks.networks", "vgg16", "-o", path, limit_s=0.05)
    assert child.failure == "not done after 0.05 s"
    assert child.exit_code < 0
    assert math.isclose(child.wall_s, 0.05, abs_tol=2)
    assert not path.exists()
