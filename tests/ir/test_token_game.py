"""Row schedules and ring depths: hand-made chains, diamonds, and play with the depths found."""

from __future__ import annotations

import numpy as np
import pytest

from nmc.ir import token_game
from nmc.ir.mapping import (
    Kind,
    Mapping,
    Operand,
    Role,
    Stage,
    Step,
    StepKind,
    Stream,
    Window,
)
from nmc.ir.rows import emissions, feed_of
from nmc.ir.token_game import ring_depths

ROWS = 12


def stage(kind: Kind, operands: list[Operand], output: int, window: Window | None = None) -> Stage:
    return Stage(
        name=f"s{output}",
        step=0,
        kind=kind,
        nodes=(),
        forms=(),
        anchored=False,
        operands=tuple(operands),
        output=output,
        unit="vector",
        window=window or Window(),
    )


def mapping(streams: list[int], stages: list[Stage]) -> Mapping:
    """Streams by their rows; the first comes from the host, stage i makes stream i + 1."""
    step = Step(StepKind.CHIP, "chip", (), (), ())
    return Mapping(
        "hand-made",
        (step,),
        tuple(
            Stream(f"v{i}", 0, "u8", r, 1, 4, producers=(i - 1,) if i else ())
            for i, r in enumerate(streams)
        ),
        tuple(stages),
    )


def main(stream: int, pad: int = 0) -> Operand:
    return Operand(stream, Role.MAIN, f"v{stream}", top=pad, bottom=pad)


def row(stream: int) -> Operand:
    return Operand(stream, Role.ROW, f"v{stream}")


WINDOW3 = Window(kernel=(3, 1))


def test_a_padded_window_needs_rows_and_releases_them_with_its_padding() -> None:
    chip = mapping([ROWS, ROWS], [stage(Kind.MATRIX, [main(0, 1)], 1, WINDOW3)])
    plan = feed_of(chip, chip.stages[0], chip.stages[0].operands[0])
    assert plan.needed[:3].tolist() == [2, 3, 4]
    assert plan.needed[-2:].tolist() == [ROWS, ROWS]
    assert plan.released[:2].tolist() == [1, 2]
    assert (plan.released[-1], plan.ring_rows) == (ROWS + 2, ROWS + 2)


def test_a_strided_window_takes_what_is_left_over_at_the_end() -> None:
    window = Window(kernel=(2, 1), strides=(3, 1))
    chip = mapping([11, 4], [stage(Kind.WINDOW, [main(0)], 1, window)])
    plan = feed_of(chip, chip.stages[0], chip.stages[0].operands[0])
    assert plan.needed.tolist() == [2, 5, 8, 11]
    assert plan.released.tolist() == [2, 5, 8, 11]  # row 2 has not come before row 4 is waited for


def test_a_crop_emits_only_rows_of_its_range() -> None:
    cropped = Stage(
        **{
            f: getattr(stage(Kind.CROP, [main(0)], 1), f)
            for f in Stage.__dataclass_fields__
            if f not in ("starts", "steps")
        },
        starts=(2, 0, 0),
        steps=(3, 1, 1),
    )
    chip = mapping([ROWS, 3], [cropped])
    assert np.flatnonzero(emissions(chip, cropped)).tolist() == [2, 5, 8]


def diamond(convolutions: int) -> Mapping:
    """A skip over some padded 3-row windows, added to what comes out of them."""
    stages = [stage(Kind.ROWS, [row(0)], 1)]
    along = range(1, convolutions + 1)
    stages += [stage(Kind.MATRIX, [main(i, 1)], i + 1, WINDOW3) for i in along]
    stages.append(stage(Kind.ROWS, [row(convolutions + 1), row(1)], convolutions + 2))
    return mapping([ROWS] * (convolutions + 3), stages)


@pytest.mark.parametrize("convolutions", [1, 2, 4])
def test_a_skip_connection_is_a_deeper_ring(convolutions: int) -> None:
    chip = diamond(convolutions)
    depths = ring_depths(chip)
    skip = depths[convolutions + 1, 1]
    # Each window runs one row behind what it reads, so the skip holds a row more per window.
    assert convolutions + 1 <= skip <= 4 * convolutions + 3
    along = [depths[i, 0] for i in range(1, convolutions + 1)]
    feed = feed_of(chip, chip.stages[1], chip.stages[1].operands[0])
    assert along == [feed.least_depth] * convolutions


@pytest.mark.parametrize("convolutions", [1, 2, 4])
def test_one_slot_less_on_the_skip_is_a_deadlock(convolutions: int) -> None:
    chip = diamond(convolutions)
    key = (convolutions + 1, 1)
    enough = ring_depths(chip)[key]
    slack = 1 if enough > 2 else 0
    for depth, plays in ((enough - slack, True), (enough - slack - 1, False)):
        rings = token_game._rings(chip)
        rings[key].depth = depth
        players = token_game._players(chip, rings)
        assert token_game._play(players, list(range(len(players)))) is plays


def test_a_whole_tensor_as_one_window_needs_no_second_set_of_rows() -> None:
    window = Window(kernel=(ROWS, 1))
    chip = mapping([ROWS, 1], [stage(Kind.MATRIX, [main(0)], 1, window)])
    assert ring_depths(chip) == {(0, 0): ROWS}
