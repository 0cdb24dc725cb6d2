"""What docs/mapping-file.md says holds: its code runs, its limits and members are the real ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nmc.backends.container import FORMAT, VERSION, write_container
from nmc.backends.container.archive import CONTENT_TYPE, Limits
from nmc.backends.container.writing import members_of
from tests.backends.models import compiled

PAGE = Path(__file__).parents[3] / "docs" / "mapping-file.md"


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_code_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_container(tmp_path / "model.nmc", compiled("chip"))
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", page(), re.DOTALL)
    exec(compile(code, str(PAGE), "exec"), {})  # noqa: S102 - our own manual
    assert re.fullmatch(r"\S+ on core \d+ crossbar \d+ \(27, \d+\)\n", capsys.readouterr().out)


def test_every_member_is_described() -> None:
    described = set(re.findall(r"^\| `([^`]+)` \|", page(), re.MULTILINE))
    for name, _ in members_of(compiled("shared")):
        general = re.sub(r"/\d+\.npy", "/N.npy", name)
        general = re.sub(r"/\d+-(chip|host)\.", "/STEP.", general)
        assert general in described


def test_figures_are_the_real_ones() -> None:
    text, limits = page(), Limits()
    assert f"`{FORMAT}`, `{VERSION}`" in text
    assert CONTENT_TYPE.decode() in text
    sizes = [limits.file_bytes, limits.member_bytes, limits.total_bytes]
    assert [size >> 30 for size in sizes] == [2, 1, 4]
    assert "more than 2 GiB of file, 1 GiB of a member, 4 GiB in all" in text
