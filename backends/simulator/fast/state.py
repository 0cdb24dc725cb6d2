"""The state of the fast engine at launch: all rows in one array, and more when they run short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from nmc.backends.simulator.core import Cells
from nmc.backends.simulator.fast import layout as k
from nmc.backends.simulator.fast.layout import FOREVER, State
from nmc.backends.simulator.fast.lowering import Lowered, table

__all__ = ["Machine", "enlarge", "machine"]

TRACE_ROWS = 1 << 15


@dataclass(slots=True)
class Machine:
    """The state `m`, and where some of its sections begin."""

    m: State
    begins: dict[str, int] = field(default_factory=dict[str, int])
    margin: int = 0
    """Tasks, nodes and rows of the trace that must be free before a cycle begins."""

    def rows(self, name: str, count: int, width: int) -> State:
        """A view of `count` rows of a section."""
        begin = self.begins[name]
        return self.m[begin : begin + count * width].reshape(count, width)

    @property
    def trace(self) -> State:
        begin, count = int(self.m[k.G_TRACE]), int(self.m[k.G_ROWS])
        return self.m[begin : begin + count * k.TR_WIDTH].reshape(count, k.TR_WIDTH)


def machine(low: Lowered, *, record: bool) -> Machine:
    """At launch; with `record` the kernels write down which bytes move when."""
    sections = sections_of(low)
    begins: dict[str, int] = {}
    top = k.FIRST_ROW
    for name, rows in sections.items():
        begins[name] = top
        top += rows.size
    relocate(sections, begins)
    head = np.zeros(k.FIRST_ROW, np.int64)
    made = Machine(np.concatenate([head, *(rows.ravel() for rows in sections.values())]), begins)
    sequencers = len(low.first_code)
    made.margin = 2 * (sequencers + len(low.crossbars) + len(low.links) + 64)
    single_values(made, low, record)
    enlarge(made, low, 4 * made.margin)
    trace = made.margin + (TRACE_ROWS if record else 64)
    made.m[k.G_TRACE], made.m[k.G_ROOM] = len(made.m), trace
    made.m = np.concatenate([made.m, np.zeros(trace * k.TR_WIDTH, np.int64)])
    return made


def single_values(made: Machine, low: Lowered, record: bool) -> None:
    target = low.target
    values = {
        k.G_SEQ0: made.begins["sequencer"],
        k.G_SEQS: len(low.first_code),
        k.G_DEPTH: target.core.queue_depth,
        k.G_SHIFT_ADD: target.shift_add_cycles,
        k.G_READ: target.read_cycles,
        k.G_HOLDS: target.crossbar.sample_holds,
        k.G_PHASES: target.phases,
        k.G_HOP: target.hop_cycles,
        k.G_LATENCY: target.memory_latency_cycles,
        k.G_RECORD: int(record),
        k.G_MARGIN: made.margin,
        k.G_BAR: k.X_STAGE0 + target.crossbar.sample_holds,
    }
    for place, value in values.items():
        made.m[place] = value


# Sections.  Rows refer to each other by number at first, -1 for none; then by address.


def sections_of(low: Lowered) -> dict[str, State]:
    plan, read, burst = low.plan_tables
    queues, users = queue_rows(low)
    tiles, overlaps = tile_rows(low)
    return {
        "core": core_rows(low, queues),
        "sequencer": sequencer_rows(low),
        "code": table(low.code, k.I_WIDTH),
        "desc": table(low.desc, k.D_WIDTH),
        "semaphore": table([[v, 0] for c in low.program.cores for v in c.semaphores], k.A_WIDTH),
        "crossbar": crossbar_rows(low),
        "cluster": table([list(cluster) for cluster in low.clusters], k.U_WIDTH),
        "plan": plan,
        "read": read,
        "burst": burst,
        "adc": np.zeros((len(low.adcs), 1), np.int64),
        "tile": tiles,
        "overlap": overlaps,
        "user": users,
        "route": table([list(route) for route in low.hops], k.H_WIDTH),
        "hop": table([[hop] for hop in low.hop_of], 1),
        "link": np.zeros((len(low.links), k.K_WIDTH), np.int64),
        "memory": table([[0, core, 0, 0, 0, 0] for core in low.memories], k.M_WIDTH),
        "class": table([[size, 0, 0] for size in low.classes], k.Z_WIDTH),
    }


REFERENCES: tuple[tuple[str, int, str], ...] = (
    ("core", k.C_QUEUES, "user"),
    ("sequencer", k.S_CORE, "core"),
    ("sequencer", k.S_PC, "code"),
    ("code", k.I_PLAN, "plan"),
    ("code", k.I_SEM, "semaphore"),
    ("code", k.I_DST, "desc"),
    ("code", k.I_SRC, "desc"),
    ("code", k.I_B, "desc"),
    ("code", k.I_ROUTE, "route"),
    ("code", k.I_BACK, "route"),
    ("code", k.I_CLASS, "class"),
    ("code", k.I_XBAR, "crossbar"),
    ("crossbar", k.X_CORE, "core"),
    ("crossbar", k.X_CLUSTER, "cluster"),
    ("cluster", k.U_FIRST, "crossbar"),
    ("plan", k.P_READ0, "read"),
    ("read", k.R_XBAR, "crossbar"),
    ("read", k.R_BURST0, "burst"),
    ("read", k.R_TILE, "tile"),
    ("burst", k.B_ADC, "adc"),
    ("tile", k.L_OVERLAPS, "overlap"),
    ("overlap", 0, "tile"),
    ("user", 0, "sequencer"),
    ("route", k.H_FIRST, "hop"),
    ("hop", 0, "link"),
)
"""Section and field, and the section that it refers to."""


def relocate(sections: dict[str, State], begins: dict[str, int]) -> None:
    """Numbers to addresses; what a done or a turn refers to depends on the operation."""
    for name, column, to in REFERENCES:
        rows = sections[name]
        rows[:, column] = addresses(rows[:, column], to, sections, begins)
    code = sections["code"]
    for ops, column, to in (
        ((k.OP_PUT,), k.I_DONE, "semaphore"),
        ((k.OP_LOAD, k.OP_STORE), k.I_DONE, "memory"),
        ((k.OP_CELLS,), k.I_N, "tile"),
    ):
        mine = np.isin(code[:, k.I_OP], ops)
        code[mine, column] = addresses(code[mine, column], to, sections, begins)


def addresses(numbers: State, to: str, sections: dict[str, State], begins: dict[str, int]) -> State:
    there = begins[to] + numbers * sections[to].shape[1]
    return np.where(numbers < 0, 0, there)


def queue_rows(low: Lowered) -> tuple[list[tuple[int, int]], State]:
    """The sequencers of each core that use its crossbars: first and count, and all of them."""
    rows: list[tuple[int, int]] = []
    users: list[list[int]] = []
    number = 0
    for core in low.program.cores:
        first = len(users)
        for _ in core.sequencers:
            begin, end = low.code_range(number)
            if any(row[k.I_OP] in (k.OP_MVM, k.OP_CELLS) for row in low.code[begin:end]):
                users.append([number])
            number += 1
        rows.append((first, len(users) - first))
    return rows, table(users, 1)


def core_rows(low: Lowered, queues: Sequence[tuple[int, int]]) -> State:
    rows = np.zeros((len(low.program.cores), k.C_WIDTH), np.int64)
    for row, core, (first, count) in zip(rows, low.program.cores, queues, strict=True):
        row[k.C_NUMBER], row[k.C_QUEUES], row[k.C_QUEUE_COUNT] = core.core, first, count
    return rows


def sequencer_rows(low: Lowered) -> State:
    rows: list[list[int]] = []
    for dense, core in enumerate(low.program.cores):
        for index in range(len(core.sequencers)):
            row = [0] * k.S_WIDTH
            row[k.S_CORE], row[k.S_INDEX] = dense, index
            row[k.S_PC] = low.first_code[len(rows)]
            rows.append(row)
    return table(rows, k.S_WIDTH)


def crossbar_rows(low: Lowered) -> State:
    width = k.X_STAGE0 + low.target.crossbar.sample_holds
    rows = np.zeros((len(low.crossbars), width), np.int64)
    dense = {core.core: n for n, core in enumerate(low.program.cores)}
    for (core, _), x in low.crossbars.items():
        rows[x, k.X_CORE] = dense[core]
    for number, (first, count) in enumerate(low.clusters):
        rows[first : first + count, k.X_CLUSTER] = number
    rows[:, k.X_READY] = FOREVER
    rows[:, k.X_MINFILL] = shortest_fills(low)
    return rows


def shortest_fills(low: Lowered) -> State:
    """By crossbar: the shortest fill of any plan that reads it."""
    plan, read, _ = low.plan_tables
    shortest = np.full(len(low.crossbars), FOREVER >> 1)
    for timing in plan:
        begin = timing[k.P_READ0]
        bars = read[begin : begin + timing[k.P_READS], k.R_XBAR]
        shortest[bars] = np.minimum(shortest[bars], timing[k.P_FILL])
    return np.where(shortest == FOREVER >> 1, 1, shortest)


def tile_rows(low: Lowered) -> tuple[State, State]:
    """Which tiles are written at launch, and which lie on the cells of each that gets written."""
    cells = Cells.at_launch(low.program)
    rows = np.zeros((len(low.program.tiles), k.L_WIDTH), np.int64)
    flat: list[list[int]] = []
    for number, row in enumerate(rows):
        others = cells.overlaps.get(number, ())
        row[:] = int(number in cells.written), number, len(flat), len(others)
        flat += [[other] for other in others]
    return rows, table(flat, 1)


# Growth


def enlarge(made: Machine, low: Lowered, tasks: int) -> None:
    """Add free tasks, eight times as many nodes, and room for the regions that they hold."""
    m = made.m
    old = len(m)
    nodes = 8 * tasks
    m[k.G_FREE_TASKS] += tasks
    m[k.G_FREE_NODES] += nodes
    rows_t = chained(tasks, k.T_WIDTH, old, int(m[k.G_FREE_TASK]))
    at_nodes = old + rows_t.size
    rows_n = chained(nodes, k.N_WIDTH, at_nodes, int(m[k.G_FREE_NODE]))
    m[k.G_FREE_TASK], m[k.G_FREE_NODE] = old, at_nodes
    made.begins["tasks"] = made.begins.get("tasks", 0) + tasks
    at_lists = at_nodes + rows_n.size
    lists = class_lists(made, low, at_lists)
    made.m = np.concatenate([m, rows_t.ravel(), rows_n.ravel(), lists])


def chained(count: int, width: int, begin: int, last: int) -> State:
    """Rows in a list of free ones; field 0 says what follows."""
    rows = np.zeros((count, width), np.int64)
    rows[:, 0] = begin + width * np.arange(1, count + 1)
    rows[-1, 0] = last
    return rows


def class_lists(made: Machine, low: Lowered, begin: int) -> State:
    """Lists of free regions, each as long as there are tasks."""
    room = made.begins["tasks"]
    lists = np.zeros((len(low.classes), room), np.int64)
    for row, its in zip(made.rows("class", len(low.classes), k.Z_WIDTH), lists, strict=True):
        free, old = int(row[k.Z_FREE]), int(row[k.Z_LIST])
        its[:free] = made.m[old : old + free]
    for number, row in enumerate(made.rows("class", len(low.classes), k.Z_WIDTH)):
        row[k.Z_LIST] = begin + number * room
    return lists.ravel()
