"""`nmc passes`: the passes, their options, and where their algorithms come from."""

from __future__ import annotations

import inspect
from dataclasses import MISSING
from typing import TYPE_CHECKING, Any

import rich_click as click

from nmc.cli.session import Session, common

if TYPE_CHECKING:
    from nmc.options import Option
    from nmc.passes.base import Pass


@click.command("passes")
@click.argument("name", required=False)
@click.option("--cite", is_flag=True, help="Print where each algorithm comes from.")
@common
def command(session: Session, name: str | None, cite: bool) -> int:
    """List the passes in the order in which they run, or show the one called NAME."""
    from nmc.ir.diagnostics import NmcError, error
    from nmc.ir.text import did_you_mean
    from nmc.passes.book import ALIASES, PASSES
    from nmc.pipeline import pass_named

    if name is not None:
        kind = pass_named(name)
        if kind is None:
            hint = did_you_mean(name, [p.name for p in PASSES])
            raise NmcError(error("unknown-pass", f"there is no pass `{name}`", remedy=hint))
        return session.result(describe(kind), page(kind))
    data = {"passes": [describe(kind) for kind in PASSES], "aliases": ALIASES}
    return session.result(data, citations(PASSES) if cite else overview(PASSES, ALIASES))


def sentence(kind: type[Pass]) -> str:
    """The first sentence of the pass's specification."""
    text = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
    return text.partition(". ")[0].rstrip(".:")


def overview(book: tuple[type[Pass], ...], aliases: dict[str, str]) -> list[str]:
    import textwrap

    width = max(len(kind.name) for kind in book)
    lines = []
    for kind in book:
        wrapped = textwrap.wrap(sentence(kind), 78 - width) or [""]
        lines.append(f"{kind.name:<{width}}  {wrapped[0]}")
        lines += [f"{'':<{width}}  {line}" for line in wrapped[1:]]
    return [*lines, "", *(f"@{name} = {text}" for name, text in aliases.items())]


def citations(book: tuple[type[Pass], ...]) -> list[str]:
    cited = [f"{kind.name}: {kind.cite}" for kind in book if kind.cite]
    return cited or ["no pass takes its algorithm from a publication"]


def page(kind: type[Pass]) -> list[str]:
    from nmc.options import options_of

    lines = [kind.name, "", *(inspect.getdoc(kind) or "").splitlines(), ""]
    lines.append(f"needs: {kind.needs}   gives: {kind.gives or kind.needs}")
    options = options_of(kind)
    if options:
        lines += ["options:", *(f"  {option_text(option)}" for option in options)]
    if kind.cite:
        lines.append(f"source: {kind.cite}")
    return lines


def option_text(option: Option) -> str:
    from nmc.options import print_option

    if option.is_required:
        return f"{option.name}: {option.kind}; required"
    return f"{option.name}: {option.kind}; default {print_option(option, option.default)}"


def describe(kind: type[Pass]) -> dict[str, Any]:
    from nmc.options import options_of

    return {
        "name": kind.name,
        "summary": sentence(kind),
        "needs": kind.needs,
        "gives": kind.gives or kind.needs,
        "source": kind.cite,
        "options": [
            {
                "name": option.name,
                "takes": option.kind,
                "default": None if option.default is MISSING else option.default,
                "required": option.is_required,
            }
            for option in options_of(kind)
        ],
    }
