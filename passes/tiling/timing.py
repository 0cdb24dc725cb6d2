"""How often a copy of a layer can read: the target's times for one mvm after the other.

docs/machine.md, Time, says what an mvm waits for.  The mvms of a copy come at the pace of the
slowest of the loops that they close in that schedule (the greatest mean weight of a cycle, as in
any max-plus system: Baccelli, Cohen, Olsder and Quadrat, Synchronization and Linearity, 1992).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nmc.ir.target import Target

__all__ = ["conversion_cycles", "read_interval", "vector_cycles"]

Ints = npt.NDArray[np.int64]


@lru_cache(maxsize=64)
def conversion_cycles(target: Target) -> Ints:
    """ADC cycles for all slices of one output in one phase, by used rows: i64[rows + 1].

    At the fewest bits that lose nothing, at most the ADC's.  The unit column of encodings without
    pairs is not in it.
    """
    rows = np.arange(target.crossbar.rows + 1)
    total = np.zeros(len(rows), np.int64)
    for number in range(target.slices):
        bits = bits_needed(target, rows, number)
        times = [target.conversion_cycles(n) for n in range(1, target.adc.bits + 1)]
        total += np.array(times, np.int64)[bits - 1]
    return total


def bits_needed(target: Target, rows: Ints, slice_number: int) -> Ints:
    """ADC bits that cover what a slice of so many rows can show, at most the ADC's."""
    differential = target.crossbar.encoding == "differential"
    held = target.numbers.weight_bits - differential - slice_number * target.crossbar.cell_bits
    level = (1 << min(held, target.crossbar.cell_bits)) - 1
    peak = rows * target.crossbar.max_digit * level
    # frexp: the bits of a whole number.
    bits = np.frexp(peak.astype(np.float64))[1] + differential
    return np.asarray(np.clip(bits, 1, target.adc.bits), np.int64)


def read_interval(
    target: Target, conversion: Ints, fill: Ints, write_back: Ints, fills: Ints | None = None
) -> Ints:
    """Cycles from one read of a copy to its next.

    `conversion`: of a phase of its busiest ADC.  `fill`: of one gather; `fills`: of all gathers of
    a read, which one sequencer makes one after the other.  `write_back`: of all accumulators.
    """
    phases, read, stages = target.phases, target.read_cycles, target.crossbar.sample_holds
    loops = [
        # The ADCs never rest; each stage is read into, then converted.
        phases * conversion,
        -(-phases * (read + conversion) // stages),
        # The latches: all phases begin, then the next bytes come in.
        (phases - 1) * read + np.maximum(read, fill),
        fill if fills is None else fills,
        write_back,
    ]
    if stages == 1:
        loops.append(fill + (phases - 1) * (read + conversion))
    elif phases > stages:
        # The last phase begins only when the ADCs have gone through all but `stages` of them.
        loops.append(fill + read + (phases - stages) * conversion)
    return np.asarray(np.maximum.reduce([np.asarray(loop) for loop in loops]))


def vector_cycles(target: Target, op: str, elements: int) -> int:
    """One operation of the vector unit on so many elements (multiplications, for matmul)."""
    vector = target.vector
    return -(-elements // vector.lanes) * vector.element_cycles(op) + vector.op_latency_cycles(op)
