"""Whether the parts of a mapping file, each sound by itself, speak of the same thing."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from math import prod

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from nmc.backends.container.contents import Contents, values_by_name
from nmc.backends.onnx_builder import element_type
from nmc.ir.depthwise import is_depthwise, on_vector_unit
from nmc.ir.diagnostics import Diagnostic, Loc, error
from nmc.ir.graph import Node, TensorType, Value
from nmc.ir.layout import Digit, offsets
from nmc.ir.mapping import Kind, Mapping, Stage, Step, StepKind, Window
from nmc.ir.matrices import nodes_by_result
from nmc.ir.ops import QConv, QMatMul
from nmc.ir.program import Io, Program
from nmc.ir.stage_inputs import reach
from nmc.ir.target import Target

__all__ = ["disagreements"]

Values = dict[str, Value]


def disagreements(contents: Contents) -> Iterator[Diagnostic]:
    """Every contradiction, with the member that it is found in."""
    values = values_by_name(contents.graph)
    yield from graph_and_mapping(contents, values)
    programs = contents.program_of
    for step in contents.mapping.steps:
        if any(name not in values for name in (*step.inputs, *step.outputs)):
            continue  # said above
        if step.kind is StepKind.HOST:
            yield from host_step(step, contents.host_models[step.name], values)
        else:
            yield from chip_step(step, programs[step.name], values)
    yield from tiles(contents.mapping, programs, contents.target)
    yield from matrices(contents, nodes_by_result(contents.graph))


# The mapping's names


def graph_and_mapping(contents: Contents, values: Values) -> Iterator[Diagnostic]:
    """Names that the mapping uses, and that each value is there before it is needed."""
    nodes = nodes_by_result(contents.graph)
    known = {v.name for v in contents.graph.inputs}
    for step in contents.mapping.steps:
        where = f"step `{step.name}`"
        for name in step.inputs:
            if name not in known:
                yield bad(f"{where} needs %{name}, which nothing before it gives")
        yield from named(where, (*step.inputs, *step.outputs), values, "is no value of the graph")
        yield from named(where, step.nodes, nodes, "no node of the graph gives")
        known.update(step.outputs)
    for value in contents.graph.outputs:
        if value.name not in known and not value.is_constant:
            yield bad(f"no step gives %{value.name}, an output of the graph")
    for stage in contents.mapping.stages:
        where = f"stage `{stage.name}`"
        operands = [operand.value for operand in stage.operands]
        yield from named(where, operands, values, "is no value of the graph")
        yield from named(where, stage.nodes, nodes, "no node of the graph gives")
    for stream in contents.mapping.streams:
        yield from named("a stream", [stream.value], values, "is no value of the graph")


def named(
    where: str, names: Iterable[str], known: Container[str], lack: str
) -> Iterator[Diagnostic]:
    return (bad(f"{where} names %{name}, which {lack}") for name in names if name not in known)


def bad(message: str, member: str = "mapping.json", code: str = "bad-mapping") -> Diagnostic:
    return error(code, message, Loc(member=member))


def matrices(contents: Contents, nodes: dict[str, Node]) -> Iterator[Diagnostic]:
    """A matrix stage reads its node's weights and windows, and gives what its node does; so does
    one of the vector unit."""
    for stage in contents.mapping.stages:
        if stage.nodes and stage.nodes[0] in nodes and on_vector_unit(stage, nodes):
            yield from vector_unit(contents.mapping, stage, nodes[stage.nodes[0]])
        if stage.kind is not Kind.MATRIX:
            continue
        op = nodes[stage.nodes[0]].op if stage.nodes and stage.nodes[0] in nodes else None
        if not isinstance(op, QConv | QMatMul):
            yield bad(f"stage `{stage.name}` is a matrix, and does not begin with one")
            continue
        shape = nodes[stage.nodes[0]].operand(1).type.shape
        inputs = shape[1] * op.group if isinstance(op, QConv) else shape[0]
        outputs = shape[0] if isinstance(op, QConv) else shape[1]
        last = sum((size - 1) * stride for size, stride in stage.reading)
        if prod(size for size, _ in stage.reading) != inputs or last >= inputs:
            yield bad(f"stage `{stage.name}` does not read each of {inputs} channels once")
        if any(b.chan0 + b.chans > inputs or b.output0 + b.outputs > outputs for b in stage.blocks):
            yield bad(f"stage `{stage.name}` has a block beyond its {inputs} x {outputs} matrix")
        yield from windows(contents.mapping, stage, nodes[stage.nodes[0]])


def vector_unit(mapping: Mapping, stage: Stage, node: Node) -> Iterator[Diagnostic]:
    """The vector unit takes convolutions whose outputs see one channel each, whole."""
    made, operand = mapping.streams[stage.output], stage.operands[0]
    if not is_depthwise(node):
        yield bad(f"stage `{stage.name}` is of the vector unit, and its node is not depthwise")
    elif stage.pieces > 1 or stage.chans not in (0, made.chans) or operand.chans or operand.chan0:
        yield bad(f"stage `{stage.name}` is of the vector unit, which makes all channels")
    elif not stage.pixels or made.cols % stage.pixels:
        yield bad(f"stage `{stage.name}` makes {stage.pixels} pixels at a time of {made.cols}")
    else:
        yield from windows(mapping, stage, node)


def windows(mapping: Mapping, stage: Stage, node: Node) -> Iterator[Diagnostic]:
    """The windows of a matrix stage are those of its node: who computes with them makes no more of
    them than the graph's own sizes allow."""
    where, operand = f"stage `{stage.name}`", stage.operands[0]
    taken, made = mapping.streams[operand.stream], mapping.streams[stage.output]
    sizes = tuple(s.rows * s.cols * s.chans for s in (taken, made))
    if sizes != (node.x.type.elements, node.output.type.elements):
        yield bad(f"{where} takes and gives {sizes} elements, which is not what its node does")
        return
    if isinstance(node.op, QConv):
        image = (node.x.type.shape[1], *paired(node.x.type.shape[2:], 1))
        right = image == (taken.chans, taken.rows, taken.cols)
        kernel, strides = paired(node.operand(1).type.shape[2:], 1), paired(node.op.strides, 1)
        window = Window(kernel, strides, paired(node.op.dilations, 1))
        before = paired(node.op.pads[: len(node.op.strides)], 0)
    else:
        tokens = node.output.type.elements // node.output.type.shape[-1]
        right = tokens == 1 or taken.chans == node.x.type.shape[-1]
        window = Window((taken.rows, taken.cols) if tokens == 1 else (1, 1))
        before = (0, 0)
        right = right and in_order(stage.forms[0], tokens, node.output.type.shape[-1])
    if not right or (operand.top, operand.left) != before or stage.window != window:
        yield bad(f"{where} does not see its node's windows")
    elif (operand.bottom, operand.right) != reach(stage, taken, made):
        yield bad(f"{where} is not padded as far as its reads reach")


