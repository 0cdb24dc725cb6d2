"""Buffers of a convolution on the vector unit are shown as what they hold."""

from __future__ import annotations

import numpy as np

from nmc.backends.debugger.buffers import views
from nmc.backends.program_places import ProgramPlaces
from nmc.ir.depthwise import on_vector_unit, strip_weights
from nmc.ir.graph import DTYPES
from nmc.ir.matrices import nodes_by_result
from tests.backends.models import compiled


def test_sums_and_weights_of_a_depthwise_convolution() -> None:
    contents = compiled("chip", "exact-128", "adc.t_conversion_ns=200")
    nodes = nodes_by_result(contents.graph)
    stage = next(s for s in contents.mapping.stages if on_vector_unit(s, nodes))
    places = ProgramPlaces.of(contents, contents.mapping.steps[stage.step].name)
    found = {view.role: view for view in views(places) if view.layer == stage.name}
    weights = strip_weights(nodes[stage.nodes[0]], stage.window.kernel)
    assert found["weights"].shape == weights.shape == (3, 8, 3, 1)
    assert found["weights"].dtype == np.uint8
    for role in ("sum", "partial"):
        view = found[role]
        assert (view.shape, view.dtype) == ((stage.pixels, 8), DTYPES["i32"])
        assert view.axes == "pixels x outputs"
