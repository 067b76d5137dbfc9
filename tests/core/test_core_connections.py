"""Connections as both drivers keep them: refused, lost, replaced, and what comes over them."""

from __future__ import annotations

import errno
import logging
import os
import socket

import pytest
from core_clients import Count, echo, in_thread, numbers
from websockets.server import ServerProtocol

from lmstudio_core import errors
from lmstudio_core.drivers.wire import Wire
from lmstudio_core.protocol.address import Address
from lmstudio_core.protocol.auth import credentials
from lmstudio_core.protocol.operations import Batch, Call, Endpoint
from lmstudio_testing import NO_ANSWER, refuse, require_token
from waiting import PATIENCE, eventually

TOKEN = "sk-lm-Abcd1234:" + "Zy9" * 6 + "Zy"


# -- connections -----------------------------------------------------------------------------------


def test_connection_refused(connect):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(errors.LMStudioConnectionError, match=host) as caught:
            connect(host).run(echo(1))
    assert caught.value.tried == (host,)
    assert str(caught.value) == (
        f"No server answers at {host}: {os.strerror(errno.ECONNREFUSED)}. "
        "Is LM Studio running, with its server on?"
    )


@pytest.mark.parametrize("status", [404, 500])
def test_handshake_refused(face, server, status):
    server.handshake = status
    with pytest.raises(errors.LMStudioWebsocketError, match=f"HTTP status {status}"):
        face.run(echo(1))
    server.handshake = None
    server.on("test.echo", 2)
    assert face.run(echo(1)) == 2


def test_a_program_that_is_no_web_server(connect):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        face = connect(f"127.0.0.1:{listener.getsockname()[1]}")

        def greet():
            peer, _ = listener.accept()
            peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            return peer

        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:
            greeting = pool.submit(greet)
            with pytest.raises(errors.LMStudioWebsocketError, match="Is it an LM Studio server"):
                face.run(echo(1))
            greeting.result(20).close()


def test_auth_refused_at_once_without_the_token(connect, server, caplog):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, "websockets.server")  # the scripted server's own log
    passkey = TOKEN.rpartition(":")[2]
    server.auth = refuse(f"Invalid passkey {passkey}")
    face = connect(server.api_host, TOKEN)
    with pytest.raises(errors.LMStudioAuthenticationError, match="Check the API token") as caught:
        face.run(echo(1))
    shown = "".join((str(caught.value), repr(caught.value), repr(face.client), caplog.text))
    assert passkey not in shown
    assert TOKEN not in shown
    server.wait_until_closed()


def test_auth_refused_to_a_guest_says_that_a_token_is_wanted(face, server):
    server.auth = require_token(TOKEN)
    with pytest.raises(errors.LMStudioAuthenticationError, match="may require an API token"):
        face.run(echo(1))
    server.auth = refuse("Set LM_API_TOKEN.")
    with pytest.raises(errors.LMStudioAuthenticationError) as caught:
        face.run(echo(1))
    assert str(caught.value) == f"{server.api_host} refused this client: Set LM_API_TOKEN."


def test_the_same_credentials_on_every_socket(connect, server):
    server.auth = require_token(TOKEN)
    server.on("test.echo", 1)
    server.on("other.echo", 2)
    face = connect(server.api_host, TOKEN)
    assert face.run(echo(1)) == 1
    assert face.run(Call(Endpoint("other", "echo"))) == 2
    assert [s.namespace for s in server.sockets] == ["test", "other"]
    assert server.sockets[0].auth == server.sockets[1].auth
    assert server.sockets[0].auth["authVersion"] == 1


@pytest.mark.parametrize("reply", ["hello", '{"yes": 1}', "[]"])
def test_something_else_answers_the_authentication(face, server, reply):
    server.auth = lambda packet: reply
    with pytest.raises(errors.LMStudioWebsocketError, match="another program"):
        face.run(echo(1))


def test_a_lost_connection_fails_all_waiters_and_the_next_call_opens_another(face, server):
    def answer(parameter):
        if len(server.requests) == 6:
            server.sockets[0].drop()
        return NO_ANSWER

    server.on("test.echo", answer)
    outcomes = face.run_all([echo(n) for n in range(6)])
    assert all(isinstance(o, errors.LMStudioConnectionError) for o in outcomes), outcomes
    assert len({id(o) for o in outcomes}) == len(outcomes)  # each its own, with its traceback
    server.on("test.echo", 3)
    assert face.run(echo(1)) == 3
    assert len(server.sockets) == 2
    assert server.sockets[1].auth == server.sockets[0].auth


def test_a_stream_notices_that_the_server_went_away(face, server):
    def script(channel):
        channel.send({"type": "n", "n": 1})
        channel.socket.close(1012, "restarting")

    server.on_channel("test.count", script)
    stream = face.open(Count())
    assert next(stream) == 1
    with pytest.raises(errors.LMStudioConnectionError, match="restarting"):
        next(stream)
    assert list(stream) == []
    server.wait_until_closed()


def test_a_socket_closed_between_two_calls_is_replaced(face, server):
    server.on("test.echo", 1)
    assert face.run(echo(1)) == 1
    server.stop()
    with pytest.raises(errors.LMStudioConnectionError, match="No server answers"):
        face.run(echo(1))
    server.start()
    assert face.run(echo(1)) == 1
    server.stop()
    server.start()
    assert face.run(echo(1)) == 1  # nobody noticed that the server was restarted


