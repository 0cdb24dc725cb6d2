"""What placement sets aside on each core is no less than what later passes take there."""

from __future__ import annotations

from collections import Counter

import pytest

from nmc.ir.mapping import Mapping
from nmc.ir.matrices import nodes_by_result
from nmc.ir.token_game import ring_depths
from nmc.passes.base import mapping_of
from nmc.passes.placing.asks import links_of
from nmc.passes.placing.needs import Needs
from nmc.targets import override
from tests.passes.lowering import lowered, roomy
from tests.passes.random_nets import random_net


def runs_of(mapping: Mapping, index: int) -> tuple[int, ...]:
    """How many tiles of a stage lie on each of its cores."""
    held = Counter(t.core for _, t in mapping.tiles_of(index))
    return tuple(held[core] for core in mapping.stages[index].cores)


@pytest.mark.parametrize("seed", range(12))
def test_sequencers_semaphores_and_memory_are_enough(seed: int) -> None:
    target = override(roomy(["crossbar.rows=16"]), ["mesh.width=6", "mesh.height=6"])
    design = lowered(random_net(seed, 8), target)
    mapping = mapping_of(design)
    needs = Needs(mapping, nodes_by_result(design.graph), ring_depths(mapping), links_of(mapping))
    for step, program in zip(
        sorted({s.step for s in mapping.stages}), design.programs, strict=True
    ):
        sequencers, semaphores, sram = Counter[int](), Counter[int](), Counter[int]()
        for index, stage in mapping.stages_of(step):
            need = needs.of(index, runs_of(mapping, index))
            for part, core in enumerate(stage.cores):
                sequencers[core] += int(need.sequencers[part])
                semaphores[core] += int(need.semaphores[part])
                sram[core] += int(need.sram_bytes[part])
        for each in program.cores:
            assert len(each.sequencers) <= sequencers[each.core]
            assert len(each.semaphores) <= semaphores[each.core]
            here = [b for b in mapping.buffers if b.core == each.core]
            least = sum(b.bytes for b in here if mapping.stages[b.stage].step == step)
            assert least <= sram[each.core]
