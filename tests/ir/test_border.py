"""What the host recodes where numbers enter and leave the chip."""

from __future__ import annotations

import pytest

from nmc.ir.border import crossings, is_recoding
from nmc.ir.costs import host_share
from nmc.ir.graph_text import parse_graph

HOST, CHIP = 'on host because "a"', 'on vector because "b"'

BOTH_WAYS = f"""
graph @g {{
  input %x : f32[1,4]
  input %s : i8[1,4]
  %c = clip %x {{lo=-1.0 hi=1.0}} : f32[1,4] {HOST}
  %q = quantize %c {{scale=0.5 zero_point=7 dtype=u8}} : u8[1,4] q(0.5, 7) {HOST}
  %u = flip_sign %s : u8[1,4] {HOST}
  %t = dequantize %u {{scale=0.5 zero_point=7}} : f32[1,4] {CHIP}
  %v = quantize %t {{scale=0.5 zero_point=7 dtype=u8}} : u8[1,4] q(0.5, 7) {CHIP}
  %y = concat %q, %v {{axis=1}} : u8[1,8] q(0.5, 7) {CHIP}
  %d = dequantize %y {{scale=0.5 zero_point=7}} : f32[1,8] {HOST}
  %e = exp %d : f32[1,8] {HOST}
  output %d, %e
}}
"""


def test_recoding_is_what_stands_between_the_chip_and_everybody_else() -> None:
    graph = parse_graph(BOTH_WAYS)
    found = {node.output.name: is_recoding(node) for node in graph}
    assert {name for name, recodes in found.items() if recodes} == {"c", "q", "u", "d"}


def test_crossings_name_both_sides() -> None:
    found = {c.outside.name: c for c in crossings(parse_graph(BOTH_WAYS))}
    assert list(found) == ["x", "s", "d"]
    assert [c.stored.name for c in found.values()] == ["q", "u", "y"]
    assert [c.enters for c in found.values()] == [True, True, False]
    assert str(found["x"].quant) == str(found["d"].quant) == "q(0.5, 7)"
    assert found["s"].quant is None


def test_what_recodes_is_nobodys_node() -> None:
    share = host_share(parse_graph(BOTH_WAYS))
    assert (share.nodes, share.host_nodes) == (4, 1)


@pytest.mark.parametrize("unit", [HOST, CHIP])
def test_recoding_within_host_or_chip_is_none_at_the_border(unit: str) -> None:
    text = f"""
graph @g {{
  input %x : f32[1,4]
  %q = quantize %x {{scale=0.5 zero_point=7 dtype=u8}} : u8[1,4] q(0.5, 7) {unit}
  %d = dequantize %q {{scale=0.5 zero_point=7}} : f32[1,4] {unit}
  %y = exp %d : f32[1,4] {unit}
  output %y
}}
"""
    graph = parse_graph(text)
    assert list(crossings(graph)) == []
    assert not any(map(is_recoding, graph))
