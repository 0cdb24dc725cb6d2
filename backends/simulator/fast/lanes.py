"""Lanes of the fast engine: their memories, and the steps of a trace that need numpy.

Lanes are independent of each other, so that groups of them run side by side on several cores of
the host, with the same results whatever their number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nmc.backends.simulator.fast import layout as k
from nmc.backends.simulator.fast.layout import State
from nmc.backends.simulator.fast.lowering import Lowered
from nmc.backends.simulator.fast.sliced import sliced_plan
from nmc.backends.simulator.fast.state import Machine
from nmc.backends.simulator.fast.values import (
    BLOCK,
    Bytes,
    Group,
    Weights,
    execute_rows,
    move,
)
from nmc.backends.simulator.fast.vector_rows import VectorRows, vector_rows
from nmc.backends.simulator.fast.vectors import Place, place_in, scratch
from nmc.backends.simulator.functions import Operands, apply
from nmc.backends.simulator.operations import record_type
from nmc.backends.simulator.reads import lossless, weights
from nmc.ir import program as p
from nmc.ir.graph import DTYPES, Array

__all__ = ["Lanes", "Products", "products_of"]

Kernel = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.int32]]


@dataclass(frozen=True, slots=True)
class Products:
    """How each plan is computed: `begins` says where in `weights` those of a plan begin that is a
    product of integers; all others have `kernels`, by number of the plan, and -1.

    Other devices have kernels of their own, which take the same place.
    """

    begins: State
    weights: Weights
    kernels: dict[int, Kernel]
    most_outputs: int
    vectors: VectorRows


def products_of(low: Lowered) -> Products:
    tiles, target = low.program.tiles, low.target
    plans = [plan for core in low.program.cores for plan in core.plans]
    begins: list[int] = []
    blocks: list[Weights] = []
    kernels: dict[int, Kernel] = {}
    top = 0
    for number, plan in enumerate(plans):
        matrix = matrix_of(plan, low)
        if matrix is None:
            kernels[number] = sliced_plan(plan, tiles, target)
            begins.append(-1)
            continue
        begins.append(top)
        blocks.append(matrix.ravel())
        top += matrix.size
    flat = np.concatenate([*blocks, np.zeros(1, np.int16)])
    most = max((plan.outputs for plan in plans), default=1)
    return Products(
        np.asarray(begins, np.int64), flat, kernels, most, vector_rows(low.instructions)
    )


def matrix_of(plan: p.ReadPlan, low: Lowered) -> Weights | None:
    """i16[outputs, inputs], if the plan is a product of integers that fit."""
    tiles, target = low.program.tiles, low.target
    if not all(lossless(read, tiles[read.tile], target) for read in plan.reads):
        return None
    matrix = np.zeros((plan.outputs, plan.input_bytes), np.int64)
    for read in plan.reads:
        tile = tiles[read.tile]
        rows = slice(read.output0, read.output0 + tile.outputs)
        matrix[rows, read.input0 : read.input0 + tile.rows] += weights(tile, target).T
    # Several tiles may add up in one place, though hardly so many.
    return matrix.astype(np.int16) if np.abs(matrix).max(initial=0) < 1 << 15 else None


class Lanes:
    """A group of lanes; `memory` is u8[lanes, bytes], part of the memory of all."""

    def __init__(self, low: Lowered, products: Products, memory: Bytes, code: int) -> None:
        self.low = low
        self.products = products
        self.memory = memory
        block = min(BLOCK, len(memory))
        self.group = Group(
            memory,
            place_in(np.empty((len(memory), 0), np.uint8)),
            products.weights,
            place_in(np.zeros((block, 4 * max(1, products.most_outputs)), np.uint8)),
            products.vectors.rows,
            products.vectors.numbers,
            scratch(block, products.vectors.most_bytes),
            code,
        )

    @property
    def held(self) -> Place:
        return self.group.held

    def execute(self, machine: Machine) -> None:
        """Carry out what the machine has written down."""
        m, rows = machine.m, int(machine.m[k.G_ROWS])
        self._hold(int(m[k.G_HELD_TOP]))
        row = 0
        while row < rows:
            row = execute_rows(m, row, rows, self.group)
            if row < rows:
                self._special(machine, machine.trace[row])
                row += 1

    def _hold(self, needed: int) -> None:
        """Room for so many bytes, a multiple of 4, in each lane."""
        old = self.held.bytes
        if needed > old.shape[1]:
            grown = np.empty((len(self.memory), needed + needed // 2 // 64 * 64), np.uint8)
            grown[:, : old.shape[1]] = old
            self.group = self.group._replace(held=place_in(grown))

    def _special(self, machine: Machine, row: State) -> None:
        at = int(row[k.TR_CODE])
        code = machine.m[at : at + k.I_WIDTH]
        instruction = self.low.instructions[(at - self.group.code) // k.I_WIDTH]
        if isinstance(instruction, p.Vec):
            self._vec(machine.m, instruction, code, row)
        else:
            self._mvm(machine.m, code, row)

    def _mvm(self, m: State, code: State, row: State) -> None:
        plan, region = code[k.I_PLAN], int(row[k.TR_HELD])
        kernel = self.products.kernels[int(m[plan + k.P_NUMBER])]
        x = self.held.bytes[:, region : region + m[plan + k.P_INPUTS]]
        sums = np.ascontiguousarray(kernel(x)).view(np.uint8)
        move(m, int(code[k.I_DST]), int(row[k.TR_FIRST]), self.memory, sums, 0, False)

    def _vec(self, m: State, vec: p.Vec, code: State, row: State) -> None:
        lanes = len(self.memory)
        dtype = DTYPES[vec.dst.dtype]
        shape = tuple(dim.count for dim in vec.dst.dims)
        a = np.empty((lanes, 0), dtype)
        if vec.a is not None:
            kind = DTYPES[vec.a.dtype]
            a = self._read(m, vec.a, int(code[k.I_SRC]), int(row[k.TR_FIRST]), kind)
        b = None
        if vec.b is not None:
            kind = record_type(vec.op) or DTYPES[vec.b.dtype]
            b = self._read(m, vec.b, int(code[k.I_B]), int(row[k.TR_SECOND]), kind)
        values = apply(vec.op, Operands(a, b, vec.imm, dtype, shape, lanes))
        region = int(row[k.TR_HELD])
        data = np.ascontiguousarray(values).reshape(lanes, -1).view(np.uint8)
        self.held.bytes[:, region : region + data.shape[1]] = data

    def _read(self, m: State, desc: p.Desc, number: int, start: int, dtype: np.dtype[Any]) -> Array:
        lanes = len(self.memory)
        data = np.empty((lanes, desc.elements * dtype.itemsize), np.uint8)
        move(m, number, start, self.memory, data, 0, True)
        return data.view(dtype).reshape(lanes, *(dim.count for dim in desc.dims))
