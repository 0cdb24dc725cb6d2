"""Turns reals into integers on the chip, from calibration or by what the model itself says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from nmc.ir.calibration import Method
from nmc.ir.constants import is_dequantized_constant
from nmc.ir.design import Design
from nmc.ir.diagnostics import Diagnostic, Report, error
from nmc.ir.graph import Graph, Node
from nmc.passes.base import Pass
from nmc.passes.quantizing.edit import source_of
from nmc.passes.quantizing.finish import finish
from nmc.passes.quantizing.fuse import fuse
from nmc.passes.quantizing.matrices import Matrices
from nmc.passes.quantizing.needs import find_needs
from nmc.passes.quantizing.normal import normalize
from nmc.passes.quantizing.pairs import insert_pairs
from nmc.passes.quantizing.roles import find_roles, is_matrix, on_chip
from nmc.passes.quantizing.scales import Ranging, find_scales

__all__ = ["Quantize"]


@dataclass(frozen=True)
class Quantize(Pass):
    """Chip nodes compute on u8 activations and i8 weights, as docs/machine.md's Numbers define.

    One mechanism for all models.  (1) Every activation that needs integers and has none gets a
    Quantize and Dequantizes, with a scale from calibration; a model that was quantised before has
    them already.  (2) Float operations between Dequantize and Quantize become integer ones:

        %a = dequantize %x          %y = qconv %x, @w, @bias, @multiplier
        %b = conv %a, @w, @bias
        %c = relu %b
        %y = quantize %c

    Convolutions and products become `qconv` and `qmatmul`, averages `qavg_pool` and
    `qreduce_mean`, functions of one tensor `lut`; movers work on integers as they are.  What
    combines several tensors or reduces channels (add, softmax...) stays float32 between its own
    dequantizes and a quantize.  Results of the graph keep their names and types.

    `method` chooses ranges: `minmax` all that was seen; `percentile` all but the rarest
    extremes; `mse` the least squared error.  Over eight models with 8 bits `mse` gave the highest
    mean SNR by a decibel, never being far from the best; with 5 bits it is ahead everywhere.

    `border` is who recodes numbers where they enter and leave the chip: the `host`, so that they
    cross as integers, or the `chip`, which then moves and recodes them as float32.
    """

    name = "quantize"
    needs: ClassVar[str] = "partitioned"
    gives: ClassVar[str] = "quantized"
    cite = "B. Jacob et al., Quantization and training of neural networks..., CVPR 2018"

    method: Method = "mse"
    percentile: float = 99.99
    border: Literal["host", "chip"] = "host"

    def run(self, design: Design, report: Report) -> bool:
        graph, numbers = design.graph, design.target.numbers
        names = [value.name for value in graph.outputs]
        normalize(graph)
        for diagnostic in too_wide(graph, numbers.input_bits):
            report.add(diagnostic)
        roles = find_roles(graph)
        needs = find_needs(graph, roles)
        ranging = Ranging(self.method, self.percentile, numbers.input_bits)
        quants = find_scales(design, needs, ranging, report)
        insert_pairs(graph, roles, needs, quants, numbers.input_bits)
        roles = find_roles(graph)
        matrices = Matrices(graph, roles, numbers, report)
        fuse(graph, roles, matrices, numbers.input_bits)
        matrices.report_changed()
        finish(graph, names, border=self.border == "host")
        return True


def too_wide(graph: Graph, bits: int) -> list[Diagnostic]:
    """Matrices whose input a model stores in 8 bits, on a machine that applies fewer."""
    if bits == 8:
        return []
    return [refusal(node, bits) for node in graph if is_wide(node)]


def is_wide(node: Node) -> bool:
    matrix = on_chip(node) and is_matrix(node) and not is_dequantized_constant(node)
    return matrix and source_of(node.x) is not None


def refusal(node: Node, bits: int) -> Diagnostic:
    message = f"the model brings 8-bit inputs for this `{node.op.name}`, the machine has {bits}"
    remedy = "compile the float model, or set numbers.input_bits=8"
    return error("unsupported-width", message, node.loc, remedy=remedy)
