"""The protocol without any I/O: frames, authentication, addresses, outcomes, operations."""

from __future__ import annotations

import json
import logging
import pickle

import pytest
from core_clients import Count, echo
from hypothesis import given
from hypothesis import strategies as st

from lmstudio_core import errors
from lmstudio_core.protocol import auth, frames
from lmstudio_core.protocol.address import Address, parse_api_host
from lmstudio_core.protocol.conversations import CallState, ChannelState, Conversation
from lmstudio_core.protocol.operations import VOID, Batch, Call, Channel, Endpoint, VoidType
from lmstudio_core.protocol.outcome import ChannelReader, call_result, own_copy

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
PASSKEY = "Zy9" * 6 + "Zy"
TOKEN = f"sk-lm-Abcd1234:{PASSKEY}"


# -- frames ----------------------------------------------------------------------------------------


@given(st.dictionaries(st.text(), JSON, max_size=3))
def test_frames_survive_the_wire(frame):
    assert frames.decode_frame(frames.encode_frame(frame)) == json.loads(json.dumps(frame))


@given(st.binary() | st.text())
def test_any_text_is_a_frame_or_none(data):
    frame = frames.decode_frame(data)
    assert frame is None or isinstance(frame, dict)


def test_void_keys_are_left_out_and_null_is_kept():
    assert frames.encode_frame({"a": VOID, "b": None, "c": 0}) == b'{"b":null,"c":0}'


def test_what_json_lacks():
    assert frames.encode_frame({"a": float("inf"), "b": float("nan")}) == b'{"a":null,"b":null}'
    with pytest.raises(ValueError, match="serialize"):
        frames.encode_frame({"a": object()})
    assert frames.decode_frame("[" * 10_000) is None


def test_superjson():
    assert frames.encode_value(1, "raw") == 1
    assert frames.encode_value({"a": 1}, "superjson") == {"json": {"a": 1}}
    void = frames.encode_value(VOID, "superjson")
    assert void == {"json": None, "meta": {"values": ["undefined"]}}
    assert frames.decode_value(void, "superjson") is VOID
    assert frames.decode_value({"json": 1}, "raw") == {"json": 1}
    assert frames.decode_value({"json": {"a": 1}}, "superjson") == {"a": 1}
    assert frames.decode_value("unwrapped", "superjson") == "unwrapped"


def test_superjson_maps():
    def decode(entries):
        return frames.decode_value({"json": entries, "meta": {"values": ["map"]}}, "superjson")

    assert decode([["gguf", {"name": "x"}], ["mlx", None]]) == {"gguf": {"name": "x"}, "mlx": None}
    assert decode([["a", 1], ["short"], "no entry", [[1], 2], None]) == {"a": 1}
    assert decode({"not": "entries"}) == {"not": "entries"}


@given(JSON)
def test_superjson_never_fails(value):
    frames.decode_value(value, "superjson")
    frames.decode_value({"json": value, "meta": value}, "superjson")
    frames.decode_value({"json": value, "meta": {"values": ["map"]}}, "superjson")
    assert frames.decode_value(frames.encode_value(value, "superjson"), "superjson") == value


# -- authentication --------------------------------------------------------------------------------


def test_a_token_becomes_a_pair():
    creds = auth.credentials(f" {TOKEN}\n", {})
    assert (creds.identifier, creds.passkey, creds.from_token) == ("Abcd1234", PASSKEY, True)
    assert json.loads(auth.auth_request(creds)) == {
        "authVersion": 1,
        "clientIdentifier": "Abcd1234",
        "clientPasskey": PASSKEY,
    }


