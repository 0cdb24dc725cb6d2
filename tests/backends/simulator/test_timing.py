"""Section "Time" of docs/machine.md, rule by rule, with cycles counted by hand.

The chip of `chips.py`: 8 bytes of SRAM a cycle, reads of 3 cycles, two phases, conversions of 1
cycle, shift-and-add of 2, vector latency 2 at 4 lanes, hops of 2 cycles, flits of 8 bytes.
A wait that ends a stream issues in the cycle that the thing it waits for is there; the halt
follows a cycle later.  So `ends(...)` is the cycle in which things were there.
"""

from __future__ import annotations

import numpy as np
import pytest

from nmc.backends.simulator import Result, SequencerUse, simulate
from nmc.ir import program as p
from tests.backends.simulator.chips import Code, chip, core, far, plan, run, sram, tile, vector

LEVELS = np.arange(16).reshape(4, 4)
IMAGE = {0: np.arange(256, dtype=np.uint8)}


def mvm(number: int = 0, sem: int = 0, dst: int = 1024) -> p.Mvm:
    return p.Mvm(number, vector("i32", dst, 4), vector("u8", 0, 4), sem)


def use(result: Result, index: int = 0, at: int = 0) -> SequencerUse:
    return next(u for u in result.sequencers if (u.core, u.index) == (at, index))


def ends(result: Result, index: int = 0, at: int = 0) -> int:
    """When the last wait of a sequencer issued."""
    return use(result, index, at).halted - 1


# mvm


def test_one_mvm() -> None:
    """Issued in 0, head of its queue in 1: fill 1-2.  Phase 0 is read 2-5, converted 5-9 by the
    one ADC, which frees the one stage: phase 1 is read 9-12, converted 12-16.  Shift-and-add to
    18, write-back of 16 bytes to 20."""
    result = run(core([mvm(), p.Wait(0)], images=IMAGE, plans=(plan(0),)), tiles=[tile(LEVELS)])
    assert ends(result) == 20
    assert use(result).stalls == {"wait sem 0": 19}
    assert result.adc_busy == {(0, 0, 0): (8, 8)}


def test_two_stages_read_ahead() -> None:
    """Phase 1 is read 5-8 into the second stage; conversions 5-9, 9-13; then 2 and 2 cycles."""
    target = chip(crossbar={"sample_holds": 2})
    only = core([mvm(), p.Wait(0)], images=IMAGE, plans=(plan(0),))
    assert ends(run(only, tiles=[tile(LEVELS)], target=target)) == 17


def test_longer_fill() -> None:
    """12 input bytes at 8 a cycle take 2 cycles: all is one later than with one mvm alone."""
    tiles = [tile(np.ones((12, 4))[:8]), tile(np.ones((4, 4)), 2)]
    reads = (
        p.TileRead(0, 0, 0, (16,), (1,), (True,)),
        p.TileRead(1, 8, 0, (16,), (1,), (True,)),
    )
    wide = p.Mvm(0, vector("i32", 1024, 4), vector("u8", 0, 12), 0)
    only = core([wide, p.Wait(0)], images=IMAGE, plans=(p.ReadPlan(12, 4, reads),))
    assert ends(run(only, tiles=tiles)) == 21


def test_crossbars_share_an_adc() -> None:
    """Both samples are ready at 5.  The ADC takes crossbar 0 (5-9), then 1 (9-13).  Crossbar 0
    reads phase 1 9-12; the ADC is free at 13: 13-17.  Crossbar 1 reads 13-16, is converted
    17-21.  Shift-and-add 23, write-back 25."""
    tiles = [tile(LEVELS), tile(LEVELS, 1)]
    both = p.Mvm(0, vector("i32", 1024, 4), vector("u8", 0, 8), 0)
    only = core([both, p.Wait(0)], images=IMAGE, plans=(plan(0, 1),))
    assert ends(run(only, tiles=tiles)) == 25


def test_crossbars_of_different_clusters_do_not_wait() -> None:
    tiles = [tile(LEVELS), tile(LEVELS, 2)]
    both = p.Mvm(0, vector("i32", 1024, 4), vector("u8", 0, 8), 0)
    only = core([both, p.Wait(0)], images=IMAGE, plans=(plan(0, 1),))
    result = run(only, tiles=tiles)
    assert ends(result) == 20
    assert result.adc_busy == {(0, 0, 0): (8, 8), (0, 1, 0): (8, 8)}


