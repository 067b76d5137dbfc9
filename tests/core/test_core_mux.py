"""One socket's conversations, in every order that a server may choose."""

from __future__ import annotations

import json
import logging

import pytest

from lmstudio_core import errors
from lmstudio_core.protocol.mux import Mux
from lmstudio_core.protocol.operations import VOID, Endpoint

ECHO = Endpoint("test", "echo")
COUNT = Endpoint("test", "count", "channel")
SIGNAL = Endpoint("test", "state", "signal")
WRITABLE = Endpoint("test", "state", "writableSignal")


def feed(mux, **frame):
    return mux.receive(json.dumps(frame))


def sent(payload):
    return json.loads(payload)


# -- what goes out ---------------------------------------------------------------------------------


def test_frames_of_every_kind():
    mux = Mux()
    call, payload = mux.call(ECHO, {"a": 1})
    assert sent(payload) == {
        "type": "rpcCall",
        "endpoint": "echo",
        "callId": 1,
        "parameter": {"a": 1},
    }
    channel, payload = mux.open_channel(COUNT, [1])
    assert sent(payload) == {
        "type": "channelCreate", "endpoint": "count", "channelId": 2, "creationParameter": [1],
    }  # fmt: skip
    assert sent(mux.send(channel, {"type": "cancel"})) == {
        "type": "channelSend", "channelId": 2, "message": {"type": "cancel"},
    }  # fmt: skip
    assert sent(mux.send(channel, 1, ack_id=7))["ackId"] == 7
    signal, payload = mux.subscribe(SIGNAL, {"x": 1})
    assert sent(payload) == {
        "type": "signalSubscribe", "endpoint": "state", "subscribeId": 3,
        "creationParameter": {"x": 1},
    }  # fmt: skip
    assert sent(mux.unsubscribe(signal)) == {"type": "signalUnsubscribe", "subscribeId": 3}
    assert mux.unsubscribe(signal) is None
    assert sent(mux.keep_alive()) == {"type": "keepAlive"}
    assert sent(mux.warning("odd", "unknown")) == {
        "type": "communicationWarning", "warning": "odd", "kind": "unknown",
    }  # fmt: skip
    assert call.id == 1


def test_void_parameters_are_absent():
    mux = Mux()
    for payload in (mux.call(ECHO)[1], mux.open_channel(COUNT)[1], mux.subscribe(SIGNAL)[1]):
        assert not {"parameter", "creationParameter"} & set(sent(payload))


def test_at_most_five_warnings_go_out():
    mux = Mux()
    assert [mux.warning("x", "unknown") is None for _ in range(7)] == [False] * 5 + [True] * 2


@pytest.mark.parametrize("start", ["call", "open_channel", "subscribe"])
def test_what_cannot_be_sent_leaves_no_trace(start):
    mux = Mux()
    with pytest.raises(errors.LMStudioValueError, match=r"test\."):
        getattr(mux, start)(ECHO, {"a": object()})
    assert mux.idle
    channel, _ = mux.open_channel(COUNT)
    with pytest.raises(errors.LMStudioValueError, match=r"test\.count"):
        mux.send(channel, object())


# -- calls -----------------------------------------------------------------------------------------


def test_answers_in_any_order():
    mux = Mux()
    calls = [mux.call(ECHO)[0] for _ in range(3)]
    assert not mux.idle
    for call in reversed(calls):
        assert feed(mux, type="rpcResult", callId=call.id, result=call.id) is call
        assert call.ready
        assert call.value == call.id
    assert mux.idle
    assert feed(mux, type="rpcResult", callId=1, result=1) is None


def test_void_and_null_results_differ():
    mux = Mux()
    void, null = mux.call(ECHO)[0], mux.call(ECHO)[0]
    feed(mux, type="rpcResult", callId=void.id)
    feed(mux, type="rpcResult", callId=null.id, result=None)
    assert void.value is VOID
    assert null.value is None


def test_errors_of_calls():
    mux = Mux()
    call, _ = mux.call(ECHO)
    assert feed(mux, type="rpcError", callId=call.id) is call
    assert call.raw_error is None
    assert call.closed


def test_an_abandoned_call_is_forgotten():
    mux = Mux()
    call, _ = mux.call(ECHO)
    mux.abandon(call)
    assert mux.idle
    assert feed(mux, type="rpcResult", callId=call.id) is None


# -- channels --------------------------------------------------------------------------------------


def test_packets_until_the_close():
    mux = Mux()
    channel, _ = mux.open_channel(COUNT)
    assert not channel.ready
    assert feed(mux, type="channelSend", channelId=1, message={"n": 1}) is channel
    assert channel.ready
    assert feed(mux, type="channelSend", channelId=1) is channel
    assert list(channel.inbox) == [{"n": 1}, None]
    assert feed(mux, type="channelClose", channelId=1) is channel
    assert channel.closed
    assert channel.raw_error is VOID
    assert mux.send(channel, {"type": "cancel"}) is None
    assert feed(mux, type="channelSend", channelId=1, message=1) is None
    assert feed(mux, type="channelClose", channelId=1) is None
    assert mux.idle


