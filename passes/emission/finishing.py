"""What ends a matrix operation: from accumulators to the numbers of its result."""

from __future__ import annotations

import numpy as np

from nmc.ir.matrices import weight_sums
from nmc.ir.ops import Op, QConv, QMatMul
from nmc.ir.program import Desc, Vec
from nmc.passes.emission.chip import ChipWriter

__all__ = ["finished", "matrix_records"]


def matrix_records(chip: ChipWriter, index: int) -> int:
    """Address at home of a stage's records, per output: bias with the zero-point term folded in,
    and the multiplier."""
    stage = chip.mapping.stages[index]
    anchor = chip.nodes[stage.nodes[0]]
    op = anchor.op
    if not isinstance(op, QConv | QMatMul):
        raise TypeError(f"{anchor} is no matrix operation")
    first, count = chip.mapping.made_chans(stage)
    mine = slice(first, first + count)
    bias = anchor.operand(2).array[mine].astype(np.int64)
    bias -= op.x_zero_point * weight_sums(anchor, mine)
    records = np.empty((count, 2), np.int32)
    records[:, 0] = bias
    records[:, 1] = anchor.operand(3).array[mine].astype(np.float32).view(np.int32)
    address = chip.address(index, stage.home, "records")
    chip.core(stage.home).image(address, records, f"{stage.name} bias and multiplier")
    return address


def finished(op: Op, dst: Desc, acc: Desc, table: Desc) -> Vec:
    """The instruction that ends a matrix operation: to bytes, or to real numbers."""
    if not isinstance(op, QConv | QMatMul):
        raise TypeError(f"{op} is no matrix operation")
    if op.out == "f32":
        return Vec("dequant", dst, acc, table)
    return Vec("requant", dst, acc, table, (op.y_zero_point, op.lo, op.hi))
