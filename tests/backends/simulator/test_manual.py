"""docs/machine.md says what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nmc.ir import program as p
from nmc.ir.program_text import parse_program, print_program
from nmc.ir.program_vec import RULES

PAGE = Path(__file__).parents[3] / "docs" / "machine.md"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def section(page: str, title: str) -> str:
    match = re.search(rf"^#+ {title}\n(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL)
    assert match is not None
    return match[1]


def test_operations_and_their_types(page: str) -> None:
    """Each row names operations, and each way to use one has a row with its types."""
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|", section(page, "Vector operations"), re.MULTILINE)
    told: dict[str, set[str]] = {}
    for names, types in rows:
        for name in re.findall(r"`(.*?)`", names):
            told.setdefault(name, set()).update(re.findall(r"\b(?:u8|i8|i32|f32)\b", types))
    assert set(told) == set(p.VEC_OPS)
    for name, types in told.items():
        known = {each for rule in RULES[name] for pair in rule.types for each in pair}
        assert types == known or types == set(), name


def test_descriptor(page: str) -> None:
    (spelled,) = re.findall(r"^    (sram\S+.*ring \d+)$", section(page, "Operands"), re.MULTILINE)
    code = p.Sequencer("s", (p.Vec("fill", p.Desc(p.Space.SRAM, "u8", 0), imm=(0.0,)), p.Halt()))
    text = print_program(p.Program("p", (p.CoreProgram(0, (code,)),)))
    read = parse_program(text.replace("sram.u8[0]", spelled)).cores[0].sequencers[0].instructions[0]
    assert isinstance(read, p.Vec)
    dims = (p.Dim(3, 544), p.Dim(48, 1))
    assert read.dst == p.Desc(p.Space.SRAM, "u8", 4096, dims, (0, 544, 16), 1632, -16)
