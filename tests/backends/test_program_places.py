"""Every instruction is found again in assembly, layer and ONNX model; errors say so."""

from __future__ import annotations

import pytest

from nmc.backends.execute import execute, races_found
from nmc.backends.program_places import ProgramPlaces
from nmc.backends.simulator import ENGINES
from nmc.ir.diagnostics import NmcError
from nmc.ir.program import Mvm, Vec
from nmc.ir.program_text import instruction_text, print_program
from tests.backends.broken import find, past_its_buffer, with_race, without_signal
from tests.backends.models import compiled, inputs_for, one_copy

CONV = "/net/conv1/Conv"


@pytest.mark.parametrize("model", ["chip", "shared"])
def test_lines_are_those_of_the_assembly(model: str) -> None:
    contents = compiled(model)
    for step, program in contents.program_of.items():
        lines = print_program(program).split("\n")
        places = ProgramPlaces.of(contents, step)
        for core in program.cores:
            for index, sequencer in enumerate(core.sequencers):
                for pc, instruction in enumerate(sequencer.instructions):
                    place = places.at(core.core, index, pc)
                    assert lines[place.line - 1].strip() == instruction_text(instruction)
                    assert place.assembly == instruction_text(instruction)
                    assert place.member == f"program/{step}.asm"
                    text = f"core {core.core} {sequencer.label} pc {pc}: whatever"
                    assert places.named(text) == place
                    assert places.named(f"tile 3 is not written: {text}") == place


def test_instructions_know_their_layer_and_node() -> None:
    contents = one_copy("chip")
    places = ProgramPlaces.of(contents, "0-chip")
    place = places.at(*find(contents, f"{CONV}.compute", Mvm))
    assert (place.layer, place.role) == (CONV, "compute")
    (loc,) = place.nodes
    assert (loc.node, loc.op, loc.source) == (CONV, "Conv", "net.py:3 in forward: conv1")
    assert place.loc.node == CONV
    assert place.loc.line == place.line
    assert "layer /net/conv1/Conv, from Conv '/net/conv1/Conv' (net.py:3" in str(place)


def test_a_feeder_belongs_to_no_layer_of_its_own() -> None:
    contents = one_copy("chip")
    places = ProgramPlaces.of(contents, "0-chip")
    index = len(places.cores[0].sequencers) - 1
    place = places.at(0, index, 0)
    assert "feed" in place.label
    assert str(place).startswith("program/0-chip.asm:")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tile 3 is read",
        "core 0 nobody pc 1",
        f"core 7 {CONV}.compute pc 1",
        f"core 0 {CONV}.compute pc 999",
        f"core 0 {CONV}.compute",
        f"see core 0 {CONV}.compute pc 1",
    ],
)
def test_texts_that_name_no_instruction(text: str) -> None:
    assert ProgramPlaces.of(one_copy("chip"), "0-chip").named(text) is None


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_a_missing_signal_is_a_deadlock_with_places(engine: str) -> None:
    broken = without_signal(one_copy("chip"), f"{CONV}.post")
    with pytest.raises(NmcError) as raised:
        execute(broken, inputs_for(broken, 2), inflight=2, engine=engine)
    (problem,) = raised.value.diagnostics
    assert problem.code == "deadlock"
    assert problem.loc.member == "program/0-chip.asm"
    assert problem.loc.excerpt.startswith("wait sem")
    (note,) = (n for n in problem.notes if f"{CONV}.compute" in n)
    assert "it holds" in note
    assert note.endswith("from Conv '/net/conv1/Conv' (net.py:3 in forward: conv1)")


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_a_race_has_places(engine: str) -> None:
    broken, (core, sequencer, pc) = with_race(one_copy("chip"), f"{CONV}.post")
    done = execute(broken, inputs_for(broken, 1), engine=engine, detect_races=True)
    problems = races_found(broken, done)
    places = ProgramPlaces.of(broken, "0-chip")
    assert {p.code for p in problems} == {"race"}
    first = problems[0]
    assert first.message.startswith("uninitialised, bytes ")
    assert first.loc.line == places.at(core, sequencer, pc).line
    assert first.loc.node == CONV
    later = next(p for p in problems if p.message.startswith("write-after-read"))
    assert len(later.notes) == 2
    assert all(f"layer {CONV}" in note for note in later.notes)


def test_a_sound_program_has_no_races() -> None:
    contents = one_copy("chip")
    done = execute(contents, inputs_for(contents, 1), engine="reference", detect_races=True)
    assert races_found(contents, done) == []


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_a_read_past_its_buffer_is_refused_with_its_place(engine: str) -> None:
    broken, at = past_its_buffer(one_copy("chip"), f"{CONV}.compute")
    with pytest.raises(NmcError) as raised:
        execute(broken, inputs_for(broken, 1), engine=engine)
    (problem,) = raised.value.diagnostics
    assert problem.code == "bad-program"
    assert problem.loc.line == ProgramPlaces.of(broken, "0-chip").at(*at).line
    assert problem.loc.node == CONV
    assert problem.notes == (f"layer {CONV}, its compute",)


def test_tables_and_intermediate_rows_are_named_after_their_nodes() -> None:
    """The skip connection's stage holds several nodes; its buffers tell which is worked for."""
    contents = one_copy("chip")
    places = ProgramPlaces.of(contents, "0-chip")
    label = "/net/conv2/Conv.post"
    core, sequencer, first = find(contents, label, Vec)
    place = places.at(core, sequencer, first)
    whole = places.at(
        core, sequencer, len(places.cores[core].sequencers[sequencer].instructions) - 1
    )
    assert place.layer == whole.layer
    assert set(place.nodes) <= set(whole.nodes)
