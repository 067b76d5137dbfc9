"""``timeout`` and ``idle_timeout``, whatever is run: each alone, and what each of them measures.

A server that never answers lets a short limit pass, however slow the machine is; everything else
goes by the test's own clock and limits of many minutes.
"""

from __future__ import annotations

import math
import threading

import pytest
from core_clients import Count, echo, numbers

from lmstudio_core.errors import LMStudioTimeoutError, LMStudioValueError
from lmstudio_core.protocol.operations import Batch, Call, Invoke, InvokeMany
from lmstudio_core.timeouts import (
    Limits,
    get_sync_api_timeout,
    limits_of,
    set_sync_api_timeout,
    sync_limits,
    using,
)
from lmstudio_testing import NO_ANSWER
from waiting import PATIENCE

SHORT = 0.05
LONG = 1000


@pytest.fixture
def face(face, server):
    """Connected already: what takes time is the operation alone."""
    server.on("test.ready", True)
    face.run(echo(0, "ready"))
    return face


def one_call_after_another():
    yield echo(1, "ready")
    yield echo(2)


def a_channel_inside():
    yield Invoke(lambda: 1)
    yield Count()


FORMS = {
    "call": (lambda: echo(1), "test.echo"),
    "batch": (lambda: Batch([echo(n) for n in range(3)]), "test.echo"),
    "batch of one at a time": (lambda: Batch([echo(1), echo(2)], max_in_flight=1), "test.echo"),
    "batch whose first is answered": (lambda: Batch([echo(0, "ready"), echo(1)]), "test.echo"),
    "channel": (lambda: Count(), "test.count"),
    "op": (one_call_after_another, "test.echo"),
    "op with a channel": (a_channel_inside, "test.count"),
}


@pytest.mark.parametrize("limit", ["timeout", "idle_timeout"])
@pytest.mark.parametrize("form", FORMS)
def test_one_limit_alone_ends_what_takes_too_long(face, server, form, limit):
    make, endpoint = FORMS[form]
    server.on("test.echo", NO_ANSWER)
    server.on_channel("test.count", NO_ANSWER)
    with pytest.raises(LMStudioTimeoutError, match=f"{endpoint}.*{limit}=") as caught:
        face.run(make(), **{limit: SHORT})
    assert caught.value.seconds == SHORT
    assert caught.value.endpoint == endpoint
    if endpoint == "test.count":
        server.wait_for_request(endpoint).wait_for_message("cancel")
    assert face.run(echo(1, "ready")) is True
    assert len(server.sockets) == 1


# -- what the whole call takes ---------------------------------------------------------------------


def slow(clock, name="ready"):
    """A call whose answer takes longer than any limit of these tests to be read."""

    def decode(raw):
        clock.pass_by(2 * LONG)
        return raw

    return Call(echo(0, name).endpoint, 0, decode)


class SlowCount(Count):
    """A channel that reads each packet in some time."""

    def __init__(self, clock, seconds):
        super().__init__()
        self._clock, self._seconds = clock, seconds

    def feed(self, message):
        self._clock.pass_by(self._seconds)
        return super().feed(message)


def test_the_whole_of_a_batch_is_limited(face, server, clock):
    server.on("test.echo", NO_ANSWER)
    batch = Batch([slow(clock), echo(1)], max_in_flight=1)
    with pytest.raises(LMStudioTimeoutError, match="timeout= allows"):
        face.run(batch, timeout=LONG)


def test_the_whole_of_a_channel_is_limited(face, server, clock):
    server.on_channel("test.count", lambda channel: channel.send({"n": 1}))
    with pytest.raises(LMStudioTimeoutError, match=r"test\.count .* timeout= allows"):
        face.run(SlowCount(clock, 2 * LONG), timeout=LONG)
    server.wait_for_request("test.count").wait_for_message("cancel")


@pytest.mark.parametrize("limits", [{"timeout": LONG}, {"timeout": LONG, "idle_timeout": LONG}])
def test_a_channel_that_is_never_silent_is_limited_as_a_whole(face, server, clock, limits):
    with pytest.raises(LMStudioTimeoutError, match="timeout= allows"):
        drip(face, server, clock, ends=False, **limits)


def test_silence_is_measured_anew_after_each_packet(face, server, clock):
    assert drip(face, server, clock, idle_timeout=LONG) == [1, 2, 3]


def drip(face, server, clock, *, ends=True, **limits):
    """Three packets, each 0.6 of the limit after the one before, and then the end or nothing."""

    async def script(channel):
        for n in (1, 2, 3):
            channel.send({"n": n})
            if await channel.next_message() != {"type": "more"}:
                return  # it was given up
        if ends:
            channel.send(*numbers())
            channel.close()

    server.on_channel("test.count", script)
    stream = face.open(Count(), **limits)
    try:
        taken = []
        for event in stream:
            taken.append(event)
            clock.pass_by(0.6 * LONG)
            stream.send({"type": "more"})
        return taken
    finally:
        stream.close()


def test_the_sync_timeout_is_measured_anew_after_each_packet(connect, server, clock):
    face = connect(server.api_host)
    set_sync_api_timeout(LONG)  # the async side has none
    assert drip(face, server, clock) == [1, 2, 3]


# -- operations of several steps -------------------------------------------------------------------


def test_an_op_is_limited_between_its_steps(face, clock):
    done = []

    def op():
        yield Invoke(lambda: clock.pass_by(0.6 * LONG))
        yield Invoke(lambda: clock.pass_by(0.6 * LONG))
        yield Invoke(lambda: done.append("too late"))

    with pytest.raises(LMStudioTimeoutError, match="the call was not finished"):
        face.run(op(), timeout=LONG)
    assert done == []


