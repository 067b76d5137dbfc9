"""Whatever a server sends: no frame is fatal."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmstudio_core import errors
from lmstudio_core.protocol.mux import Mux
from lmstudio_core.protocol.operations import Endpoint

ECHO = Endpoint("test", "echo")
COUNT = Endpoint("test", "count", "channel")


def feed(mux, **frame):
    return mux.receive(json.dumps(frame))


def sent(payload):
    return json.loads(payload)


KINDS = [
    "rpcResult", "rpcError", "channelSend", "channelAck", "channelClose", "channelError",
    "signalUpdate", "writableSignalUpdate", "signalError", "writableSignalError",
    "communicationWarning", "keepAliveAck", "rpcCall",
]  # fmt: skip
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 9)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)
FRAME = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS) | ODD},
    optional={
        **{key: st.integers(0, 5) | ODD for key in ("callId", "channelId", "subscribeId", "ackId")},
        **dict.fromkeys(("result", "error", "message", "tags", "kind"), ODD),
        "patches": ODD,
        "warning": st.sampled_from(["endpoint = echo", "endpoint = state"]) | ODD,
    },
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(FRAME, max_size=5), st.sampled_from(["raw", "superjson"]))
def test_no_frame_is_fatal(frames, serialization):
    mux = Mux()
    states = [
        mux.call(Endpoint("test", "echo", "rpc", serialization))[0],
        mux.open_channel(Endpoint("test", "count", "channel", serialization))[0],
    ]
    for frame in frames:
        changed = mux.receive(json.dumps(frame))
        assert changed is None or changed in states
        assert changed is None or changed.ready
    mux.fail_all(errors.LMStudioConnectionError("gone"))
    assert all(state.closed for state in states)
    assert mux.idle


@given(ODD)
def test_ids_that_are_no_numbers(identifier):
    mux = Mux()
    call, _ = mux.call(ECHO)
    if type(identifier) is not int:
        assert feed(mux, type="rpcResult", callId=identifier) is None
        assert not call.closed
