"""What a pass is: a frozen dataclass whose fields are its options.

The contract, said once: the nouns verify before a pass and after it, and may be broken in between;
`run` says whether it changed anything; a problem in the user's model is a diagnostic, and the pass
goes on to find the others; a bug of ours is an exception.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from nmc.ir.design import Design
from nmc.ir.diagnostics import Report
from nmc.ir.mapping import Mapping

__all__ = ["Pass", "mapping_of"]


@dataclass(frozen=True)
class Pass(ABC):
    """Base of all passes.  The class docstring is the pass's specification.

    `name` is its spelling in a pipeline; `needs` and `gives` are the levels (`graph`,
    `partitioned`, `quantized`, `staged`, `tiled`, `placed`, `scheduled`, `buffered`, `program`)
    that the pipeline checks before it starts; `cite` names the source of its algorithm.
    """

    name: ClassVar[str]
    needs: ClassVar[str] = "graph"
    gives: ClassVar[str] = ""
    cite: ClassVar[str] = ""

    @abstractmethod
    def run(self, design: Design, report: Report) -> bool: ...


def mapping_of(design: Design) -> Mapping:
    """The mapping, which passes after `stage` rely on."""
    if design.mapping is None:
        raise ValueError("no mapping yet: the pass `stage` makes it")
    return design.mapping
