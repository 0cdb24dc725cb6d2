"""Target files: what loads, what it inherits, where values come from, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from nmc import targets
from nmc.ir.diagnostics import Diagnostic, NmcError, Report, Severity
from nmc.ir.target import Target
from nmc.ir.target_keys import Kind, Leaf
from nmc.ir.target_toml import (
    load_target,
    parse_target,
    resolved,
    schema,
    spell,
    target_to_toml,
    with_overrides,
)

SHIPPED = (targets.folder(),)
SPIN = (targets.folder() / "spin-128.toml").read_text("utf-8")


def parse(text: str, *overrides: str) -> Target:
    return parse_target(text, "my.toml", search=SHIPPED, overrides=overrides)


def refused(text: str, *overrides: str) -> tuple[Diagnostic, ...]:
    with pytest.raises(NmcError) as caught:
        parse(text, *overrides)
    return caught.value.diagnostics


def inherit(text: str) -> str:
    return f'base = "spin-128"\n{text}'


# Inheritance


def test_file_inherits_what_it_leaves_out(tmp_path: Path) -> None:
    (tmp_path / "chips").mkdir()
    (tmp_path / "chips" / "wide.toml").write_text('base = "spin-128"\n[crossbar]\ncols = 256\n')
    (tmp_path / "mine.toml").write_text('base = "chips/wide.toml"\n[crossbar]\nrows = 64\n')
    target = load_target(str(tmp_path / "mine.toml"), search=SHIPPED)
    assert (target.crossbar.rows, target.crossbar.cols, target.crossbar.cell_bits) == (64, 256, 4)
    assert target.name == "mine"
    assert target.description == ""


def test_name_may_be_given() -> None:
    assert parse(inherit('name = "edge one"')).name == "edge one"
    assert parse(inherit("")).name == "my"


def test_a_table_of_entries_is_merged_by_entry() -> None:
    target = parse(inherit("[vector.cycles_per_element]\nreduce.sum = 3\n'pool.max' = 2\n"))
    cycles = [target.vector.element_cycles(op) for op in ("reduce.sum", "pool.max", "div", "add")]
    assert cycles == [3, 2, 4, 1]


def test_bases_that_go_round_are_refused(tmp_path: Path) -> None:
    for name, base in (("a", "b"), ("b", "c"), ("c", "b")):
        (tmp_path / f"{name}.toml").write_text(f'\nbase = "{base}.toml"\n')
    with pytest.raises(NmcError) as caught:
        load_target(str(tmp_path / "a.toml"))
    (problem,) = caught.value.diagnostics
    assert problem.code == "target-inconsistent"
    assert [Path(file).name for file in problem.message.split(": ")[1].split(" -> ")] == [
        "b.toml",
        "c.toml",
        "b.toml",
    ]
    assert (Path(problem.loc.file).name, problem.loc.line) == ("c.toml", 2)


# Device presets


def test_preset_starts_the_device_afresh(tmp_path: Path) -> None:
    (tmp_path / "few.toml").write_text(
        'base = "spin-128"\n[crossbar]\ncell_bits = 2\n[device]\nlevels = 4\n'
    )
    (tmp_path / "good.toml").write_text('base = "few.toml"\n[device]\npreset = "ideal"\n')
    few = load_target(str(tmp_path / "few.toml"), search=SHIPPED)
    assert (few.device.levels, few.device.sigma_scale) == (4, 0.07)
    good = load_target(str(tmp_path / "good.toml"), search=SHIPPED)
    assert (good.device.preset, good.device.levels, good.device.faults.total) == ("ideal", 0, 0)
    assert math.isinf(good.device.on_off)


def test_preset_may_be_a_file_beside_the_target(tmp_path: Path) -> None:
    device = (targets.folder() / "ideal.device.toml").read_text("utf-8")
    (tmp_path / "mine.toml").write_text(device.replace("g_max_us = 10.0", "g_max_us = 20.0"))
    (tmp_path / "chip.toml").write_text('base = "spin-128"\ndevice.preset = "mine.toml"\n')
    target = load_target(str(tmp_path / "chip.toml"), search=SHIPPED)
    assert target.device.g_max_us == 20
    assert target.origin_of("device.g_max_us").kind == "preset"


def test_device_file_holds_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[crossbar]\nrows = 3\n")
    (tmp_path / "chip.toml").write_text('base = "spin-128"\ndevice.preset = "mine.toml"\n')
    with pytest.raises(NmcError) as caught:
        load_target(str(tmp_path / "chip.toml"), search=SHIPPED)
    assert [problem.code for problem in caught.value.diagnostics] == ["unknown-key"]


# Overrides


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("crossbar.rows=256", "crossbar.rows", 256),
        ("crossbar.rows = 256", "crossbar.rows", 256),
        ("adc.wiring=blocked", "adc.wiring", "blocked"),
        ('adc.wiring="blocked"', "adc.wiring", "blocked"),
        ("mesh.memory_ports=[[1, 2]]", "mesh.memory_ports", ((1, 2),)),
        ("vector.cycles_per_element.pool.max=7", "vector.cycles_per_element.pool.max", 7),
        ("crossbar={rows=16}", "crossbar.rows", 16),
        ("clock_ghz=2", "clock_ghz", 2.0),
        ("description=a = b", "description", "a = b"),
    ],
)
def test_override_sets_a_key(override: str, key: str, value: object) -> None:
    target = parse(inherit(""), override)
    assert resolved(target)[key] == value
    assert str(target.origin_of(key)) == f"--set {override}"


def test_last_override_wins_and_others_stay() -> None:
    target = parse(
        inherit("[crossbar]\nrows = 64\ncols = 64"), "crossbar.rows=1", "crossbar.rows=2"
    )
    assert (target.crossbar.rows, target.crossbar.cols) == (2, 64)


def test_overriding_a_target_keeps_the_origins_of_the_rest() -> None:
    target = with_overrides(parse(inherit("[crossbar]\nrows = 64")), ["crossbar.cols=64"])
    assert (target.crossbar.rows, target.crossbar.cols) == (64, 64)
    assert str(target.origin_of("crossbar.rows")) == "my.toml:3"
    assert str(target.origin_of("crossbar.cols")) == "--set crossbar.cols=64"


@pytest.mark.parametrize("text", ["crossbar.rows", "=3", "", "a b=3", "[crossbar]=3"])
def test_override_without_a_key_is_refused(text: str) -> None:
    (problem,) = refused(inherit(""), text)
    assert (problem.code, problem.exit) == ("bad-option", 2)


def test_base_is_no_override() -> None:
    (problem,) = refused(inherit(""), "base=exact-128")
    assert problem.code == "unknown-key"


# Origins and sources


def test_every_value_knows_its_origin() -> None:
    target = parse(inherit("[crossbar]\n\nrows = 256"), "adc.bits=6")
    origins = {key: str(target.origin_of(key)) for key in resolved(target)}
    assert origins["crossbar.rows"] == "my.toml:4"
    assert origins["adc.bits"] == "--set adc.bits=6"
    assert origins["device.sigma_step_gain"].startswith("dw_spin_memristor.device.toml:")
    assert origins["costs.cell.leak_uw"] == "default"
    line = SPIN.splitlines().index("cols = 128") + 1
    assert origins["crossbar.cols"] == f"spin-128.toml:{line} (base)"


def test_origin_shows_the_line() -> None:
    loc = parse(inherit("[mesh]\n  width   = 4 # few")).origin_of("mesh.width").loc
    assert (loc.line, loc.column, loc.end_column) == (3, 3, 8)
    assert loc.excerpt == "  width   = 4 # few"


def test_sources_go_with_their_figures() -> None:
    target = parse(inherit("[costs.dac]\ne_pj = 1\n[crossbar]\nrows = 64\nsource.rows = 'page 4'"))
    assert target.source_of("crossbar.rows") == "page 4"
    assert target.source_of("costs.dac.e_pj") == "overridden without a source"
    assert target.source_of("costs.dac.area_um2").startswith("PUMA")
    assert target.source_of("mesh.width") == ""


def test_repeating_a_figure_keeps_its_source() -> None:
    assert (
        parse(inherit("[costs.dac]\ne_pj = 0.039")).source_of("costs.dac.e_pj").startswith("PUMA")
    )


def test_a_source_for_all_of_a_table() -> None:
    text = "[core]\nsram_kib = 64\nsource.default = 'all'\nsource.sram_kib = 'one'\n"
    target = parse(inherit(text))
    assert (target.source_of("core.sram_kib"), target.source_of("core.crossbars")) == ("one", "all")
    assert parse(inherit("[mesh]\nsource = 'whole'")).source_of("mesh.width") == "whole"


# The printed form


@pytest.mark.parametrize("name", sorted(targets.shipped()))
def test_printed_target_needs_no_other_file(name: str) -> None:
    target = targets.load(name)
    text = target_to_toml(target)
    again = parse_target(text)
    assert again == target
    assert target_to_toml(again) == text
    assert "base" not in text.partition("[mesh]")[0]


def test_equal_targets_print_alike() -> None:
    one = parse(inherit("[vector.cycles_per_element]\nsub = 2\nadd = 2"))
    other = parse(inherit("[vector]\ncycles_per_element = { add = 2, sub = 2 }"))
    assert one == other
    assert target_to_toml(one) == target_to_toml(other)


def drawn(leaf: Leaf) -> st.SearchStrategy[object]:
    """Any value that the key admits."""
    least, most = leaf.key.least, min(leaf.key.most, 1e15)
    whole = st.integers(math.ceil(least), int(most))
    real = st.floats(least, most, exclude_min=leaf.key.above)
    match leaf.kind:
        case Kind.INT:
            return whole
        case Kind.FLOAT:
            return real | whole.filter(leaf.key.admits)
        case Kind.BOOL:
            return st.booleans()
        case Kind.STR:
            return st.text().filter(str.isprintable)
        case Kind.CHOICE:
            return st.sampled_from(leaf.choices)
        case Kind.PAIRS:
            return st.lists(st.tuples(whole, whole), min_size=1, max_size=4).map(tuple)
        case Kind.FLOATS:
            return st.lists(real, min_size=1, max_size=4).map(tuple)
        case Kind.INT_MAP | Kind.FLOAT_MAP:
            number = whole if leaf.kind is Kind.INT_MAP else real
            return st.dictionaries(st.sampled_from(leaf.key.names), number)


FREE = [leaf for leaf in schema().leaves.values() if leaf.path != "device.preset"]
CHANGES = st.lists(
    st.sampled_from(FREE).flatmap(lambda leaf: st.tuples(st.just(leaf), drawn(leaf))), max_size=6
)


def override_of(leaf: Leaf, value: object) -> str:
    if isinstance(value, dict):
        entries = (f"{spell(name)} = {spell(each)}" for name, each in value.items())
        return f"{leaf.path} = {{ {', '.join(entries)} }}"
    return f"{leaf.path} = {spell(value)}"


def load_consistent(overrides: list[str]) -> Target:
    """The default target so changed; rejects the example where the values contradict each other."""
    try:
        return targets.load("spin-128", overrides)
    except NmcError as refusal:
        if {problem.code for problem in refusal.diagnostics} != {"target-inconsistent"}:
            raise
        reject()


@given(CHANGES)
def test_any_target_is_printed_and_read_back(changes: list[tuple[Leaf, object]]) -> None:
    target = load_consistent([override_of(*change) for change in changes])
    text = target_to_toml(target)
    again = parse_target(text, "x.toml")
    assert again == target
    assert target_to_toml(again) == text
    assert hash(again) == hash(target)


@given(st.integers(0, len(SPIN)), st.integers(0, 40), st.text("[]{}=.\"#\n'\\ab1-_é", max_size=12))
def test_damaged_file_is_refused_in_words(at: int, cut: int, put: str) -> None:
    """Whatever is done to a file, it loads or is refused with diagnostics, in place."""
    text = SPIN[:at] + put + SPIN[at + cut :]
    try:
        parse(text)
    except NmcError as refusal:
        lines = text.split("\n")
        for problem in refusal.diagnostics:
            loc = problem.loc
            if loc.line and loc.file == "my.toml":
                assert loc.excerpt == lines[loc.line - 1]


# Refusals


def test_unknown_key_suggests_the_nearest() -> None:
    (problem,) = refused(inherit("[crossbar]\nrow = 3"))
    assert problem.code == "unknown-key"
    assert problem.message == "[crossbar] has no key 'row'; did you mean 'rows'?"
    assert (problem.loc.line, problem.loc.column, problem.loc.excerpt) == (3, 1, "row = 3")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("clok_ghz = 1", "did you mean 'clock_ghz'"),
        ("rows = 1", "it belongs in [crossbar]"),
        ("[crosbar]\nrows = 1", "did you mean 'crossbar'"),
        ("[mesh]\nfrobnicate = 1", "[mesh] has no key 'frobnicate'"),
        ("[vector.latency_cycles]\nsoftmx = 1", "did you mean 'softmax'"),
        ("[device.faults]\nstuck = 1", "has no key 'stuck'"),
        ("[mesh]\nsource.widht = 'x'", "did you mean 'width'"),
        ("[adc.table_e_pj]\n99 = 1", "has no key '99'"),
    ],
)
def test_unknown_key(text: str, words: str) -> None:
    (problem,) = refused(inherit(text))
    assert problem.code == "unknown-key"
    assert words in problem.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[crossbar]\nrows = -4", "crossbar.rows must be an integer, 1 to 65536, got -4"),
        ("[crossbar]\nrows = 0", "got 0"),
        ("[crossbar]\nrows = 1.5", "got 1.5"),
        ("[crossbar]\nrows = true", "got true"),
        ("[crossbar]\nrows = '128'", "got '128'"),
        ("[crossbar]\nrows = 99999999999999999999999", "1 to 65536"),
        ("[crossbar]\nt_read_ns = 0", "a number, more than 0, at most 1e6 ns, got 0"),
        ("[crossbar]\nt_read_ns = nan", "got nan"),
        ("[crossbar]\nt_read_ns = inf", "got inf"),
        ("[crossbar]\nencoding = 'diferential'", "did you mean 'differential'?"),
        ("[crossbar]\ntwo_sided = 1", "must be true or false, got 1"),
        ("[mesh]\nmemory_ports = [0, 0]", "must be a list of [x, y]"),
        ("[mesh]\nmemory_ports = [[0, -1]]", "must be a list of [x, y]"),
        ("[mesh]\nmemory_ports = [[0, 1, 2]]", "must be a list of [x, y]"),
        ("mesh = 3", "mesh is a table of keys, got 3"),
        (
            "[vector.cycles_per_element]\nadd = 0",
            "vector.cycles_per_element.add must be an integer",
        ),
        ("[vector]\ncycles_per_element = 3", "must be an integer, 1 to 65536"),
        ("[device]\non_off = 0.5", "at least 1"),
        ("[device]\nsigma_program = ['a']", "must be a list of numbers"),
        ('description = "a\\nb"', "description must be one line of text"),
        ("[mesh]\nsource.width = 3", "a source must be a text"),
    ],
)
def test_bad_value(text: str, words: str) -> None:
    (problem,) = refused(inherit(text))
    assert problem.code == "bad-value"
    assert words in problem.message
    assert problem.loc.line == text.count("\n") + 2


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a = 1\nb = blocked\n", 2, 5),
        ("a = 1\na = 2\nb = 1\n", 2, 6),
        ("[a\n", 1, 3),
        ("a = [1,\n2", 2, 2),
        ("a = '\n", 1, 6),
    ],
)
def test_invalid_toml(text: str, line: int, column: int) -> None:
    (problem,) = refused(text)
    assert problem.code == "target-syntax"
    assert (problem.loc.file, problem.loc.line, problem.loc.column) == ("my.toml", line, column)
    assert problem.loc.excerpt == text.split("\n")[line - 1]


def test_missing_keys_are_told_by_table() -> None:
    problems = refused("[mesh]\nwidth = 2\nheight = 2\n[costs.dac]\ne_pj = 1\n[device]\nlevels = 2")
    assert {problem.code for problem in problems} == {"missing-key"}
    words = [problem.message for problem in problems]
    assert "[mesh] lacks flit_bytes, t_hop_ns, memory_ports" in words
    assert "the target lacks clock_ghz" in words
    assert "[device] lacks preset" in words
    assert "[costs.dac] does not say where its figures are from" in words
    assert "[vector.cycles_per_element] lacks default" in words


def test_a_key_that_is_wrong_is_not_missing_too() -> None:
    text = SPIN.replace("rows = 128", "row = 128").replace("clock_ghz = 1.0", "clock_ghz = 'fast'")
    assert [problem.code for problem in refused(text)] == ["bad-value", "unknown-key"]


def test_all_problems_are_told_in_one_run() -> None:
    text = inherit(
        "clok_ghz = 2\n[crossbar]\nrows = -4\n[core]\ncrossbars = 6\n[device]\npreset = 'ideel'"
    )
    problems = refused(text, "adc.bits=99", "adc")
    assert [(problem.code, problem.loc.file, problem.loc.line) for problem in problems] == [
        ("unknown-key", "my.toml", 2),
        ("bad-value", "my.toml", 4),
        ("unknown-target", "my.toml", 8),
        ("bad-option", "--set", 1),
        ("bad-value", "--set", 1),
        ("target-inconsistent", "my.toml", 6),
    ]


def test_place_is_found_behind_values_of_many_lines() -> None:
    text = (
        "description = '''\nrows = 1\n[mesh]'''\n"
        "[mesh]\nmemory_ports = [ # rows = 1 ]\n  [0, 0], # ''' \"\n]\n"
        "[crossbar] # x\n'cols' = 64\n\"rows\" = -1\n"
    )
    problems = refused(inherit(text))
    assert [(problem.code, problem.loc.line) for problem in problems] == [
        ("bad-value", 2),
        ("bad-value", 11),
    ]


# Files


def test_unknown_target_suggests_the_nearest() -> None:
    with pytest.raises(NmcError) as caught:
        load_target("spin-182", search=SHIPPED)
    (problem,) = caught.value.diagnostics
    assert problem.code == "unknown-target"
    assert "did you mean 'spin-128'?" in problem.message
    assert problem.notes == ("known: exact-128, hermes-256, isaac-ce, puma, spin-128",)


@pytest.mark.parametrize("name", ["", "..", "../targets/spin-128", "a\0b", "ideal"])
def test_a_name_stays_on_the_shelf(name: str) -> None:
    with pytest.raises(NmcError) as caught:
        load_target(name, search=SHIPPED)
    assert caught.value.diagnostics[0].code == "unknown-target"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "file-not-found"),
        (b"", "file-empty"),
        (b"\n \n", "file-empty"),
        (b"name = '\xff'", "target-syntax"),
        (b"#" * ((1 << 20) + 1), "file-unreadable"),
        (b"a = " + b"[" * 100_000, "target-syntax"),
        (b"a = " + b"9" * 10_000, "target-syntax"),
    ],
)
def test_hostile_file_is_refused(tmp_path: Path, content: bytes | None, code: str) -> None:
    path = tmp_path / "chip.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NmcError) as caught:
        load_target(str(path), search=SHIPPED)
    assert [problem.code for problem in caught.value.diagnostics] == [code]


def test_windows_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "chip.toml"
    path.write_bytes(b'\xef\xbb\xbfbase = "spin-128"\r\n[crossbar]\r\nrows = 64\r\n')
    target = load_target(str(path), search=SHIPPED)
    assert target.crossbar.rows == 64
    assert target.origin_of("crossbar.rows").loc.excerpt == "rows = 64"


def test_warnings_go_to_the_report() -> None:
    report = Report()
    target = parse_target(
        inherit("[crossbar]\nrows = 1024\ncols = 1024"), search=SHIPPED, report=report
    )
    (problem,) = report
    assert (problem.severity, problem.code) == (Severity.WARNING, "target-inconsistent")
    assert target.crossbar.rows == 1024