def paired(values: Sequence[int], missing: int) -> tuple[int, int]:
    """(rows, pixels) of an attribute; a signal has no second."""
    return (values[0], values[1]) if len(values) == 2 else (values[0], missing)


def in_order(form: Sequence[tuple[int, int]], tokens: int, width: int) -> bool:
    """Whether a result's layout has each token once, whole."""
    if prod(size for size, _ in form) != tokens * width:
        return False
    places = offsets([Digit(size, stride) for size, stride in form]).reshape(tokens, width)
    found = np.sort(places[:, 0] // width)
    return bool(np.array_equal(found, np.arange(tokens)))


# Chip steps


def chip_step(step: Step, program: Program, values: Values) -> Iterator[Diagnostic]:
    member = f"program/{step.name}.json"
    for what, ios, wanted in (
        ("takes", program.inputs, step.inputs),
        ("gives", program.outputs, step.outputs),
    ):
        names = {io.name for io in ios}
        if names != set(wanted):
            said = ", ".join(sorted(names)) or "nothing"
            message = f"the program {what} {said}; its step has {', '.join(wanted) or 'nothing'}"
            yield bad(message, member, "bad-program")
        for io in ios:
            if io.name in values and not same(io, values[io.name].type):
                type_ = values[io.name].type
                message = f"the program {what} `{io.name}` as {io.dtype}{list(io.shape)}, "
                yield bad(message + f"but it is {type_}", member, "bad-program")


def same(io: Io, type_: TensorType) -> bool:
    return (io.dtype, io.shape) == (type_.dtype, type_.shape)


def tiles(mapping: Mapping, programs: dict[str, Program], target: Target) -> Iterator[Diagnostic]:
    """Each tile of the mapping has its levels in the program of its step, and no others are."""
    images = {
        (name, t.core, t.crossbar, t.row0, t.channel0): t
        for name, program in programs.items()
        for t in program.tiles
    }
    if len(images) != len(mapping.tiles):
        message = f"the mapping has {len(mapping.tiles)} tiles, the programs have {len(images)}"
        yield bad(message)
    for i, tile in enumerate(mapping.tiles):
        step = mapping.steps[mapping.stages[tile.stage].step].name
        image = images.get((step, tile.core, tile.crossbar, tile.cell_row0, tile.channel0))
        shape = (tile.rows, tile.outputs * target.slices)
        if image is None:
            yield bad(f"tiles[{i}] has no levels in the program of step `{step}`")
        elif image.levels.shape != shape or image.slices != target.slices:
            yield bad(f"tiles[{i}] has levels of shape {image.levels.shape}, not {shape}")


# Host steps


def host_step(step: Step, model: bytes, values: Values) -> Iterator[Diagnostic]:
    """The ONNX model takes and gives what the step does, and reads no other file."""
    member = f"host/{step.name}.onnx"
    try:
        proto = onnx.ModelProto.FromString(model)
    except DecodeError:
        yield bad("it is no ONNX model", member, "bad-archive")
        return
    if reads_files(proto.graph):
        yield bad("it has data outside of the archive", member, "unsafe-archive")
    for what, infos, names in (
        ("takes", proto.graph.input, step.inputs),
        ("gives", proto.graph.output, step.outputs),
    ):
        found = {info.name: signature(info) for info in infos}
        wanted = {name: typed(values[name].type) for name in names}
        if found != wanted:
            message = f"the model {what} {found or 'nothing'}; its step has {wanted or 'nothing'}"
            yield bad(message, member)


def signature(info: onnx.ValueInfoProto) -> tuple[int, tuple[int, ...]]:
    tensor = info.type.tensor_type
    return tensor.elem_type, tuple(dim.dim_value for dim in tensor.shape.dim)


def typed(type_: TensorType) -> tuple[int, tuple[int, ...]]:
    return element_type(type_.dtype), type_.shape


def reads_files(graph: onnx.GraphProto) -> bool:
    """Whether any tensor of the graph, or of a graph within, lies in another file."""
    tensors = list(graph.initializer)
    graphs: list[onnx.GraphProto] = []
    for node in graph.node:
        for attribute in node.attribute:
            tensors += [attribute.t, *attribute.tensors]
            graphs += [attribute.g, *attribute.graphs]
    external = onnx.TensorProto.EXTERNAL
    return any(t.data_location == external or t.external_data for t in tensors) or any(
        reads_files(inner) for inner in graphs if inner.node or inner.initializer
    )
