"""Layers are found again in the stages that they were divided into."""

from __future__ import annotations

import pytest

from nmc.ir.layers import Layer, layer_name, layer_names, layers_of
from nmc.ir.mapping import Kind, Mapping, Stage, Step, StepKind, Stream


def stage(
    name: str, output: int, copies: int = 1, copy: int = 0, pieces: int = 1, piece: int = 0
) -> Stage:
    kind, nodes = Kind.ROWS, (f"n{output}",)
    return Stage(
        name, 0, kind, nodes, ((),), False, (), output, "vector",
        copies=copies, copy=copy, pieces=pieces, piece=piece,
    )  # fmt: skip


def divided(name: str, output: int, copies: int, pieces: int) -> list[Stage]:
    """As `passes.tiling.dividing` names them."""
    return [
        stage(
            name
            + (f".{copy}" if copies > 1 else "")
            + (f":{piece}" if pieces > 1 else ""),
            output, copies=copies, copy=copy, pieces=pieces, piece=piece,
        )
        for copy in range(copies)
        for piece in range(pieces)
    ]  # fmt: skip


def mapping(*layers: list[Stage]) -> Mapping:
    streams = tuple(Stream(f"v{n}", 0, "u8", 1, 1, 1) for n in range(len(layers)))
    step = Step(StepKind.CHIP, "0-chip", (), (), ())
    return Mapping("net", (step,), streams, tuple(s for layer in layers for s in layer))


def test_layers_are_runs_of_stages_that_make_one_stream() -> None:
    found = mapping(
        divided("a", 0, 1, 1), divided("b", 1, 3, 2), divided("c", 2, 1, 4), divided("d", 3, 2, 1)
    )
    assert layers_of(found) == (
        Layer("a", 0, 1), Layer("b", 1, 6), Layer("c", 7, 4), Layer("d", 11, 2),
    )  # fmt: skip
    assert [layer.stages for layer in layers_of(found)] == [
        range(1), range(1, 7), range(7, 11), range(11, 13),
    ]  # fmt: skip
    assert layers_of(mapping()) == ()


def test_names_lead_back_to_layers() -> None:
    names = layer_names(mapping(divided("b.1", 0, 2, 2), divided("c:0", 1, 1, 1)))
    assert names == dict.fromkeys(("b.1.0:0", "b.1.0:1", "b.1.1:0", "b.1.1:1"), "b.1") | {
        "c:0": "c:0"
    }


@pytest.mark.parametrize("name", ["conv.0", "conv:0", "conv.0:0"])
def test_a_whole_layer_keeps_its_name(name: str) -> None:
    assert layer_name(stage(name, 0)) == name
