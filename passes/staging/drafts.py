"""Stages and streams while they are being built, before they freeze into a Mapping."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import gcd

from nmc.ir.graph import Graph, Node, Unit, Value
from nmc.ir.layout import Digit, Digits, Form, row_form
from nmc.ir.mapping import ONE_PIXEL, Kind, Operand, Role, Stage, Stream, StreamIo, Window
from nmc.ir.ops import Dequantize, Quantize

__all__ = ["Builder", "Place", "StageDraft", "StreamDraft", "plain"]


@dataclass(eq=False, slots=True)
class StreamDraft:
    value: str
    dtype: str
    rows: int
    cols: int
    chans: int
    producer: StageDraft | None = None
    source: StreamIo | None = None
    sinks: list[StreamIo] = field(default_factory=list[StreamIo])


@dataclass(eq=False, slots=True)
class OperandDraft:
    stream: StreamDraft
    role: Role
    value: str
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    fill: int = 0


@dataclass(eq=False, slots=True)
class StageDraft:
    name: str
    kind: Kind
    output: StreamDraft
    unit: str
    operands: list[OperandDraft] = field(default_factory=list[OperandDraft])
    nodes: list[str] = field(default_factory=list[str])
    forms: list[Digits] = field(default_factory=list[Digits])
    anchored: bool = False
    window: Window = ONE_PIXEL
    factors: tuple[int, int] = (1, 1)
    starts: tuple[int, int, int] = (0, 0, 0)
    steps: tuple[int, int, int] = (1, 1, 1)
    reading: Digits = ()
    placing: Digits = ()
    macs: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a graph value is: a stream, and how the value's elements lie in it."""

    stream: StreamDraft
    form: Form


def plain(digits: Digits) -> tuple[tuple[int, int], ...]:
    return tuple((d.size, d.stride) for d in digits)


@dataclass(slots=True)
class Builder:
    """The drafts of one mapping, and where each graph value of the current step lies."""

    graph: Graph
    streams: list[StreamDraft] = field(default_factory=list[StreamDraft])
    stages: list[tuple[int, StageDraft]] = field(default_factory=list[tuple[int, StageDraft]])
    places: dict[int, Place] = field(default_factory=dict[int, Place])
    leaving: set[int] = field(default_factory=set[int])
    step: int = 0
    _names: dict[str, int] = field(default_factory=dict[str, int])

    def begin(self, step: int, leaving: list[Value]) -> None:
        """Start a chip step: forget where values were, note which leave it."""
        self.step = step
        self.places = {}
        self.leaving = {id(v) for v in leaving}

    def unique(self, name: str) -> str:
        """A stage name that no other stage has."""
        self._names[name] = self._names.get(name, 0) + 1
        number = self._names[name]
        return name if number == 1 else f"{name}~{number}"

    # Placing values

    def place(self, value: Value, stream: StreamDraft, form: Form) -> Place:
        self.places[id(value)] = Place(stream, form.normal)
        return self.places[id(value)]

    def enter(self, value: Value, form: Form) -> Place:
        """A value that the host puts into global memory, in the form that is wanted first."""
        form = form.normal
        stream = StreamDraft(value.name, value.type.dtype, form.rows, form.cols, form.chans)
        stream.source = self.io(value, form)
        self.streams.append(stream)
        return self.place(value, stream, form)

    @staticmethod
    def io(value: Value, form: Form) -> StreamIo:
        factors, perm = form.factors_and_perm()
        return StreamIo(value.name, value.type.shape, factors, perm)

    def new_stage(self, name: str, kind: Kind, value: Value, form: Form, unit: str) -> StageDraft:
        """A stage that makes `value` in `form`, with its output stream."""
        form = form.normal
        stream = StreamDraft(value.name, value.type.dtype, form.rows, form.cols, form.chans)
        stage = StageDraft(self.unique(name), kind, stream, unit)
        stream.producer = stage
        self.streams.append(stream)
        self.stages.append((self.step, stage))
        self.place(value, stream, form)
        return stage

    def anchor(self, node: Node, kind: Kind, form: Form) -> StageDraft:
        stage = self.new_stage(name_of(node), kind, node.output, form, node.unit or Unit.VECTOR)
        stage.nodes.append(node.output.name)
        stage.forms.append(stage_form(form))
        stage.anchored = True
        return stage

    def relayout(self, value: Value, form: Form) -> Place:
        """The value's elements in another physical order, through a stage that collects them."""
        old = self.places[id(value)]
        if old.form.same(form):
            return old
        form = form.normal
        placing = channel_destination(old.form, form)
        if placing is not None:
            return self._moved(value, old, form, Kind.REORDER, placing)
        placing = destination(old.form, form)
        if placing is None:  # through logical order, in which every split is possible
            old = self.relayout(value, row_form(value.type.shape))
            placing = destination(old.form, form)
        if placing is None:
            raise ValueError(f"no way to bring {value} from {old.form} to {form}")
        return self._moved(value, old, form, Kind.RELAYOUT, placing)

    def _moved(self, value: Value, old: Place, form: Form, kind: Kind, placing: Digits) -> Place:
        stage = self.new_stage(f"{value.name}.{kind}", kind, value, form, Unit.VECTOR)
        stage.operands.append(OperandDraft(old.stream, Role.MAIN, value.name))
        stage.placing = placing
        return self.places[id(value)]

    # Extending stages

    def is_exclusive(self, value: Value) -> bool:
        """Whether only one node sees the stream of a value, so that the node may work in place."""
        while True:
            if id(value) in self.leaving or len(value.users) != 1:
                return False
            producer = value.producer
            if producer is None or not is_view(producer):
                return True
            value = producer.x

    def extend(self, stage: StageDraft, node: Node, form: Form) -> None:
        """`node` works in place on the rows that `stage` makes."""
        value = node.output
        stage.nodes.append(value.name)
        stage.forms.append(stage_form(form))
        stage.output.value = value.name
        stage.output.dtype = value.type.dtype
        self.place(value, stage.output, form)

    # Freezing

    def freeze_streams(self) -> tuple[Stream, ...]:
        number = {id(s): i for i, (_, s) in enumerate(self.stages)}
        steps = {id(s.output): step for step, s in self.stages}
        for step, stage in self.stages:
            for operand in stage.operands:
                steps.setdefault(id(operand.stream), step)
        return tuple(
            Stream(
                value=s.value,
                step=steps[id(s)],
                dtype=s.dtype,
                rows=s.rows,
                cols=s.cols,
                chans=s.chans,
                producers=() if s.producer is None else (number[id(s.producer)],),
                source=s.source,
                sinks=tuple(s.sinks),
            )
            for s in self.streams
        )

    def freeze_stages(self) -> tuple[Stage, ...]:
        number = {id(s): i for i, s in enumerate(self.streams)}
        return tuple(
            Stage(
                name=s.name,
                step=step,
                kind=s.kind,
                nodes=tuple(s.nodes),
                forms=tuple(map(plain, s.forms)),
                anchored=s.anchored,
                operands=tuple(
                    Operand(number[id(o.stream)], o.role, o.value, *o.pads, o.fill)
                    for o in s.operands
                ),
                output=number[id(s.output)],
                unit=s.unit,
                window=s.window,
                factors=s.factors,
                starts=s.starts,
                steps=s.steps,
                reading=plain(s.reading),
                placing=plain(s.placing),
                pixels=s.output.cols,
                macs=s.macs,
            )
            for step, s in self.stages
        )


