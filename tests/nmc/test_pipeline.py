"""The pipeline string: read, refused with a reason, printed, checked, run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc.ir.design import Design
from nmc.ir.diagnostics import Diagnostic, NmcError, Report, error
from nmc.ir.graph import Graph, TensorType
from nmc.ir.ops import Relu
from nmc.passes.base import Pass
from nmc.passes.book import ALIASES, PASSES
from nmc.pipeline import LEVELS, Pipeline
from nmc.targets import load


@dataclass(frozen=True)
class Paint(Pass):
    """Paints."""

    name = "paint"

    coats: int = 1
    shade: Literal["dark", "light"] = "dark"
    ratio: float = 0.5
    dry: bool = False
    text: str = "plain"
    sizes: tuple[int, ...] = ()
    seed: int | None = None

    def run(self, design: Design, report: Report) -> bool:
        return False


@dataclass(frozen=True)
class Cut(Pass):
    """Cuts."""

    name = "cut"
    gives = "partitioned"

    width: int

    def run(self, design: Design, report: Report) -> bool:
        return False


BOOK = (Paint, Cut)
NAMES = {"both": "paint{coats=2}, cut{width=3}", "loop": "@loop", "nested": "@both, paint"}


def parse(text: str) -> Pipeline:
    return Pipeline.parse(text, book=BOOK, aliases=NAMES)


def problems(text: str) -> list[Diagnostic]:
    with pytest.raises(NmcError) as raised:
        parse(text)
    return list(raised.value.diagnostics)


PAINTS = st.builds(
    Paint,
    coats=st.integers(),
    shade=st.sampled_from(["dark", "light"]),
    ratio=st.floats(allow_nan=False, allow_infinity=False),
    dry=st.booleans(),
    text=st.text(),
    sizes=st.lists(st.integers(), max_size=4).map(tuple),
    seed=st.none() | st.integers(),
)
PASSES_OF_BOOK = PAINTS | st.builds(Cut, width=st.integers())


@given(st.lists(PASSES_OF_BOOK, max_size=5))
def test_printing_and_reading_is_the_identity(passes: list[Pass]) -> None:
    pipeline = Pipeline(tuple(passes))
    assert parse(str(pipeline)) == pipeline


def test_only_what_differs_from_the_default_is_printed() -> None:
    assert str(Pipeline((Paint(), Paint(coats=3, sizes=(1, 2)), Cut(4)))) == (
        "paint, paint{coats=3 sizes=1,2}, cut{width=4}"
    )


def test_empty_text_is_no_passes() -> None:
    assert parse("  ") == Pipeline(())


def test_aliases_expand_and_nest() -> None:
    assert parse("@nested") == Pipeline((Paint(coats=2), Cut(3), Paint()))


def test_seeds_are_filled_in_where_none_is_given() -> None:
    assert parse("paint, paint{seed=4}").resolved(7) == Pipeline((Paint(seed=7), Paint(seed=4)))


@pytest.mark.parametrize(
    ("text", "code", "message", "remedy"),
    [
        ("pain", "unknown-pass", "there is no pass `pain`", "did you mean `paint`?"),
        ("@bot", "unknown-pass", "there is no alias `@bot`", "did you mean `@both`?"),
        ("@loop", "bad-pipeline", "alias `@loop` contains itself", ""),
        ("cut", "bad-pipeline", "`cut` needs the option `width`", ""),
        ("paint{coat=1}", "bad-pipeline", "`paint` has no option `coat`", "did you mean `coats`?"),
        ("paint{coats=x}", "bad-pipeline", "`paint`: `coats` takes a whole number, not `x`", ""),
        (
            "paint{coats=1,2}",
            "bad-pipeline",
            "`paint`: `coats` takes a whole number, not a list",
            "",
        ),
        ("paint{ratio=inf}", "bad-pipeline", "`paint`: `ratio` takes a number, not `inf`", ""),
        ("paint{dry=yes}", "bad-pipeline", "`paint`: `dry` takes true or false, not `yes`", ""),
        (
            "paint{shade=red}",
            "bad-pipeline",
            "`paint`: `shade` takes one of dark, light, not `red`",
            "",
        ),
        ("paint{coats=1 coats=2}", "bad-pipeline", "`paint` is given `coats` twice", ""),
    ],
)
def test_mistakes_are_named(text: str, code: str, message: str, remedy: str) -> None:
    (problem,) = problems(text)
    assert (problem.code, problem.message, problem.remedy) == (code, message, remedy)


@pytest.mark.parametrize("text", ["paint,,cut", "paint{", "paint}", "{}", "paint{coats}", "@"])
def test_what_can_not_be_read_is_shown_at_its_place(text: str) -> None:
    (problem,) = problems(text)
    assert problem.code == "bad-pipeline"
    assert problem.loc.excerpt == text
    assert 1 <= problem.loc.column <= len(text) + 1


def test_all_mistakes_come_in_one_run() -> None:
    assert [p.message for p in problems("pant, cut{width=3 depth=4}, @non")] == [
        "there is no pass `pant`",
        "`cut` has no option `depth`",
        "there is no alias `@non`",
    ]


def test_levels_are_checked_before_anything_runs() -> None:
    assert parse("paint, cut{width=1}").check_levels() == "partitioned"
    with pytest.raises(NmcError) as raised:
        parse("cut{width=1}, paint").check_levels()
    assert raised.value.diagnostics[0].remedy == "put `paint` further to the front"


# Running


def design() -> Design:
    graph = Graph("g")
    x = graph.add_input("x", TensorType("f32", (1, 4)))
    y = graph.value("y", TensorType("f32", (1, 4)))
    graph.append(Relu(), [x], [y])
    graph.outputs.append(y)
    return Design(graph, load("spin-128"))


@dataclass(frozen=True)
class Breaker(Pass):
    """Leaves a value with a wrong type behind."""

    name = "breaker"

    def run(self, design: Design, report: Report) -> bool:
        design.graph.outputs[0].type = TensorType("f32", (1, 5))
        return True


@dataclass(frozen=True)
class Complainer(Pass):
    """Reports an error and goes on."""

    name = "complainer"

    def run(self, design: Design, report: Report) -> bool:
        report.add(error("host-operator", "no"))
        return False


@dataclass
class Diary:
    """Writes down what it is told."""

    entries: list[Any] = field(default_factory=list[Any])

    def starts(self, index: int, total: int, step: Pass) -> None:
        self.entries.append((index, total, step.name))

    def ended(self, step: Pass, design: Design, changed: bool, wall_s: float) -> None:
        self.entries.append((step.name, changed, wall_s >= 0))


def test_a_pass_that_breaks_the_graph_is_blamed() -> None:
    with pytest.raises(NmcError, match="invariant: after `breaker`") as raised:
        Pipeline((Paint(), Breaker())).run(design(), Report())
    assert raised.value.exit == 1


def test_the_pipeline_stops_after_a_pass_that_reported_an_error() -> None:
    diary = Diary()
    with pytest.raises(NmcError, match="host-operator"):
        Pipeline((Complainer(), Paint())).run(design(), Report(), observer=diary)
    assert diary.entries == [(0, 2, "complainer")]


def test_the_observer_hears_of_every_pass() -> None:
    diary = Diary()
    Pipeline((Paint(), Cut(1))).run(design(), Report(), observer=diary)
    assert diary.entries == [
        (0, 2, "paint"),
        ("paint", False, True),
        (1, 2, "cut"),
        ("cut", False, True),
    ]


# The book


def test_names_of_the_book_are_unique() -> None:
    names = [kind.name for kind in PASSES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("alias", ALIASES)
def test_aliases_of_the_book_can_be_read(alias: str) -> None:
    pipeline = Pipeline.parse(f"@{alias}")
    assert Pipeline.parse(str(pipeline)) == pipeline


def test_the_default_pipeline_runs_every_pass_in_the_order_of_the_book() -> None:
    pipeline = Pipeline.parse("@default")
    assert [type(step) for step in pipeline.passes] == list(PASSES)
    assert pipeline.check_levels() == "program"


@pytest.mark.parametrize("kind", PASSES, ids=lambda kind: kind.name)
def test_every_pass_says_what_it_does_and_where_it_stands(kind: type[Pass]) -> None:
    assert kind.__doc__
    assert kind.needs in LEVELS
    assert kind.gives in ("", *LEVELS)
