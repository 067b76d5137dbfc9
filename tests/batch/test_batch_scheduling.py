"""Which host gets what, and what becomes of rows and hosts, with a clock of the test's own."""

from __future__ import annotations

import os

import pytest
from fleets import Fleet, Host
from hypothesis import given, settings
from hypothesis import strategies as st

from lmstudio_batch.scheduling import (
    Durations,
    Fault,
    Job,
    MemberState,
    Policy,
    Scheduler,
    Start,
    Verdict,
)

FLEETS = 10_000 if os.environ.get("LMSTUDIO_TEST_DEEP") else 200
SHARES = st.sampled_from([0.0, 0.0, 0.0, 0.01, 0.2])

hosts = st.builds(
    Host,
    slots=st.integers(1, 8),
    latency=st.sampled_from([0.01, 0.1, 1.0, 7.0]),
    server_error=SHARES,
    lost=SHARES,
    silent=SHARES,
    missing=SHARES,
    unwell=st.sampled_from([0.0, 0.0, 0.5, 0.95]),
    straggler=SHARES,
    dies_at=st.sampled_from([float("inf"), float("inf"), 0.0, 2.0, 30.0]),
    refuses=st.sampled_from([False] * 9 + [True]),
)
policies = st.builds(
    Policy,
    retries=st.integers(0, 3),
    queued=st.integers(0, 2),
    hedge=st.booleans(),
    hedge_share=st.sampled_from([0.02, 1.0]),
    idle_timeout=st.sampled_from([None, 1.0, 60.0]),
)


@settings(max_examples=FLEETS)
@given(
    st.lists(hosts, min_size=1, max_size=6),
    policies,
    st.integers(0, 80),
    st.sampled_from([1, 1, 5]),
    st.sets(st.integers(0, 79), max_size=2),
    st.sets(st.integers(0, 79), max_size=3),
    st.integers(0, 1000),
)
def test_every_row_ends_once_whatever_the_fleet(fleet, policy, rows, chunk, killers, poison, seed):
    run = Fleet(fleet, policy, seed=seed, killers=list(killers), poison=list(poison))
    done = run.run(rows, chunk)
    assert all(len(ends) == 1 for ends in run.results.values())
    assert set(run.results) <= set(range(rows))
    if done:
        assert set(run.results) == set(range(rows))
        assert not any(member.busy for member in run.scheduler.members)
    for row in killers & set(run.results):
        assert run.results[row][0] not in {member.name for member in run.scheduler.members}


def test_equal_hosts_do_equal_shares_and_more_of_them_are_faster():
    alone, four = Fleet([Host()]), Fleet([Host()] * 4)
    assert alone.run(400)
    assert four.run(400)
    assert alone.now / four.now > 3.5
    assert min(m.done for m in four.scheduler.members) > 80


def test_a_fast_host_does_more():
    fleet = Fleet([Host(latency=0.1), Host(latency=1.0)])
    assert fleet.run(300)
    fast, slow = fleet.scheduler.members
    assert fast.done > 5 * slow.done


def test_a_row_that_kills_hosts_takes_two_and_nobody_else():
    fleet = Fleet([Host(latency=1.0)] * 4, Policy(hedge=False), killers=[50])
    assert fleet.run(200)
    assert len(fleet.killed) == 2
    assert fleet.killed[1] == 1  # the second time it was alone
    assert {row for row, ends in fleet.results.items() if ends == ["lost"]} == {50}
    assert max(fleet.asked.values()) == 2


def test_of_a_chunk_that_was_lost_each_row_runs_alone():
    fleet = Fleet([Host()] * 2, killers=[13])
    assert fleet.run(60, chunk=20)
    assert {row for row, ends in fleet.results.items() if ends == ["lost"]} == {13}
    assert len(fleet.killed) == 2


def test_poison_is_tried_elsewhere_and_then_given_up():
    fleet = Fleet([Host()] * 3, Policy(retries=1), poison=[7])
    assert fleet.run(20)
    assert fleet.results[7] == ["server"]
    assert fleet.asked[7] == 2
    assert sum(m.failed for m in fleet.scheduler.members) == 2
    assert max(m.failed for m in fleet.scheduler.members) == 1


