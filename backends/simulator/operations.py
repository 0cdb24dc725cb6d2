"""Instructions made ready to execute: operands compiled to accesses, durations looked up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from nmc.backends.simulator.memory import RECORD, SCALE_SHIFT, Access
from nmc.backends.simulator.timing import vec_cycles, vec_elements
from nmc.ir import program as p
from nmc.ir.target import Target

__all__ = ["Move", "Operation", "VecOperation", "prepare"]

I_co = TypeVar("I_co", bound=p.Instruction, covariant=True)


@dataclass(frozen=True, slots=True)
class Operation(Generic[I_co]):
    """An instruction without operands in memory."""

    instruction: I_co


@dataclass(frozen=True, slots=True)
class Move(Operation[I_co]):
    """mvm, put, load, store: bytes from src lead to bytes at dst."""

    dst: Access
    src: Access


@dataclass(frozen=True, slots=True)
class VecOperation(Operation[p.Vec]):
    dst: Access
    a: Access | None
    b: Access | None
    cycles: int
    elements: int


def prepare(instruction: p.Instruction, target: Target) -> Operation[p.Instruction]:
    match instruction:
        case p.Mvm() | p.Put() | p.Load() | p.Store():
            return Move(instruction, Access(instruction.dst), Access(instruction.src))
        case p.Vec(op=op, dst=dst, a=a, b=b):
            return VecOperation(
                instruction,
                Access(dst),
                None if a is None else Access(a),
                None if b is None else Access(b, record_type(op)),
                vec_cycles(instruction, target),
                vec_elements(instruction),
            )
        case _:
            return Operation(instruction)


def record_type(op: str) -> np.dtype[Any] | None:
    """The type of records that operand b addresses, if the operation takes records."""
    if op == "layernorm":
        return SCALE_SHIFT
    return RECORD if op in ("requant", "dequant") else None
