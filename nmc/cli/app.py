"""The group of commands, loaded one by one when used, and the one place where failures end."""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import rich_click as click
from click.exceptions import Exit as Leave
from click.exceptions import NoSuchOption

from nmc.cli.session import Session
from nmc.ir.diagnostics import Exit, NmcError, error
from nmc.ir.text import did_you_mean

__all__ = ["App", "app"]

COMMANDS = (
    "check",
    "compile",
    "run",
    "verify",
    "report",
    "inspect",
    "opt",
    "targets",
    "passes",
    "explain",
    "demo",
)
"""In the order in which a newcomer meets them; each is in the module of its name."""

ISSUES = "see CONTRIBUTING.md for where"


class App(click.RichGroup):
    """Loads commands lazily; turns every way to fail into a diagnostic and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"nmc.cli.{cmd_name}_command")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = did_you_mean(args[0], COMMANDS)
            problem = error("bad-option", f"there is no command `{args[0]}`", remedy=hint)
            raise NmcError(problem)
        return super().resolve_command(ctx, args)

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """As click's, but never lets an exception out; exits unless `standalone_mode` is False."""
        code = self.run(args, Session())
        if extra.get("standalone_mode", True):
            sys.exit(code)
        return code

    def run(self, args: Sequence[str] | None, session: Session) -> int:
        argv = list(sys.argv[1:] if args is None else args)
        # Before numpy is loaded: threads don't pay at our sizes, and change the last bits.
        for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, "1")
        session.json = "--json" in argv  # also when the arguments can't be read
        invoke = super().main
        return guarded(lambda: invoke(argv, "nmc", standalone_mode=False, obj=session), session)


def guarded(action: Callable[[], Any], session: Session) -> int:
    """The exit code of an action, whatever happens in it."""
    try:
        code = action()
        sys.stdout.flush()
        return code if isinstance(code, int) else Exit.OK
    except NmcError as failure:
        return failed(session, failure)
    except Leave as done:
        return done.exit_code
    except click.ClickException as mistake:
        return misused(session, mistake)
    except (KeyboardInterrupt, click.Abort):
        session.say("interrupted")
        return Exit.INTERRUPTED
    except SystemExit as leaving:
        # click leaves so when whoever reads our output has enough of it, which is no failure.
        if isinstance(leaving.__context__, BrokenPipeError):
            return Exit.OK
        raise
    except OSError as failure:
        return lost(session, failure)
    except Exception as bug:
        return crashed(session, bug)


LOST = (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG)


def lost(session: Session, failure: OSError) -> int:
    """Standard output takes no more: no failure if its reader has enough, else said on stderr.

    Files have diagnostics of their own, so that what comes here without a name is our output.
    """
    if isinstance(failure, BrokenPipeError):
        silence()
        return Exit.OK
    if failure.errno not in LOST or failure.filename is not None:
        return crashed(session, failure)
    session.json = False
    why = failure.strerror or str(failure)
    session.diagnose([error("file-unreadable", f"the results can't be written: {why}")])
    silence()
    return Exit.BAD_INPUT


def silence() -> None:
    """What is still buffered for standard output goes nowhere, so that leaving can't fail."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def failed(session: Session, failure: NmcError) -> int:
    if session.debug and failure.exit == Exit.BUG:
        session.say(traceback.format_exc())
    session.diagnose(failure.diagnostics)
    if session.json:
        session.result({}, exit=failure.exit)
    return failure.exit


def misused(session: Session, mistake: click.ClickException) -> int:
    ctx = mistake.ctx if isinstance(mistake, click.UsageError) else None
    remedy = f"{ctx.command_path} --help" if ctx else ""
    session.command = (ctx.info_name if ctx else "") or ""
    message = mistake.format_message().rstrip(".").replace("integer range", "whole number")
    if isinstance(mistake, NoSuchOption):
        known = [name for each in ctx.command.params for name in each.opts] if ctx else []
        message = f"there is no option `{mistake.option_name}`"
        hint = did_you_mean(mistake.option_name, [name for name in known if name[:1] == "-"])
        remedy = hint if hint.startswith("did") else remedy
    session.diagnose([error("bad-option", message[:1].lower() + message[1:], remedy=remedy)])
    if session.json:
        session.result({}, exit=Exit.USAGE)
    return Exit.USAGE


def crashed(session: Session, bug: Exception) -> int:
    if session.debug:
        click.echo(traceback.format_exc(), err=True)
    message = f"{type(bug).__name__}: {bug}"
    remedy = f"please report this, with what `NMC_DEBUG=1 nmc ...` prints; {ISSUES}"
    session.diagnose([error("internal", message, remedy=remedy)])
    if session.json:
        session.result({}, exit=Exit.BUG)
    return Exit.BUG


def print_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from nmc import __version__

        session = ctx.find_object(Session) or Session()
        session.command = "version"
        session.result({"version": __version__}, [f"nmc {__version__}"])
        ctx.exit()


@click.group(
    cls=App,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="A first look: nmc demo.  What a diagnostic means: nmc explain CODE.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_version,
    help="Print the version and exit.",
)
@click.option("--json", "as_json", is_flag=True, hidden=True, is_eager=True, expose_value=False)
def app() -> None:
    """Compile ONNX models for chips of analog spin-memristor crossbars, and simulate them."""
