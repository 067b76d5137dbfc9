"""The protocol of one socket, without a socket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lmstudio_server.api.endpoint import Namespace
from lmstudio_server.api.parameters import Unload
from lmstudio_server.wire import frames
from lmstudio_server.wire.auth import (
    CONTROL_IDENTIFIER,
    Authenticator,
    Credentials,
    parse_credentials,
    parse_token,
)
from lmstudio_server.wire.session import (
    ChannelMessage,
    ChannelOpened,
    Entered,
    Event,
    HangUp,
    Reply,
    RpcRequested,
    Session,
    WarningReceived,
    WarningSent,
)

TOKEN = "sk-lm-abcdefgh:ABCDEFGHIJKLMNOPQRST"


def auth(identifier: str = "guest:1", passkey: str = "p", version: Any = 1) -> str:
    return json.dumps(
        {"authVersion": version, "clientIdentifier": identifier, "clientPasskey": passkey}
    )


def namespace() -> Namespace:
    table = Namespace("llm")

    async def nothing(*_: Any) -> None:
        return None

    table.rpc("listLoaded")(nothing)
    table.rpc("unloadModel", Unload)(nothing)
    table.channel("watch", messages=("cancel",))(nothing)
    return table


def entered(authenticator: Authenticator | None = None) -> Session:
    session = Session("llm", namespace().endpoints, authenticator or Authenticator())
    session.receive(auth())
    return session


def give(session: Session, **frame: Any) -> list[Event]:
    return session.receive(json.dumps(frame))


def replies(events: list[Event]) -> list[Any]:
    return [json.loads(event.text) for event in events if isinstance(event, Reply)]


def warning(events: list[Event]) -> dict[str, Any]:
    [reply] = replies(events)
    assert reply["type"] == "communicationWarning"
    assert isinstance(events[0], WarningSent)
    return reply


class TestAuthentication:
    def test_a_guest_enters(self) -> None:
        session = Session("llm", {}, Authenticator())
        events = session.receive(auth())
        assert replies(events) == [{"success": True}]
        assert isinstance(events[1], Entered)
        assert events[1].admission.identifier == "guest:1"

    @pytest.mark.parametrize(
        "text",
        [
            "no json",
            "[]",
            auth(version=2),
            auth(version=True),
            auth(identifier="x" * 257),
            json.dumps({"type": "rpcCall", "endpoint": "listLoaded", "callId": 0}),
            '{"authVersion":1,"clientIdentifier":5,"clientPasskey":"p"}',
        ],
    )
    def test_what_is_no_authentication_gets_no_answer(self, text: str) -> None:
        session = Session("llm", {}, Authenticator())
        assert session.receive(text) == []
        assert replies(session.receive(auth())) == [{"success": True}]

    def test_time_out(self) -> None:
        session = Session("llm", {}, Authenticator())
        events = session.auth_timed_out()
        assert replies(events) == [{"success": False, "error": "Authentication timed out"}]
        assert isinstance(events[1], HangUp)
        assert session.receive(auth()) == []
        assert entered().auth_timed_out() == []

    def test_an_identifier_belongs_to_the_first_for_as_long_as_it_is_connected(self) -> None:
        authenticator = Authenticator()
        first, second = (Session("llm", {}, authenticator) for _ in range(2))
        first.receive(auth("a", "one"))
        [answer] = replies(second.receive(auth("a", "two")))
        assert answer["success"] is False
        assert "two" not in answer["error"]
        again = Session("system", {}, authenticator)
        assert replies(again.receive(auth("a", "one"))) == [{"success": True}]
        assert first.closed() is False
        assert again.closed() is True
        third = Session("llm", {}, authenticator)
        assert replies(third.receive(auth("a", "two"))) == [{"success": True}]

    def test_a_refused_socket_releases_nothing(self) -> None:
        authenticator = Authenticator()
        first, second = (Session("llm", {}, authenticator) for _ in range(2))
        first.receive(auth("a", "one"))
        second.receive(auth("a", "two"))
        assert second.closed() is False
        assert first.closed() is True

    def test_api_token(self) -> None:
        authenticator = Authenticator([TOKEN])
        good = authenticator.admit(Credentials("abcdefgh", "ABCDEFGHIJKLMNOPQRST"))
        assert good.error is None
        assert good.trusted
        wrong = authenticator.admit(Credentials("abcdefgh", "wrong"))
        assert wrong.error is not None
        assert "wrong" not in wrong.error
        guest = authenticator.admit(Credentials("guest:1", "x"))
        assert guest.error is not None
        assert "LM_API_TOKEN" in guest.error

    def test_the_control_key(self) -> None:
        authenticator = Authenticator([TOKEN], control_key="secret")
        assert authenticator.admit(Credentials(CONTROL_IDENTIFIER, "secret")).trusted
        assert authenticator.admit(Credentials(CONTROL_IDENTIFIER, "guess")).error
        assert Authenticator().admit(Credentials(CONTROL_IDENTIFIER, "guess")).error

    def test_secrets_stay_out_of_texts(self) -> None:
        credentials = parse_credentials(auth("me", "hidden"))
        assert "hidden" not in repr(credentials)
        with pytest.raises(ValueError, match="form") as caught:
            parse_token("sk-lm-hidden")
        assert "hidden" not in str(caught.value)


class TestRpc:
    def test_call(self) -> None:
        events = give(entered(), type="rpcCall", endpoint="listLoaded", callId=0)
        assert events == [RpcRequested("listLoaded", 0, frames.ABSENT)]

    def test_results(self) -> None:
        session = entered()
        assert json.loads(session.rpc_result(3)) == {"type": "rpcResult", "callId": 3}
        assert json.loads(session.rpc_result(3, None))["result"] is None
        assert json.loads(session.rpc_error(3, {"title": "t"}))["error"] == {"title": "t"}

    def test_null_is_not_void(self) -> None:
        reply = warning(
            give(entered(), type="rpcCall", endpoint="listLoaded", callId=0, parameter=None)
        )
        assert reply["kind"] == "rpcParameterTypeError"
        assert reply["warning"].endswith("endpoint = listLoaded")

    @pytest.mark.parametrize(
        "parameter", [{}, {"identifier": 5}, {"identifier": None}, None, [], "x"]
    )
    def test_a_parameter_that_does_not_fit(self, parameter: Any) -> None:
        reply = warning(
            give(entered(), type="rpcCall", endpoint="unloadModel", callId=0, parameter=parameter)
        )
        assert reply["kind"] == "rpcParameterTypeError"

    def test_unknown_keys_are_dropped(self) -> None:
        [event] = give(
            entered(),
            type="rpcCall",
            endpoint="unloadModel",
            callId=1.0,
            parameter={"identifier": "a", "more": 1, "deviceIdentifier": None},
        )
        assert isinstance(event, RpcRequested)
        assert event.parameter.identifier == "a"

    def test_unknown_endpoint(self) -> None:
        for name in ("nope", "watch"):
            reply = warning(give(entered(), type="rpcCall", endpoint=name, callId=0))
            assert reply["kind"] == "rpcEndpointUnknown"
            assert reply["warning"].endswith(f"endpoint = {name}")


class TestChannels:
    def test_life(self) -> None:
        session = entered()
        [event] = give(session, type="channelCreate", endpoint="watch", channelId=7)
        assert event == ChannelOpened("watch", 7, frames.ABSENT)
        sent = session.channel_send(7, {"type": "x"})
        assert sent is not None
        assert json.loads(sent)["message"] == {"type": "x"}
        [message] = give(session, type="channelSend", channelId=7, message={"type": "cancel"})
        assert message == ChannelMessage(7, {"type": "cancel"})
        closed = session.channel_close(7)
        assert closed is not None
        assert json.loads(closed) == {"type": "channelClose", "channelId": 7}
        assert session.channel_send(7, {}) is None
        assert session.channel_close(7) is None
        assert session.channel_error(7, {}) is None
        late = give(session, type="channelSend", channelId=7, message={"type": "cancel"})
        assert warning(late)["kind"] == "channelUnknown"

    def test_the_id_is_free_after_an_error(self) -> None:
        session = entered()
        give(session, type="channelCreate", endpoint="watch", channelId=7)
        again = give(session, type="channelCreate", endpoint="watch", channelId=7)
        assert warning(again)["kind"] == "channelAlreadyOpen"
        assert session.channel_error(7, {"title": "t"}) is not None
        [event] = give(session, type="channelCreate", endpoint="watch", channelId=7)
        assert isinstance(event, ChannelOpened)

    def test_mistakes(self) -> None:
        session = entered()
        unknown = give(session, type="channelCreate", endpoint="listLoaded", channelId=1)
        assert warning(unknown)["kind"] == "channelEndpointUnknown"
        bad = give(
            session, type="channelCreate", endpoint="watch", channelId=1, creationParameter=None
        )
        assert warning(bad)["kind"] == "channelCreationParameterTypeError"
        give(session, type="channelCreate", endpoint="watch", channelId=1)
        for message in ({"type": "stop"}, "cancel", None):
            odd = give(session, type="channelSend", channelId=1, message=message)
            assert warning(odd)["kind"] == "channelMessageTypeError"


class TestFrames:
    def test_keep_alive(self) -> None:
        assert replies(give(entered(), type="keepAlive")) == [{"type": "keepAliveAck"}]

    def test_signals_are_unknown(self) -> None:
        session = entered()
        kinds = [
            warning(give(session, **frame))["kind"]
            for frame in (
                {"type": "signalSubscribe", "endpoint": "s", "subscribeId": 1},
                {"type": "writableSignalSubscribe", "endpoint": "s", "subscribeId": 1},
                {"type": "signalUnsubscribe", "subscribeId": 1},
                {"type": "writableSignalUpdate", "subscribeId": 1, "patches": [], "tags": []},
            )
        ]
        assert kinds == [
            "signalEndpointUnknown",
            "writableSignalEndpointUnknown",
            "signalUnknown",
            "writableSignalUnknown",
        ]

    @pytest.mark.parametrize(
        "text",
        [
            "no json",
            "5",
            "{}",
            '{"type":"other"}',
            '{"type":"rpcCall","endpoint":"listLoaded","callId":1,"more":NaN}',
            '{"type":5}',
            '{"type":"rpcCall","endpoint":"listLoaded"}',
            '{"type":"rpcCall","endpoint":"listLoaded","callId":true}',
            '{"type":"rpcCall","endpoint":5,"callId":1}',
            '{"type":"channelAck","channelId":1,"ackId":1}',
            '{"type":"writableSignalUpdate","subscribeId":1,"patches":[],"tags":[5]}',
            '{"a":' * 100_000,
        ],
    )
    def test_what_is_no_frame_gets_no_answer(self, text: str) -> None:
        assert entered().receive(text) == []

    def test_json_that_is_nested_too_deeply_is_answered(self) -> None:
        """It may be right, and whoever sent it waits."""
        deep = '{"a":' * 100_000
        session = entered()
        [reply] = session.receive(f'{{"type":"rpcCall","callId":7,"parameter":{deep}')
        answer = json.loads(reply.text)
        assert (answer["type"], answer["callId"]) == ("rpcError", 7)
        [reply] = session.receive(f'{{"type":"channelCreate","channelId":8,"parameter":{deep}')
        assert json.loads(reply.text)["type"] == "channelError"
        # A message for a channel that is not open is as if it had not come.
        assert session.receive(f'{{"type":"channelSend","channelId":9,"message":{deep}') == []

    def test_five_warnings_and_no_more(self) -> None:
        session = entered()
        for _ in range(5):
            warning(give(session, type="rpcCall", endpoint="nope", callId=0))
        assert give(session, type="rpcCall", endpoint="nope", callId=0) == []
        [event] = give(session, type="rpcCall", endpoint="listLoaded", callId=0)
        assert isinstance(event, RpcRequested)

    def test_a_warning_is_not_answered(self) -> None:
        events = give(entered(), type="communicationWarning", warning="w", kind="new")
        assert events == [WarningReceived("w", "new")]

    def test_half_a_surrogate_pair_survives(self) -> None:
        text = frames.dump({"a": "\ud83d", "b": "é"})
        assert json.loads(text.encode()) == {"a": "\ud83d", "b": "é"}
        assert "é" in frames.dump({"b": "é"})
