"""The state of the fast engine at launch: all rows in one array, and more when they run short."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nmc.backends.simulator.core import Cells
from nmc.backends.simulator.fast import layout as k
from nmc.backends.simulator.fast.layout import FOREVER, State, table
from nmc.backends.simulator.fast.lowering import Lowered
from nmc.backends.simulator.fast.meters import waited
from nmc.backends.simulator.fast.plans import most_pairs

__all__ = ["Machine", "enlarge", "machine"]

TRACE_ROWS = 1 << 15

MOST_PAIRS = 1 << 20
"""A program whose sequencers can wait for each other in more ways than this is not metered."""


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

    def meters(self, name: str, count: int, width: int) -> State:
        """A view of the rows' meters; only of a machine that has them."""
        begin = self.begins[name] + int(self.m[k.G_METER])
        return self.m[begin : begin + count * width].reshape(count, width)

    @property
    def waits(self) -> State:
        """A copy of the rows of waits: unit, waiting sequencer, holder, cycles."""
        begin = int(self.m[k.G_PAIRS])
        places = int(self.m[k.G_PAIRS_MASK]) + 1 if begin else 0
        rows = self.m[begin : begin + places * k.W_WIDTH].reshape(places, k.W_WIDTH)
        return rows[rows[:, k.W_UNIT] > 0]

    @property
    def trace(self) -> State:
        begin, count = int(self.m[k.G_TRACE]), int(self.m[k.G_ROWS])
        return self.m[begin : begin + count * k.TR_WIDTH].reshape(count, k.TR_WIDTH)


def machine(low: Lowered, *, record: bool, meter: bool) -> Machine:
    """At launch; with `record` the kernels write down which bytes move when, with `meter` who
    waited for what."""
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
    enlarge(made, low, 2 * made.margin)
    trace = made.margin + (TRACE_ROWS if record else 64)
    made.m[k.G_TRACE], made.m[k.G_ROOM] = len(made.m), trace
    made.m = np.concatenate([made.m, np.zeros(trace * k.TR_WIDTH, np.int64)])
    pairs = most_pairs(low) if meter else 0
    if meter and pairs <= MOST_PAIRS:
        add_meters(made, low, top - k.FIRST_ROW, pairs)
    return made


def single_values(made: Machine, low: Lowered, record: bool) -> None:
    target = low.target
    values = {
        k.G_FAR_FIRST: FOREVER,
        k.G_KEY_BITS: low.key_bits,
        k.G_PLACE_MASK: (1 << low.place_bits) - 1,
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
        k.G_BAR: low.bar_width,
    }
    for place, value in values.items():
        made.m[place] = value


# Sections.  Rows refer to each other by number at first, -1 for none; then by address.


