"""The fields of the rows that the fast engine's kernels work on.

Kernels know no objects.  Sequencers, instructions, tasks and units are rows in one array of int64,
the state `m`, and a row is known by where it begins: `m[s + S_DUE]` is a field of sequencer s.
0 and less stand for no row.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["FOREVER", "State", "table"]

State = npt.NDArray[np.int64]

FOREVER = 1 << 62


def table(rows: list[list[int]], width: int) -> State:
    """Rows of a section; none makes an empty one."""
    return np.asarray(rows, np.int64).reshape(len(rows), width)


OP_MVM, OP_VEC, OP_PUT, OP_LOAD, OP_STORE = range(5)
OP_WAIT, OP_SIGNAL, OP_CELLS, OP_LOOP, OP_END, OP_HALT = range(5, 11)

# an instruction
I_OP = 0
I_PLAN = 1  # mvm
I_SEM = 2  # what rises, or is waited for
I_N = 3  # wait, signal: how much; loop: turns; cells: tile's row
I_DST = 4  # descriptors
I_SRC = 5  # of vec: a
I_B = 6
I_CYCLES = 7  # vec: how long; load, store: of the memory port; cells: of writing
I_ROUTE = 8  # put, signal, load, store; none: to the own core
I_FLITS = 9
I_DONE = 10  # put: semaphore, or none; load, store: memory port
I_CLASS = 11  # size class of what is held between sampling and writing
I_BACK = 12  # load, store: route back
I_XBAR = 13  # cells: crossbar
I_LOCAL = 14  # signal: to the own core
I_STALL = 15  # cycles in which it was due and could not issue
I_WIDTH = 16

# a descriptor
D_OFFSET = 0
D_LOOP0 = 1
D_BASE = 5  # within its memory
D_RING = 6
D_ITEM = 7  # bytes of an element, or of the record that it points at
D_COUNT0 = 8  # three inner dimensions, outermost first
D_STEP0 = 11
D_AT = 14  # where its memory begins in a lane
D_BYTES = 15  # of all elements
D_WIDTH = 16

# a unit that serves one task after the other: part of a row
V_FREE = 0  # from when on
V_HEAD = 1  # the first that waits

# a core
C_NUMBER = 0
C_VECTOR = 1  # a server
C_PORT = 3  # a server
C_WIDTH = 5

# sequencers of a core that share crossbars: their fills go in turn
Q_FIRST = 0  # where the list of sequencers begins
Q_COUNT = 1
Q_WIDTH = 2

# a sequencer
S_CORE = 0
S_INDEX = 1  # within the core
S_PC = 2
S_DUE = 3
S_ASKED = 4  # a vec waits for the vector unit or is executing
S_HALTED = 5
S_DEPTH = 6  # open loops
S_NOC = 7  # messages that wait for the port
S_DMA = 8
S_QHEAD = 9  # the queue to the crossbars
S_QTAIL = 10
S_QCOUNT = 11
S_ARRIVED = 12  # when the head became the head with the fill port free
S_ISSUED = 13
S_WNEXT = 14  # the next that waits on the same semaphore
S_WANT = 15  # how much it waits for; 0 while it does not wait
S_HALT_CYCLE = 16
S_BACK = 17  # a server: write-back
S_GROUP = 19
S_BLOCKED = 20  # the field that counts the queue which it finds full, or 0
S_NUMBER = 21  # over all cores
S_IN_ORDER = 22  # whether its mvms end in the order in which they were issued
S_COUNT0 = 23  # iterations of the open loops, outermost first
S_LEFT0 = 27
S_BODY0 = 31
S_WIDTH = 35

# a semaphore
A_VALUE = 0
A_WAITING = 1  # the first sequencer that waits
A_WIDTH = 2

# a task: what is under way
T_NEXT = 0
T_SEQ = 1
T_CODE = 2
T_READS = 3  # mvm: crossbars whose last sample has no ADC yet
T_DONE = 4  # mvm: when the conversions known so far have ended
T_NUMBER = 5  # which of its sequencer's instructions it is
T_SRC = 6  # start offsets
T_DST = 7
T_HELD = 8  # where its bytes are held
T_LEG = 9  # messages: 0 out, 1 back
T_CROSSED = 10
T_READY = 11  # while it waits for a unit
T_KEY = 12  # breaks ties there
T_B = 13
T_DUE = 14  # mvm: its write-back cannot begin before
T_WIDTH = 15

# a crossbar; its sample-and-hold stages follow
X_CLUSTER = 0
X_KEY = 1  # of its sample, FOREVER without one
X_TAKEN = 2  # the cycle from which the latches are free, FOREVER while that is not known
X_WAITED = 3  # the group of which a head waits to know that
X_READING = 4  # until when
X_FLOW = 5  # what is latched and of which no phase is read
X_READ = 6
X_FULL = 7
X_PFLOW = 8  # what the sample is of
X_PREAD = 9
X_LEFT = 10  # phases after the sample's
X_ADC = 11  # the cell of the ADC with its longest burst, and how long that is
X_LONGEST = 12
X_WANTED = 13  # by a head that came earlier: the stamp of the step
X_STAGE0 = 14  # when the stages are free that do not hold the sample, in this order

# a cluster
U_FIRST = 0  # crossbar
U_AFTER = 1  # what comes after the last
U_AHEAD = 2  # no sample of a fill still to come is ready earlier than so many cycles from now
U_WAKE = 3  # when it is to be stepped next
U_ADC = 4  # the cell of its ADCs, if each read has one burst on the same; else none
U_WIDTH = 5

# a plan
P_FILL = 0
P_BACK = 1
P_READ0 = 2
P_READS = 3
P_WEIGHTS = 4  # where its weights begin, -1 if it is no product of integers
P_INPUTS = 5
P_OUTPUTS = 6
P_NUMBER = 7
P_SLOWEST = 8  # the read whose latches were the last to be free
P_WIDTH = 9

# one crossbar's part in it
R_XBAR = 0
R_TILE = 1
R_TIE = 2  # the low bits of its samples' keys: priority, then where in its cluster the row is
R_BURST0 = 3
R_BURSTS = 4
R_LONGEST = 5  # burst, in cycles
R_ADC = 6  # the cell of the ADC that converts it
R_WIDTH = 7

# a burst
B_ADC = 0  # the cell that says from when on the ADC is free
B_CYCLES = 1
B_WIDTH = 2

# an ADC's meter; that of its own row says where
Y_HOLDER = 0  # whose sample it converted last
Y_LATCHES = 1  # cycles that it was idle, by cause
Y_FILL = 2
Y_STAGES = 3
Y_READ = 4
Y_WIDTH = 5

# a crossbar's meter
XM_NEXT_ARRIVED = 0  # when what is latched was the next to be filled, and was filled
XM_NEXT_FILLING = 1
XM_ARRIVED = 2  # the same of what the sample is of
XM_FILLING = 3
XM_FULL = 4
XM_ABLE = 5  # when the sample's phase could have been read, but for stages
XM_WRITTEN = 6  # until when cells were written
XM_HOLDER = 7  # who had the latches last
XM_READER = 8  # whose phase was read last
XM_LATCHED = 9  # cycles that latches were taken, and stages
XM_STAGED = 10
XM_IDLE_LATCHES = 11  # cycles in which nothing was read, by cause
XM_IDLE_FILL = 12
XM_IDLE_STAGES = 13

# a sequencer's meter; the places of its queues hold cycles that instructions were in them
SM_STARTED = 0  # when the last of its mvms left the queue
SM_FILL_WAIT = 1
SM_BACK_WAIT = 2

# other meters
AM_RAISER = 0  # of a semaphore: the sequencer that raised it last, and when
AM_RAISED = 1
IM_SEQ = 0  # of an instruction: its sequencer
VM_HOLDER = 0  # of a server: whose task it served last

# waits for a unit by one sequencer behind another; 0 for no unit
W_UNIT = 0
W_WAITER = 1
W_HOLDER = 2
W_CYCLES = 3
W_WIDTH = 4

# a tile
L_WRITTEN = 0
L_NUMBER = 1
L_OVERLAPS = 2  # where the list of tiles on the same cells begins
L_COUNT = 3
L_WIDTH = 4

# a route; its list holds links
H_FIRST = 0
H_COUNT = 1
H_WIDTH = 2

# a link
K_NUMBER = 0  # by order of first use, from 1 on
K_SERVER = 1
K_WIDTH = 3

# a port of global memory
M_NUMBER = 0  # by order of first use, from 1 on
M_CORE = 1
M_SERVER = 2
M_OUT = 4  # its way into the mesh
M_WIDTH = 6

# a size class of held bytes
Z_SIZE = 0
Z_FREE = 1  # how many regions lie free
Z_LIST = 2  # where they are listed
Z_WIDTH = 3

# single values
(
    G_NONE,
    G_NOW,
    G_SERIAL,
    G_FREE_TASK,
    G_FREE_TASKS,
    G_FREE_NODE,
    G_FREE_NODES,
    G_FAR,
    G_FAR_FIRST,
    G_STAMP,
    G_TRACE,
    G_ROWS,
    G_ROOM,
    G_LINKS,
    G_MEMS,
    G_HELD_TOP,
    G_DEPTH,
    G_SHIFT_ADD,
    G_READ,
    G_HOLDS,
    G_PHASES,
    G_HOP,
    G_LATENCY,
    G_RECORD,
    G_ERROR,
    G_MISSING,
    G_SEQ0,
    G_SEQS,
    G_MARGIN,
    G_BAR,
    G_STARTED,
    G_KEY_BITS,
    G_PLACE_MASK,
    G_METER,
    G_PAIRS,
    G_PAIRS_MASK,
    G_PAIRS_COUNT,
    G_WIDTH,
) = range(38)

# the agenda: a list for each of the next cycles, and a bit for each list that is not empty
SLOTS = 1024
SLOT0 = 64
BITS0 = SLOT0 + SLOTS
FIRST_ROW = BITS0 + SLOTS // 64

# an entry of the agenda
N_NEXT = 0
N_KEY = 1
N_LOAD = 2
N_CYCLE = 3
N_WIDTH = 4

# a row of the trace
TR_WHAT = 0
TR_CODE = 1
TR_HELD = 2
TR_FIRST = 3
TR_SECOND = 4
TR_WIDTH = 5

SAMPLE = 0  # operands are read; what comes of them is held
COMMIT = 1  # what is held is written
STORED = 2  # bytes have come into global memory, in cycle SECOND

# ranks: the order of units within a cycle
RANK_SHIFT = 59
RANK_CLUSTER = 1
RANK_FILL = 3
RANK_BACK = 4
RANK_PORT = 5
RANK_LINK = 6
RANK_MEMORY = 7
RANK_SEQUENCER = 8
RANK_VECTOR = 9

# effects; they go by the cycle in which they were announced, by whom, and as the how many-th
RANK_BITS = 4
SERIAL_BITS = 18
LAST_CYCLE = (1 << (RANK_SHIFT - RANK_BITS - SERIAL_BITS)) - 1
EFFECT_SHIFT = 40
E_MVM = 0
E_VEC = 1
E_CELLS = 2
E_RAISE = 3  # an instruction's semaphore, by its N
E_LEFT = 4
E_ARRIVED = 5
E_SERVED = 6

# how the main loop ended
ENDED = 0
FULL = 1  # the trace is full
SHORT = 2  # tasks or nodes run short
LIMIT = 3
UNWRITTEN = 4  # cells are read that are not written
CROWDED = 5  # the table of waits is half full
