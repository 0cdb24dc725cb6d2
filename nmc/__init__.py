"""nmc compiles ONNX models for chips of analog spin-memristor crossbars, and simulates them.

    import nmc

    compiled = nmc.compile("model.onnx", target="spin-128", calib="data.npz")
    run = compiled.run("inputs.npz")
    print(run.outputs, run.cycles)

Names are loaded when first used, so that `import nmc` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nmc.api import Compiled, Run, check, compile, load
    from nmc.checking import Verdict
    from nmc.ir.diagnostics import Diagnostic, NmcError
    from nmc.ir.target import Target
    from nmc.verifying import Verification

__all__ = [
    "Compiled",
    "Diagnostic",
    "NmcError",
    "Run",
    "Target",
    "Verdict",
    "Verification",
    "__version__",
    "check",
    "compile",
    "load",
]

HOMES = {
    "Compiled": "nmc.api",
    "Diagnostic": "nmc.ir.diagnostics",
    "NmcError": "nmc.ir.diagnostics",
    "Run": "nmc.api",
    "Target": "nmc.ir.target",
    "Verdict": "nmc.checking",
    "Verification": "nmc.verifying",
    "check": "nmc.api",
    "compile": "nmc.api",
    "load": "nmc.api",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version()
    if name not in HOMES:
        raise AttributeError(f"module 'nmc' has no attribute {name!r}")
    value = getattr(importlib.import_module(HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def version() -> str:
    """The installed version; in a checkout that isn't installed, that of its pyproject.toml."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("nmc")
    except PackageNotFoundError:
        return from_checkout()


def from_checkout() -> str:
    import tomllib
    from pathlib import Path

    project = Path(__file__).parents[1] / "pyproject.toml"
    try:
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    except (OSError, ValueError, KeyError):
        return "0+unknown"
