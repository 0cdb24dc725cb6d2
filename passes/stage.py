"""The pass `stage`: from nodes to steps, stages and the row streams between them."""

from __future__ import annotations

from dataclasses import dataclass

from nmc.ir.design import Design
from nmc.ir.diagnostics import Report
from nmc.ir.graph import Graph, Node, Unit, Value
from nmc.ir.layout import row_form
from nmc.ir.mapping import Kind, Mapping, Role, Step, StepKind
from nmc.ir.ops import Dequantize, Reshape, Transpose
from nmc.passes.base import Pass
from nmc.passes.staging.anchors import ANCHORS
from nmc.passes.staging.demand import demanded_form, is_seen_often
from nmc.passes.staging.drafts import Builder, OperandDraft, Place
from nmc.passes.staging.rowwise import defers, rowwise

__all__ = ["Stage"]


@dataclass(frozen=True)
class Stage(Pass):
    """Group nodes into steps of host and chip, and a chip step's nodes into stages.

    Steps alternate: a node's step is the first of its kind after those of its producers.  Within a
    chip step every crossbar operation, pooling, reduction or move anchors a stage, and takes along
    the elementwise nodes that can work on its rows in place.  Reshapes and transposes cost
    nothing: they only rename places (`nmc.ir.layout`), until a user needs another order, which a
    stage of kind `relayout` brings about.  What the host brings is fetched once: where rows are
    wanted more often, a stage hands them on as they are, instead of the memory port.
    """

    name = "stage"
    needs = "quantized"
    gives = "staged"

    def run(self, design: Design, report: Report) -> bool:
        graph = design.graph
        numbers = step_numbers(graph)
        builder = Builder(graph)
        steps: list[Step] = []
        for number in sorted(set(numbers.values())):
            nodes = [n for n in graph if numbers[n] == number]
            step = describe(graph, nodes, len(steps), host=number % 2 == 0)
            if step.kind is StepKind.CHIP:
                build_step(builder, len(steps), nodes, step)
            steps.append(step)
        design.mapping = Mapping(
            name=graph.name,
            steps=tuple(steps),
            streams=builder.freeze_streams(),
            stages=builder.freeze_stages(),
        )
        return True


def step_numbers(graph: Graph) -> dict[Node, int]:
    """Each node's step: even ones are the host's, odd ones the chip's."""
    numbers: dict[Node, int] = {}
    for node in graph:
        parity = 0 if node.unit == Unit.HOST else 1
        producers = [numbers[v.producer] for v in node.operands if v.producer is not None]
        least = max(producers, default=0)
        numbers[node] = least + (least % 2 != parity)
    return numbers


def describe(graph: Graph, nodes: list[Node], index: int, *, host: bool) -> Step:
    """A step's inputs, outputs and nodes, by name."""
    members = set(nodes)
    made = [v for n in nodes for v in n.outputs]
    taken = [v for n in nodes for v in n.operands if not v.is_constant]
    inputs = dict.fromkeys(v.name for v in taken if v.producer not in members)
    outputs = [v.name for v in made if v in graph.outputs or any(u not in members for u in v.users)]
    return Step(
        kind=StepKind.HOST if host else StepKind.CHIP,
        name=f"{index}-{'host' if host else 'chip'}",
        inputs=tuple(inputs),
        outputs=tuple(dict.fromkeys(outputs)),
        nodes=tuple(n.output.name for n in nodes),
    )


def build_step(builder: Builder, index: int, nodes: list[Node], step: Step) -> None:
    """Stages and streams of one chip step."""
    leaving = [v for n in nodes for v in n.outputs if v.name in step.outputs]
    builder.begin(index, leaving)
    deferred: dict[int, Node] = {}
    for node in nodes:
        for value in node.operands:
            if not value.is_constant and id(value) not in builder.places | deferred:
                builder.enter(value, demanded_form(value))
                if is_seen_often(value):
                    copied(builder, value, value.name)
        if isinstance(node.op, Reshape | Transpose):
            view(builder, node)
        elif type(node.op) in ANCHORS:
            ANCHORS[type(node.op)](builder, node)
        elif isinstance(node.op, Dequantize) and defers(builder, node):
            deferred[id(node.output)] = node
        else:
            rowwise(builder, node, deferred)
    for value in leaving:
        leave(builder, value)


def view(builder: Builder, node: Node) -> None:
    """The same bytes under another shape."""
    place = builder.places[id(node.x)]
    form = place.form
    if isinstance(node.op, Transpose):
        renamed = form.transposed(node.x.type.shape, node.op.perm)
        if renamed is None:
            place = builder.relayout(node.x, row_form(node.x.type.shape))
            renamed = place.form.transposed(node.x.type.shape, node.op.perm)
        if renamed is None:
            raise ValueError(f"{node} can't be seen as a renaming of places")
        form = renamed
    builder.place(node.output, place.stream, form)


def leave(builder: Builder, value: Value) -> None:
    """The host reads a value: from its stream, or from a copy if no stage of this step made it."""
    place = builder.places[id(value)]
    if place.stream.producer is None:
        place = copied(builder, value, f"{value.name}.copy")
    place.stream.sinks.append(builder.io(value, place.form))


def copied(builder: Builder, value: Value, name: str) -> Place:
    """A value through a stage that changes nothing."""
    place = builder.places[id(value)]
    stage = builder.new_stage(name, Kind.ROWS, value, place.form, Unit.VECTOR)
    stage.operands.append(OperandDraft(place.stream, Role.ROW, value.name))
    return builder.places[id(value)]