def test_disconnect_and_connect(face, server):
    server.on("test.echo", 1)
    assert face.client.is_connected("test") is False
    assert face.run(echo(1)) == 1
    assert face.client.is_connected("test") is True
    disconnecting = face.client.disconnect("test")
    if disconnecting is not None:
        face._do(disconnecting)
    server.wait_until_closed()
    assert face.run(echo(1)) == 1


def test_a_closed_client_refuses_at_once(face, server):
    server.on("test.echo", 1)
    assert face.run(echo(1)) == 1
    if face.kind == "async":
        face._do(face.client.aclose())
    else:
        face.close()
    server.wait_until_closed()
    with pytest.raises(errors.LMStudioRuntimeError, match="closed"):
        face.run(echo(1))


# -- odd frames ------------------------------------------------------------------------------------


def test_frames_that_mean_nothing_change_nothing(face, server):
    def answer(parameter):
        peer = server.sockets[0]
        for text in ("no json", "[1]", "{}", '{"type": [1]}', '{"type": "news"}', "{" * 500):
            peer.send_text(text)
        peer.send_binary(b"{}")
        for identifier in ([1], True, "1", 1.5, None, 999, {}):
            for kind in ("rpcResult", "rpcError"):
                peer.send_frame({"type": kind, "callId": identifier, "result": "wrong"})
            for kind in ("channelSend", "channelClose", "channelError", "channelAck"):
                peer.send_frame({"type": kind, "channelId": identifier})
        return parameter

    server.on("test.echo", answer)
    assert face.run(echo("right")) == "right"


def test_messages_in_fragments(face, server):
    def answer(parameter):
        peer = server.sockets[0]
        peer._do(lambda: peer._connection.send([b'{"type":', b'"rpcResult"}']))
        peer.send_fragments(['{"type":"rpcResult",', '"callId":1,"result":', '"ü"}'])
        return NO_ANSWER

    server.on("test.echo", answer)
    assert face.run(echo(1)) == "ü"


def test_a_fragment_that_breaks_the_websocket_protocol(face, server):
    def answer(parameter):
        server.sockets[0].send_raw(b"\xff\xff\xff")
        return NO_ANSWER

    server.on("test.echo", answer)
    with pytest.raises(errors.LMStudioConnectionError, match="no WebSocket frame"):
        face.run(echo(1))


def test_a_warning_fails_the_request_that_it_is_about(face, server):
    server.on("test.slow", NO_ANSWER)
    streams = face.run_all([echo(1, "nonsense"), echo(2, "nonsense")])
    assert [type(s) for s in streams] == [errors.LMStudioRequestRejectedError] * 2
    assert streams[0].kind == "rpcEndpointUnknown"
    with pytest.raises(errors.LMStudioRequestRejectedError, match=r"test\.nothing"):
        face.run(Count(name="nothing"))


def test_after_five_warnings_the_socket_is_replaced_once_idle(face, server):
    server.on_channel("test.count", NO_ANSWER)
    server.on("test.echo", 1)
    stream = face.open(Count())
    for _ in range(5):
        with pytest.raises(errors.LMStudioRequestRejectedError):
            face.run(echo(1, "nonsense"))
    assert face.run(echo(1)) == 1
    assert len(server.sockets) == 1  # not while the stream goes on
    server.requests[0].send(*numbers(1))
    server.requests[0].close()
    assert list(stream) == [1]
    with pytest.raises(errors.LMStudioRequestRejectedError):  # on a silent socket it would hang
        face.run(echo(1, "nonsense"))
    assert len(server.sockets) == 2


# -- large frames ----------------------------------------------------------------------------------


def test_large_frames_in_both_directions(face, server):
    server.on("test.echo", lambda parameter: parameter)
    text = "x" * 20_000_000
    assert face.run(echo(text)) == text


def test_a_large_message_in_many_fragments(face, server):
    def answer(parameter):
        parts = ["y" * 100_000 for _ in range(50)]
        server.sockets[0].send_fragments(
            ['{"type":"rpcResult","callId":1,"result":"', *parts, '"}']
        )
        return NO_ANSWER

    server.on("test.echo", answer)
    assert face.run(echo(1)) == "y" * 5_000_000


def test_large_requests_and_large_answers_at_the_same_time(face, server):
    """A server that answers while it is being sent to must not be starved of its reader."""
    server.on("test.echo", lambda parameter: parameter)
    text = "z" * 300_000
    results = face.run(Batch([echo(text + str(n)) for n in range(64)]))
    assert results == [text + str(n) for n in range(64)]


def test_a_server_that_reads_late(face, server):
    server.on("test.echo", lambda parameter: len(parameter))
    assert face.run(echo("")) == 0
    peer = server.sockets[0]
    peer.pause_reading()
    connection = face.client._driver._connections["test"]

    def is_stuck():
        return connection._full if face.kind == "sync" else connection.congested

    def read_on():
        eventually(is_stuck)
        peer.resume_reading()

    reading = in_thread(read_on)
    assert face.run(echo("x" * 20_000_000)) == 20_000_000
    reading.result(PATIENCE)


def test_a_server_that_opens_and_closes_at_once():
    wire = Wire(Address("127.0.0.1", 9), "system", credentials(None, {}))
    server = ServerProtocol()
    server.receive_data(wire.outgoing())
    (request,) = server.events_received()
    server.send_response(server.accept(request))
    server.send_close(1011, "no room")
    wire.receive(b"".join(server.data_to_send()))
    assert isinstance(wire.failure, errors.LMStudioConnectionError)
    assert "no room" in str(wire.failure)
