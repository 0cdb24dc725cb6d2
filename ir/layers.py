"""Layers of a Mapping: the stages that are copies and pieces of the same work, taken together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from nmc.ir.mapping import Mapping, Stage

__all__ = ["Layer", "layer_name", "layer_names", "layers_of"]


@dataclass(frozen=True, slots=True)
class Layer:
    """Stages `first` to `first + count - 1`: for each copy in order its pieces in order."""

    name: str
    first: int
    count: int

    @property
    def stages(self) -> range:
        return range(self.first, self.first + self.count)


def layers_of(mapping: Mapping) -> tuple[Layer, ...]:
    """In order of their stages; a layer is what makes one stream."""
    return tuple(_layers(mapping))


def _layers(mapping: Mapping) -> Iterator[Layer]:
    numbered = enumerate(mapping.stages)
    for _, group in groupby(numbered, key=lambda entry: entry[1].output):
        (first, stage), *others = group
        yield Layer(layer_name(stage), first, 1 + len(others))


def layer_name(stage: Stage) -> str:
    """The stage's name without what tells copies (``.3``) and pieces (``:1``) apart."""
    name = stage.name
    if stage.pieces > 1:
        name = name.removesuffix(f":{stage.piece}")
    if stage.copies > 1:
        name = name.removesuffix(f".{stage.copy}")
    return name


def layer_names(mapping: Mapping) -> dict[str, str]:
    """The layer's name, by the name of each of its stages."""
    return {stage.name: layer_name(stage) for stage in mapping.stages}