def test_where_tokens_come_from():
    other = TOKEN.replace("Abcd", "Efgh")
    both = {"LM_API_TOKEN": TOKEN, "LMSTUDIO_API_TOKEN": other}
    assert auth.credentials(other, both).identifier == "Efgh1234"
    assert auth.credentials(None, both).identifier == "Abcd1234"
    assert auth.credentials("", {"LMSTUDIO_API_TOKEN": other}).identifier == "Efgh1234"
    assert not auth.credentials(None, {"LM_API_TOKEN": "", "LMSTUDIO_API_TOKEN": ""}).from_token


def test_guests_are_all_different():
    guests = [auth.credentials(None, {}) for _ in range(3)]
    assert all(guest.identifier.startswith("guest:") for guest in guests)
    assert len({guest.identifier for guest in guests}) == 3
    assert len({guest.passkey for guest in guests}) == 3


@pytest.mark.parametrize(
    "token", ["secret", TOKEN + "x", "sk-lm-ab:cd", TOKEN.upper(), 7, b"sk-lm-"]
)
def test_an_ill_formed_token_is_refused_without_being_shown(token):
    with pytest.raises(errors.LMStudioValueError) as caught:
        auth.credentials(token, {})
    assert str(token) not in str(caught.value)
    if isinstance(token, str):
        with pytest.raises(errors.LMStudioValueError, match="in LM_API_TOKEN") as caught:
            auth.credentials(None, {"LM_API_TOKEN": token})
        assert token not in str(caught.value)


def test_a_pair_says_who_a_client_is():
    pair = auth.credentials(None, {"LM_API_TOKEN": TOKEN}, "plugin:a", PASSKEY)
    assert (pair.identifier, pair.passkey, pair.from_token) == ("plugin:a", PASSKEY, False)
    variables = {"LMS_PLUGIN_CLIENT_IDENTIFIER": "plugin:b", "LMS_PLUGIN_CLIENT_PASSKEY": "c"}
    plugin = auth.credentials(None, {**variables, "LM_API_TOKEN": TOKEN})
    assert (plugin.identifier, plugin.passkey, plugin.from_plugin) == ("plugin:b", "c", True)
    assert auth.credentials(TOKEN, variables).from_token
    assert (
        auth.credentials(None, {**variables, "LMS_PLUGIN_CLIENT_PASSKEY": ""}).from_plugin is False
    )


@pytest.mark.parametrize(
    ("token", "identifier", "passkey"),
    [
        (None, "a", None),
        (None, None, "b"),
        (None, "", "b"),
        (None, "a" * 257, "b"),
        (TOKEN, "a", "b"),
    ],
)
def test_half_a_pair_or_a_token_besides_is_refused(token, identifier, passkey):
    with pytest.raises(errors.LMStudioValueError, match="client_passkey"):
        auth.credentials(token, {}, identifier, passkey)


def test_credentials_do_not_show():
    assert PASSKEY not in repr(auth.credentials(TOKEN, {}))


def test_auth_replies():
    creds = auth.credentials(TOKEN, {})
    auth.check_auth_reply('{"success": true}', creds, "here")
    with pytest.raises(errors.LMStudioAuthenticationError) as caught:
        auth.check_auth_reply(f'{{"success": false, "error": "not {PASSKEY}"}}', creds, "here:1")
    assert str(caught.value).startswith("here:1 refused this client: not …\n")
    assert "Check the API token" in str(caught.value)
    guest = auth.credentials(None, {})
    with pytest.raises(errors.LMStudioAuthenticationError, match="may require an API token"):
        auth.check_auth_reply('{"success": 1}', guest, "here")
    own_words = '{"success": false, "error": "Set LM_API_TOKEN."}'
    with pytest.raises(errors.LMStudioAuthenticationError, match=r"Set LM_API_TOKEN\.$"):
        auth.check_auth_reply(own_words, guest, "here")
    for nonsense in ("", "[]", "null", "{}", b"\xff"):
        with pytest.raises(errors.LMStudioWebsocketError, match="another program"):
            auth.check_auth_reply(nonsense, guest, "here")


