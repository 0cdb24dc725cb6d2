"""What passes work on: one compilation's nouns, from the Graph to the Program."""

from __future__ import annotations

from collections.abc import Mapping as Dict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nmc.ir.diagnostics import NOWHERE, Loc
from nmc.ir.graph import Array, Graph

if TYPE_CHECKING:
    from nmc.ir.interpreter import HostRunner
    from nmc.ir.mapping import Mapping
    from nmc.ir.program import Program
    from nmc.ir.target import Target

__all__ = ["Calibration", "Decision", "Design", "Outlook"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Inputs that stand for what the model will see: name -> array[samples, *shape without batch].

    `origin` is said in reports: the file and key they came from, or how they were made up.
    """

    inputs: dict[str, Array]
    origin: str
    random: bool = False

    @property
    def samples(self) -> int:
        return min((len(a) for a in self.inputs.values()), default=0)


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody has decided about a layer; None leaves it to the passes.

    `way` is a name such as `im2col` or `window 1x2`, `share` how many rows the copies deal out at a
    time, `cuts` are the output channels at which its matrix is cut into pieces.  `loc` is where
    that was said, `places` where each of them was.
    """

    way: str | None = None
    copies: int | None = None
    share: int | None = None
    cuts: tuple[int, ...] | None = None
    loc: Loc = NOWHERE
    places: Dict[str, Loc] = field(default_factory=dict[str, Loc], compare=False)

    def at(self, key: str) -> Loc:
        """Where `way`, `copies`, `share` or `cuts` was decided."""
        return self.places.get(key, self.loc)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What ways and copies were chosen for: `value` was reached by the time model, and nothing less
    than `bound` can be; cycles, or fJ for the objective `energy`."""

    objective: str
    value: int
    bound: int


@dataclass(slots=True)
class Design:
    """The state of one compilation.

    A pass reads the nouns that it needs and writes those it promises; nothing else passes between
    passes.  `mapping` appears with the pass `stage`, `programs` (one per chip step of the mapping,
    in order) with `codegen`.  `host_ops` is False when a model that needs the host is an error.
    `host` computes opaque nodes wherever a pass runs the graph on calibration data.  `decisions` of
    the user, by layer, bind the passes; `outlook` is what `replicate` expects of its choice.
    """

    graph: Graph
    target: Target
    calibration: Calibration | None = None
    mapping: Mapping | None = None
    programs: list[Program] = field(default_factory=list["Program"])
    seed: int = 0
    host_ops: bool = True
    host: HostRunner | None = None
    decisions: dict[str, Decision] = field(default_factory=dict[str, Decision])
    outlook: Outlook | None = None