def test_errors_of_channels():
    mux = Mux()
    channel, _ = mux.open_channel(COUNT)
    feed(mux, type="channelError", channelId=1, error={"title": "bad"})
    assert channel.raw_error == {"title": "bad"}


def test_acks_are_noted():
    mux = Mux()
    channel, _ = mux.open_channel(COUNT)
    assert feed(mux, type="channelAck", channelId=1, ackId=7) is None
    feed(mux, type="channelAck", channelId=1, ackId="x")
    feed(mux, type="channelAck", channelId=9, ackId=1)
    assert channel.acked == {7}
    assert feed(mux, type="keepAliveAck") is None


def test_superjson_channels():
    mux = Mux()
    endpoint = Endpoint("test", "wrapped", "channel", "superjson")
    channel, payload = mux.open_channel(endpoint)
    assert sent(payload)["creationParameter"]["meta"] == {"values": ["undefined"]}
    feed(mux, type="channelSend", channelId=1, message={"json": 5})
    assert list(channel.inbox) == [5]
    call, _ = mux.call(Endpoint("test", "wrapped", "rpc", "superjson"))
    feed(mux, type="rpcResult", callId=call.id, result={"json": 6})
    assert call.value == 6


@pytest.mark.parametrize("data", ["", "no json", "[]", "5", '"x"', "{}", '{"type": "new"}'])
def test_what_is_no_frame_changes_nothing(data):
    mux = Mux()
    call, _ = mux.call(ECHO)
    assert mux.receive(data) is None
    assert not call.closed


def test_nobody_is_woken_for_what_is_abandoned():
    mux = Mux()
    for state, _ in (mux.call(ECHO, 1), mux.open_channel(COUNT, 1)):
        state.waiter = object()
        mux.abandon(state)
        assert state.waiter is None


def test_an_abandoned_channel_drops_what_still_comes():
    mux = Mux()
    channel, _ = mux.open_channel(COUNT)
    feed(mux, type="channelSend", channelId=1, message=1)
    mux.abandon(channel)
    assert mux.idle
    assert channel.ready  # so that whoever waits for it stops
    assert feed(mux, type="channelSend", channelId=1, message=2) is None
    assert not channel.inbox
    assert feed(mux, type="channelClose", channelId=1) is channel


# -- warnings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Unknown endpoint, endpoint = echo",
        "endpointName = echo. Data: {}",
        'endpoint="echo"',
        "endpoint=echo.",
    ],
)
def test_a_warning_fails_the_oldest_unanswered_request(text):
    mux = Mux()
    answered, _ = mux.open_channel(Endpoint("test", "echo", "channel"))
    feed(mux, type="channelSend", channelId=answered.id, message=1)
    other, _ = mux.call(Endpoint("test", "other"))
    first, _ = mux.call(ECHO)
    second, _ = mux.call(ECHO)
    assert feed(mux, type="communicationWarning", warning=text, kind="rpcUnknown") is first
    assert isinstance(first.failure, errors.LMStudioRequestRejectedError)
    assert (first.failure.kind, first.failure.endpoint) == ("rpcUnknown", "test.echo")
    assert not any(state.closed for state in (answered, other, second))
    assert feed(mux, type="communicationWarning", warning=text, kind=5) is second
    assert second.failure.kind is None
    assert feed(mux, type="communicationWarning", warning=text) is None


def test_a_warning_may_fail_channels_and_signals():
    mux = Mux()
    channel, _ = mux.open_channel(COUNT)
    signal, _ = mux.subscribe(SIGNAL)
    assert feed(mux, type="communicationWarning", warning="endpoint = state") is signal
    assert feed(mux, type="communicationWarning", warning="endpoint = count") is channel
    assert mux.idle


def test_warnings_without_a_match_are_logged(caplog):
    caplog.set_level(logging.DEBUG)
    mux = Mux()
    mux.call(ECHO)
    for warning in ("endpoint = other", "odd", "", None, 5):
        assert feed(mux, type="communicationWarning", warning=warning) is None
    assert mux.exhausted
    assert caplog.text.count("WARNING") == 5
    feed(mux, type="communicationWarning", warning="no such channel", kind="channelUnknown")
    assert caplog.text.count("WARNING") == 5


def test_five_warnings_exhaust_a_socket():
    mux = Mux()
    for _ in range(4):
        feed(mux, type="communicationWarning", warning="x")
    assert not mux.exhausted
    feed(mux, type="communicationWarning")
    assert mux.exhausted


# -- the end ---------------------------------------------------------------------------------------