# -- addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("127.0.0.1:1234", "ws://127.0.0.1:1234/llm"),
        (" localhost:80 ", "ws://localhost:80/llm"),
        ("[::1]:1234", "ws://[::1]:1234/llm"),
        ("ws://host:1", "ws://host:1/llm"),
        ("http://host:1/", "ws://host:1/llm"),
        ("https://host", "wss://host:443/llm"),
        ("ws://host", "ws://host:80/llm"),
        ("wss://host/a/b/", "wss://host:443/a/b/llm"),
        ("host:1/prefix", "ws://host:1/prefix/llm"),
        ("host:1/a b%20ü/".replace(" ", ""), "ws://host:1/ab%20%C3%BC/llm"),
        ("0.0.0.0:1234", "ws://127.0.0.1:1234/llm"),
        ("[::]:1234", "ws://[::1]:1234/llm"),
        ("http://[::]:1234/v1", "ws://[::1]:1234/v1/llm"),
        ("[fe80::1%eth0]:1234", "ws://[fe80::1]:1234/llm"),
        ("http://[fe80::1%25eth0]:1234", "ws://[fe80::1]:1234/llm"),
        ("https://me:my%40word@host/p", "wss://host:443/p/llm"),
    ],
)
def test_addresses(text, uri):
    address = parse_api_host(text)
    assert address.uri("llm") == uri
    assert parse_api_host(str(address)) == address


@pytest.mark.parametrize(
    "text",
    ["", "  ", "host", "host:", "host:port", "host:70000", ":1234", "ftp://host:1", "ws://h:1?q=1",
     "ws://h:1#f", "ws://user:secret@h:1?q=1", "user:secret@h", "user:secret@h:x", "a..b:1", f"{'a' * 64}:1", "::1:1234", None, 1234, b"host:1", "[::1:80", "a b:1", "h\x00:1", "h:0", "["],
)  # fmt: skip
def test_what_is_no_address(text):
    with pytest.raises(errors.LMStudioValueError, match="host:port") as caught:
        parse_api_host(text)
    assert "secret" not in str(caught.value)


@given(st.text())
def test_any_text_is_an_address_or_refused(text):
    try:
        address = parse_api_host(text)
    except errors.LMStudioValueError:
        return
    assert isinstance(address, Address)
    assert 1 <= address.port <= 65535
    assert parse_api_host(str(address)) == address


def test_addresses_that_need_more_than_host_and_port_show_it():
    assert str(Address("h", 1)) == "h:1"
    assert str(Address("h", 1, secure=True)) == "wss://h:1"
    assert parse_api_host(str(Address("h", 1, prefix="/p"))) == Address("h", 1, prefix="/p")


def test_a_password_in_an_address_is_sent_and_never_shown():
    address = parse_api_host("https://me:my%40word@host/p")
    assert address.access.headers == (("Authorization", "Basic bWU6bXlAd29yZA=="),)
    assert str(address) == "wss://host:443/p"
    for shown in (repr(address), repr(address.access), str(address)):
        assert "word" not in shown
        assert "bWU6" not in shown
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(address)
    assert pickle.loads(pickle.dumps(Address("h", 1))) == Address("h", 1)


@pytest.mark.parametrize(
    ("text", "local"),
    [("localhost:1", True), ("127.9.0.1:1", True), ("[::1]:1", True), ("a.localhost:1", True),
     ("0.0.0.0:1", True), ("10.0.0.1:1", False), ("host:1", False), ("[fe80::1%a]:1", False)],
)  # fmt: skip
def test_which_addresses_are_on_this_machine(text, local):
    assert parse_api_host(text).local is local


# -- operations ------------------------------------------------------------------------------------


def test_void():
    assert VoidType() is VOID
    assert repr(VOID) == "VOID"
    assert not VOID
    assert pickle.loads(pickle.dumps(VOID)) is VOID