def test_an_op_may_tidy_up_when_its_time_is_over(face, clock):
    def op():
        yield Invoke(lambda: clock.pass_by(2 * LONG))
        try:
            yield Invoke(lambda: "too late")
        except LMStudioTimeoutError as error:
            return error

    assert isinstance(face.run(op(), timeout=LONG), LMStudioTimeoutError)


def test_an_op_in_time_has_its_result(face, server, clock):
    def op():
        yield Invoke(lambda: clock.pass_by(0.9 * LONG))
        return (yield echo(1, "ready"))

    assert face.run(op(), timeout=LONG) is True


def test_silence_is_no_limit_of_an_op_as_a_whole(face, server, clock):
    def op():
        for _ in range(3):
            yield Invoke(lambda: clock.pass_by(0.6 * LONG))
        return (yield echo(1, "ready"))

    assert face.run(op(), idle_timeout=LONG) is True


def test_a_function_is_not_broken_off(face, clock):
    """It is this program's own; the op that it belongs to ends after it."""

    def function():
        clock.pass_by(2 * LONG)
        return "done"

    assert face.run(Invoke(function), timeout=LONG) == "done"
    assert face.run(Invoke(function), idle_timeout=LONG) == "done"


def test_functions_side_by_side_are_not_waited_for(face):
    release = threading.Event()
    try:
        many = InvokeMany([lambda: release.wait(PATIENCE), lambda: 2], max_parallel=2)
        with pytest.raises(LMStudioTimeoutError, match="a tool was not finished"):
            face.run(many, timeout=SHORT)
        release.set()
        assert face.run(InvokeMany([lambda: 1, lambda: 2], max_parallel=2), timeout=LONG) == [1, 2]
    finally:
        release.set()


# -- the limits themselves -------------------------------------------------------------------------


def test_which_limit_holds():
    assert Limits().longest_wait is None
    assert Limits(5, default=lambda: SHORT).idle is None  # alone, it is the only one
    assert Limits(default=lambda: SHORT).longest_wait == SHORT
    assert Limits(idle_timeout=2, default=lambda: SHORT).idle == 2
    assert Limits(5, 1, default=lambda: SHORT).longest_wait == 1
    assert Limits(0.5, 1).longest_wait <= 0.5
    assert Limits(idle_timeout=math.inf, default=lambda: SHORT).longest_wait is None
    assert Limits(math.inf).left is None


def test_what_is_left(clock):
    limits = Limits(LONG, 300)
    heard = clock.monotonic()
    clock.pass_by(200)
    assert limits.left == pytest.approx(800, abs=60)
    assert limits.remaining(heard) == pytest.approx(100, abs=60)
    assert limits.remaining(heard - 700) == 0
    limits.check()
    clock.pass_by(700)
    assert limits.longest_wait == pytest.approx(100, abs=60)
    assert limits.remaining(clock.monotonic()) == pytest.approx(100, abs=60)
    clock.pass_by(200)
    assert limits.left == 0
    with pytest.raises(LMStudioTimeoutError, match=r"a\.b was not finished in the 1000 seconds"):
        limits.check("a.b")
    assert Limits(idle_timeout=5).remaining(heard) == 0
    assert Limits().remaining(heard) is None


def test_what_the_errors_say():
    quiet = Limits(idle_timeout=7).error("a.b")
    assert "a.b in 7 seconds. idle_timeout=" in str(quiet)
    assert (quiet.seconds, quiet.endpoint) == (7, "a.b")
    default = Limits(default=lambda: 7).error("a.b", waited=3)
    assert "a.b in 3 seconds. lmstudio.set_sync_api_timeout()" in str(default)
    assert (default.seconds, default.endpoint) == (3, "a.b")
    assert Limits(idle_timeout=7).error().endpoint is None
    assert "the call" in str(Limits(idle_timeout=7).error())


def test_what_a_call_is_given():
    assert limits_of({}) is None
    assert limits_of({"timeout": None, "idle_timeout": None}) is None
    given = limits_of({"timeout": None, "idle_timeout": 3}, default=lambda: 7)
    assert (given.idle, given.left) == (3, None)
    assert limits_of({"timeout": 3}, default=lambda: 7).longest_wait <= 3
    with pytest.raises(TypeError, match="'tmeout'; did you mean 'timeout'"):
        limits_of({"tmeout": 3})
    with pytest.raises(TypeError, match=r"'temperature'; settings of .* go into config="):
        limits_of({"temperature": 3})


@pytest.mark.parametrize("value", [-1, "5", True, math.nan])
@pytest.mark.parametrize("name", ["timeout", "idle_timeout"])
def test_what_is_no_limit(name, value):
    with pytest.raises(LMStudioValueError, match=f"{name} is a positive number of seconds"):
        Limits(**{name: value})
    with pytest.raises(LMStudioValueError, match="timeout is a positive number"):
        set_sync_api_timeout(value)


def test_the_limits_that_hold_now():
    mine = Limits(5)
    assert sync_limits() is not mine
    with using(mine), using(None):
        assert sync_limits() is mine
    assert sync_limits() is not mine
    set_sync_api_timeout(7)
    assert get_sync_api_timeout() == sync_limits().idle == 7
    set_sync_api_timeout(None)
    assert sync_limits().longest_wait is None
