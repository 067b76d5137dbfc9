"""When to ask a silent peer, and when to give it up: without sockets, and without waiting."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmstudio_core import errors
from lmstudio_core.protocol.liveness import EXCUSES, Liveness, Pings, ping_settings


class Watch:
    """A driver that watches: its clock, what it read and wrote, what it was told to do."""

    def __init__(self, pings: Pings | None = None) -> None:
        self.now = 1000.0
        self.reads = self.written = self.unsent = self.pings_sent = 0
        self.alive = Liveness(pings or Pings(), self.now)

    def silence(self, seconds: float | None = None, *, pause: float = 0.0) -> str:
        """Watch in vain; ``pause``: this process stood still as well."""
        seconds = self.alive.patience if seconds is None else seconds
        assert seconds is not None
        self.now += seconds + pause
        verdict = self.alive.silent(
            seconds, self.now, reads=self.reads, written=self.written, unsent=self.unsent
        )
        self.pings_sent += verdict == "ping"
        return verdict

    def until_dead(self, seconds: float | None = None) -> float:
        began = self.now
        for _ in range(10_000):
            if self.silence(seconds) == "dead":
                return self.now - began
        raise AssertionError("never")


def test_a_ping_after_the_interval_and_death_after_the_timeout():
    watch = Watch()
    assert watch.alive.patience == 20
    assert [watch.silence(), watch.silence()] == ["ping", "dead"]
    assert watch.alive.allowed == 40


def test_whatever_comes_is_as_good_as_a_pong():
    watch = Watch()
    for _ in range(50):
        assert watch.silence() == "ping"
        watch.reads += 1
        assert watch.silence(5) == "wait"
        assert watch.alive.patience == 15
    watch.silence()
    assert watch.silence() == "dead"


@pytest.mark.parametrize("seconds", [0.05, 0.3, 1, 7, 19])
def test_waits_of_any_length_add_up(seconds):
    assert 40 <= Watch().until_dead(seconds) + 1e-6 <= 40.1 + 2 * seconds


def test_time_that_nobody_watched_does_not_count():
    watch = Watch()
    for _ in range(3):
        assert watch.silence(5, pause=3600) == "wait"
    assert watch.alive.patience == 5


def test_after_a_pause_of_this_process_it_asks_again_before_it_judges():
    watch = Watch()
    watch.silence()
    assert watch.silence(pause=600) == "ping"
    assert watch.silence() == "dead"


def test_pauses_are_no_excuse_for_ever():
    watch = Watch()
    watch.silence()
    assert [watch.silence(pause=600) for _ in range(EXCUSES + 1)] == ["ping"] * EXCUSES + ["dead"]


def test_excuses_are_renewed_by_a_sign_of_life():
    watch = Watch()
    for _ in range(4):
        watch.silence()
        assert watch.silence(pause=600) == "ping"
        watch.reads += 1
        watch.silence(1)


def test_a_slow_upload_is_no_death():
    watch = Watch()
    watch.reads = 2  # it was greeted
    watch.written = watch.unsent = 100_000_000
    for _ in range(500):
        watch.unsent -= 200_000
        if watch.unsent:
            assert watch.silence(5) == "wait"
    assert watch.pings_sent == 0
    watch.unsent = 0
    assert watch.until_dead(5) <= 50


def test_more_that_is_written_is_no_progress():
    watch = Watch()
    watch.written = watch.unsent = 100_000
    verdicts = []
    for _ in range(9):
        watch.written += 1000
        watch.unsent += 1000
        verdicts.append(watch.silence(5))
    assert verdicts[-1] == "dead"


def test_that_a_system_confirms_a_ping_says_nothing_of_the_program():
    """A proxy, or a server that hangs: its system takes what comes, and nobody reads it."""
    watch = Watch()
    watch.written = 5000
    assert watch.silence() == "ping"
    watch.written += 6
    assert watch.silence() == "dead"


def test_progress_is_seen_beside_new_writes():
    watch = Watch()
    watch.written, watch.unsent = 1_000_000, 900_000
    for _ in range(30):
        watch.written += 50_000
        watch.unsent += 10_000
        assert watch.silence(5) == "wait"


@pytest.mark.parametrize("pings", [Pings(None, 20), Pings(None, None)])
def test_no_pings(pings):
    alive = Liveness(pings, 0)
    assert alive.patience is None
    assert alive.glance is None
    assert pings.probe is None
    verdicts = {alive.silent(1e6, n * 1e6, reads=0, written=0, unsent=0) for n in range(9)}
    assert verdicts == {"wait"}
    alive.doubt(0)
    assert not alive.doubtful(1e9, 0)


def test_pings_without_a_judgement():
    watch = Watch(Pings(5, None))
    assert watch.silence() == "ping"
    assert watch.alive.patience is None
    assert watch.silence(1000) == "wait"


def test_a_glance_is_a_part_of_the_patience():
    watch = Watch()
    assert watch.alive.glance == 5
    watch.silence(18)
    assert watch.alive.glance == 2


def test_a_socket_left_alone_is_doubtful():
    alive = Liveness(Pings(), 100)
    assert not alive.doubtful(120, 0)
    assert alive.doubtful(120.1, 0)
    alive.heard(120)
    assert not alive.doubtful(140, 1)


def test_a_socket_on_which_a_call_timed_out_is_doubtful_until_something_comes():
    alive = Liveness(Pings(), 100)
    alive.doubt(7)
    assert alive.doubtful(100, 7)
    assert not alive.doubtful(100, 8)


@given(
    st.lists(
        st.tuples(st.floats(0.01, 20), st.floats(0, 100), st.booleans()), min_size=1, max_size=60
    )
)
def test_a_peer_that_answers_every_ping_never_dies(steps):
    watch = Watch()
    for seconds, pause, speaks in steps:
        verdict = watch.silence(min(seconds, watch.alive.patience or 0), pause=pause)
        assert verdict != "dead"
        if verdict == "ping" or speaks:
            watch.reads += 1


@given(st.lists(st.tuples(st.floats(0.01, 20), st.floats(0, 100)), min_size=1, max_size=60))
def test_a_peer_that_is_gone_dies_in_the_end(steps):
    watch = Watch()
    for seconds, pause in steps:
        if watch.silence(seconds, pause=pause) == "dead":
            return
    assert watch.until_dead() <= 40 * (EXCUSES + 2)


# -- settings --------------------------------------------------------------------------------------


def test_the_defaults():
    assert ping_settings(..., ..., {}) == Pings(20, 20)
    assert Pings().probe == 5
    assert Pings(20, 0.5).probe == 0.5


def test_arguments_before_the_environment():
    environment = {"LMSTUDIO_PING_INTERVAL": "3", "LMSTUDIO_PING_TIMEOUT": " off "}
    assert ping_settings(..., ..., environment) == Pings(3, None)
    assert ping_settings(None, 4, environment) == Pings(None, 4)
    assert ping_settings(math.inf, 1, environment) == Pings(None, 1)


@pytest.mark.parametrize("value", [0, -1, math.nan, True, "20", [1]])
def test_what_is_no_number_of_seconds(value):
    with pytest.raises(errors.LMStudioValueError, match="ping_interval must be a number of sec"):
        ping_settings(value, ..., {})


@pytest.mark.parametrize("text", ["soon", "0", "-3", "nan"])
def test_what_is_no_number_of_seconds_in_the_environment(text):
    with pytest.raises(errors.LMStudioValueError, match=r"LMSTUDIO_PING_TIMEOUT must.*'off'"):
        ping_settings(..., ..., {"LMSTUDIO_PING_TIMEOUT": text})
