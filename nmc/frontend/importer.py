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
from nmc.frontend.external import Companions, subgraphs
from nmc.frontend.fold import KEEP, CannotFold, fold
from nmc.frontend.host import HostRefuses, attributes_text, host_types
from nmc.frontend.prepare import captures
from nmc.frontend.provenance import locate
from nmc.frontend.rules import RULES
from nmc.frontend.tensors import (
    NotATensor,
    as_float32,
    from_sparse,
    from_tensor,
    widen,
    without_wide_floats,
)
from nmc.ir import ops
from nmc.ir.diagnostics import Diagnostic, Loc, NmcError, Report, error, note
from nmc.ir.graph import Array, Graph, TensorType, Value

__all__ = ["Importer"]

WIDE = ("f16", "f64")

TYPED_BY_OPERAND = frozenset({"QuantizeLinear", "CastLike"})
"""Operators whose result has the element type of a constant operand."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Stands for a value that could not be made; `reason` is empty if that is reported already."""

    reason: str = ""


Entry = Value | Missing | onnx.TensorProto | onnx.SparseTensorProto
"""What a name stands for; initialisers become values when first used."""


@dataclass(slots=True)
class Scope:
    """Names of one graph, then of those around it."""

    outer: Scope | None = None
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])

    def find(self, name: str) -> tuple[Scope, Entry] | None:
        if name in self.entries:
            return self, self.entries[name]
        return self.outer.find(name) if self.outer else None


@dataclass(slots=True)
class Refusal:
    """A problem of a node, before equal ones of other nodes are grouped with it."""

    code: str
    text: str
    loc: Loc
    remedy: str


