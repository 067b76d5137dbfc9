"""What people are told when no connection comes about; by both drivers, in the same words."""

from __future__ import annotations

import re
import socket

import pytest
from core_clients import SyncFace, echo
from core_peers import Peer, answering, http, read_head
from hypothesis import given
from hypothesis import strategies as st
from websockets.utils import accept_key

from lmstudio_core import errors
from lmstudio_core.protocol.address import parse_api_host
from lmstudio_core.protocol.refusals import proxy_refused, refused
from lmstudio_core.protocol.replies import HttpReply, NotHttpError, read_reply

HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
WAF = b"<!doctype html><TITLE>Access\n&amp; Denied</TITLE><p>long text"

REFUSALS = [
    # answer, what the message says, the exception
    (http("404 Not Found"), "HTTP status 404 Not Found. Is it an LM Studio server", None),
    (http("404 Not Found", b'{"error": "Nothing at /llm"}'), "Not Found: Nothing at /llm. Is", None),
    (http("500 Oops", b'{"error": {"message": "it broke"}}'), "500 Oops: it broke. Its own", None),
    (http("403 Forbidden", b'{"error": {"title": "no pages"}}'), "no pages. It, or a proxy", None),
    (http("403 Forbidden", WAF), "403 Forbidden: Access & Denied. It, or", None),
    (http("403", b"plain words"), "HTTP status 403: plain words.", None),
    (http("401 Unauthorized", b"", "WWW-Authenticate: Basic realm=x"), "user:password@", "auth"),
    (http("401 Unauthorized", b"", "WWW-Authenticate: Bearer"), "'Bearer …'", "auth"),
    (http("407 Proxy Authentication Required"), "proxy='http://user:password@", "auth"),
    (http("502 Bad Gateway", HTML), "502 Bad Gateway. A proxy answers there", "connection"),
    (http("503 Service Unavailable", b"deploying"), "Unavailable: deploying. A", "connection"),
    (http("504 Gateway Timeout"), "but not the server behind it", "connection"),
    (http("302 Found", b"", "Location: https://login.example/a?token=s3cret"),
     "It sends clients to https://login.example. Redirections are not followed", None),
    (http("301 Moved", b"", "Location: https://127.0.0.1/"), "It expects TLS: write https://", None),
    (http("302 Found", b"", "Location: /login"), "sends clients on to /login", None),
    (http("302 Found", b"", "Location: http://[bad"), "perhaps to log in", None),
    (http("400 Bad Request", b"Client sent an HTTP request to an HTTPS server."), "write https://", None),
    (http("426 Upgrade Required"), "opens no WebSocket", None),
    (http("429 Too Many Requests", b"", "Retry-After: 7"), "try again in 7 s", None),
    (http("200 OK", b"<title>My page</title>"), "200 OK: My page. It answers HTTP but opens", None),
    (b"HTTP/1.0 404 Nope\r\n\r\nuntil the end", "404 Nope: until the end", None),
    (b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nlong\r\n5;x\r\n tail\r\n0\r\n\r\n",
     "400 Bad: long tail", None),
    (b"HTTP/1.1 400 Bad\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b", "400 Bad. Is", None),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "it says 'SSH-2.0-OpenSSH_9.2', which is no HTTP", None),
    (b"\x15\x03\x03\x00\x02\x02\x46", "it speaks TLS. Write https://127.0.0.1", None),
    (b"", "closed without an answer. Does it expect TLS? Then write https://", "connection"),
]  # fmt: skip
KINDS = {
    None: errors.LMStudioWebsocketError,
    "auth": errors.LMStudioAuthenticationError,
    "connection": errors.LMStudioConnectionError,
}


@pytest.mark.parametrize(("answer", "said", "kind"), REFUSALS)
def test_the_servers_words_reach_people(connect, answer, said, kind):
    with answering(answer) as peer, pytest.raises(errors.LMStudioWebsocketError) as caught:
        connect(peer.host).run(echo(1))
    assert said in str(caught.value)
    assert peer.host in str(caught.value)
    assert type(caught.value) is KINDS[kind]
    status = re.match(rb"HTTP/1.\d (\d+)", answer)
    assert caught.value.status == (int(status[1]) if status else None)


def test_nothing_is_waited_for_that_is_not_needed(connect):
    """The server keeps the connection open; the answer is complete all the same."""
    for answer in (REFUSALS[1][0], REFUSALS[21][0]):
        with answering(answer, hold=True) as peer, pytest.raises(errors.LMStudioWebsocketError):
            connect(peer.host).run(echo(1))