def stage_form(form: Form) -> Digits:
    """All digits of a result's layout, rows first."""
    return form.normal.digits


def name_of(node: Node) -> str:
    """What people call it: the ONNX node it came from, or else its result.

    A quantize or dequantize of our own goes by its result: it stands beside the ONNX node.
    """
    coded = isinstance(node.op, Quantize | Dequantize)
    return node.output.name if coded else node.loc.node or node.output.name


def is_view(node: Node) -> bool:
    return node.op.name in ("reshape", "transpose")


def destination(old: Form, new: Form) -> Digits | None:
    """For each digit of `old` in physical order: the stride, in elements, at which the places
    that it counts lie in `new`; digits are cut where `new` cuts."""
    factors, perm = new.factors_and_perm()
    step = 1
    physical: dict[int, int] = {}
    for place in range(len(perm) - 1, -1, -1):
        physical[perm[place]] = step
        step *= factors[perm[place]]
    return old.restrided(factors, [physical[axis] for axis in range(len(factors))])


def channel_destination(old: Form, new: Form) -> Digits | None:
    """As `destination` for channels within a pixel, if nothing but their order differs."""
    old, new = old.normal, new.normal
    if (old.row_digits, old.col_digits) != (new.row_digits, new.col_digits):
        return None
    unit = gcd(*(d.stride for d in old.chan_digits + new.chan_digits))
    here, there = (
        tuple(Digit(d.size, d.stride // unit) for d in form.chan_digits) for form in (old, new)
    )
    if sum((d.size - 1) * d.stride for d in there) + 1 != new.chans:
        return None
    return destination(Form((), (), here), Form((), (), there))


def channel_digits(form: Form, area: int) -> Digits | None:
    """Channel digits in units of whole channels, or None if a digit isn't a channel's."""
    if any(d.stride % area for d in form.chan_digits):
        return None
    return tuple(Digit(d.size, d.stride // area) for d in form.chan_digits)