def test_fail_all():
    mux = Mux()
    states = [mux.call(ECHO)[0], mux.open_channel(COUNT)[0], mux.subscribe(SIGNAL)[0]]
    left = mux.open_channel(COUNT)[0]
    mux.abandon(left)
    failure = errors.LMStudioConnectionError("gone")
    assert mux.fail_all(failure) == [states[0], states[1], left, states[2]]
    assert all(state.closed and state.failure is failure for state in states)
    assert mux.idle
    assert mux.fail_all(failure) == []


# -- signals ---------------------------------------------------------------------------------------


def test_a_signal_and_its_updates():
    mux = Mux()
    signal, _ = mux.subscribe(SIGNAL)
    assert not signal.ready
    assert signal.value is VOID
    assert mux.signals == (signal,)
    first = [{"op": "replace", "path": [], "value": {"a": [1]}}]
    assert feed(mux, type="signalUpdate", subscribeId=1, patches=first, tags=[]) is signal
    assert signal.ready
    assert signal.take() == {"a": [1]}
    assert not signal.ready
    more = [{"op": "add", "path": ["a", 1], "value": 2}, {"op": "add", "path": ["b"], "value": 3}]
    feed(mux, type="signalUpdate", subscribeId=1, patches=more)
    assert signal.take() == {"a": [1, 2], "b": 3}
    mux.unsubscribe(signal)
    assert signal.ready
    assert feed(mux, type="signalUpdate", subscribeId=1, patches=first) is None


@pytest.mark.parametrize("patch", [{"op": "jump"}, 5])
def test_updates_that_do_not_fit_end_the_subscription(patch):
    """Its value would be wrong from then on, and whoever waits for it would wait for ever."""
    mux = Mux()
    signal, _ = mux.subscribe(SIGNAL)
    assert feed(mux, type="signalUpdate", subscribeId=1, patches=7, tags=7) is signal
    assert feed(mux, type="signalUpdate", subscribeId=1, patches=[patch]) is signal
    assert signal.value is VOID
    assert "test.state" in str(signal.failure)
    assert signal.closed
    assert mux.idle


def test_errors_of_signals():
    mux = Mux()
    signal, _ = mux.subscribe(SIGNAL)
    assert feed(mux, type="signalError", subscribeId=1, error={"title": "x"}) is signal
    assert signal.raw_error == {"title": "x"}
    assert mux.unsubscribe(signal) is None


def test_writable_signals_are_optimistic():
    mux = Mux()
    signal, payload = mux.subscribe(WRITABLE, writable=True)
    assert sent(payload)["type"] == "writableSignalSubscribe"
    patch = [{"op": "replace", "path": ["a"], "value": 2}]
    assert mux.update(signal, patch, "t1") is None  # before the first value
    whole = [{"op": "replace", "path": [], "value": {"a": 1}}]
    feed(mux, type="writableSignalUpdate", subscribeId=1, patches=whole, tags=[])
    assert sent(mux.update(signal, patch, "t1")) == {
        "type": "writableSignalUpdate", "subscribeId": 1, "patches": patch, "tags": ["t1"],
    }  # fmt: skip
    assert signal.value == {"a": 1}
    assert signal.optimistic == {"a": 2}
    feed(mux, type="writableSignalUpdate", subscribeId=1, patches=patch, tags=["t1"])
    assert signal.unconfirmed == []
    assert signal.optimistic == signal.value == {"a": 2}
    assert sent(mux.unsubscribe(signal))["type"] == "writableSignalUnsubscribe"
    assert mux.update(signal, patch, "t2") is None


def test_an_unconfirmed_change_that_lost_its_place():
    mux = Mux()
    signal, _ = mux.subscribe(WRITABLE, writable=True)
    whole = {"op": "replace", "path": [], "value": {"a": {"b": 1}}}
    feed(mux, type="writableSignalUpdate", subscribeId=1, patches=[whole])
    mux.update(signal, [{"op": "replace", "path": ["a", "b"], "value": 2}], "t1")
    removal = [{"op": "remove", "path": ["a"]}]
    feed(mux, type="writableSignalUpdate", subscribeId=1, patches=removal)
    assert signal.optimistic == {}


def test_a_subscription_is_carried_over_to_the_next_socket():
    old, new = Mux(), Mux()
    signal, _ = old.subscribe(WRITABLE, {"x": 1}, writable=True)
    whole = [{"op": "replace", "path": [], "value": 1}]
    feed(old, type="writableSignalUpdate", subscribeId=1, patches=whole)
    old.update(signal, whole, "t1")
    old.fail_all(errors.LMStudioConnectionError("gone"))
    new.call(ECHO)
    payload = new.resubscribe(signal)
    assert sent(payload) == {
        "type": "writableSignalSubscribe", "endpoint": "state", "subscribeId": 2,
        "creationParameter": {"x": 1},
    }  # fmt: skip
    assert not signal.closed
    assert signal.failure is None
    assert signal.unconfirmed == []
    assert new.signals == (signal,)
