"""The packages that pyproject.toml lists are the tree, and every file of theirs gets shipped."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]
FOLDERS: dict[str, str] = SETUPTOOLS["package-dir"]
PATTERNS: dict[str, list[str]] = SETUPTOOLS["package-data"]
LINKS = {
    package: ROOT / package.replace(".", "/") for package in sorted(FOLDERS) if package != "nmc"
}
NOT_OURS = ("__pycache__", ".*", "build", "dist", "*.egg-info", "venv", "htmlcov")


def packages() -> dict[str, Path]:
    """Every package in the tree with its real folder; links are not followed."""
    return {
        ".".join((package, *Path(folder).relative_to(ROOT / start).parts)): Path(folder)
        for package, start in FOLDERS.items()
        for folder, _, names in os.walk(ROOT / start)
        if "__init__.py" in names
    }


def files() -> dict[Path, Path]:
    """Every file of every package in the tree, and the path at which it is to be installed."""
    return {
        path: Path(*package.split("."), path.relative_to(ROOT / start))
        for package, start in FOLDERS.items()
        for folder, _, names in os.walk(ROOT / start)
        for path in (Path(folder, name) for name in names)
        if path.parent.name != "__pycache__" and path not in LINKS.values()
    }


def test_every_package_is_listed() -> None:
    assert sorted(packages()) == sorted(SETUPTOOLS["packages"])


def test_every_folder_with_code_is_a_package() -> None:
    code = {path.parent for path in files() if path.suffix == ".py"}
    assert code - set(packages().values()) == set()


def test_every_data_file_matches_a_pattern() -> None:
    shipped = {
        path
        for package, folder in packages().items()
        for pattern in (*PATTERNS["*"], *PATTERNS.get(package, ()))
        for path in folder.glob(pattern)
    }
    data = {path for path in files() if path.suffix != ".py"}
    assert data - shipped == set(), "add a pattern to [tool.setuptools.package-data]"


@pytest.mark.parametrize("package", LINKS)
def test_link_points_at_its_folder(package: str) -> None:
    link = LINKS[package]
    if link.is_file() and not link.is_symlink():
        pytest.skip("this checkout was made without symbolic links")
    assert link.readlink() == Path("..", FOLDERS[package])


@dataclass(frozen=True)
class Built:
    """A source archive, and the wheel built from it, of a clean copy of the tree."""

    sdist: Path
    wheel: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    pytest.importorskip("build", reason="the package `build` is not installed")
    folder = tmp_path_factory.mktemp("packaging")
    tree, out = folder / "tree", folder / "out"
    shutil.copytree(ROOT, tree, symlinks=True, ignore=shutil.ignore_patterns(*NOT_OURS))
    command = [sys.executable, "-m", "build", *isolation(), "--outdir", str(out), str(tree)]
    # Not from the root: a folder build/ there would hide the package.
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Built(next(out.glob("*.tar.gz")), next(out.glob("*.whl")))


def isolation() -> list[str]:
    """Build with the setuptools at hand if it is new enough, so that no network is needed."""
    major = int(importlib.metadata.version("setuptools").split(".")[0])
    return ["--no-isolation"] if major >= 77 else []


@pytest.mark.slow
def test_wheel_holds_every_file(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == {path.as_posix() for path in files().values()}


@pytest.mark.slow
def test_sdist_holds_every_file(built: Built) -> None:
    with tarfile.open(built.sdist) as sdist:
        held = {name.partition("/")[2] for name in sdist.getnames()}
    assert {path.relative_to(ROOT).as_posix() for path in files()} - held == set()
    assert {"LICENSE", "README.md", "pyproject.toml"} - held == set()


@pytest.mark.slow
def test_wheel_imports_beside_folders_of_the_same_names(built: Built, tmp_path: Path) -> None:
    site, here = tmp_path / "site", tmp_path / "here"
    with zipfile.ZipFile(built.wheel) as wheel:
        wheel.extractall(site)
    for package in LINKS:
        folder = here / FOLDERS[package]
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("raise ImportError('a folder of the user')\n")
    imports = "".join(f"import {package}\n" for package in SETUPTOOLS["packages"])
    done = subprocess.run(
        [sys.executable, "-c", f"{imports}print(nmc.ir.__file__)"],
        cwd=here,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(site)