@pytest.mark.parametrize(("priorities", "expected"), [((0, 0), (21, 25)), ((1, 0), (25, 21))])
def test_ties_at_an_adc(priorities: tuple[int, int], expected: tuple[int, int]) -> None:
    """Two sequencers, one crossbar each, samples ready at 5.  Who is first is converted 5-9 and,
    having read again by 12, 13-17, after the other's 9-13; the other reads 13-16, is converted
    17-21.  With 2 + 2 cycles: 21 and 25.  Priority decides, then the crossbar's index."""
    plans = tuple(plan(i, priority=priority) for i, priority in enumerate(priorities))
    streams: list[Code] = [[mvm(i, i, 1024 + 64 * i), p.Wait(i)] for i in range(2)]
    tiles = [tile(LEVELS), tile(LEVELS, 1)]
    result = run(core(*streams, images=IMAGE, plans=plans), tiles=tiles)
    assert (ends(result, 0), ends(result, 1)) == expected


def test_consecutive_mvms_overlap() -> None:
    """With two stages the first reads 2-5 and 5-8.  Its latches are free when the last read
    starts, at 5: the second fills 5-6, reads 9-12, when a stage is free again, and 13-16.  The ADC
    is busy from 5 to 21 without a gap.  First done 13 + 4 = 17, second 21 + 4 = 25."""
    target = chip(crossbar={"sample_holds": 2})
    stream: Code = [mvm(0, 0), mvm(0, 1, 1088), p.Wait(0), p.Signal(0, 2), p.Wait(2), p.Wait(1)]
    result = run(core(stream, images=IMAGE, plans=(plan(0),)), tiles=[tile(LEVELS)], target=target)
    assert use(result).stalls == {"wait sem 0": 15, "wait sem 1": 5}
    assert ends(result) == 25
    assert result.adc_busy[0, 0, 0] == (16, 16)


def test_queue_of_mvms_is_bounded() -> None:
    """The first leaves the queue at 1, so that the second and third, issued in 1 and 2, fill its
    two places.  The second leaves when the first's last read starts: at 9.  The fourth issues
    then."""
    stream: Code = [mvm(), mvm(), mvm(), mvm(), p.Wait(0, 4)]
    result = run(core(stream, images=IMAGE, plans=(plan(0),)), tiles=[tile(LEVELS)])
    assert use(result).stalls["queue-full mvm"] == 6


def test_slices_that_are_not_converted_cost_no_conversion() -> None:
    """No conversions: reads 2-5 and 5-8, each freeing its stage as it ends; 8 + 2 + 2."""
    silent = p.ReadPlan(4, 4, (p.TileRead(0, 0, 0, (16,), (1,), (False,)),))
    zeros = tile(np.zeros((4, 4)))
    result = run(core([mvm(), p.Wait(0)], images=IMAGE, plans=(silent,)), tiles=[zeros])
    assert ends(result) == 12
    assert result.adc_busy[0, 0, 0] == (0, 0)


def test_fewer_bits_convert_faster() -> None:
    """4 cycles at 16 bits make 2 at 8: bursts of 8 cycles.  Read 2-5, converted 5-13, read 13-16,
    converted 16-24, and 4."""
    target = chip(adc={"t_conversion_ns": 4.0})
    only = core([mvm(), p.Wait(0)], images=IMAGE, plans=(plan(0, bits=8),))
    result = run(only, tiles=[tile(np.zeros((4, 4)))], target=target)
    assert ends(result) == 28
    assert result.events.conversions == {8: 8}


@pytest.mark.parametrize(("wiring", "expected"), [("interleaved", 16), ("blocked", 20)])
def test_wiring(wiring: str, expected: int) -> None:
    """Two ADCs.  Interleaved, channels 0 to 3 go to both: bursts of 2 cycles, so read 2-5,
    converted 5-7, read 7-10, converted 10-12, and 4.  Blocked, all four go to the first."""
    target = chip(adc={"adcs_per_cluster": 2, "wiring": wiring})
    only = core([mvm(), p.Wait(0)], images=IMAGE, plans=(plan(0),))
    assert ends(run(only, tiles=[tile(LEVELS)], target=target)) == expected


def test_latches_go_to_who_came_first() -> None:
    """Two sequencers with plans on one crossbar.  Both heads arrive at 1: sequencer 0 first.  Its
    last read starts at 9; sequencer 1 fills 9-10, reads when the stage is free, at 16: 16-19,
    converted 19-23, read 23-26, converted 26-30, and 4."""
    other = tile(LEVELS, channel0=4)
    streams: list[Code] = [[mvm(i, i, 1024 + 64 * i), p.Wait(i)] for i in range(2)]
    only = core(*streams, images=IMAGE, plans=(plan(0), plan(1)))
    result = run(only, tiles=[tile(LEVELS), other])
    assert (ends(result, 0), ends(result, 1)) == (20, 34)


