"""The text form: printing and reading are inverse, and every mistake is reported at its line."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_type_hints
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc.ir import graph_reader, ops
from nmc.ir.diagnostics import Loc, NmcError
from nmc.ir.graph import DTYPES, Graph, Quant, TensorType
from nmc.ir.graph_text import parse_graph, print_graph, weights_of
from nmc.ir.ops import OPS, Op
from nmc.ir.verify import verify_graph
from tests.strategies import float_graphs

CANONICAL = """\
graph @net {
  input %x : u8[1,1,4,4] q(0.5, 3)
  const @w : i8[2,1,2,2] = [1, -2, 3, 4, 5, 6, 7, 127]
  const @b : i32[2] = [-5, 100000]
  const @m : f32[2] = [0.1, 1e-08]
  %y = qconv %x, @w, @b, @m {strides=[1,1] pads=[0,0,0,0] dilations=[1,1] group=1 x_zero_point=3 \
y_zero_point=0 lo=0 hi=255 out=u8} : u8[1,2,3,3] q(0.25, 0) on crossbar because "say \\"why\\"" \
from "Conv_3" Conv "model.py:17 in forward", "BN" BatchNormalization
  %a, %"b c" = onnx %y, none {op=Twice domain="" version=1 attributes="[]"} : f32[], bool[2]
  output %a, %"b c", %x
}
"""


def test_canonical_text_is_a_fixed_point() -> None:
    graph = parse_graph(CANONICAL)
    assert print_graph(graph) == CANONICAL
    conv, opaque = graph.nodes
    assert conv.op == ops.QConv((1, 1), (0, 0, 0, 0), (1, 1), 1, 3)
    assert conv.why == 'say "why"'
    assert conv.origin == (
        Loc(node="Conv_3", op="Conv", source="model.py:17 in forward"),
        Loc(node="BN", op="BatchNormalization"),
    )
    assert opaque.inputs == (conv.output, None)
    assert graph.inputs[0].type.quant == Quant(0.5, 3)


def test_what_is_free_in_a_text_is_made_canonical() -> None:
    text = """
    # a comment
    graph @g {   # another
      input %x:f32[2]

      %y = clip %x {hi=6 lo=-inf} : f32[2]   # no order of attributes, integers for floats
      %z = leaky_relu %y : f32[2]            # defaults may be left out
      output %z
    }
    # ---- expect
    what stands here is } for others
    """
    assert print_graph(parse_graph("\n".join(map(str.strip, text.splitlines())))) == (
        "graph @g {\n"
        "  input %x : f32[2]\n"
        "  %y = clip %x {lo=-inf hi=6.0} : f32[2]\n"
        "  %z = leaky_relu %y {alpha=0.01} : f32[2]\n"
        "  output %z\n"
        "}\n"
    )


@given(float_graphs())
def test_random_networks_survive(graph: Graph) -> None:
    text = print_graph(graph)
    again = parse_graph(text, "net.txt", weights_of(graph))
    assert print_graph(again) == text
    assert verify_graph(again) == []


NAMES = st.text(max_size=8)
FLOATS = st.floats(allow_nan=False)
KINDS: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**63), 2**63 - 1),
    float: FLOATS,
    bool: st.booleans(),
    str: NAMES,
}


@st.composite
def any_op(draw: st.DrawFn) -> Op:
    """Any op with any attributes of the right kind, sensible or not."""
    kind = draw(st.sampled_from(OPS))
    kinds = get_type_hints(kind)
    lists = st.lists(st.integers(-9, 99), max_size=4).map(tuple)
    return kind(**{f.name: draw(KINDS.get(kinds[f.name], lists)) for f in fields(kind)})


@given(any_op(), NAMES, NAMES, st.lists(st.tuples(NAMES, NAMES, NAMES), max_size=2))
def test_any_attribute_name_and_origin_survives(
    op: Op, name: str, why: str, origins: list[tuple[str, str, str]]
) -> None:
    graph = Graph(name)
    x = graph.add_input(name, TensorType("f32", ()))
    y = graph.value(name, TensorType("f32", (2, 0)))
    node = graph.append(op, [x, None], [y], [Loc(node=n, op=o, source=s) for n, o, s in origins])
    node.why = why
    graph.outputs.append(y)
    text = print_graph(graph)
    with patch.object(graph_reader, "type_problems", return_value=[]):
        again = parse_graph(text)
    assert print_graph(again) == text
    assert again.nodes[0].op == op
    assert again.nodes[0].why == why


@given(st.sampled_from([*DTYPES]), st.data())
def test_small_constants_survive_to_the_bit(dtype: str, data: st.DataObject) -> None:
    kind = DTYPES[dtype]
    count = data.draw(st.integers(0, 16))
    raw = data.draw(st.binary(min_size=count * kind.itemsize, max_size=count * kind.itemsize))
    array = np.frombuffer(raw, kind)
    if dtype == "bool":
        array = np.frombuffer(raw, np.uint8) > 127
    array = np.where(array == array, array, kind.type(0))
    graph = Graph("g")
    graph.outputs.append(graph.constant("c", array))
    again = parse_graph(print_graph(graph)).outputs[0].array
    assert again.dtype == array.dtype
    assert again.tobytes() == array.tobytes()


def test_large_constants_come_from_beside_the_text() -> None:
    graph = Graph("g")
    graph.outputs.append(graph.constant("c", np.arange(17, dtype=np.float32)))
    text = print_graph(graph)
    assert "sha256:" in text
    weights = weights_of(graph)
    np.testing.assert_array_equal(parse_graph(text, "", weights).outputs[0].array, weights["c"])
    assert codes(text) == ["2 weights-missing"]
    assert codes(text, {"c": weights["c"] + 1}) == ["2 hash-mismatch"]
    assert codes(text, {"c": weights["c"].astype(np.float64)}) == ["2 shape-mismatch"]


def codes(text: str, weights: Any = None) -> list[str]:
    with pytest.raises(NmcError) as caught:
        parse_graph(text, "g.txt", weights)
    assert all(d.loc.file == "g.txt" for d in caught.value.diagnostics)
    return [f"{d.loc.line} {d.code}" for d in caught.value.diagnostics]


def in_graph(*lines: str) -> str:
    return "\n".join(["graph @g {", "  input %x : f32[2]", *lines, "  output %x", "}"])


MISTAKES = {
    "%y = rleu %x : f32[2]": "unknown-op: there is no op `rleu` (did you mean `relu`?)",
    "%y = clip %x {lo=0 ho=6} : f32[2]": (
        "bad-attribute: `clip` has no attribute `ho` (did you mean `lo`?)"
    ),
    "%y = clip %x {lo=0} : f32[2]": (
        "bad-attribute: `clip` lacks the attribute `hi` (it takes: lo, hi)"
    ),
    "%y = clip %x {lo=0 lo=0} : f32[2]": "bad-attribute: attribute `lo` is given twice",
    "%y = clip %x {lo=no hi=1} : f32[2]": (
        "bad-attribute: attribute `lo` is no; it must be a number"
    ),
    "%y = softmax %x {axis=1.0} : f32[2]": (
        "bad-attribute: attribute `axis` is 1.0; it must be an integer"
    ),
    "%y = transpose %x {perm=0} : f32[2]": (
        "bad-attribute: attribute `perm` is 0; it must be a list of integers"
    ),
    "%y = softmax %x {axis=[0]} : f32[2]": (
        "bad-attribute: attribute `axis` is a list; it must be an integer"
    ),
    "%y = arg_max %x {axis=0 keepdims=yes} : i64[1]": (
        "bad-attribute: attribute `keepdims` is yes; it must be true or false"
    ),
    "%y = relu %z : f32[2]": "undefined-name: nothing defines %z (did you mean `%x`?)",
    "%y = relu %y : f32[2]": "undefined-name: nothing defines %y (did you mean `%x`?)",
    "%y = relu @x : f32[2]": "undefined-name: @x is no constant; it is spelled %x",
    "%x = relu %x : f32[2]": "duplicate-name: %x is defined already",
    "input %x : f32[2]": "duplicate-name: %x is defined already",
    "output none": "bad-operands: an output can't be absent",
    "%y = relu %x : f32[3]": "shape-mismatch: `relu` gives f32[2], but its result is f32[3]",
    "%y = relu %x, %x : f32[2]": "bad-operands: `relu` takes 1 operands, 2 are given",
    "%y = add %x, none : f32[2]": ("bad-operands: `add` must have its operand 2, which is absent"),
    "%y, %z = relu %x : f32[2]": "bad-operands: 2 results, but 1 types",
    "%y, %z = relu %x : f32[2], f32[2]": "bad-operands: `relu` has 2 results, it should have 1",
    "%y = relu %x : h32[2]": "syntax: `h32` is no dtype (did you mean `u32`?)",
    "%y = relu %x : f32[0.5]": "syntax: `0.5` is no integer",
    "%y = relu %x : f32[-1]": (
        "shape-mismatch: a value can't have shape [-1]: at most 4294967296 elements"
    ),
    "input %y : f32[99999,99999]": (
        "shape-mismatch: a value can't have shape [99999, 99999]: at most 4294967296 elements"
    ),
    "%y = relu %x : f32[2] on moon": (
        "bad-attribute: there is no unit `moon` (there are: crossbar, host, vector)"
    ),
    "const @c : f32[3] = [1, 2]": "shape-mismatch: f32[3] has 3 elements, 2 are listed",
    "const @c : u8[1] = [256]": "bad-value: an element does not fit u8",
    "const @c : bool[1] = [1]": "syntax: `1` is neither true nor false",
    "const @c : f32[1] = [one]": "syntax: `one` is no number",
    '%y = relu %x : f32[2] because "\\q"': 'syntax: "\\q": no escape \\q',
    "%y = relu %x ; f32[2]": (
        "syntax: found `;` where `,` or `:` or `{` or the end of the line should stand"
    ),
    "%y = relu %x": "syntax: found the end of the line where `,` or `:` or `{` should stand",
}


@pytest.mark.parametrize("line", MISTAKES, ids=str)
def test_mistakes_are_named_at_their_line(line: str) -> None:
    with pytest.raises(NmcError) as caught:
        parse_graph(in_graph(line), "g.txt")
    (problem,) = caught.value.diagnostics
    remedy = f" ({problem.remedy})" if problem.remedy else ""
    assert f"{problem.code}: {problem.message}{remedy}" == MISTAKES[line]
    assert (problem.loc.line, problem.loc.excerpt) == (3, line)
    assert 1 <= problem.loc.column < problem.loc.end_column <= len(line) + 2


def test_all_mistakes_are_reported_and_nothing_else_is_blamed() -> None:
    text = in_graph(
        "  %a = rleu %x : f32[2]",
        "  %b = relu %a : f32[2]",
        "  %c = relu %x : [2]",
        "  %d = add %c, %b : f32[2]",
        "  %e = relu %d, : f32[2]",
        "  %f = relu %e : f32[3]",
        "  %g = relu %f : f32[3]",
        "  %h = relu %x : f32[3]",
    )
    assert sorted(codes(text)) == ["10 shape-mismatch", "3 unknown-op", "5 syntax", "7 syntax"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["1 syntax"]),
        ("graph @g {\n", ["1 syntax"]),
        ("graph g {\n}\n", ["1 syntax"]),
        ("graph @g {\n}\ngraph @h {\n}\n", ["3 syntax"]),
        ("net", ["1 syntax"]),
        ("graph @g {\n  input %x : f32[\n}\n", ["2 syntax"]),
    ],
)
def test_a_broken_frame_is_one_problem(text: str, expected: list[str]) -> None:
    assert codes(text) == expected
