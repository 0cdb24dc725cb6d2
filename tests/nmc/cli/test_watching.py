"""`nmc run` with traces and the debugger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nmc.backends.container import read_container, write_container
from nmc.backends.trace.perfetto_schema import message
from tests.backends.broken import find, with_race, without_signal
from tests.nmc.cli.commands import Nmc


@pytest.fixture
def at(here: Path) -> str:
    """The first mvm of exact.nmc, as --break takes it."""
    from nmc.ir.program import Mvm

    contents = read_container(Path("exact.nmc"))
    labels = [s.label for s in contents.programs[0].cores[0].sequencers]
    label = next(label for label in labels if label.endswith(".compute"))
    core, sequencer, pc = find(contents, label, Mvm)
    return f"{core}.{sequencer}:{pc}"


def test_trace_for_perfetto(nmc: Nmc, here: Path) -> None:
    done = nmc("run", "exact.nmc", "-i", "random", "--trace", "run.pftrace", "--json")
    assert done.exit_code == 0, done.stderr
    told = done.json["trace"]
    parsed = message("Trace").FromString(Path("run.pftrace").read_bytes())
    assert told["file"] == "run.pftrace"
    assert told["left_out"] == 0
    assert 0 < told["events"] < len(parsed.packet)


def test_trace_for_chrome(nmc: Nmc, here: Path) -> None:
    done = nmc("run", "exact.nmc", "-i", "random", "--trace", "run.json")
    assert done.exit_code == 0, done.stderr
    assert "  trace in      run.json, " in done.stdout
    assert json.loads(Path("run.json").read_text())["displayTimeUnit"] == "ns"


def test_a_trace_is_the_same_each_time(nmc: Nmc, here: Path) -> None:
    for name in ("one.pftrace", "two.pftrace"):
        nmc("run", "exact.nmc", "-i", "random", "--trace", name)
    assert Path("one.pftrace").read_bytes() == Path("two.pftrace").read_bytes()


def test_what_does_not_fit_is_owned_up_to(nmc: Nmc, here: Path) -> None:
    words = ("run", "exact.nmc", "-i", "random", "--trace", "t.json", "--trace-limit", "100")
    done = nmc(*words, "--json")
    assert done.exit_code == 0
    assert done.codes == ["trace-cut"]
    assert done.json["trace"]["left_out"] > 100
    window = nmc(*words[:-2], "--trace-window", "100:200", "--json")
    assert window.codes == []
    whole = nmc(*words[:-2], "--json")
    assert 0 < window.json["trace"]["events"] < whole.json["trace"]["events"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--trace", "run.vcd"], "`run.vcd`: traces are written as .pftrace"),
        (["--trace", "run.json", "--trace-window", "5"], "is no range of cycles"),
        (["--trace", "run.json", "--trace-window", "9:9"], "is no range of cycles"),
        (["--trace-window", "5:9"], "need --trace FILE"),
        (["--break", "0"], "is no breakpoint"),
        (["--break", "99.0:1"], "no sequencer 99.0"),
        (["--trace", "run.json", "--engine", "warp"], "no engine `warp`"),
    ],
)
def test_wrong_options(nmc: Nmc, here: Path, words: list[str], complaint: str) -> None:
    done = nmc("run", "exact.nmc", "-i", "random", *words)
    assert done.exit_code == 2
    assert complaint in " ".join(done.stderr.split())
    assert not Path("run.json").exists()


def test_debugging_from_stdin_has_no_prompt(nmc: Nmc, here: Path, at: str) -> None:
    done = nmc("run", "exact.nmc", "-i", "random", "--break", at, stdin="loops\nstep\n")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("stopped at a breakpoint before cycle ")
    assert "(nmc)" not in done.stdout + done.stderr
    assert " turn 1 of " in done.stdout
    assert "cycles " in done.stdout, "the run goes on to its end"


def test_debugging_from_a_script(nmc: Nmc, here: Path) -> None:
    Path("look.txt").write_text("# what is there at launch\nsequencers\nuntil 50\nquit\n")
    words = ("run", "exact.nmc", "-i", "random", "--debug-script", "look.txt")
    done = nmc(*words, "--json")
    assert done.exit_code == 0
    assert done.json["stopped_before_cycle"] >= 50
    assert any("about to issue" in line for line in done.json["debug"])
    assert nmc(*words).stdout.endswith(f"ended before cycle {done.json['stopped_before_cycle']}\n")


def test_step_stops_before_the_first_cycle(nmc: Nmc, here: Path) -> None:
    done = nmc("run", "exact.nmc", "-i", "random", "--step", stdin="quit\n")
    assert done.stdout.startswith("stopped before cycle 0 ")


def test_a_wrong_command_in_a_script_ends_it(nmc: Nmc, here: Path) -> None:
    done = nmc("run", "exact.nmc", "-i", "random", "--step", stdin="jump\n")
    assert done.exit_code == 2
    assert "there is no command `jump`" in done.stderr
    assert nmc("run", "exact.nmc", "-i", "random", "--debug-script", "none.txt").exit_code == 6


def test_a_deadlock_names_line_layer_and_node_and_leaves_its_trace(
    nmc: Nmc, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files whose semaphores don't add up are refused before that, when they are read."""
    contents = read_container(Path("exact.nmc"))
    labels = [s.label for s in contents.programs[0].cores[0].sequencers]
    label = next(label for label in labels if label.endswith(".post"))
    broken = without_signal(contents, label)
    write_container(Path("broken.nmc"), broken)
    assert nmc("run", "broken.nmc", "-i", "random", "--json").codes == ["bad-program"]
    monkeypatch.setattr("nmc.api.read_container", lambda path: broken)
    done = nmc(
        "run", "exact.nmc", "-i", "random", "--batch", "3", "--trace", "run.json",
        "--engine", "reference",
    )  # fmt: skip
    assert done.exit_code == 6
    assert "error[deadlock]" in done.stderr
    said = " ".join(done.stderr.split())
    assert "member program/1-chip.asm" in said
    assert ", layer " in said
    assert ", from Conv '" in said
    assert json.loads(Path("run.json").read_text())["traceEvents"]


def test_a_race_fails_the_run(nmc: Nmc, here: Path) -> None:
    contents = read_container(Path("exact.nmc"))
    labels = [s.label for s in contents.programs[0].cores[0].sequencers]
    label = next(label for label in labels if label.endswith(".post"))
    write_container(Path("broken.nmc"), with_race(contents, label)[0])
    words = ("run", "-i", "random", "--races", "--engine", "reference", "--json")
    assert nmc(*words, "exact.nmc").exit_code == 0
    done = nmc(*words, "broken.nmc")
    assert done.exit_code == 6
    assert set(done.codes) == {"race"}
    assert done.json["diagnostics"][0]["member"] == "program/1-chip.asm"
    assert done.json["cycles"] > 0


@pytest.mark.parametrize("words", [("--trace", "run.json"), ("--break", "0.0:1"), ("--step",)])
def test_the_fast_engine_is_refused_where_somebody_watches(
    nmc: Nmc, here: Path, words: tuple[str, ...]
) -> None:
    done = nmc("run", "exact.nmc", "-i", "random", "--engine", "fast", *words)
    assert done.exit_code == 2
    said = " ".join(done.stderr.split())
    assert "`--engine fast` can't be traced or paused" in said
    assert "leave it out, or give --engine reference" in said
    assert not Path("run.json").exists()


def test_a_trace_says_which_engine_made_it(nmc: Nmc, here: Path) -> None:
    done = nmc("run", "exact.nmc", "-i", "random", "--trace", "run.json")
    assert "by the reference engine" in done.stdout
