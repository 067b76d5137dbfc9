"""Whatever a client sends, the session neither fails nor forgets a rule."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lmstudio_server.api.namespaces import NAMESPACES
from lmstudio_server.wire.auth import Authenticator
from lmstudio_server.wire.session import (
    MAX_WARNINGS,
    ChannelOpened,
    Reply,
    RpcRequested,
    Session,
    WarningSent,
)

KINDS = [
    "rpcCall",
    "channelCreate",
    "channelSend",
    "channelAck",
    "signalSubscribe",
    "signalUnsubscribe",
    "writableSignalSubscribe",
    "writableSignalUnsubscribe",
    "writableSignalUpdate",
    "communicationWarning",
    "keepAlive",
    "other",
]
KEYS = [
    "endpoint",
    "callId",
    "channelId",
    "parameter",
    "creationParameter",
    "message",
    "ackId",
    "subscribeId",
    "patches",
    "tags",
    "warning",
    "kind",
]
ENDPOINTS = sorted({name for table in NAMESPACES.values() for name in table.endpoints})
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
value = plain | st.sampled_from([*ENDPOINTS, {"type": "cancel"}, {"identifier": "x"}, []])
frame = st.builds(
    lambda kind, fields: {"type": kind, **fields},
    st.sampled_from(KINDS),
    st.dictionaries(st.sampled_from(KEYS), value),
)
text = frame.map(json.dumps) | plain.map(json.dumps) | st.text(max_size=20)


@settings(max_examples=300, deadline=None)
@given(namespace=st.sampled_from(sorted(NAMESPACES)), texts=st.lists(text, max_size=20))
def test_no_text_breaks_a_session(namespace: str, texts: list[str]) -> None:
    session = Session(namespace, NAMESPACES[namespace].endpoints, Authenticator())
    session.receive('{"authVersion":1,"clientIdentifier":"guest:1","clientPasskey":"p"}')
    warnings = 0
    open_channels: set[int] = set()
    for sent in texts:
        for event in session.receive(sent):
            match event:
                case WarningSent():
                    warnings += 1
                case ChannelOpened():
                    assert event.channel_id not in open_channels
                    open_channels.add(event.channel_id)
                case RpcRequested():
                    assert NAMESPACES[namespace].endpoints[event.endpoint].kind == "rpc"
                case Reply():
                    answer: dict[str, Any] = json.loads(event.text)
                    assert answer["type"] in ("communicationWarning", "keepAliveAck")
                case _:
                    pass
    assert warnings <= MAX_WARNINGS
    for channel_id in open_channels:
        assert session.channel_close(channel_id) is not None


@settings(max_examples=200, deadline=None)
@given(sent=text)
def test_nothing_but_credentials_opens_the_door(sent: str) -> None:
    session = Session("llm", NAMESPACES["llm"].endpoints, Authenticator())
    assert session.receive(sent) == []
    assert session.admission is None
