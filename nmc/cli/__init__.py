"""The command line: one small module a command, heavy imports inside the commands."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code (see `nmc.ir.diagnostics.Exit`)."""
    from nmc.cli.app import app
    from nmc.cli.session import Session

    return app.run(argv, Session())
