"""Plan files: what `--write-plan` writes `--plan` takes, and what it can't take it says where."""

from __future__ import annotations

from pathlib import Path

import pytest

import nmc
from nmc.compiling import Wish, compile_design
from nmc.demo import unpack
from nmc.ir.design import Decision
from nmc.ir.diagnostics import Loc, NmcError, Report
from nmc.plan import FORMAT, MAX_BYTES, parse_plan, plan_text, read_plan

HEAD = f'format = "{FORMAT}"\n'


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    unpack(folder)
    return folder


def wish_of(digits: Path, **others: object) -> Wish:
    model, data = str(digits / "digits_cnn.onnx"), f"{digits / 'digits.npz'}:calib"
    return Wish(model, target="exact-128", calib=(data,), **others)  # type: ignore[arg-type]


def test_a_plan_given_back_gives_the_same_bytes(digits: Path, tmp_path: Path) -> None:
    done = compile_design(wish_of(digits), Report())
    text = plan_text(done.design)
    again = compile_design(wish_of(digits, plan=parse_plan(text)), Report())
    for name, each in (("first.nmc", done), ("again.nmc", again)):
        nmc.Compiled(nmc.api.contents_from(each)).save(tmp_path / name)
    assert (tmp_path / "first.nmc").read_bytes() == (tmp_path / "again.nmc").read_bytes()
    assert plan_text(again.design) == text


def test_an_edited_plan_is_followed(digits: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(f'{HEAD}[layers.node_Conv_67]\nway = "window 1x2"\ncopies = 3\ncuts = [8]\n')
    with pytest.warns(UserWarning, match="random"):
        compiled = nmc.compile(digits / "digits_cnn.onnx", "exact-128", plan=plan)
    stages = [s for s in compiled.contents.mapping.stages if s.name.startswith("node_Conv_67")]
    assert {s.way for s in stages} == {"window 1x2"}
    assert [(s.copy, s.piece) for s in stages] == [(c, p) for c in range(3) for p in range(2)]
    assert compiled.verify().exact


def test_layers_and_keys_may_be_left_out() -> None:
    text = HEAD + '[layers."a/b c"]\ncuts = []\n[layers]\nd = {copies = 2}\n'
    assert parse_plan(text, "p.toml") == {
        "a/b c": Decision(cuts=(), loc=Loc("p.toml", 2, 1, 17, '[layers."a/b c"]')),
        "d": Decision(copies=2, loc=Loc("p.toml", 5, 1, 17, "d = {copies = 2}")),
    }


@pytest.mark.parametrize(
    ("text", "said", "line", "column"),
    [
        (HEAD + "[layers.a]\ncopies = 0\n", "`copies` of `a`", 3, 1),
        (HEAD + '[layers.a]\nway = "im2col"\n\n  copies = true\n', "`copies` of `a`", 5, 3),
        (HEAD + '[layers.a]\n"copies" = "2"\n', "`copies` of `a`", 3, 1),
        (HEAD + "\n[layers.a]\nway = 3\n", "`way` of `a`", 4, 1),
        (HEAD + "[layers.b]\ncuts = [8]\n[layers.a]\ncuts = [0]\n", "`cuts` of `a`", 5, 1),
        (HEAD + "[layers.a]\ncuts = [\n  4,\n  0,\n]\n", "`cuts` of `a`", 3, 1),
        (HEAD + "[layers.a]\ncopeis = 4\n", "unknown key `copeis`", 3, 1),
        (HEAD + "[layers]\na = 4\n", "`a` is no table", 3, 1),
        (HEAD + "[layers]\na = {copies = 0}\n", "`copies` of `a`", 3, 1),
        (HEAD + "layers = 4\n", "`layers` is no table", 2, 1),
        (HEAD + "[layer.a]\ncopies = 1\n", "no key `layer`", 2, 1),
        (HEAD + "copies = 1\n", "no key `copies`", 2, 1),
        ("[layers.a]\ncopies = 1\n", "format is nothing", 0, 0),
        ('\n format = "nmc-plan 9"\n', "format is `nmc-plan 9`", 2, 2),
        (HEAD + "[layers.a]\ncopies = \n", "not valid TOML", 3, 10),
        (HEAD + "[layers.a]\n[layers.a]\n", "not valid TOML", 3, 10),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, said: str, line: int, column: int) -> None:
    with pytest.raises(NmcError) as raised:
        parse_plan(text, "plan.toml")
    (problem, *_) = raised.value.diagnostics
    assert problem.code == "bad-plan"
    assert said in problem.message
    assert (problem.loc.file, problem.loc.line) == ("plan.toml", line)
    assert problem.loc.column == column
    assert problem.remedy


def test_depth_is_no_way_to_crash() -> None:
    with pytest.raises(NmcError) as raised:
        parse_plan("[" * 5000, "plan.toml")
    (problem,) = raised.value.diagnostics
    assert "not valid TOML" in problem.message
    assert problem.loc.line == 1


def test_files_that_are_no_plans(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"#" * (MAX_BYTES + 1))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    codes = {"none": "file-not-found", "": "file-unreadable", "long": "bad-plan"}
    for name, code in {**codes, "binary": "bad-plan"}.items():
        with pytest.raises(NmcError) as raised:
            read_plan(tmp_path / name)
        assert raised.value.diagnostics[0].code == code


def test_a_plan_wants_a_pass_that_heeds_it(digits: Path) -> None:
    pipeline = "@front, quantize, stage, tile, place, schedule-adc, buffers, codegen"
    for given in ({"plan": {"a": Decision(copies=1)}}, {"objective": "latency"}):
        with pytest.raises(NmcError) as raised:
            compile_design(wish_of(digits, pipeline=pipeline, **given), Report())
        assert raised.value.diagnostics[0].code == "bad-option"


def test_the_objective_is_recorded(digits: Path) -> None:
    done = compile_design(wish_of(digits, objective="latency"), Report())
    assert "replicate{objective=latency" in str(done.pipeline)
    assert done.design.outlook is not None
    assert done.design.outlook.objective == "latency"
    options = nmc.api.contents_from(done).manifest.options
    assert options["objective"] == "latency"
    assert options["objective_value"] == done.design.outlook.value
    assert options["objective_bound"] == done.design.outlook.bound
    with pytest.raises(NmcError) as raised:
        compile_design(wish_of(digits, objective="speed"), Report())
    assert raised.value.diagnostics[0].code == "bad-option"
