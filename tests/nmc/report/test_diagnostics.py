"""The renderer: one layout for all problems, grouped, within 80 columns."""

from __future__ import annotations

from collections.abc import Callable

from nmc.ir.diagnostics import Diagnostic, Loc, error, note, warning
from nmc.report.diagnostics import ordinal, render, to_dict

NODE = Loc(
    file="net.onnx", node="a/softmax", op="Softmax", index=3, total=97,
    source="model.py:17 in forward: x = torch.softmax(x, -1)",
)  # fmt: skip
LINE = Loc(file="net.txt", line=12, column=6, end_column=10, excerpt="%y = rleu %x : f32[1,4]")


def each_kind() -> list[Diagnostic]:
    return [
        note("host-operator", "TopK runs on the host"),
        warning(
            "random-calibration",
            "calibrated on 16 random inputs: the accuracy says nothing about real data",
            remedy="give inputs like those the model will see: --calib DATA.npz",
        ),
        error(
            "unsupported-operator",
            "neither the chip nor the host can run Softmax: its input is a sequence of strings, "
            "and strings are nothing that either can compute with",
            NODE,
            notes=["it is new in opset 13", "and a second note"],
            remedy="change the model, or cut it before this node",
        ),
        error("unknown-op", "there is no op `rleu`", LINE, remedy="did you mean `relu`?"),
        error("hash-mismatch", "bytes differ", Loc(file="m.nmc", member="tiles/3.npy")),
        error("syntax", "no such op", Loc(file="m.nmc", member="graph.txt", line=3, column=8)),
        error("deadlock", "all wait", Loc(member="program/0-chip.asm", line=32)),
    ]


def test_layout(golden: Callable[[str, str], None]) -> None:
    golden("report/diagnostics.txt", render(each_kind()) + "\n")


def test_nothing_is_rendered_as_nothing() -> None:
    assert render([]) == ""


def test_lines_stay_within_80_columns_but_words_stay_whole() -> None:
    path = "/a/very/long/path/" * 6
    text = render([*each_kind(), error("file-not-found", f"there is no file {path}")])
    assert all(len(line) <= 80 for line in text.splitlines() if path not in line)
    assert path in text


def test_many_of_a_kind_are_counted(golden: Callable[[str, str], None]) -> None:
    many = [
        error("unsupported-operator", f"no {i}", Loc(node=f"n{i}", op="Foo", index=i, total=9))
        for i in range(1, 10)
    ]
    golden("report/many_of_a_kind.txt", render(many) + "\n")


def test_kinds_beyond_twenty_are_counted() -> None:
    many = [error("bad-value", "x", Loc(op=f"op{i}")) for i in range(25)]
    assert render(many).splitlines()[-1] == "... and 5 more problems"


def test_errors_come_first() -> None:
    assert render(each_kind()).startswith("error[")


def test_colour_does_not_change_the_layout() -> None:
    def paint(text: str, style: str) -> str:
        return f"\x1b[1m{text}\x1b[0m"

    painted = render(each_kind(), paint).replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert painted == render(each_kind())


def test_a_long_line_is_cut_around_the_place() -> None:
    loc = Loc(file="f", line=1, column=151, end_column=154, excerpt="a" * 150 + "bad" + "c" * 150)
    lines = render([error("syntax", "no", loc)]).splitlines()
    start = lines[-1].index("^")
    assert lines[-2][start : start + 3] == "bad"
    assert all(len(line) <= 80 for line in lines)


def test_json_leaves_out_what_is_empty() -> None:
    assert to_dict(error("syntax", "no", LINE)) == {
        "severity": "error",
        "code": "syntax",
        "message": "no",
        "file": "net.txt",
        "line": 12,
        "column": 6,
        "end_column": 10,
        "excerpt": "%y = rleu %x : f32[1,4]",
    }


def test_ordinals() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 112, 122)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th", "122nd",
    ]  # fmt: skip
