"""The command line: one small module a command, heavy imports inside the commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

INTERRUPTED = 130
"""`Exit.INTERRUPTED`, which isn't imported yet when it may be needed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code (see `nmc.ir.diagnostics.Exit`)."""
    try:
        from nmc.cli.app import app
        from nmc.cli.session import Session

        return app.run(argv, Session())
    except KeyboardInterrupt:  # in the imports, or while leaving
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
