"""The HTML page: whole, alone, and safe whatever names a model brings."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from nmc.backends.container import Contents
from nmc.backends.energy import area_of
from nmc.backends.report_data import report_data
from nmc.backends.report_records import NoteReport
from nmc.report.html import html_report
from nmc.report.html_parts import Heat, element, heat_map, page_text
from tests.backends.models import PARTS, compiled, one_copy

EVIL = '</title></style><script>alert("x")</script><img src=http://x onerror=alert(1)>"\'&<b>'
VOID = {"meta", "br", "img", "input", "link", "hr"}


class Page(HTMLParser):
    """Tags that were met, those left open, texts, and whatever could load or run something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.loading: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.loading += [(k, v) for k, v in attrs if k in ("src", "href") or k.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page_of(contents: Contents) -> str:
    return html_report(report_data(contents), contents, area_of(contents.target))


@pytest.mark.parametrize("model", ["chip", "shared"])
def test_the_page_is_whole_and_loads_nothing(model: str) -> None:
    text = page_of(compiled(model))
    page = Page(text)
    assert page.open == []
    assert page.loading == []
    assert not {"script", "link", "img", "iframe", "object", "base"} & set(page.tags)
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text
    assert text == page_of(compiled(model))


def test_every_layer_and_figure_is_there() -> None:
    contents = compiled("chip")
    report = report_data(contents)
    page = Page(page_of(contents))
    told = " ".join(page.texts)
    for stage in report.stages:
        assert f"{stage.cycles:,}".replace(",", " ") in page.texts
    assert f"{report.prediction.interval_cycles:,} cycles".replace(",", "\xa0") in page.texts
    assert "Limited by" in told
    assert "Faster with" in told
    assert contents.manifest.pipeline in page.texts
    cores = {core for part in report.parts for core, _ in part.crossbars}
    assert page.tags.count("svg") == 3
    assert sum(f"core {core}: " in text for core in cores for text in page.texts) >= 2 * len(cores)


def test_copies_that_share_rows_are_explained() -> None:
    told = " ".join(Page(page_of(compiled("chip", passes=PARTS))).texts)
    assert " 30/6 " in told
    assert "30/6: 30 deal out the pixels of 6 rows at a time" in told
    assert "deal out" not in " ".join(Page(page_of(one_copy("chip"))).texts)


def test_the_host_s_work_is_told_with_its_reason() -> None:
    page = Page(page_of(compiled("shared")))
    assert "What the host does, and why" in page.texts
    assert "CumSum" in page.texts


def test_names_of_strangers_are_only_text() -> None:
    contents = compiled("chip")
    report = report_data(contents)
    stages = tuple(
        replace(
            stage,
            name=f"{EVIL}{index}",
            way=EVIL,
            nodes=tuple(replace(node, onnx_nodes=(EVIL,), why=EVIL) for node in stage.nodes),
        )
        for index, stage in enumerate(report.stages)
    )
    notes = (NoteReport("warning", EVIL, EVIL, EVIL, EVIL),)
    evil = replace(report, stages=stages, model=EVIL, target=EVIL, diagnostics=notes)
    text = html_report(evil, contents, area_of(contents.target))
    page = Page(text)
    assert page.open == []
    assert page.loading == []
    assert not {"script", "img", "b>"} & set(page.tags)
    assert EVIL in "".join(page.texts)


def test_heat_maps_show_figures_where_there_is_room() -> None:
    heat = {(0, 0): Heat(0.0, "0", "core 0"), (1, 0): Heat(1.0, "100", "core 1")}
    small = page_text("t", "", heat_map("m", 2, 2, heat))
    assert 'class="h0"' in small
    assert 'class="h9"' in small
    assert ">100</text>" in small
    large = page_text("t", "", heat_map("m", 64, 64, heat))
    assert "</text>" not in large
    assert "<title>core 1</title>" in large
    assert large.count("<rect") == 3


def test_elements_escape_texts_and_attributes() -> None:
    text = page_text(EVIL, "", element("p", EVIL, element("b", "x"), EVIL, title=EVIL))
    page = Page(text)
    assert page.tags.count("b") == 1
    assert page.texts.count(EVIL) == 3
    assert page.loading == []