def test_endpoints_and_operations_have_defaults():
    assert str(Endpoint("llm", "predict")) == "llm.predict"
    call = Call(Endpoint("a", "b"))
    assert call.parameter is VOID
    assert call.decode(3) == 3
    assert Batch([call]).max_in_flight == 64


def test_a_channel_has_to_be_made():
    channel = Channel()
    with pytest.raises(NotImplementedError):
        channel.feed({})
    with pytest.raises(NotImplementedError):
        channel.result()


# -- outcomes --------------------------------------------------------------------------------------


def closed(**changes):
    state = CallState(1, Endpoint("test", "echo"))
    state.closed = True
    for name, value in changes.items():
        setattr(state, name, value)
    return state


def test_call_results():
    call = Call(Endpoint("test", "echo"), decode=lambda raw: raw["x"])
    assert call_result(call, closed(value={"x": 1})) == 1
    with pytest.raises(errors.LMStudioServerError, match="newer or older"):
        call_result(call, closed(value=VOID))
    with pytest.raises(errors.LMStudioServerError, match="Unknown error"):
        call_result(call, closed(raw_error=None))
    failure = errors.LMStudioConnectionError("gone", tried=["a:1"])
    failure.__cause__ = OSError("why")
    with pytest.raises(errors.LMStudioConnectionError) as caught:
        call_result(call, closed(failure=failure))
    assert caught.value is not failure
    assert caught.value.tried == ("a:1",)
    assert caught.value.__cause__ is failure.__cause__

    def own(raw):
        raise errors.LMStudioModelNotFoundError("mine")

    with pytest.raises(errors.LMStudioModelNotFoundError, match="mine"):
        call_result(Call(Endpoint("a", "b"), decode=own), closed(value=1))


def test_copies_of_errors_keep_their_fields():
    error = errors.LMStudioRequestRejectedError("no", endpoint="a.b", kind="k")
    copied = own_copy(error)
    assert (str(copied), copied.endpoint, copied.kind) == ("no", "a.b", "k")


def test_a_reader_takes_events_one_at_a_time():
    state = ChannelState(1, Endpoint("test", "count", "channel"))
    reader = ChannelReader(Count(), state)
    assert reader.take() is None
    assert reader.cancel_message == {"type": "cancel"}
    state.inbox.extend([{"n": []}, {"n": [1, 2]}, {"type": "news"}, {"n": 3}])
    assert [reader.take() for _ in range(4)] == [(1,), (2,), (3,), None]
    assert not reader.finished
    state.inbox.append({"type": "success"})
    assert reader.take() is None
    assert reader.cancel_message is None
    state.closed = True
    assert reader.take() is None
    assert reader.finished
    assert reader.take() is None


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, errors.LMStudioChannelClosedError),
        ({"raw_error": {"title": "bad"}}, errors.LMStudioServerError),
        ({"failure": errors.LMStudioConnectionError("gone")}, errors.LMStudioConnectionError),
    ],
)
def test_a_reader_raises_once_what_the_channel_failed_with(changes, error):
    state = ChannelState(1, Endpoint("test", "count", "channel"))
    state.inbox.append({"n": 1})
    state.closed = True
    for name, value in changes.items():
        setattr(state, name, value)
    reader = ChannelReader(Count(), state)
    assert reader.take() == (1,)
    with pytest.raises(error):
        reader.take()
    assert reader.take() is None


def test_conversations_by_default():
    state = Conversation(1, Endpoint("a", "b"))
    assert not state.ready
    state.closed = True
    assert state.ready


def test_no_credentials_in_the_log(caplog):
    caplog.set_level(logging.DEBUG)
    from lmstudio_core.drivers.wire import Wire

    wire = Wire(Address("h", 1), "llm", auth.credentials(TOKEN, {}))
    wire._protocol.send_text  # noqa: B018 - it exists
    assert PASSKEY not in caplog.text
    assert PASSKEY not in repr(vars(wire))
    assert echo(1).endpoint.name == "echo"
