"""Arrows run down only: nmc -> backends, passes -> ir; and no pass knows another pass."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "ir": ("nmc.ir",),
    "passes": ("nmc.ir", "nmc.passes.base"),  # the base class is no pass
    "backends": ("nmc.ir", "nmc.backends"),
}
# The two files that exist to know every pass.
BOOKS = (PurePosixPath("passes/__init__.py"), PurePosixPath("passes/book.py"))
OURS = ("nmc", *MAY_IMPORT)
# A pass too large for one file keeps its parts in a folder, which knows itself but no pass.
# Ways are tried out where copies are chosen, laid as `tile` lays them.
ALSO = {"replicating": ("tiling",)}
HELPERS = sorted(path.parent.name for path in (ROOT / "passes").glob("*/__init__.py"))
FILES = sorted(
    PurePosixPath(path.relative_to(ROOT).as_posix())
    for layer in MAY_IMPORT
    for path in (ROOT / layer).rglob("*.py")
)


def forbidden(source: str, path: PurePosixPath) -> list[str]:
    """What the file at `path`, seen from the root, imports though its layer may not."""
    allowed = MAY_IMPORT[path.parts[0]]
    if path in BOOKS:
        allowed = (*allowed, "nmc.passes")
    elif path.parts[0] == "passes":
        own = path.parts[1]
        helpers = HELPERS if len(path.parts) == 2 else [own, *ALSO.get(own, ())]
        allowed = (*allowed, *(f"nmc.passes.{name}" for name in helpers))
    package = ("nmc", *path.parent.parts)
    return [
        f"{path}:{line}: imports {name}, may import {' and '.join(allowed)}"
        for line, name in sorted(imported(ast.parse(source), package))
        if name.split(".")[0] in OURS and not any(within(name, place) for place in allowed)
    ]


def within(name: str, place: str) -> bool:
    return name == place or name.startswith(f"{place}.")


def imported(tree: ast.Module, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of every import, wherever in the file it stands."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = origin(package, module, level)
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in names)
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def origin(package: tuple[str, ...], module: str | None, level: int) -> str:
    if not level:
        return module or ""
    above = package[: len(package) + 1 - level]
    return ".".join((*above, module) if module else above)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_file_imports_downwards_only(path: PurePosixPath) -> None:
    source = (ROOT / path).read_text(encoding="utf-8")
    assert forbidden(source, path) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("ir/graph.py", "import nmc"),
        ("ir/graph.py", "import nmc.cli"),
        ("ir/graph.py", "from nmc import passes"),
        ("ir/graph.py", "from ..passes import book"),
        ("ir/graph.py", "import ir.ops"),
        ("passes/tile.py", "import nmc.backends.simulator as simulator"),
        ("passes/tile.py", "from nmc.passes import place"),
        ("passes/tile.py", "from nmc.passes.place import Place"),
        ("passes/tile.py", "from . import place"),
        ("passes/tile.py", "from .place import Place"),
        ("passes/staging/anchors.py", "from nmc.passes.tile import Tile"),
        ("passes/staging/anchors.py", "from nmc.passes.emission import rows"),
        ("passes/book.py", "from nmc.backends import costs"),
        ("backends/simulator/engine.py", "from nmc.passes.tile import Tile"),
        ("backends/simulator/engine.py", "from ...passes import tile"),
        ("backends/costs.py", "if True:\n    def late():\n        from nmc.report import html"),
        ("backends/costs.py", "import importlib\nimportlib.import_module('nmc.passes.tile')"),
    ],
)
def test_upward_import_is_caught(path: str, line: str) -> None:
    assert len(forbidden(f"import numpy\n{line}\n", PurePosixPath(path))) == 1


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("ir/graph.py", "from nmc.ir.ops import Conv"),
        ("ir/graph.py", "from nmc import ir"),
        ("ir/graph.py", "import irrational, nmcx"),
        ("passes/tile.py", "from nmc.ir import graph, target"),
        ("passes/tile.py", "from nmc.passes.base import Pass"),
        ("passes/stage.py", "from nmc.passes.staging.drafts import Builder"),
        ("passes/staging/anchors.py", "from nmc.passes.staging import drafts"),
        ("passes/book.py", "from nmc.passes.tile import Tile"),
        ("passes/__init__.py", "from nmc.passes import book"),
        ("backends/simulator/engine.py", "from nmc.backends.costs import energy"),
        ("backends/simulator/engine.py", "from ..costs import energy"),
    ],
)
def test_downward_import_is_let_through(path: str, line: str) -> None:
    assert forbidden(line, PurePosixPath(path)) == []
