"""The pages behind `nmc explain`, one Markdown file a diagnostic code."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from nmc.ir.diagnostics import CODES, NmcError, error
from nmc.ir.text import did_you_mean

__all__ = ["Page", "explain"]


@dataclass(frozen=True, slots=True)
class Page:
    """What there is to say about a code, in Markdown."""

    code: str
    text: str


def explain(code: str) -> Page:
    """The page of a code, also when it is written `error[code]`; NmcError `unknown-code`."""
    code = code.strip().rstrip("]:").rpartition("[")[2].lower().replace("_", "-")
    if code not in CODES:
        hint = did_you_mean(code, CODES)
        message = f"no diagnostic has the code `{code}`"
        raise NmcError(error("unknown-code", message, remedy=f"{hint}  `nmc explain` lists all"))
    return Page(code, (files(__name__) / f"{code}.md").read_text(encoding="utf-8"))
