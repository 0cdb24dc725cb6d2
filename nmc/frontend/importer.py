"""Walks a prepared model in order and makes the graph: constants computed, rules applied.

A node goes one of four ways: its results are constants; a rule lowers it; the host takes it as it
is; or it is a problem.  After a problem the walk goes on without what the node would have given, so
that all independent problems are found in one run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import onnx

from nmc.frontend.call import Call, Declined, Names, Refused, as_results
from nmc.frontend.domains import grouped
from nmc.frontend.expansion import expanded
from nmc.frontend.external import subgraphs
from nmc.frontend.fold import KEEP, CannotFold, fold
from nmc.frontend.host import HostRefuses, attributes_text, host_types
from nmc.frontend.prepare import captures
from nmc.frontend.provenance import locate
from nmc.frontend.rules import RULES
from nmc.frontend.scope import WIDE_FLOATS, Known, List, Missing, Scope, Values
from nmc.frontend.sequences import SEQUENCE_RULES
from nmc.frontend.tensors import NotATensor, without_wide_floats
from nmc.ir import ops
from nmc.ir.diagnostics import Diagnostic, Loc, NmcError, Report, error, note
from nmc.ir.graph import Graph, TensorType, Value

__all__ = ["Importer"]

TYPED_BY_OPERAND = frozenset({"QuantizeLinear", "CastLike"})
"""Operators whose result has the element type of a constant operand."""

CUT = "change the model, or cut it before this node"
ADVICE = {
    "ZipMap": "export the classifier with options={'zipmap': False}",
    "NonMaxSuppression": "cut the model before it and do it outside",
}

Results = Sequence[Known]
"""Of the node's results that have names; empty if there is a problem, which is then noted."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a node can't run, before equal refusals of other nodes are grouped with it."""

    text: str
    loc: Loc
    remedy: str


@dataclass(slots=True)
class Importer:
    """Makes the graph of one model; used once."""

    graph: Graph
    opsets: dict[str, int]
    values: Values
    names: Names
    refusals: list[Refusal] = field(default_factory=list[Refusal])

    def run(self, proto: onnx.GraphProto, inputs: Mapping[str, TensorType]) -> None:
        scope = Scope.of(proto)
        for name, type_ in inputs.items():
            if type_.dtype in WIDE_FLOATS:
                self.values.narrowed.add(type_.dtype)
                type_ = replace(type_, dtype="f32")
            scope.entries[name] = self.graph.add_input(name, type_)
        self.walk(proto.node, locate(proto.node, len(proto.node), self.values.file), scope)
        self.problems.extend(regrouped(self.refusals))
        if not self.problems:
            self.finish(proto, scope)
        if self.problems:
            raise NmcError(*self.problems)

    @property
    def problems(self) -> list[Diagnostic]:
        return self.values.problems

    def report(self, report: Report) -> None:
        if narrowed := sorted(self.values.narrowed):
            names = " and ".join(WIDE_FLOATS[name] for name in narrowed)
            text = f"{names} tensors are computed as float32"
            report.add(note("unsupported-width", text, Loc(self.values.file)))

    def walk(self, nodes: Sequence[onnx.NodeProto], locs: Sequence[Loc], scope: Scope) -> None:
        for node, loc in zip(nodes, locs, strict=True):
            try:
                results = self.results(node, loc, scope)
            except NmcError as problem:
                self.problems.extend(problem.diagnostics)
                results = ()
            names = [name for name in node.output if name]
            scope.entries.update(zip(names, results or [Missing()] * len(names), strict=True))

    # Nodes

    def results(self, node: onnx.NodeProto, loc: Loc, scope: Scope) -> Results:
        inputs: list[Value | List | None] = []
        for name in node.input:
            value = self.values.get(name, scope) if name else None
            if isinstance(value, Missing):
                if value.reason:
                    self.refuse(node, loc, f"its input {value.reason}")
                return ()
            inputs.append(value)
        if node.op_type in SEQUENCE_RULES and not node.domain:
            return self.sequence(node, inputs, loc)
        tensors = [x for x in inputs if not isinstance(x, List)]
        if len(tensors) < len(inputs):
            self.refuse(node, loc, "its input is a sequence")
            return ()
        while tensors and tensors[-1] is None:
            tensors.pop()
        if node.op_type == "If" and tensors[0] is not None and tensors[0].data is not None:
            return self.branch(node, bool(tensors[0].data.reshape(-1)[0]), loc, scope)
        return self.folded(node, tensors) or self.lowered(node, tensors, loc, scope)

    def sequence(
        self, node: onnx.NodeProto, inputs: Sequence[Value | List | None], loc: Loc
    ) -> Results:
        given = [self.values.in_float32(x) if isinstance(x, Value) else x for x in inputs]
        call = Call(node, self.opsets.get("", 1), (), loc, self.names)
        mark = len(self.graph.nodes)
        try:
            return (SEQUENCE_RULES[node.op_type](call, given),)
        except Declined as declined:
            self.take_back(mark)
            self.refuse(node, loc, str(declined))
            return ()

    def folded(self, node: onnx.NodeProto, inputs: Sequence[Value | None]) -> Results:
        """Constants, where all operands are; else nothing."""
        if node.op_type in KEEP or any(x is not None and x.data is None for x in inputs):
            return ()
        if node.domain not in self.opsets or node.domain == "com.microsoft":
            return ()
        operands = [None if x is None else self.values.exact_array(x) for x in inputs]
        names = [name for name in node.output if name]
        try:
            arrays = fold(node, operands, self.opsets)
            return [self.values.constant(n, a) for n, a in zip(names, arrays, strict=True)]
        except (CannotFold, NotATensor):
            return ()

    def lowered(
        self, node: onnx.NodeProto, inputs: Sequence[Value | None], loc: Loc, scope: Scope
    ) -> Results:
        """What a rule makes of the node, or else the host."""
        narrow = [self.values.narrow_type(x) for x in inputs if x is not None]
        if node.op_type in TYPED_BY_OPERAND and any(narrow):
            self.refuse(node, loc, f"its result holds {max(narrow)} elements")
            return ()
        node, changed = without_wide_floats(node)
        self.values.narrowed |= changed
        operands = tuple(None if x is None else self.values.in_float32(x) for x in inputs)
        call = Call(node, self.opsets.get(node.domain, 1), operands, loc, self.names)
        rule = RULES.get((node.domain, node.op_type))
        if rule is None:
            return self.by_host(call, scope, "", None)
        mark = len(self.graph.nodes)
        try:
            return named_results(node, as_results(rule(call)))
        except Refused as refused:
            self.refuse(node, loc, str(refused), refused.remedy)
            return ()
        except Declined as declined:
            self.take_back(mark)
            return self.by_host(call, scope, f"{declined}; ", None)
        except NmcError as mismatch:
            self.take_back(mark)
            return self.by_host(call, scope, "", mismatch)

    def take_back(self, mark: int) -> None:
        for node in self.graph.nodes[mark:]:
            self.graph.unlink(node)
        del self.graph.nodes[mark:]

    def by_host(self, call: Call, scope: Scope, why: str, mismatch: NmcError | None) -> Results:
        """The node as an operator of the host; `why` and `mismatch` say why no rule took it."""
        try:
            return self.opaque(call, scope)
        except HostRefuses as refusal:
            if mismatch is not None:
                raise mismatch from None
            results = () if why else self.written_out(call)
            if not results:
                self.refuse(call.node, call.loc, f"{why}{refusal}")
            return results

    def opaque(self, call: Call, scope: Scope) -> Results:
        """Keep the node as it is.  Results that nobody asked for are there too, for an op has no
        way to say that its second result is its first."""
        node = self.closed(call.node, scope)
        version, types = host_types(node, call.inputs, call.version)
        results = [
            self.graph.value(name or self.names.new(f"{call.name}.unused"), type_)
            for name, type_ in zip(node.output, types, strict=True)
        ]
        op = ops.Onnx(node.op_type, node.domain, version, attributes_text(node))
        self.graph.append(op, call.inputs, results, (call.loc,))
        return [value for value, name in zip(results, node.output, strict=True) if name]

    def closed(self, node: onnx.NodeProto, scope: Scope) -> onnx.NodeProto:
        """The node with constants that its subgraphs take from outside put into them."""
        outer = captures(node)
        if not outer:
            return node
        closed = onnx.NodeProto()
        closed.CopyFrom(node)
        for name in outer:
            value = self.values.get(name, scope)
            if not isinstance(value, Value) or value.data is None:
                raise HostRefuses(f"its subgraph uses `{name}` from outside, which is not constant")
            for graph in subgraphs(closed):
                graph.initializer.append(onnx.numpy_helper.from_array(value.data, name))
        return closed

    def written_out(self, call: Call) -> Results:
        """Results of the node by ONNX's own definition of its operator, if that can be lowered."""
        graph = expanded(call.node, call.inputs, self.opsets)
        if graph is None:
            return ()
        mark, refused, failed = len(self.graph.nodes), len(self.refusals), len(self.problems)
        inner = Scope.of(graph)
        given = {f"x{index}": x for index, x in enumerate(call.inputs) if x is not None}
        inner.entries.update(given)
        self.walk(graph.node, [call.loc] * len(graph.node), inner)
        wanted = [f"y{index}" for index, name in enumerate(call.node.output) if name]
        results = [self.values.get(name, inner) for name in wanted]
        if not any(isinstance(result, Missing) for result in results):
            return results
        self.take_back(mark)
        del self.refusals[refused:], self.problems[failed:]
        return ()

    def branch(self, node: onnx.NodeProto, condition: bool, loc: Loc, scope: Scope) -> Results:
        """Put the branch of an `If` in place that a constant condition takes."""
        name = "then_branch" if condition else "else_branch"
        graph = next(a.g for a in node.attribute if a.name == name)
        inner = Scope.of(graph, scope)
        prefix = f"{loc.node}/{name}/"
        places = locate(graph.node, loc.total, self.values.file, prefix)
        self.walk(graph.node, [replace(place, index=loc.index) for place in places], inner)
        results = [self.values.get(value.name, inner) for value in graph.output]
        return [r for r, name in zip(results, node.output, strict=False) if name]

    def refuse(self, node: onnx.NodeProto, loc: Loc, why: str, remedy: str = "") -> None:
        domain = f"{node.domain}." if node.domain else ""
        text = f"neither the chip nor the host can run {domain}{node.op_type}: {why}"
        self.refusals.append(Refusal(text, loc, remedy or ADVICE.get(node.op_type, CUT)))

    # The end

    def finish(self, proto: onnx.GraphProto, scope: Scope) -> None:
        """Make the model's outputs the graph's, under their own names."""
        for entry in proto.output:
            value = self.values.get(entry.name, scope)
            if isinstance(value, Value):
                self.graph.outputs.append(self.named(entry.name, self.values.in_float32(value)))
                continue
            why = "is a sequence, where only tensors can leave"
            if isinstance(value, Missing):
                why = value.reason or "is not computed"
            text = f"output `{entry.name}` {why}"
            loc = Loc(self.values.file, node=entry.name)
            self.problems.append(error("unsupported-operator", text, loc, remedy=CUT))
        while self.graph.prune():
            pass

    def named(self, name: str, value: Value) -> Value:
        """The value under an output's name: renamed if it is free to be, else copied."""
        if value.name == name:
            return value
        if value not in self.graph.inputs and value not in self.graph.outputs:
            value.name = name
            return value
        copy = self.graph.value(name, value.type)
        copy.name = name
        self.graph.append(ops.Reshape(value.type.shape), [value], [copy], ())
        return copy


def named_results(node: onnx.NodeProto, results: Sequence[Value | None]) -> Results:
    """What a rule gave for the results that have names; a rule may leave out the last ones."""
    absent = Missing("is a result of training, which is not computed")
    padded = [*results, *[None] * len(node.output)]
    return [r or absent for r, name in zip(padded, node.output, strict=False) if name]


def regrouped(refusals: Iterable[Refusal]) -> list[Diagnostic]:
    """One problem for all nodes that are refused in the same words."""
    groups: dict[tuple[str, str], list[Loc]] = {}
    for refusal in refusals:
        groups.setdefault((refusal.text, refusal.remedy), []).append(refusal.loc)
    code = "unsupported-operator"
    return [grouped(code, text, locs, remedy) for (text, remedy), locs in groups.items()]
