"""Windows and copies together, on real networks: steps of the slowest convolution."""

from __future__ import annotations

import pytest

from benchmarks.replication_steps import CASES, Case, steps

EXPECTED = {
    # im2col with copies, windows with copies: PEERS-compilers.md 4.2 has the same figures.
    Case("resnet18", 128): (19, 15),
    Case("resnet50", 128): (40, 33),
    Case("vgg16", 128): (965, 784),
    Case("mobilenet_v2", 128): (784, 13),
    Case("resnet18", 128, 5288): (33, 25),
    Case("resnet18", 256): (36, 17),
    Case("resnet50", 256): (61, 49),
    Case("resnet18", 512): (98, 25),
    Case("resnet50", 512): (196, 79),
}

ARRAYS = {
    ("resnet18", 128): 695,
    ("resnet50", 128): 1448,
    ("vgg16", 128): 902,
    ("mobilenet_v2", 128): 7353,
    ("resnet18", 256): 193,
    ("resnet50", 256): 390,
    ("resnet18", 512): 73,
    ("resnet50", 512): 147,
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_steps_and_arrays_of_one_copy(case: Case) -> None:
    result = steps(case)
    assert (result.im2col_steps, result.joint_steps) == EXPECTED[case]
    assert result.arrays == ARRAYS[case.network, case.side]
    assert result.joint_arrays <= result.available


def test_depthwise_groups_share_arrays() -> None:
    result = steps(Case("mobilenet_v2", 128))
    assert (result.packed_arrays, result.packed_steps) == (736, 30)
