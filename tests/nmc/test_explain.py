"""Every diagnostic code has a page, and every page a code."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmc.explain import explain
from nmc.ir.diagnostics import CODES, NmcError

FOLDER = Path(__file__).parents[2] / "nmc" / "explain"


def test_codes_and_pages_agree() -> None:
    assert {path.stem for path in FOLDER.glob("*.md")} == set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_page_has_its_parts(code: str) -> None:
    text = explain(code).text
    kind = CODES[code]
    lines = text.splitlines()
    assert lines[0] == f"# {code}"
    title = kind.title[0].upper() + kind.title[1:]
    exit_code = f" As an error: exit code {int(kind.exit)}." if kind.exit else ""
    assert lines[2] == f"*{title}.{exit_code}*"
    assert f"[{code}]" in text.partition("## Example")[2]
    assert text.partition("## What to do")[2].strip()


@pytest.mark.parametrize("text", ["error[bad-value]:", "bad_value", "BAD-VALUE", " bad-value "])
def test_codes_are_recognised_as_they_are_pasted(text: str) -> None:
    assert explain(text).code == "bad-value"


def test_an_unknown_code_is_answered() -> None:
    with pytest.raises(NmcError) as raised:
        explain("bad-vale")
    assert raised.value.diagnostics[0].code == "unknown-code"
    assert "did you mean `bad-value`?" in raised.value.diagnostics[0].remedy
