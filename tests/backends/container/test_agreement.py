"""A convolution that vector units compute is held against its node."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nmc.backends.container import Contents
from nmc.backends.container.agreement import disagreements
from nmc.ir.depthwise import on_vector_unit
from nmc.ir.mapping import Kind, Window
from nmc.ir.matrices import nodes_by_result
from tests.backends.models import compiled

SLOW_ADCS = "adc.t_conversion_ns=200"


def changed(contents: Contents, index: int, **fields: Any) -> Contents:
    stages = list(contents.mapping.stages)
    stages[index] = replace(stages[index], **fields)
    return replace(contents, mapping=replace(contents.mapping, stages=tuple(stages)))


def on_vector_units() -> tuple[Contents, int]:
    """A model, and the number of a stage whose convolution a vector unit computes."""
    contents = compiled("chip", "exact-128", SLOW_ADCS)
    nodes = nodes_by_result(contents.graph)
    stages = contents.mapping.stages
    return contents, next(i for i, s in enumerate(stages) if on_vector_unit(s, nodes))


def test_what_was_compiled_agrees() -> None:
    assert list(disagreements(on_vector_units()[0])) == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"window": Window((3, 3), (2, 1))}, "does not see its node's windows"),
        ({"pixels": 3}, "makes 3 pixels at a time of 5"),
        ({"pixels": 0}, "makes 0 pixels at a time of 5"),
        ({"chans": 4}, "which makes all channels"),
        ({"pieces": 2}, "which makes all channels"),
    ],
)
def test_what_its_node_does_not_do_is_named(fields: dict[str, Any], said: str) -> None:
    contents, index = on_vector_units()
    (problem,) = disagreements(changed(contents, index, **fields))
    assert (problem.code, said in problem.message) == ("bad-mapping", True)


def test_a_dense_convolution_is_none_of_the_vector_unit() -> None:
    contents = compiled("chip")
    index = next(i for i, s in enumerate(contents.mapping.stages) if s.kind is Kind.MATRIX)
    said = [d.message for d in disagreements(changed(contents, index, kind=Kind.WINDOW))]
    assert any("its node is not depthwise" in message for message in said)
