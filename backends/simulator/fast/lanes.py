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
from nmc.backends.simulator.fast.values import Bytes, Words, execute_rows, gather, scatter
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
    weights: Words
    kernels: dict[int, Kernel]
    most_outputs: int


def products_of(low: Lowered) -> Products:
    tiles, target = low.program.tiles, low.target
    plans = [plan for core in low.program.cores for plan in core.plans]
    begins: list[int] = []
    blocks: list[Words] = []
    kernels: dict[int, Kernel] = {}
    top = 0
    for number, plan in enumerate(plans):
        if not all(lossless(read, tiles[read.tile], target) for read in plan.reads):
            kernels[number] = sliced_plan(plan, tiles, target)
            begins.append(-1)
            continue
        matrix = np.zeros((plan.input_bytes, plan.outputs), np.int64)
        for read in plan.reads:
            tile = tiles[read.tile]
            columns = slice(read.output0, read.output0 + tile.outputs)
            matrix[read.input0 : read.input0 + tile.rows, columns] += weights(tile, target)
        begins.append(top)
        blocks.append(matrix.astype(np.int32).ravel())
        top += matrix.size
    flat = np.concatenate([*blocks, np.zeros(1, np.int32)])
    most = max((plan.outputs for plan in plans), default=1)
    return Products(np.asarray(begins, np.int64), flat, kernels, most)


class Lanes:
    """A group of lanes; `memory` is u8[lanes, bytes], part of the memory of all."""

    def __init__(self, low: Lowered, products: Products, memory: Bytes) -> None:
        self.low = low
        self.products = products
        self.memory = memory
        self.held: Bytes = np.empty((len(memory), 0), np.uint8)
        self.sums: Words = np.zeros(max(1, products.most_outputs), np.int32)

    @property
    def every(self) -> tuple[int, int]:
        return 0, len(self.memory)

    def execute(self, machine: Machine) -> None:
        """Carry out what the machine has written down."""
        m, rows = machine.m, int(machine.m[k.G_ROWS])
        needed = int(m[k.G_HELD_TOP])
        if needed > self.held.shape[1]:
            grown = np.empty((len(self.memory), 2 * needed), np.uint8)
            grown[:, : self.held.shape[1]] = self.held
            self.held = grown
        row = 0
        while row < rows:
            row = execute_rows(
                m,
                (row, rows),
                self.every,
                self.memory,
                self.held,
                self.products.weights,
                self.sums,
            )
            if row < rows:
                self._special(machine, machine.trace[row])
                row += 1

    def _special(self, machine: Machine, row: State) -> None:
        at = int(row[k.TR_CODE])
        code = machine.m[at : at + k.I_WIDTH]
        number = (at - machine.begins["code"]) // k.I_WIDTH
        instruction = self.low.instructions[number]
        if isinstance(instruction, p.Vec):
            self._vec(machine.m, instruction, code, row)
        else:
            self._mvm(machine.m, code, row)

    def _mvm(self, m: State, code: State, row: State) -> None:
        plan, region = code[k.I_PLAN], int(row[k.TR_HELD])
        kernel = self.products.kernels[int(m[plan + k.P_NUMBER])]
        x = self.held[:, region : region + m[plan + k.P_INPUTS]]
        self._keep(region, kernel(x))
        first = int(row[k.TR_FIRST])
        scatter(m, int(code[k.I_DST]), first, self.every, self.memory, self.held, region)

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
        result = apply(vec.op, Operands(a, b, vec.imm, dtype, shape, lanes))
        self._keep(int(row[k.TR_HELD]), result)

    def _read(self, m: State, desc: p.Desc, number: int, start: int, dtype: np.dtype[Any]) -> Array:
        lanes = len(self.memory)
        data = np.empty((lanes, desc.elements * dtype.itemsize), np.uint8)
        gather(m, number, start, self.every, self.memory, data, 0)
        return data.view(dtype).reshape(lanes, *(dim.count for dim in desc.dims))

    def _keep(self, region: int, values: Array) -> None:
        data = np.ascontiguousarray(values).reshape(len(self.memory), -1).view(np.uint8)
        self.held[:, region : region + data.shape[1]] = data