def test_a_head_that_waits_is_not_overtaken() -> None:
    """All heads come in 1.  Sequencer 1 needs crossbars 0 and 1, and waits for 0 until 9.
    Sequencer 2 needs 1 alone, which is free, but its turn is after sequencer 1."""
    tiles = [tile(LEVELS), tile(LEVELS, channel0=4), tile(LEVELS, 1), tile(LEVELS, 1, channel0=4)]
    both = p.Mvm(1, vector("i32", 1088, 4), vector("u8", 0, 8), 1)
    streams: list[Code] = [[mvm(), p.Wait(0)], [both, p.Wait(1)], [mvm(2, 2, 1152), p.Wait(2)]]
    only = core(*streams, images=IMAGE, plans=(plan(0), plan(1, 2), plan(3)))
    result = run(only, tiles=tiles)
    assert ends(result, 0) < ends(result, 1) < ends(result, 2)


def test_write_backs_of_a_sequencer_follow_each_other() -> None:
    """Two plans on clusters of their own.  The second is issued a cycle later and fills 2-3:
    accumulators are ready at 18 and 19, but the first is written back 18-20."""
    stream: Code = [mvm(), mvm(1, 1, 1088), p.Wait(0), p.Wait(1)]
    only = core(stream, images=IMAGE, plans=(plan(0), plan(1)))
    assert ends(run(only, tiles=[tile(LEVELS), tile(LEVELS, 2)])) == 22


# vec


def add(base: int = 1024, count: int = 4) -> p.Vec:
    return p.Vec("add", vector("i32", base, count), vector("i32", 0, count), None, (1.0,))


def test_vec_blocks_its_sequencer() -> None:
    """Five elements on four lanes: 2 cycles, and 2 of latency; the halt issues in cycle 4."""
    result = run(core([add(count=5)], images=IMAGE))
    assert use(result).halted == 4
    assert (use(result).issued, use(result).executing) == (2, 3)


def test_vec_takes_the_larger_of_operand_and_result() -> None:
    """16 elements are summed to 4: 4 cycles, and 2."""
    total = p.Vec("reduce.sum", vector("i32", 1024, 4), sram("u8", 0, (4, 4), (4, 1)))
    assert use(run(core([total], images=IMAGE))).halted == 6


def test_slow_operations() -> None:
    quotient = p.Vec("div", vector("f32", 1024, 4), vector("f32", 0, 4), None, (2.0,))
    assert use(run(core([quotient], images=IMAGE))).halted == 3 + 2


def test_vector_unit_serves_in_order() -> None:
    """Both ask in 0: sequencer 0 has it 0-3.  It asks again in 3, but sequencer 1 came before:
    3-6.  Then 6-9."""
    result = run(core([add(1024), add(1088)], [add(1152)], images=IMAGE))
    assert use(result, 0).stalls == {"vec-busy": 3}
    assert use(result, 1).stalls == {"vec-busy": 3}
    assert (use(result, 0).halted, use(result, 1).halted) == (9, 6)


# Semaphores


def test_signal_to_the_own_core() -> None:
    """Given in 0, there in 1."""
    assert ends(run(core([p.Signal(0, 0)], [p.Wait(0)])), 1) == 1


def test_signal_to_another_core() -> None:
    """Issued in 0, at the port in 1, a hop of 2: there in 3."""
    result = run(core([p.Signal(1, 0)]), core([p.Wait(0)], number=1))
    assert ends(result, at=1) == 3


def test_waits_are_served_by_sequencer() -> None:
    """Sequencer 2 gives 1 in cycle 1, and 1 more in cycle 3."""
    giver: Code = [p.Signal(0, 1), p.Signal(0, 0), p.Signal(0, 1), p.Signal(0, 0)]
    result = run(core([p.Signal(0, 1), p.Signal(0, 1), p.Wait(0)], [p.Wait(0)], giver))
    assert (ends(result, 0), ends(result, 1)) == (2, 4)


def test_loops_take_no_time() -> None:
    """Three signals and the halt: in cycles 0 to 3."""
    stream: Code = [p.Loop(3), p.Signal(0, 0), p.End()]
    assert use(run(core(stream))).halted == 3


# Mesh


def put(to: int, nbytes: int = 20, sem: int = 0, done: int | None = None) -> p.Put:
    return p.Put(to, vector("u8", 1024, nbytes), vector("u8", 0, nbytes), sem, done)


@pytest.mark.parametrize(("to", "expected"), [(0, 5), (1, 6), (2, 8), (4, 8), (5, 10)])
def test_put(to: int, expected: int) -> None:
    """20 bytes: 3 flits and a head.  At the port in 1.  To the own core: there when the tail has
    left the port, at 5.  Otherwise the head enters links at 1, 3, 5, and the tail has crossed the
    last of n links at 1 + 2n + 3."""
    cores = [core([put(to), p.Wait(0)] if to == 0 else [put(to)], images=IMAGE)]
    cores += [core([p.Wait(0)], number=to)] if to else []
    result = run(*cores)
    assert ends(result, at=to) == expected
    assert result.events.flit_hops == 4 * (0, 1, 2, 1, 2, 3)[to]
    assert result.events.port_flits == 4


