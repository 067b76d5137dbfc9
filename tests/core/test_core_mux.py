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
    assert call.id == 1


def test_void_parameters_are_absent():
    mux = Mux()
    for payload in (mux.call(ECHO)[1], mux.open_channel(COUNT)[1]):
        assert not {"parameter", "creationParameter"} & set(sent(payload))


@pytest.mark.parametrize("start", ["call", "open_channel"])
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


def test_acks_say_that_a_channel_was_opened():
    mux = Mux()
    channel, _ = mux.open_channel(COUNT)
    feed(mux, type="channelAck", channelId=9, ackId=1)
    assert not channel.started
    assert feed(mux, type="channelAck", channelId=1, ackId="x") is None
    assert channel.started
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


def test_a_warning_may_fail_channels():
    mux = Mux()
    channel, _ = mux.open_channel(COUNT)
    assert feed(mux, type="communicationWarning", warning="endpoint = state") is None
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
    states = [mux.call(ECHO)[0], mux.open_channel(COUNT)[0]]
    left = mux.open_channel(COUNT)[0]
    mux.abandon(left)
    failure = errors.LMStudioConnectionError("gone")
    assert mux.fail_all(failure) == [*states, left]
    assert all(state.closed and state.failure is failure for state in states)
    assert mux.idle
    assert mux.fail_all(failure) == []