@dataclass(slots=True)
class Importer:
    """Makes the graph of one model; used once."""

    graph: Graph
    opsets: dict[str, int]
    file: str
    companions: Companions
    names: Names
    refusals: list[Refusal] = field(default_factory=list[Refusal])
    problems: list[Diagnostic] = field(default_factory=list[Diagnostic])
    narrowed: set[str] = field(default_factory=set[str])
    floats: dict[Value, Value] = field(default_factory=dict[Value, Value])
    exact: dict[Value, Array] = field(default_factory=dict[Value, Array])

    def run(self, proto: onnx.GraphProto, inputs: Mapping[str, TensorType]) -> None:
        scope = self.initialisers(proto, None)
        for name, type_ in inputs.items():
            if type_.dtype in WIDE:
                self.narrowed.add(type_.dtype)
                type_ = replace(type_, dtype="f32")
            scope.entries[name] = self.graph.add_input(name, type_)
        self.walk(proto.node, locate(proto.node, len(proto.node), self.file), scope)
        self.problems.extend(regrouped(self.refusals))
        if not self.problems:
            self.finish(proto, scope)
        if self.problems:
            raise NmcError(*self.problems)

    def report(self, report: Report) -> None:
        if self.narrowed:
            names = " and ".join(
                {"f16": "float16", "f64": "float64"}[n] for n in sorted(self.narrowed)
            )
            text = f"{names} tensors are computed as float32"
            report.add(note("unsupported-width", text, Loc(self.file)))

    def initialisers(self, proto: onnx.GraphProto, outer: Scope | None) -> Scope:
        scope = Scope(outer)
        scope.entries.update((tensor.name, tensor) for tensor in proto.initializer)
        scope.entries.update((sparse.values.name, sparse) for sparse in proto.sparse_initializer)
        return scope

    def walk(self, nodes: Sequence[onnx.NodeProto], locs: Sequence[Loc], scope: Scope) -> None:
        for node, loc in zip(nodes, locs, strict=True):
            try:
                results = self.results(node, loc, scope)
            except NmcError as problem:
                self.problems.extend(problem.diagnostics)
                results = None
            names = [name for name in node.output if name]
            entries = results or [Missing()] * len(names)
            scope.entries.update(zip(names, entries, strict=False))

    # Values

    def value(self, name: str, scope: Scope) -> Value | Missing:
        found = scope.find(name)
        if found is None:
            return Missing(f"`{name}` is defined nowhere")
        holder, entry = found
        if isinstance(entry, onnx.TensorProto | onnx.SparseTensorProto):
            entry = holder.entries[name] = self.loaded(name, entry)
        return entry

    def loaded(
        self, name: str, tensor: onnx.TensorProto | onnx.SparseTensorProto
    ) -> Value | Missing:
        try:
            if isinstance(tensor, onnx.SparseTensorProto):
                return self.constant(name, from_sparse(tensor))
            return self.constant(name, from_tensor(self.companions.resolve(tensor)))
        except NotATensor as problem:
            if "its data does not fill" in str(problem):
                text = f"initialiser `{name}` {problem}"
                self.problems.append(error("onnx-damaged", text, Loc(self.file)))
                return Missing()
            return Missing(f"`{name}` {problem}")

    def constant(self, name: str, array: Array) -> Value:
        """A constant; what no value can hold as it is, int4 say, is widened and kept in `exact`."""
        wide = widen(array)
        value = self.graph.constant(name, wide)
        if wide.dtype != array.dtype:
            self.exact[value] = array
        return value

    def in_float32(self, value: Value) -> Value:
        """The value as ops of ours take it: no wide floats outside of shape arithmetic."""
        if value.data is None or value.type.dtype not in WIDE:
            return value
        self.narrowed.add(value.type.dtype)
        if value not in self.floats:
            self.floats[value] = self.graph.constant(value.name, as_float32(value.data))
        return self.floats[value]

    # Nodes

    def results(
        self, node: onnx.NodeProto, loc: Loc, scope: Scope
    ) -> Sequence[Value | Missing] | None:
        """Values of the node's named results; None if it has a problem, which is then noted."""
        inputs: list[Value | None] = []
        for name in node.input:
            value = self.value(name, scope) if name else None
            if isinstance(value, Missing):
                if value.reason:
                    self.refuse(node, loc, f"its input {value.reason}")
                return None
            inputs.append(value)
        while inputs and inputs[-1] is None:
            inputs.pop()
        if node.op_type == "If" and not node.domain:
            return self.branch(node, inputs, loc, scope)
        if folded := self.folded(node, inputs):
            return folded
        return self.lowered(node, inputs, loc, scope)

    def folded(self, node: onnx.NodeProto, inputs: Sequence[Value | None]) -> list[Value] | None:
        if node.op_type in KEEP or any(x is not None and x.data is None for x in inputs):
            return None
        if node.domain not in self.opsets or node.domain == "com.microsoft":
            return None
        operands = [None if x is None else self.exact.get(x, x.data) for x in inputs]
        names = [name for name in node.output if name]
        try:
            arrays = fold(node, operands, self.opsets)
            return [self.constant(n, a) for n, a in zip(names, arrays, strict=True)]
        except (CannotFold, NotATensor):
            return None

    def lowered(
        self, node: onnx.NodeProto, inputs: Sequence[Value | None], loc: Loc, scope: Scope
    ) -> Sequence[Value | Missing] | None:
        if node.op_type in TYPED_BY_OPERAND and (narrow := self.narrow_integers(inputs)):
            self.refuse(node, loc, f"its result holds {narrow} elements")
            return None
        node, changed = without_wide_floats(node)
        self.narrowed |= changed
        operands = tuple(None if x is None else self.in_float32(x) for x in inputs)
        call = Call(node, self.opsets.get(node.domain, 1), operands, loc, self.names)
        rule = RULES.get((node.domain, node.op_type))
        mark, why, mismatch = len(self.graph.nodes), "", None
        if rule is not None:
            try:
                return named_results(node, as_results(rule(call)))
            except Refused as refused:
                self.refuse(node, loc, str(refused), refused.remedy)
                return None
            except Declined as declined:
                why = str(declined)
            except NmcError as problem:
                mismatch = problem
            self.take_back(mark)
        try:
            return self.opaque(call, scope)
        except HostRefuses as refusal:
            if mismatch is not None:
                raise mismatch from None
            if rule is None and (results := self.written_out(call)):
                return results
            self.refuse(node, loc, f"{why}; {refusal}" if why else str(refusal))
            return None

    def written_out(self, call: Call) -> list[Value] | None:
        """Results of the node by ONNX's own definition of its operator, if that can be lowered."""
        graph = expanded(call.node, call.inputs, self.opsets)
        if graph is None:
            return None
        mark, refused, failed = len(self.graph.nodes), len(self.refusals), len(self.problems)
        inner = self.initialisers(graph, None)
        inner.entries.update(
            (f"x{index}", x) for index, x in enumerate(call.inputs) if x is not None
        )
        self.walk(graph.node, [call.loc] * len(graph.node), inner)
        results = [self.value(f"y{i}", inner) for i, name in enumerate(call.node.output) if name]
        values = [result for result in results if isinstance(result, Value)]
        if len(values) == len(results):
            return values
        self.take_back(mark)
        del self.refusals[refused:], self.problems[failed:]
        return None

    def narrow_integers(self, inputs: Sequence[Value | None]) -> str:
        """The element type of an operand that is narrower than any value can be, or ""."""
        kinds = [self.exact[x].dtype.name for x in inputs if x in self.exact]
        return next((kind for kind in kinds if kind != "bfloat16"), "")

    def take_back(self, mark: int) -> None:
        for node in self.graph.nodes[mark:]:
            self.graph.unlink(node)
        del self.graph.nodes[mark:]

    def opaque(self, call: Call, scope: Scope) -> list[Value]:
        """Keep the node as an operator of the host; results that nobody asked for are there too,
        for an op has no way to say that its second result is its first."""
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
            value = self.value(name, scope)
            if isinstance(value, Missing) or value.data is None:
                raise HostRefuses(f"its subgraph uses `{name}` from outside, which is not constant")
            for graph in subgraphs(closed):
                graph.initializer.append(onnx.numpy_helper.from_array(value.data, name))
        return closed

    def branch(
        self, node: onnx.NodeProto, inputs: Sequence[Value | None], loc: Loc, scope: Scope
    ) -> Sequence[Value | Missing] | None:
        """Put the branch in place that a constant condition takes."""
        condition = inputs[0] if inputs else None
        if condition is None or condition.data is None:
            return self.lowered(node, inputs, loc, scope)
        name = "then_branch" if condition.data.reshape(-1)[0] else "else_branch"
        graph = next(a.g for a in node.attribute if a.name == name)
        inner = self.initialisers(graph, scope)
        places = locate(graph.node, loc.total, self.file, f"{loc.node}/{name}/")
        self.walk(graph.node, [replace(p, index=loc.index) for p in places], inner)
        results = [self.value(v.name, inner) for v in graph.output]
        return [r for r, n in zip(results, node.output, strict=False) if n]

    def refuse(self, node: onnx.NodeProto, loc: Loc, why: str, remedy: str = "") -> None:
        domain = f"{node.domain}." if node.domain else ""
        text = f"neither the chip nor the host can run {domain}{node.op_type}: {why}"
        remedy = remedy or ADVICE.get(node.op_type, "change the model, or cut it before this node")
        self.refusals.append(Refusal("unsupported-operator", text, loc, remedy))

    # The end

    def finish(self, proto: onnx.GraphProto, scope: Scope) -> None:
        """Make the model's outputs the graph's, under their own names."""
        for entry in proto.output:
            value = self.value(entry.name, scope)
            if isinstance(value, Missing):
                text = f"output `{entry.name}`: {value.reason or 'it is not computed'}"
                self.problems.append(error("unsupported-operator", text, Loc(self.file)))
                continue
            self.graph.outputs.append(self.named(entry.name, self.in_float32(value)))
        while self.graph.prune():
            pass

    def named(self, name: str, value: Value) -> Value:
        """The value under an output's name: renamed if it is free to be, else copied."""
        if value.name == name:
            return value
        given = value in self.graph.inputs or value in self.graph.outputs
        if not given:
            value.name = name
            return value
        copy = self.graph.value(name, value.type)
        copy.name = name
        self.graph.append(ops.Reshape(value.type.shape), [value], [copy], ())
        return copy


def named_results(node: onnx.NodeProto, results: Sequence[Value | None]) -> list[Value | Missing]:
    """What a rule gave for the results that have names; a rule may leave out the last ones."""
    absent = Missing("is a result of training, which is not computed")
    padded = [*results, *[None] * len(node.output)]
    return [r or absent for r, name in zip(padded, node.output, strict=False) if name]


ADVICE = {
    "ZipMap": "export the classifier with options={'zipmap': False}",
    "NonMaxSuppression": "cut the model before it and do it outside",
}


def regrouped(refusals: Iterable[Refusal]) -> list[Diagnostic]:
    """One problem for all nodes that are refused in the same words."""
    groups: dict[tuple[str, str, str], list[Loc]] = {}
    for refusal in refusals:
        key = (refusal.code, refusal.text, refusal.remedy)
        groups.setdefault(key, []).append(refusal.loc)
    return [grouped(code, text, locs, remedy) for (code, text, remedy), locs in groups.items()]