def test_put_tells_when_its_source_is_free() -> None:
    """The tail has left the port at 1 + 4, wherever it goes."""
    result = run(core([put(5, done=1), p.Wait(1)], images=IMAGE), core([p.Wait(0)], number=5))
    assert ends(result) == 5


def test_a_port_carries_one_message_at_a_time() -> None:
    """The second put is at the port in 2, enters at 5: there at 5 + 2 + 3."""
    cores = core([put(1), put(1, sem=1)], images=IMAGE), core([p.Wait(0), p.Wait(1)], number=1)
    assert ends(run(*cores), at=1) == 10


def test_queue_of_messages_is_bounded() -> None:
    """The first enters the port at 1, the next two wait for it to be free at 5; the fourth, due in
    3, issues when the second enters, in 5."""
    result = run(core([put(1)] * 4, images=IMAGE), core([p.Wait(0, 4)], number=1))
    assert use(result).stalls == {"queue-full noc": 2}


def test_links_serve_in_order_of_arrival() -> None:
    """Core 1's message has the link 1-2 in 1-5; core 0's, there at 3, enters at 5: 5 + 2 + 3."""
    receiver = core([p.Wait(0)], [p.Wait(1)], number=2)
    result = run(
        core([put(2, sem=0)], images=IMAGE), core([put(2, sem=1)], number=1, images=IMAGE), receiver
    )
    assert (ends(result, 0, 2), ends(result, 1, 2)) == (10, 6)


def test_ties_at_a_link_go_to_the_lower_core() -> None:
    """Core 1 issues in 2, so that both are at the link 1-2 in 3; core 0's goes first: there at
    3 + 2 + 3; core 1's enters at 7: there at 12."""
    receiver = core([p.Wait(0)], [p.Wait(1)], number=2)
    late: Code = [p.Signal(1, 0), p.Signal(1, 0), put(2, sem=1)]
    result = run(core([put(2, sem=0)], images=IMAGE), core(late, number=1, images=IMAGE), receiver)
    assert (ends(result, 0, 2), ends(result, 1, 2)) == (8, 12)


def test_routes_go_along_the_row_first() -> None:
    """Core 0 to core 4 goes over core 1; a message from core 3 to core 4 is not in its way."""
    cores = (
        core([put(4, sem=0)], images=IMAGE),
        core([put(4, sem=1)], number=3, images=IMAGE),
        core([p.Wait(0)], [p.Wait(1)], number=4),
    )
    result = run(*cores)
    assert (ends(result, 0, 4), ends(result, 1, 4)) == (8, 6)


# Global memory


def load(src: int = 0, sem: int = 0, dst: int = 1024) -> p.Load:
    return p.Load(vector("u8", dst, 16), far("u8", src, 16), sem)


def with_memory(*cores: p.CoreProgram) -> Result:
    x = p.Io("x", 0, "u8", (32,), (32,), (0,))
    program = p.Program("test", cores, inputs=(x,), frame_bytes=64)
    return simulate(program, chip(), {"x": np.arange(32, dtype=np.uint8)[None]})


@pytest.mark.parametrize(("number", "expected"), [(0, 19), (1, 21), (2, 25)])
def test_load(number: int, expected: int) -> None:
    """At core 0, where the memory port is: request at the port in 1, at the memory in 2; 16 bytes
    at 4 a cycle and 10 of latency: 16.  Three flits of data: 19.  From core 1 the request takes
    its hop, and is at the memory in 3, the data cross a link: 17 + 2 + 2.  From core 2 two hops
    more in all."""
    result = with_memory(core([load(), p.Wait(0)], number=number))
    assert ends(result, at=number) == expected
    assert result.events.global_bytes_read == 16


def test_memory_transfers_follow_each_other_and_latencies_overlap() -> None:
    """The second request is there in 3; the port is free at 6: 6 + 4 + 10, and 3 flits."""
    result = with_memory(core([load(), load(16, 1, 1040), p.Wait(0), p.Wait(1)]))
    assert ends(result) == 23


def test_store() -> None:
    """Three flits leave the port 1-4; memory 4 + 4 + 10 = 18; a flit comes back: 19."""
    store = p.Store(far("u8", 32, 16), vector("u8", 0, 16), 0)
    result = with_memory(core([store, p.Wait(0)], images=IMAGE))
    assert ends(result) == 19
    assert result.events.global_bytes_written == 16


def test_loads_and_puts_have_queues_of_their_own() -> None:
    """Three puts fill one queue; a load still issues at once."""
    stream: Code = [put(1), put(1), put(1), load(sem=1, dst=2048), p.Wait(1)]
    result = with_memory(core(stream, images=IMAGE), core([p.Wait(0, 3)], number=1))
    assert not any("queue-full" in cause for cause in use(result).stalls)
