"""The shared machinery of text forms: places, words, quoting, and reading on after a mistake."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc.ir.diagnostics import NmcError
from nmc.ir.text import Form, Source, did_you_mean, quoted, unquoted

FORM = Form("graph.lark", {"VALUE": "a value"})
HEAD = "graph @g {\n"


@given(st.text())
def test_quoting_is_undone(text: str) -> None:
    spelling = quoted(text)
    assert unquoted(spelling) == text
    assert spelling.isprintable()


def test_an_escape_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no escape \\x"):
        unquoted('"\\x41"')


def test_what_stands_below_the_rule_is_not_read() -> None:
    source = Source.of("a\r\nb # ---- c\n# ---- expect\nd\n", "f")
    assert source.text == "a\nb # ---- c\n"


def test_a_line_separator_of_unicode_ends_no_line() -> None:
    text = HEAD + '  input %"a\u2028b" : f32[\n}\n'
    with pytest.raises(NmcError) as caught:
        FORM.parse(text)
    assert caught.value.diagnostics[0].loc.line == 2


def test_a_place_has_the_line_and_where_in_it() -> None:
    with pytest.raises(NmcError) as caught:
        FORM.parse(HEAD + "  input x : f32[1]\n}\n", "net.txt")
    (problem,) = caught.value.diagnostics
    loc = problem.loc
    assert (loc.file, loc.line, loc.column, loc.end_column) == ("net.txt", 2, 9, 10)
    assert loc.excerpt == "  input x : f32[1]"
    assert problem.message == "found `x` where a value should stand"


def test_reading_goes_on_after_a_line_that_is_wrong() -> None:
    parsed = FORM.parse_on(HEAD + "  input x\n  input %y : f32[1]\n  input z\n}\n")
    assert [d.loc.line for d in parsed.problems] == [2, 4]
    assert parsed.rejected == {2, 4}
    assert parsed.tree is not None
    assert [t.data for t in parsed.tree.find_data("input")] == ["input"]


def test_errors_are_not_without_end() -> None:
    parsed = FORM.parse_on(HEAD + "  nonsense\n" * 100 + "}\n")
    assert 5 < len(parsed.problems) <= 20


def test_did_you_mean() -> None:
    assert did_you_mean("cnov", ["conv", "relu"]) == "did you mean `conv`?"
    assert did_you_mean("zzz", ["conv", "relu"]) == "there are: conv, relu"
    assert did_you_mean("zzz", [f"n{i}" for i in range(9)]).endswith("n7, ...")
    assert did_you_mean("zzz", []) == ""
