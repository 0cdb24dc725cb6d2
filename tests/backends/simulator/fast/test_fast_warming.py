"""Compiling kernels ahead: for what is called later, with or without another process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nmc.backends.simulator import needs_compiling, simulate
from nmc.backends.simulator.fast import compile_kernels, jit, warming
from nmc.ir import program as p
from tests.backends.simulator.chips import chip, core, vector


def run() -> None:
    vec = p.Vec("relu", vector("i32", 0, 4), vector("i32", 64, 4))
    simulate(p.Program("one", (core([vec]),)), chip(), {}, engine="fast", detect_races=False)


def test_what_is_compiled_ahead_is_what_is_called() -> None:
    compile_kernels()
    assert not warming.needs_compiling()
    compiled = [kernel.signatures for kernel in warming.KERNELS]
    assert all(len(signatures) == 1 for signatures in compiled)
    run()
    assert [kernel.signatures for kernel in warming.KERNELS] == compiled


def test_only_the_fast_engine_needs_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmc.backends.simulator.kernels_missing", lambda: True)
    assert needs_compiling()
    assert needs_compiling("fast")
    assert not needs_compiling("reference")


def test_without_a_second_process_all_is_compiled_in_this_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(warming, "at_hand", lambda _: False)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    compile_kernels()
    run()


def test_a_second_process_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    monkeypatch.setattr(warming, "PATIENCE_S", 0.1)
    warming.finish(sleeper)
    assert sleeper.returncode not in (None, 0)


def test_kernels_work_where_no_cache_can_be_written() -> None:
    """As in a package folder of another user without a home."""
    code = (
        "from numba.core import caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "from nmc.backends.simulator.fast.jit import at_hand, compiled\n"
        "kernel = compiled(lambda x: x + 1)\n"
        "assert not at_hand(kernel) and kernel(1) == 2 and at_hand(kernel)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_changed_modules_are_compiled_again() -> None:
    assert jit.fingerprint() == jit.fingerprint()
    assert len(jit.fingerprint()) == 64