def test_an_answer_in_single_bytes(connect):
    def handle(sock):
        sock.recv(4096)
        for byte in REFUSALS[1][0]:
            sock.send(bytes([byte]))

    with Peer(handle) as peer, pytest.raises(errors.LMStudioWebsocketError, match="Nothing at"):
        connect(peer.host).run(echo(1))


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/api/v0", "/proxy/v1"])
@pytest.mark.parametrize("answer", [REFUSALS[0][0], http("400 Bad Request"), http("200 OK")])
def test_the_path_of_an_http_api_is_named_and_never_dropped(connect, path, answer):
    asked = []

    def handle(sock):
        asked.append(sock.recv(4096).split()[1].decode())
        sock.sendall(answer)

    with Peer(handle) as peer:
        with pytest.raises(errors.LMStudioWebsocketError) as caught:
            connect(f"http://{peer.host}{path}").run(echo(1))
        assert f"Leave out {path.rstrip('/')}," in str(caught.value)
        assert f"http://{peer.host}." in str(caught.value)
    assert asked == [f"{path.rstrip('/')}/test"]


def test_a_server_that_hangs_up_after_the_handshake_names_the_path_too(connect):
    def handle(sock):
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", read_head(sock))[1].decode()
        sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_key(key).encode() + b"\r\n\r\n"
        )
        sock.shutdown(socket.SHUT_WR)

    with Peer(handle) as peer:
        with pytest.raises(errors.LMStudioConnectionError, match="Leave out /v1"):
            connect(f"http://{peer.host}/v1").run(echo(1))
        with pytest.raises(errors.LMStudioConnectionError, match="next call opens a new one"):
            connect(peer.host).run(echo(1))


def test_every_address_of_this_machine_leads_to_it(connect, server):
    server.on("test.echo", lambda parameter: parameter)
    port = server.api_host.rpartition(":")[2]
    face = connect(f"0.0.0.0:{port}")
    assert face.run(echo(1)) == 1
    assert repr(face.client).endswith(f"('127.0.0.1:{port}')")


def test_nothing_secret_and_nothing_that_moves_the_cursor_is_repeated(connect):
    """A server may say back what it was sent."""

    def handle(sock):
        request = sock.recv(4096)
        body = request + b"\x1b[2J\x07\xe2\x80\xae" + b"x" * 100_000
        sock.sendall(http("403 No", body))

    secrets = ["s3cretpassword", "tok3n-of-mine"]
    with Peer(handle) as peer:
        face = connect(
            f"http://me:{secrets[0]}@{peer.host}", headers={"X-Auth": f"Bearer {secrets[1]}"}
        )
        with pytest.raises(errors.LMStudioWebsocketError) as caught:
            face.run(echo(1))
    shown = f"{caught.value!s}{caught.value!r}{face.client!r}{face.client.__dict__!r}"
    for secret in (*secrets, "bWU6czNjcmV0cGFzc3dvcmQ="):
        assert secret not in shown
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 800


def test_both_drivers_say_the_same():
    address = parse_api_host("h:1/p")
    reply = HttpReply(418, "I'm a teapot", {}, b"")
    error = refused(address, "llm", reply, ())
    assert str(error) == (
        "ws://h:1/p did not open the namespace 'llm': HTTP status 418 I'm a teapot. "
        "Is it an LM Studio server, and new enough?"
    )


def test_a_password_that_is_not_accepted_is_not_asked_for_again():
    address = parse_api_host("https://me:word@h")
    reply = HttpReply(401, "Unauthorized", {"www-authenticate": "Basic"})
    assert "does not accept the user name" in str(refused(address, "llm", reply, ()))
    from lmstudio_core.protocol.access import parse_proxy

    reply = HttpReply(407, "", {}, b"not bcdefg")
    assert "Write them into" in str(proxy_refused(address, parse_proxy("p:1"), reply))
    error = proxy_refused(address, parse_proxy("http://a:bcdefg@p:1"), reply)
    assert "407: not … It does not accept" in str(error)


@given(st.binary(max_size=200), st.booleans())
def test_any_answer_is_read_or_is_no_http(data, ended):
    for text in (data, b"HTTP/1.1 404 " + data, b"HTTP/1.1 404 X\r\n" + data):
        try:
            reply = read_reply(text, ended=ended)
        except NotHttpError as error:
            said = str(error)
        else:
            assert reply is not None or not ended
            said = "" if reply is None else reply.summary()
        assert said.isprintable()


@given(st.binary(max_size=300))
def test_a_reply_may_come_in_any_pieces(body):
    whole = http("404 Not Found", body)
    complete = read_reply(whole)
    assert complete is not None
    assert complete.body == body
    assert all(read_reply(whole[:n]) is None for n in range(0, len(whole), 7))


def test_a_port_that_is_closed_again(connect):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(errors.LMStudioConnectionError, match="No server answers at"):
        connect(f"127.0.0.1:{port}").run(echo(1))


def test_a_status_that_asks_who_this_is_is_an_authentication_error():
    with answering(http("401 Unauthorized")) as peer:
        face = SyncFace(peer.host)
        with pytest.raises(errors.LMStudioAuthenticationError):
            face.run(echo(1))
        face.close()
