"""The debugger stops where it was asked to, shows what is there, and changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from nmc.backends.container import Contents
from nmc.backends.debugger import Debugger, Stopped, script
from nmc.backends.debugger.session import COMMANDS
from nmc.backends.execute import Execution, execute
from nmc.ir.diagnostics import NmcError
from nmc.ir.layers import layers_of
from nmc.ir.program import Loop, Mvm, Vec
from nmc.ir.program_text import instruction_text
from tests.backends.broken import find, without_signal
from tests.backends.models import compiled, inputs_for, one_copy

CONV = "/net/conv1/Conv"


def name(at: tuple[int, int, int]) -> str:
    return f"{at[0]}.{at[1]}:{at[2]}"


def debugged(
    contents: Contents, *commands: str, inflight: int = 1, samples: int = 0, **options: object
) -> tuple[list[str], Execution]:
    """What the debugger said, and the run."""
    said: list[str] = []
    debugger = Debugger(contents, script(commands), said.append, **options)  # type: ignore[arg-type]
    inputs = inputs_for(contents, samples or inflight)
    done = execute(contents, inputs, inflight=inflight, engine="reference", attach=debugger.attach)
    return said, done


def stops(said: list[str]) -> list[int]:
    return [int(line.split("cycle ")[1].split(" ")[0]) for line in said if "before cycle" in line]


def test_a_breakpoint_stops_at_every_turn() -> None:
    contents = one_copy("chip")
    at = find(contents, f"{CONV}.compute", Mvm)
    said, done = debugged(contents, *["continue"] * 40, breaks=[name(at)])
    code = contents.programs[0].cores[0].sequencers[at[1]].instructions
    loop = code[at[2] - 1]
    assert isinstance(loop, Loop)
    assert len(stops(said)) == loop.count
    assert stops(said) == sorted(set(stops(said)))
    assert (
        sum(line.startswith(f"{name(at)} {CONV}.compute: mvm plan 0") for line in said)
        == loop.count
    )
    assert done.cycles > stops(said)[-1]


def test_where_tells_line_layer_and_node() -> None:
    contents = one_copy("chip")
    at = find(contents, f"{CONV}.compute", Mvm)
    said, _ = debugged(contents, breaks=[name(at)])
    assert said[0].startswith("stopped at a breakpoint before cycle ")
    assert said[2] == "  about to issue"
    assert said[3].startswith("  program/0-chip.asm:")
    assert f"  layer {CONV}, its compute" in said
    assert f"  ONNX node '{CONV}' (Conv)" in said
    assert "    net.py:3 in forward: conv1" in said


def test_stops_change_nothing() -> None:
    contents = one_copy("shared")
    plain = execute(contents, inputs_for(contents, 2), inflight=2, engine="reference")
    _, stopped = debugged(contents, *["cycle 7"] * 200, inflight=2, stop_at_launch=True)
    assert plain.cycles == stopped.cycles
    for key, array in plain.outputs.items():
        np.testing.assert_array_equal(array, stopped.outputs[key])
    for one, other in zip(plain.results, stopped.results, strict=True):
        assert one.stalls == other.stalls


def test_step_goes_from_instruction_to_instruction() -> None:
    contents = one_copy("chip")
    at = find(contents, f"{CONV}.post", Vec)
    said, _ = debugged(contents, "step", "step", "step 2", breaks=[name(at)])
    focused = [line.split(" ")[0] for line in said if line.startswith(f"0.{at[1]}:")]
    assert focused[:3] == [name((at[0], at[1], at[2] + n)) for n in range(3)]
    issued_in, after = stops(said)[:2]
    vec = contents.programs[0].cores[0].sequencers[at[1]].instructions[at[2]]
    assert instruction_text(vec) in said[1]
    assert after > issued_in + 1, "a vec takes more than a cycle"


def test_cycle_and_until() -> None:
    said, _ = debugged(one_copy("chip"), "cycle", "cycle 10", "until 500", stop_at_launch=True)
    first, second, third, fourth = stops(said)
    assert first == 0
    assert second >= 1
    assert third >= second + 10
    assert fourth >= 500


def test_loops_count_turns_from_1() -> None:
    contents = one_copy("chip")
    core, sequencer, _ = find(contents, f"{CONV}.compute", Mvm, 1)
    at = name(find(contents, f"{CONV}.compute", Mvm, 1))
    said, _ = debugged(contents, "c", "c", "loops", inflight=2, breaks=[at])
    turns = [line for line in said if " of " in line and line.startswith(f"{core}.{sequencer}:")]
    assert turns[0] == f"{core}.{sequencer}:0 input 1 of 2"
    assert turns[-1].endswith("turn 3 of 5")
    assert turns[1].endswith("turn 1 of 4")


def test_semaphores_say_what_they_count() -> None:
    said, _ = debugged(one_copy("chip"), "semaphores", stop_at_launch=True)
    assert f"core 0 sem 3 = 6  (free slots of ring0 of {CONV})" in said


def test_semaphores_name_who_waits() -> None:
    contents = one_copy("chip")
    at = find(contents, f"{CONV}.compute", Mvm)
    said, _ = debugged(contents, "semaphores 0", breaks=[name(at)])
    assert any(line.endswith(f"0.{at[1] + 1} waits") for line in said)


def test_queues_list_what_is_in_them() -> None:
    contents = one_copy("chip")
    at = find(contents, f"{CONV}.compute", Mvm)
    said, _ = debugged(contents, "delete " + name(at), "cycle 30", "queues", breaks=[name(at)])
    depth = contents.target.core.queue_depth
    (line,) = (each for each in said if each.startswith(f"0.{at[1]} {CONV}.compute: mvm "))
    held = int(line.split("mvm ")[1].split(" ")[0])
    assert line.endswith(f"of {depth}")
    assert sum(each.startswith(f"  {name(at)} mvm plan 0") for each in said) == held > 0


def test_a_buffer_is_a_tensor() -> None:
    """The ring shows the padded image as the chip holds it: rows, pixels, channels."""
    contents = one_copy("chip")
    at = find(contents, f"{CONV}.compute", Mvm)
    said, _ = debugged(contents, f"print {CONV} ring0", f"print {CONV} acc", breaks=[name(at)])
    (head,) = (i for i, line in enumerate(said) if line.startswith("u8[7x7x3] (slots x pixels"))
    rows = " ".join(said[head + 1 :]).partition("i32[2x5x8]")[0]
    values = np.array([int(v) for v in rows.replace("[", " ").replace("]", " ").split()])
    ring = values.reshape(7, 7, 3)
    pad = ring[1, 0, 0]
    assert (ring[:, 0] == pad).all()
    assert (ring[:, -1] == pad).all()
    assert len(np.unique(ring[1, 1:-1])) > 3
    image = contents.graph.inputs[0]
    sample = inputs_for(contents, 1)[image.name][0]
    step = contents.mapping.streams[contents.mapping.stages[1].operands[0].stream]
    assert (step.cols, step.chans) == (sample.shape[2], sample.shape[0])


def test_memory_shows_any_address_of_any_lane() -> None:
    contents = one_copy("chip")
    image = inputs_for(contents, 2)[contents.graph.inputs[0].name]
    io = contents.programs[0].inputs[0]
    commands = [f"memory global {io.address} 2 f32 {lane}" for lane in (0, 1)]
    said, _ = debugged(contents, *commands, samples=2, stop_at_launch=True)
    found = [line for line in said if line.startswith("[")]
    physical = [a.reshape(io.factors).transpose(io.perm).reshape(-1)[:2] for a in image]
    for line, values in zip(found, physical, strict=True):
        np.testing.assert_array_equal(np.array(line.strip("[]").split(), np.float32), values)


def test_buffers_are_listed_by_layer() -> None:
    contents = one_copy("chip")
    said, _ = debugged(contents, "buffers", f"buffers {CONV}", "buffers 1", stop_at_launch=True)
    mine = [line for line in said if line.startswith(f"{CONV} ring0: ")]
    assert len(mine) == 3
    listed = {line.split(": ")[0].split(" ")[-1] for line in said if " at " in line}
    assert {"ring0", "acc", "out", "records"} <= listed


def test_a_layer_is_all_of_its_copies_and_a_stage_is_itself() -> None:
    contents = compiled("chip")
    layers = layers_of(contents.mapping)
    number = next(n for n, each in enumerate(layers) if each.count > 1 and each.name == CONV)
    names = [contents.mapping.stages[index].name for index in layers[number].stages]
    commands = [f"print {number} acc", f"print {CONV} acc", f"print {names[1]} acc", "quit"]
    said: list[str] = []
    debugger = Debugger(contents, script(commands), said.append, stop_at_launch=True)
    with pytest.raises(Stopped):
        execute(
            contents, inputs_for(contents, 1), engine="reference", attach=debugger.attach
        )  # fmt: skip
    heads = [line for line in said if "i32[" in line]
    assert [head.partition(": i32[")[0] for head in heads[:-1]] == 2 * names
    assert heads[-1].startswith("i32[")


def test_every_buffer_can_be_printed() -> None:
    for model in ("chip", "shared"):
        contents = one_copy(model)
        mapping = contents.mapping
        first = [b for b in mapping.buffers if mapping.stages[b.stage].step == 0]
        commands = [f"print {b.stage} '{b.role}'" for b in first]
        said, _ = debugged(contents, *commands, stop_at_launch=True)
        assert sum(", bytes " in line for line in said) >= len(commands) > 0


def test_list_marks_the_next_instruction() -> None:
    contents = one_copy("chip")
    at = find(contents, f"{CONV}.compute", Mvm)
    said, _ = debugged(contents, "list 2", breaks=[name(at)])
    shown = [line for line in said if line[:1] in (">", " ") and line[1:6].strip().isdecimal()]
    assert len(shown) == 5
    assert shown[2].startswith(f"> {at[2]:>4}  ")
    assert "mvm plan 0" in shown[2]


def test_a_deadlock_can_be_looked_at() -> None:
    broken = without_signal(one_copy("chip"), f"{CONV}.post")
    said: list[str] = []
    debugger = Debugger(broken, script(["sequencers"]), said.append)
    with pytest.raises(NmcError, match="wait for ever"):
        execute(
            broken, inputs_for(broken, 2), inflight=2, engine="reference", attach=debugger.attach
        )
    assert said[0].startswith("deadlock after cycle ")
    assert sum("waits: sem" in line for line in said) > 2


def test_quit_ends_the_run() -> None:
    with pytest.raises(Stopped) as raised:
        debugged(one_copy("chip"), "until 100", "quit", stop_at_launch=True)
    assert raised.value.cycle >= 100


def test_a_model_of_two_chip_steps_stops_in_each() -> None:
    contents = one_copy("shared")
    at = find(contents, f"{CONV}.compute", Mvm)
    said, _ = debugged(contents, *["c"] * 100, breaks=[name(at)])
    assert {line.rpartition(" ")[2] for line in said if "before cycle" in line} == {
        step.name for step in contents.mapping.steps if step.kind == "chip"
    }


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("jump", "there is no command `jump`"),
        ("break 0.1", "is no breakpoint"),
        ("break 0.99:1", "no sequencer 0.99"),
        ("break 0.1:999", "is no instruction"),
        ("break 0.1:0", "`loop` at 0.1:0 takes no time"),
        ("delete 0.1:5", "there is no breakpoint 0.1:5"),
        ("focus 0", "is no sequencer"),
        ("step many", "is no number"),
        ("step 1 2", "one number is enough"),
        ("semaphores 77", "no core 77"),
        ("print", "that is not how `print` is written"),
        ("print nothing acc", "there is no layer `nothing`"),
        ("print 1 heap", "has no buffer `heap`"),
        ("print 1 acc 5", "is no lane of 1"),
        ("memory 0 262143 2", "reach beyond 262144 bytes"),
        ("memory 0 -1 2", "is no address"),
        ("memory 0 0 99999999999999", "is no count"),
        ("until", "that is not how `until` is written"),
        ("print 'unclosed", "can't be read"),
    ],
)
def test_commands_that_make_no_sense(command: str, complaint: str) -> None:
    with pytest.raises(NmcError, match=complaint.replace("(", r"\(")) as raised:
        debugged(one_copy("chip"), command, stop_at_launch=True)
    assert raised.value.diagnostics[0].code == "bad-option"
    said, _ = debugged(one_copy("chip"), command, stop_at_launch=True, strict=False)
    assert any(complaint in line for line in said if line.startswith("error: "))


def test_a_breakpoint_that_nothing_has_is_refused_at_once() -> None:
    with pytest.raises(NmcError, match=r"no sequencer 9\.0"):
        Debugger(one_copy("chip"), script([]), print, breaks=["9.0:1"])


def test_help_lists_every_command() -> None:
    said, _ = debugged(one_copy("chip"), "help", stop_at_launch=True)
    assert all(any(line.startswith(command) for line in said) for command in COMMANDS)
    assert max(len(line) for line in said if line.split(" ")[0] in COMMANDS) <= 80


def test_scripts_skip_blanks_and_comments() -> None:
    ask = script(["# first", "", "  step 2  # two of them", "quit"])
    assert [ask(), ask(), ask()] == ["step 2", "quit", None]
