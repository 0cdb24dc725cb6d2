"""Chips that are too small: fewer copies, the mesh that would do, and `--mesh auto`."""

from __future__ import annotations

from pathlib import Path

import pytest

import nmc
from nmc.ir.adc_load import adc_balance
from nmc.ir.design import Design
from nmc.ir.diagnostics import NmcError
from nmc.ir.mapping import Mapping
from nmc.passes.base import Pass
from nmc.passes.book import PASSES

ROOT = Path(__file__).parents[2]
DIGITS = str(ROOT / "examples/digits/digits_cnn.onnx")


def copies_of(mapping: Mapping) -> int:
    return sum(stage.copy > 0 for stage in mapping.stages)


def test_a_chip_with_room_has_copies() -> None:
    compiled = nmc.compile(DIGITS, "exact-128")
    assert copies_of(compiled.contents.mapping) > 0
    assert not [d for d in compiled.diagnostics if d.code == "fewer-copies"]


def test_a_model_that_is_too_large_is_told_the_mesh_that_holds_it() -> None:
    with pytest.raises(NmcError) as caught:
        nmc.compile(DIGITS, "exact-128", mesh="1x1")
    (problem,) = caught.value.diagnostics
    assert problem.code == "too-many-tiles"
    assert problem.remedy.startswith("--mesh ")
    mesh = problem.remedy.split()[1]
    assert nmc.compile(DIGITS, "exact-128", mesh=mesh).contents.target.cores > 1


def test_auto_takes_a_mesh_that_one_core_less_would_not_do() -> None:
    compiled = nmc.compile(DIGITS, "exact-128", mesh="auto")
    mapping, target = compiled.contents.mapping, compiled.contents.target
    assert copies_of(mapping) == 0
    assert len(mapping.tiles) <= target.crossbars
    assert len(mapping.tiles) > (target.cores - target.mesh.width) * target.core.crossbars
    pipeline = compiled.contents.manifest.pipeline
    assert "replicate{objective=crossbars}" in pipeline


def test_what_a_mesh_leaves_goes_to_copies_however_little_it_is() -> None:
    smallest = nmc.compile(DIGITS, "exact-128", mesh="auto").contents
    mesh = smallest.target.mesh
    filled = nmc.compile(DIGITS, "exact-128", mesh=f"{mesh.width}x{mesh.height}").contents
    assert copies_of(filled.mapping) > 0
    filled_, once = (adc_balance(c.mapping, c.target, 1).busiest for c in (filled, smallest))
    assert filled_ <= once


def test_where_memory_is_short_layers_have_fewer_copies_and_that_is_said() -> None:
    scarce = ["core.sram_kib=4", "core.sequencers=8", "mesh.width=4", "mesh.height=4"]
    compiled = nmc.compile(DIGITS, "exact-128", set=scarce)
    notes = [d for d in compiled.diagnostics if d.code == "fewer-copies"]
    assert len(notes) == 1
    assert "replicate{" in compiled.contents.manifest.pipeline


def test_what_no_mesh_can_mend_is_not_said_to_be_mended_by_one() -> None:
    with pytest.raises(NmcError) as caught:
        nmc.compile(DIGITS, "exact-128", set=["core.sram_kib=1"])
    assert {d.code for d in caught.value.diagnostics} == {"sram-overflow"}
    assert "it was placed there" not in caught.value.diagnostics[0].remedy


class Listener:
    """Notes what an observer is told."""

    def __init__(self) -> None:
        self.started_passes: list[str] = []
        self.ended_passes: list[tuple[str, int]] = []

    def starts(self, index: int, total: int, step: Pass) -> None:
        self.index = index
        self.started_passes.append(step.name)

    def ended(self, step: Pass, design: Design, changed: bool, wall_s: float) -> None:
        self.ended_passes.append((step.name, self.index))


def test_every_pass_is_seen_to_end_once_however_often_it_was_tried() -> None:
    listener = Listener()
    nmc.compile(DIGITS, "exact-128", mesh="auto", observer=listener)
    assert listener.ended_passes == [(step.name, i) for i, step in enumerate(PASSES)]


def test_what_fits_the_first_mesh_is_placed_there_once() -> None:
    listener = Listener()
    compiled = nmc.compile(DIGITS, "exact-128", mesh="auto", observer=listener)
    target = compiled.contents.target
    assert target.cores == -(-len(compiled.contents.mapping.tiles) // target.core.crossbars)
    assert listener.started_passes.count("place") == 1 + 1  # tried, and then told of


def test_what_no_mesh_can_mend_is_not_tried_on_many() -> None:
    listener = Listener()
    with pytest.raises(NmcError):
        nmc.compile(DIGITS, "exact-128", mesh="auto", set=["core.sram_kib=1"], observer=listener)
    assert listener.started_passes.count("place") == 3  # two small ones, and one large enough
