"""Pieces of an HTML page as trees of elements, so that every text in it is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

__all__ = ["Cell", "Heat", "element", "heat_map", "page_text", "section", "table_of"]

SHADES = 10
"""Steps of the scale of a heat map; the style sheet has their colours as `h0` to `h9`."""

CELL = 26
MOST_LABELLED = 24
"""Meshes up to so many cores wide show each core's figure, larger ones tell it on hovering."""

Child = Element | str


def element(tag: str, *children: Child, **attributes: object) -> Element:
    """An element with texts and elements in it.  `klass` is its class; `_` in names is `-`."""
    made = Element(tag)
    for name, value in attributes.items():
        made.set("class" if name == "klass" else name.replace("_", "-"), str(value))
    last: Element | None = None
    for child in children:
        if isinstance(child, Element):
            made.append(child)
            last = child
        elif last is None:
            made.text = (made.text or "") + child
        else:
            last.tail = (last.tail or "") + child
    return made


def section(title: str, *children: Child) -> Element:
    return element("section", element("h2", title), *children)


@dataclass(frozen=True, slots=True)
class Cell:
    """A table's cell: its text, more on hovering, and a bar behind it for a `share` of 1."""

    text: str
    title: str = ""
    share: float | None = None


def table_of(
    head: Sequence[str], rows: Sequence[Sequence[str | Cell]], *, left: Sequence[str] = ()
) -> Element:
    """A table that scrolls by itself where the page is narrow.  Columns in `left` are flush left,
    others right, as numbers want it."""
    kinds = ["l" if name in left else "n" for name in head]
    titles = (
        element("th", name, scope="col", klass=kind) for name, kind in zip(head, kinds, strict=True)
    )
    body = element("tbody")
    for row in rows:
        body.append(element("tr", *(cell_of(c, k) for c, k in zip(row, kinds, strict=True))))
    whole = element("table", element("thead", element("tr", *titles)), body)
    return element("div", whole, klass="scroll", tabindex=0)


def cell_of(cell: str | Cell, kind: str) -> Element:
    if isinstance(cell, str):
        return element("td", cell, klass=kind)
    made = element("td", cell.text, klass=kind)
    if cell.title:
        made.set("title", cell.title)
    if cell.share is not None:
        made.set("class", f"{kind} bar")
        made.set("style", f"--share:{100 * max(0.0, min(1.0, cell.share)):.1f}%")
    return made


@dataclass(frozen=True, slots=True)
class Heat:
    """A core's figure in a heat map: a share of 1, what to write there, what to tell."""

    share: float
    label: str
    title: str


def heat_map(title: str, width: int, height: int, cores: dict[tuple[int, int], Heat]) -> Element:
    """The mesh from above, (column, row) by (column, row); cores that hold nothing stay empty."""
    drawing = element(
        "svg",
        viewBox=f"0 0 {width * CELL} {height * CELL}",
        role="img",
        aria_label=title,
        style=f"max-width:{max(180, min(560, width * CELL * 2))}px",
    )
    drawing.append(
        element("rect", klass="empty", width=width * CELL, height=height * CELL, x=0, y=0)
    )
    for (x, y), heat in sorted(cores.items(), key=lambda entry: entry[0][::-1]):
        shade = min(SHADES - 1, int(max(0.0, heat.share) * SHADES))
        core = SubElement(drawing, "g", {"class": f"h{shade}"})
        left, top = x * CELL, y * CELL
        core.append(element("title", heat.title))
        core.append(element("rect", x=left + 1, y=top + 1, width=CELL - 2, height=CELL - 2, rx=2))
        if width <= MOST_LABELLED and heat.label:
            core.append(element("text", heat.label, x=left + CELL // 2, y=top + CELL // 2 + 3))
    return element("figure", element("figcaption", title), drawing)


def page_text(title: str, style: str, *body: Element) -> str:
    """A whole page that loads nothing, from the net or elsewhere."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element(
            "meta",
            http_equiv="Content-Security-Policy",
            content="default-src 'none'; style-src 'unsafe-inline'",
        ),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", style),
    )
    whole = element("html", head, element("body", element("main", *body)), lang="en")
    return "<!DOCTYPE html>\n" + tostring(whole, encoding="unicode", method="html") + "\n"
