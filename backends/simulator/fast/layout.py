"""The fields of the rows that the fast engine's kernels work on.

Kernels know no objects.  Sequencers, instructions, tasks and units are rows in one array of int64,
the state `m`, and a row is known by where it begins: `m[s + S_DUE]` is a field of sequencer s.
0 and less stand for no row.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["FOREVER", "State"]

State = npt.NDArray[np.int64]

FOREVER = 1 << 62

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
C_QUEUES = 5  # where the list of sequencers that use crossbars begins
C_QUEUE_COUNT = 6
C_WIDTH = 7

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
S_COUNT0 = 19  # iterations of the open loops, outermost first
S_LEFT0 = 23
S_BODY0 = 27
S_WIDTH = 31

# a semaphore
A_VALUE = 0
A_WAITING = 1  # the first sequencer that waits
A_WIDTH = 2

# a task: what is under way
T_NEXT = 0
T_SEQ = 1
T_CODE = 2
T_SAMPLES = 3  # mvm: (crossbar, phase) pairs that are not converted
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
T_WIDTH = 14

# a crossbar; its stages follow
X_CORE = 0
X_CLUSTER = 1
X_PRIORITY = 2  # of what waits for ADCs
X_TAKEN = 3  # the cycle from which the latches are free
X_READING = 4
X_FLOW = 5  # what is latched, and not read in all phases
X_READ = 6
X_FULL = 7
X_PHASE = 8
X_READY = 9  # the sample that waits for ADCs, FOREVER if none
X_PFLOW = 10
X_PREAD = 11
X_PSTAGE = 12
X_WANTED = 13  # by a head that came earlier: the stamp of the step
X_MINFILL = 14
X_STAGE0 = 15

# a cluster
U_FIRST = 0  # crossbar
U_COUNT = 1
U_WIDTH = 2

# a plan
P_FILL = 0
P_BACK = 1
P_PRIORITY = 2
P_READ0 = 3
P_READS = 4
P_WEIGHTS = 5  # where its weights begin, -1 if it is no product of integers
P_INPUTS = 6
P_OUTPUTS = 7
P_NUMBER = 8
P_WIDTH = 9

# one crossbar's part in it
R_XBAR = 0
R_BURST0 = 1
R_BURSTS = 2
R_TILE = 3
R_LONGEST = 4  # burst, in cycles
R_WIDTH = 5

# a burst
B_ADC = 0  # the cell that says from when on the ADC is free
B_CYCLES = 1
B_WIDTH = 2

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
    G_WIDTH,
) = range(31)

# the agenda: a list for each of the next cycles, and a bit for each list that is not empty
SLOTS = 4096
SLOT0 = 32
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
RANK_SHIFT = 48
RANK_CLUSTER = 1
RANK_FILL = 3
RANK_BACK = 4
RANK_PORT = 5
RANK_LINK = 6
RANK_MEMORY = 7
RANK_SEQUENCER = 8
RANK_VECTOR = 9

# effects
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