def test_a_row_that_cannot_be_right_is_asked_once():
    scheduler = up(1)
    scheduler.add(Job(["row"]))
    lease = start(scheduler, 0.0)
    assert scheduler.failed(lease, Fault.VALUE, "wrong", 0.1) is Verdict.FAILED
    assert scheduler.members[0].is_up


def test_one_slow_row_is_no_dead_host():
    scheduler = up(1, Policy(idle_timeout=10.0, queued=0), slots=2)
    for row in range(3):
        scheduler.add(Job([row]))
    slow, quick = start(scheduler, 0.0), start(scheduler, 0.0)
    assert scheduler.finished(quick, 9.0)
    assert scheduler.failed(slow, Fault.SILENT, "silent", 10.0) is Verdict.AGAIN
    assert scheduler.members[0].is_up
    third = start(scheduler, 10.0)  # the suspect waits until it is alone there
    assert third is None or third.alone


def test_a_host_that_falls_is_tried_again_less_and_less_often():
    fleet = Fleet([Host(dies_at=1.0)], Policy(patience=300.0))
    assert not fleet.run(10_000)
    assert 300 <= fleet.now < 340
    (member,) = fleet.scheduler.members
    assert member.pause == 30.0
    assert member.why == "nobody there"


def test_where_nobody_ever_was_nobody_is_waited_for():
    fleet = Fleet([Host(dies_at=0.0), Host(refuses=True)])
    assert not fleet.run(10)
    assert fleet.now < 1
    assert [m.health for m in fleet.scheduler.members] == ["down", "aside"]


def test_stragglers_are_asked_twice_but_few():
    policy = Policy()
    fleet = Fleet([Host(latency=0.5, straggler=0.03)] * 4, policy, seed=5)
    plain = Fleet([Host(latency=0.5, straggler=0.03)] * 4, Policy(hedge=False), seed=5)
    assert fleet.run(1000)
    assert plain.run(1000)
    assert 0 < fleet.scheduler.copies <= 0.02 * 1000
    assert sum(fleet.asked.values()) <= 1020
    assert fleet.now <= plain.now


def test_a_copy_that_loses_is_cancelled_and_counted_nowhere():
    scheduler = up(2, Policy(hedge_share=1.0))
    for row in range(30):
        scheduler.add(Job([row]))
        assert scheduler.finished(start(scheduler, 0.0), 0.1)
    scheduler.add(Job(["slow"]))
    first = start(scheduler, 1.0)
    assert scheduler.next(1.9) is None
    assert scheduler.wake_at() == 2.0
    assert up(1).wake_at() is None
    copy = start(scheduler, 2.0)
    assert copy.copy
    assert copy.member is not first.member
    assert scheduler.finished(copy, 2.1)
    assert scheduler.next(2.1).lease is first  # to be cancelled
    scheduler.cancelled(first)
    assert [m.busy for m in scheduler.members] == [0, 0]
    assert sum(m.done for m in scheduler.members) == 31


def test_a_lease_is_given_back_once():
    scheduler = up(1)
    scheduler.add(Job(["row"]))
    lease = start(scheduler, 0.0)
    lease.release()
    lease.release()
    assert scheduler.members[0].busy == 0


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_percentiles(share):
    durations = Durations()
    assert durations.percentile(share) is None
    for number in range(100):
        durations.add(float(number))
    assert durations.percentile(share) == pytest.approx(share * 100, abs=17)


def up(number, policy=None, slots=4):
    scheduler = Scheduler([MemberState(i, f"host{i}", slots) for i in range(number)], policy, 0)
    for member in scheduler.members:
        scheduler.next(0.0)
        scheduler.checked(member, None, 0.0)
    return scheduler


def start(scheduler, now):
    action = scheduler.next(now)
    assert action is None or isinstance(action, Start)
    return None if action is None else action.lease
