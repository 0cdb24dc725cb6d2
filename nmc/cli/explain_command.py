"""`nmc explain`: what a diagnostic code means."""

from __future__ import annotations

import rich_click as click

from nmc.cli.session import Session, common


@click.command("explain")
@click.argument("code", required=False)
@common
def command(session: Session, code: str | None) -> int:
    """Explain a diagnostic CODE: what it means, why it matters, how to mend it.

    Without CODE: list all.
    """
    from nmc.explain import explain
    from nmc.ir.diagnostics import CODES

    if code is None:
        width = max(map(len, CODES))
        codes = [{"code": c, "code_exit": int(k.exit), "title": k.title} for c, k in CODES.items()]
        lines = [f"{name:<{width}}  {kind.title}" for name, kind in CODES.items()]
        return session.result({"codes": codes}, lines)
    page = explain(code)
    kind = CODES[page.code]
    data = {
        "code": page.code,
        "code_exit": int(kind.exit),
        "title": kind.title,
        "text": page.text,
    }
    return session.result(data, [page.text.rstrip()])