def sections_of(low: Lowered) -> dict[str, State]:
    plan, read, burst = (rows.copy() for rows in low.plan_tables)
    groups, users = group_rows(low)
    tiles, overlaps = tile_rows(low)
    numbers = [[core.core, 0, 0, 0, 0] for core in low.program.cores]
    return {
        "core": table(numbers, k.C_WIDTH),
        "group": groups,
        "sequencer": sequencer_rows(low),
        "code": table(low.code, k.I_WIDTH),
        "desc": table(low.desc, k.D_WIDTH),
        "semaphore": table([[v, 0] for c in low.program.cores for v in c.semaphores], k.A_WIDTH),
        "crossbar": crossbar_rows(low),
        "cluster": cluster_rows(low),
        "plan": plan,
        "read": read,
        "burst": burst,
        "adc": np.zeros((len(set(low.adc_classes.values())), 1), np.int64),
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
    ("group", k.Q_FIRST, "user"),
    ("sequencer", k.S_CORE, "core"),
    ("sequencer", k.S_PC, "code"),
    ("sequencer", k.S_GROUP, "group"),
    ("code", k.I_PLAN, "plan"),
    ("code", k.I_SEM, "semaphore"),
    ("code", k.I_DST, "desc"),
    ("code", k.I_SRC, "desc"),
    ("code", k.I_B, "desc"),
    ("code", k.I_ROUTE, "route"),
    ("code", k.I_BACK, "route"),
    ("code", k.I_CLASS, "class"),
    ("code", k.I_XBAR, "crossbar"),
    ("crossbar", k.X_CLUSTER, "cluster"),
    ("cluster", k.U_FIRST, "crossbar"),
    ("cluster", k.U_AFTER, "crossbar"),
    ("cluster", k.U_ADC, "adc"),
    ("plan", k.P_READ0, "read"),
    ("plan", k.P_SLOWEST, "read"),
    ("read", k.R_XBAR, "crossbar"),
    ("read", k.R_BURST0, "burst"),
    ("read", k.R_TILE, "tile"),
    ("read", k.R_ADC, "adc"),
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


def group_rows(low: Lowered) -> tuple[State, State]:
    """Groups of sequencers: first and count; and their sequencers, group after group."""
    rows: list[list[int]] = []
    users: list[list[int]] = []
    for group in low.groups:
        rows.append([len(users), len(group)])
        users += [[number] for number in group]
    return table(rows, k.Q_WIDTH), table(users, 1)


def sequencer_rows(low: Lowered) -> State:
    rows: list[list[int]] = []
    group_of = {number: n for n, group in enumerate(low.groups) for number in group}
    for dense, core in enumerate(low.program.cores):
        for index in range(len(core.sequencers)):
            number = len(rows)
            row = [0] * k.S_WIDTH
            row[k.S_CORE], row[k.S_INDEX], row[k.S_NUMBER] = dense, index, number
            row[k.S_PC] = low.first_code[number]
            row[k.S_GROUP] = group_of.get(number, -1)
            row[k.S_IN_ORDER] = int(number in low.in_order)
            rows.append(row)
    return table(rows, k.S_WIDTH)


def crossbar_rows(low: Lowered) -> State:
    rows = np.zeros((len(low.crossbars), low.bar_width), np.int64)
    for number, (first, count) in enumerate(low.clusters):
        rows[first : first + count, k.X_CLUSTER] = number
    rows[:, k.X_KEY] = FOREVER
    return rows


def cluster_rows(low: Lowered) -> State:
    """A fill that begins now has a sample ready after the shortest of the cluster, and a read."""
    plan, read, _ = low.plan_tables
    clusters = table([[first, first + count] for first, count in low.clusters], 2)
    rows = np.zeros((len(clusters), k.U_WIDTH), np.int64)
    rows[:, [k.U_FIRST, k.U_AFTER]] = clusters
    rows[:, k.U_WAKE] = FOREVER
    cluster = np.searchsorted(clusters[:, 0], read[:, k.R_XBAR], side="right") - 1
    shortest = np.full(len(rows), FOREVER)
    np.minimum.at(shortest, cluster, np.repeat(plan[:, k.P_FILL], plan[:, k.P_READS]))
    rows[:, k.U_AHEAD] = np.maximum(1, shortest + low.target.read_cycles)
    # A read of no burst, or of several, counts as one on none of the ADCs and on all.
    alone = read[:, k.R_BURSTS] == 1
    least, most = np.full(len(rows), FOREVER), np.full(len(rows), -1)
    np.minimum.at(least, cluster, np.where(alone, read[:, k.R_ADC], -1))
    np.maximum.at(most, cluster, np.where(alone, read[:, k.R_ADC], FOREVER))
    rows[:, k.U_ADC] = np.where(least == most, least, -1)
    return rows


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


# Meters


def add_meters(made: Machine, low: Lowered, size: int, pairs: int) -> None:
    """A second row for each row of the first `size` words, and the table of waits.

    Half of that table is room for all that can be new before it is next looked at: in clusters,
    which run ahead, and by one wait a cycle of any other unit or sequencer.
    """
    m, adcs = made.m, len(set(low.adc_classes.values()))
    made.begins["adc meter"] = len(m) + size
    made.m = np.concatenate([m, np.zeros(size + adcs * k.Y_WIDTH, np.int64)])
    made.m[k.G_METER] = len(m) - k.FIRST_ROW
    own = made.begins["adc meter"] + k.Y_WIDTH * np.arange(adcs)
    made.meters("adc", adcs, 1)[:, 0] = own
    semaphores = sum(len(core.semaphores) for core in low.program.cores)
    made.meters("semaphore", semaphores, k.A_WIDTH)[:, k.AM_RAISED] = -1
    code = made.meters("code", len(low.code), k.I_WIDTH)
    for number in range(len(low.first_code)):
        begin, after = low.code_range(number)
        code[begin:after, k.IM_SEQ] = made.begins["sequencer"] + number * k.S_WIDTH
    widen(made, 4 * (pairs + made.margin))


def widen(made: Machine, least: int = 0) -> None:
    """Make room for twice as many waits, and at least so many."""
    m, waits = made.m, made.waits
    places = max(2 * (int(m[k.G_PAIRS_MASK]) + 1), 1 << least.bit_length())
    m[k.G_PAIRS], m[k.G_PAIRS_MASK], m[k.G_PAIRS_COUNT] = len(m), places - 1, 0
    made.m = np.concatenate([m, np.zeros(places * k.W_WIDTH, np.int64)])
    for unit, waiter, holder, cycles in waits.tolist():
        waited(made.m, unit, waiter, holder, cycles)


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
