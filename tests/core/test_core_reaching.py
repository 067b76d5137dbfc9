"""Real ways to a server: proxies, certificates, headers, several addresses, a reverse proxy."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import pickle
import shutil
import socket
import ssl
import subprocess

import pytest
from click.testing import CliRunner
from core_clients import FACES, Count, echo, numbers
from core_peers import ConnectProxy, Peer, answering, http, read_head, tls_server
from hypothesis import given
from hypothesis import strategies as st

from lmstudio_cli import command
from lmstudio_core import errors
from lmstudio_core.client import Client, default
from lmstudio_core.client.network import Network
from lmstudio_core.drivers import aio_dialing, dialing
from lmstudio_core.protocol.access import DIRECT, check_headers, parse_proxy
from lmstudio_core.protocol.address import parse_api_host
from lmstudio_testing import NO_ANSWER, FakeServer, RecordingProxy
from waiting import eventually

trustme = pytest.importorskip("trustme")

SECRET = "pa55w0rd-of-mine"


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    """A CA, and the path of its certificate."""
    authority = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    authority.path = path
    return authority


def server_context(ca, *names, **details):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*(names or ("127.0.0.1", "localhost", "lms.test")), **details).configure_cert(
        context
    )
    return context


@pytest.fixture
def secure(ca):
    with FakeServer(tls=server_context(ca)) as server:
        server.on("test.echo", lambda parameter: parameter)
        yield server


@pytest.fixture
def answers(server):
    server.on("test.echo", lambda parameter: parameter)
    server.on_channel("test.count", numbers(1, 2))
    return server


def port_of(server):
    return server.api_host.rpartition(":")[2]


def refusal(connect, kind, match, host, **given):
    """What people are told."""
    with pytest.raises(kind, match=match) as caught:
        connect(host, **given).run(echo(1))
    assert type(caught.value) is kind
    return str(caught.value)


# -- certificates ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["path", "folder", "context", "environment"])
def test_a_ca_of_ones_own(connect, secure, ca, tmp_path, monkeypatch, form):
    given = {}
    if form == "path":
        given["ssl"] = ca.path
    elif form == "folder":
        folder = tmp_path / "cas"
        folder.mkdir()
        shutil.copy(ca.path, folder)
        if not shutil.which("openssl"):
            pytest.skip("there is no openssl command, which names the files in a folder of CAs")
        subprocess.run(["openssl", "rehash", str(folder)], check=True)
        given["ssl"] = str(folder)
    elif form == "context":
        given["ssl"] = ssl.create_default_context(cafile=str(ca.path))
    else:
        monkeypatch.setenv("LMSTUDIO_API_SSL", str(ca.path))
    face = connect(secure.api_host, **given)
    assert face.run(echo("a")) == "a"
    assert face.run(echo("x" * 1_000_000)) == "x" * 1_000_000
    face.close()


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_an_encrypted_connection_that_is_lost_is_replaced(connect, secure, ca, busy):
    """Python 3.10's transports of TLS answer nothing once they are at their end."""
    secure.on("test.slow", NO_ANSWER)
    face = connect(secure.api_host, ssl=ca.path)
    for n in range(5):
        assert face.run(echo(n)) == n
        peer = secure.sockets[-1]
        if busy:
            secure.on("test.slow", lambda _, peer=peer: (peer.drop(), NO_ANSWER)[1])
            with pytest.raises(errors.LMStudioConnectionError):
                face.run(echo(0, "slow"))
        else:
            peer.drop()
            secure.wait_until_closed()
    assert face.run(echo(9)) == 9
    face.close()


def test_no_check_at_all_is_a_warning(secure):
    for kind in FACES.values():
        with pytest.warns(UserWarning, match="not checked") as caught:
            face = kind(secure.api_host, ssl=False)
        assert face.run(echo(1)) == 1
        assert caught[0].filename.endswith("core_clients.py")
        face.close()


CERTIFICATES = [
    ("another name", {"names": ("other.test",)}, "is for another name than '127.0.0.1'"),
    ("expired", {"not_after": datetime.datetime(2020, 1, 1)}, "has expired"),
    ("not yet", {"not_before": datetime.datetime(2090, 1, 1),
                 "not_after": datetime.datetime(2091, 1, 1)}, "not valid yet"),
    ("unknown", {}, "comes from a CA that is not known here. If you trust it, give its CA"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "details", "expected"), CERTIFICATES, ids=lambda v: str(v)[:12])
def test_a_certificate_that_does_not_fit_says_why(connect, ca, case, details, expected):
    details = dict(details)
    context = server_context(ca, *details.pop("names", ()), **details)
    given = {} if case == "unknown" else {"ssl": ca.path}
    with tls_server(context, b"") as peer:
        said = refusal(
            connect, errors.LMStudioConnectionError, None, f"https://{peer.host}", **given
        )
    assert said.startswith(f"No encrypted connection to wss://{peer.host}: ")
    assert expected in said


@pytest.mark.skipif(not shutil.which("openssl"), reason="there is no openssl command")
def test_a_self_signed_certificate(connect, tmp_path):
    made = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout k.pem "
        "-out c.pem -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    subprocess.run(made.split(), cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")
    with FakeServer(tls=context) as server:
        server.on("test.echo", lambda parameter: parameter)
        host = f"https://localhost:{port_of(server)}"
        refusal(connect, errors.LMStudioConnectionError, "is self-signed", host)
        assert connect(host, ssl=tmp_path / "c.pem").run(echo(1)) == 1


def test_a_server_that_wants_a_certificate_of_the_client(connect, ca):
    context = server_context(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(context)
    with tls_server(context, b"") as peer:
        said = refusal(
            connect, errors.LMStudioConnectionError, None, f"https://{peer.host}", ssl=ca.path
        )
    # The server's word may be overtaken by the end of the connection.
    assert "load_cert_chain" in said or "was lost" in said


def test_tls_and_plain_confused(connect, ca):
    def refuse(sock):
        sock.recv(4096)
        sock.sendall(http("400 Bad Request"))
        sock.shutdown(socket.SHUT_WR)

    with Peer(refuse) as plain:
        refusal(
            connect,
            errors.LMStudioConnectionError,
            r"speaks no TLS\. Write http://",
            f"https://{plain.host}",
        )
    with tls_server(server_context(ca), b"") as peer:
        refusal(connect, errors.LMStudioConnectionError, "https://", peer.host)


def test_a_server_that_hangs_up_in_the_tls_handshake(connect):
    with Peer(lambda sock: (sock.recv(10), sock.shutdown(socket.SHUT_WR))) as peer:
        said = refusal(connect, errors.LMStudioConnectionError, None, f"https://{peer.host}")
    assert "No encrypted connection" in said
    assert "in the middle of the TLS handshake" in said


@pytest.mark.parametrize("setting", [5, "/nowhere/ca.pem", b"x"])
def test_what_is_no_certificate(setting, tmp_path):
    with pytest.raises(errors.LMStudioValueError, match="ssl"):
        Client("https://h", ssl=setting)
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    with pytest.raises(errors.LMStudioValueError, match=r"empty\.pem.*no certificates"):
        Client("https://h", ssl=empty)
    with pytest.raises(errors.LMStudioValueError, match="not encrypted: write https://h:1"):
        Client("h:1", ssl=ssl.create_default_context())


# -- headers ---------------------------------------------------------------------------------------


def sent_headers(connect, host, **given):
    """The lines of the request that a server got."""
    seen = []

    def handle(sock):
        seen.append(read_head(sock).decode("latin-1"))
        sock.sendall(http("404 Not Found"))

    with Peer(handle) as peer, pytest.raises(errors.LMStudioWebsocketError):
        connect(host.format(peer.host), **given).run(echo(1))
    return seen[0].split("\r\n")


def test_headers_and_passwords_are_sent(connect, monkeypatch):
    lines = sent_headers(connect, "http://me:my%40word@{}", headers={"X-One": "1", "Host": "a.b"})
    assert "Authorization: Basic bWU6bXlAd29yZA==" in lines
    assert {"X-One: 1", "Host: a.b"} <= set(lines)
    assert sum(line.startswith("Host:") for line in lines) == 1
    monkeypatch.setenv("LMSTUDIO_API_HEADERS", "X-Two: a: b\n\nX-Three:  c ")
    assert {"X-Two: a: b", "X-Three: c"} <= set(sent_headers(connect, "{}"))
    monkeypatch.setenv("LMSTUDIO_API_HEADERS", '{"X-Two": "json"}')
    assert "X-Two: json" in sent_headers(connect, "{}")
    assert "X-Two: json" not in sent_headers(connect, "{}", headers={})


@pytest.mark.parametrize(
    "headers",
    [5, {"a b": "1"}, {"": "1"}, {1: "1"}, {"A": f"{SECRET}\r\nB: 2"}, {"A": 1}, {"A": "日"},
     {"Connection": "x"}, {"Sec-WebSocket-Key": "x"}, {"content-length": "1"}],
)  # fmt: skip
def test_headers_that_cannot_be_sent(headers):
    with pytest.raises(errors.LMStudioValueError, match="headers") as caught:
        Client("h:1", headers=headers)
    assert SECRET not in str(caught.value)


def test_authorization_given_twice():
    with pytest.raises(errors.LMStudioValueError, match="leave out one"):
        Client("http://a:b@h:1", headers={"authorization": "x"})


@pytest.mark.parametrize("text", ["nothing", "{broken", "{}x", '["a"]'])
def test_headers_of_the_environment_that_are_none(monkeypatch, text):
    monkeypatch.setenv("LMSTUDIO_API_HEADERS", text)
    with pytest.raises(errors.LMStudioValueError, match="LMSTUDIO_API_HEADERS"):
        Client("h:1")


@given(st.dictionaries(st.text(), st.text()))
def test_any_headers_are_taken_or_refused(headers):
    with contextlib.suppress(errors.LMStudioValueError):
        for name, value in check_headers(headers):
            assert f"{name}: {value}".encode("latin-1").isascii() or value
            assert "\r" not in name + value
            assert "\n" not in name + value


# -- proxies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("way", ["argument", "environment", "variable"])
def test_through_a_proxy(connect, answers, secure, ca, monkeypatch, tls, way):
    """The name is one that only the proxy knows."""
    server = secure if tls else answers
    target = f"lms.test:{port_of(server)}"
    with ConnectProxy({target: f"127.0.0.1:{port_of(server)}"}) as proxy:
        given = {"ssl": ca.path} if tls else {}
        if way == "argument":
            given["proxy"] = f"http://{proxy.host}"
        elif way == "environment":
            monkeypatch.setenv("https_proxy" if tls else "http_proxy", f"http://{proxy.host}")
        else:
            monkeypatch.setenv("LMSTUDIO_API_PROXY", proxy.host)
        face = connect(f"{'https' if tls else 'http'}://{target}", **given)
        assert face.run(echo("a")) == "a"
        assert face.run(echo("x" * 300_000)) == "x" * 300_000
        assert [request.split()[1] for request in proxy.requests] == [target]
        face.close()


def test_a_proxy_that_asks_who_this_is(connect, answers):
    with ConnectProxy(authorization="Basic bWU6cGE1NXcwcmQ=") as proxy:
        url = f"http://{proxy.host}"
        with pytest.raises(errors.LMStudioConnectionError, match="Write them into") as caught:
            connect(answers.api_host, proxy=url).run(echo(1))
        assert caught.value.status == 407
        assert "who are you?" in str(caught.value)
        wrong = f"http://me:{SECRET}@{proxy.host}"
        with pytest.raises(errors.LMStudioConnectionError, match="does not accept") as caught:
            connect(answers.api_host, proxy=wrong).run(echo(1))
        assert SECRET not in str(caught.value)
        face = connect(answers.api_host, proxy=f"http://me:pa55w0rd@{proxy.host}")
        assert face.run(echo(1)) == 1
        face.close()


def test_proxies_that_are_none(connect, answers):
    with answering(http("403 Forbidden", b"<title>Blocked</title>")) as peer:
        refusal(
            connect,
            errors.LMStudioConnectionError,
            r"Blocked.*NO_PROXY",
            answers.api_host,
            proxy=peer.host,
        )
    with answering(b"SSH-2.0-x\r\n") as peer:
        refusal(
            connect,
            errors.LMStudioConnectionError,
            "which is no HTTP",
            answers.api_host,
            proxy=peer.host,
        )
    with Peer(lambda sock: (read_head(sock), sock.shutdown(socket.SHUT_WR))) as peer:
        refusal(
            connect,
            errors.LMStudioConnectionError,
            "closed without an answer",
            answers.api_host,
            proxy=peer.host,
        )
    refusal(
        connect, errors.LMStudioConnectionError, "cannot be used", answers.api_host, proxy=peer.host
    )  # nobody listens any more
    refusal(
        connect, errors.LMStudioValueError, "not supported", answers.api_host, proxy="https://p:1"
    )


def test_this_machine_needs_no_proxy_of_the_environment(connect, answers, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for host in (answers.api_host, f"localhost:{port_of(answers)}"):
        assert connect(host).run(echo(1)) == 1


@pytest.mark.parametrize(
    ("environment", "host", "proxy"),
    [
        ({"http_proxy": "http://p:1"}, "http://h:2", "http://p:1"),
        ({"https_proxy": "http://p:1"}, "https://h:2", "http://p:1"),
        ({"https_proxy": "http://p:1"}, "http://h:2", "http://p:1"),
        ({"http_proxy": "http://p:1"}, "https://h:2", None),
        ({"all_proxy": "socks5://p:1"}, "https://h:2", "socks5://p:1"),
        ({"all_proxy": "http://p:1", "no_proxy": "h"}, "https://h:2", None),
        ({"all_proxy": "http://p:1", "no_proxy": ".x.y"}, "https://h.x.y:2", None),
        ({"all_proxy": "http://p:1", "no_proxy": "h:3"}, "https://h:2", "http://p:1"),
        ({"all_proxy": "http://p:1", "no_proxy": "*"}, "https://h:2", None),
        ({"all_proxy": "http://p:1", "LMSTUDIO_API_PROXY": "none"}, "h:2", None),
        ({"all_proxy": "http://p:1", "LMSTUDIO_API_PROXY": "q"}, "h:2", "http://q:80"),
        ({"all_proxy": "http://p:1"}, "[::1]:2", None),
    ],
)
def test_which_proxy_is_taken(monkeypatch, environment, host, proxy):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = Network().to(parse_api_host(host)).access.proxy
    assert (None if found is None else str(found)) == proxy


@pytest.mark.parametrize(
    "url", [5, "", "http://", "ftp://p:1", f"http://u:{SECRET}@p:x", f"http://u:{SECRET}@p/a"]
)
def test_what_is_no_proxy(url):
    with pytest.raises(errors.LMStudioValueError, match=r"[Aa] proxy") as caught:
        Client("h:1", proxy=url)
    assert SECRET not in str(caught.value)


def test_nothing_secret_is_shown_or_kept(connect, monkeypatch):
    monkeypatch.setenv("all_proxy", f"http://u:{SECRET}@p:x")
    with pytest.raises(errors.LMStudioValueError, match="all_proxy") as caught:
        connect("h:1")
    assert SECRET not in str(caught.value)
    monkeypatch.delenv("all_proxy")
    face = connect(f"http://u:{SECRET}@h:1", proxy=f"http://u:{SECRET}@p:1", headers={"K": SECRET})
    assert SECRET not in repr(face.client) + repr(face.client.__dict__)
    address = face.client._known
    assert "proxy=Proxy(scheme='http', host='p', port=1)" in repr(address.access)
    assert SECRET not in repr(address) + str(address) + repr(address.access)
    with pytest.raises(TypeError):
        pickle.dumps(address.access)
    assert pickle.loads(pickle.dumps(DIRECT)) is DIRECT


def socks_server(names):
    """A SOCKS 5 server, as far as a client without a password needs one."""

    def handle(sock):
        sock.recv(sock.recv(2)[1])
        sock.sendall(b"\x05\x00")
        head = sock.recv(5)
        name = sock.recv(head[4]).decode()
        port = int.from_bytes(sock.recv(2), "big")
        upstream = peer.keep(socket.create_connection((names[name], port), 10))
        sock.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
        from core_peers import _pump

        peer.spawn(_pump, sock, upstream)
        _pump(upstream, sock)

    peer = Peer(handle)
    return peer


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_through_a_socks_proxy(connect, answers, secure, ca, tls):
    pytest.importorskip("python_socks")
    server = secure if tls else answers
    with socks_server({"lms.test": "127.0.0.1"}) as proxy:
        host = f"{'https' if tls else 'http'}://lms.test:{port_of(server)}"
        given = {"ssl": ca.path} if tls else {}
        face = connect(host, proxy=f"socks5h://{proxy.host}", **given)
        assert face.run(echo("a")) == "a"
        face.close()
    with pytest.raises(errors.LMStudioConnectionError, match="cannot be used"):
        connect(answers.api_host, proxy=f"socks5://{proxy.host}").run(echo(1))


def test_socks_without_its_package(connect, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "python_socks", None)
    with pytest.raises(
        errors.LMStudioConnectionError, match=r"pip install 'lmstudio-core\[socks\]'"
    ):
        connect("h:1", proxy="socks5://p:1").run(echo(1))


# -- addresses -------------------------------------------------------------------------------------


def several_addresses(monkeypatch, *targets):
    """Let the name ``several`` have these addresses, for either driver."""
    real = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        if host not in ("several", b"several"):
            return real(host, port, *args, **kwargs)
        return [
            (socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, at))
            for ip, at in targets
        ]

    async def resolve(_loop, host, port):
        return getaddrinfo(host, port, type=socket.SOCK_STREAM)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(aio_dialing, "resolve", resolve)  # uvloop asks the system by itself


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_the_first_address_that_answers_is_taken(connect, answers, monkeypatch):
    several_addresses(
        monkeypatch, ("127.0.0.1", closed_port()), ("127.0.0.1", int(port_of(answers)))
    )
    assert connect("several:1").run(echo(1)) == 1


def test_an_address_that_is_silent_is_not_waited_for(connect, answers, monkeypatch):
    """A listener whose queue is full answers nothing, as an address that leads nowhere."""
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    silent.listen(0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(silent.getsockname())
        fillers.append(filler)
    try:
        several_addresses(monkeypatch, silent.getsockname(), ("127.0.0.1", int(port_of(answers))))
        assert connect("several:1").run(echo(1)) == 1
    finally:
        for sock in (*fillers, silent):
            sock.close()


def test_no_address_answers(connect, monkeypatch):
    several_addresses(monkeypatch, ("127.0.0.1", closed_port()), ("127.0.0.1", closed_port()))
    with pytest.raises(errors.LMStudioConnectionError, match="No server answers at several:1"):
        connect("several:1").run(echo(1))


def test_a_name_that_is_none(connect):
    with pytest.raises(errors.LMStudioConnectionError, match="No server answers at"):
        connect("no-such-host.invalid:1").run(echo(1))


def test_ipv6(connect):
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as probe:
            probe.close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    seen = []

    def serve(listener):
        sock, _ = listener.accept()
        with sock:
            seen.append(read_head(sock).decode())
            sock.sendall(http("404 Not Found"))

    from core_clients import in_thread

    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        served = in_thread(serve, listener)
        port = listener.getsockname()[1]
        with pytest.raises(errors.LMStudioWebsocketError, match=rf"\[::1\]:{port}"):
            connect(f"[::]:{port}").run(echo(1))
        served.result(20)
    assert f"Host: [::1]:{port}\r\n" in seen[0]


@pytest.mark.parametrize("good", [0, 1, 2])
def test_loops_that_know_no_race_run_it_here(answers, monkeypatch, good):
    """uvloop's, for one; nothing is left open."""
    targets = [("127.0.0.1", closed_port()) for _ in range(3)]
    targets[good] = ("127.0.0.1", int(port_of(answers)))
    several_addresses(monkeypatch, *targets)

    async def run():
        loop = asyncio.get_running_loop()
        with await aio_dialing.race(loop, "several", 1) as sock:
            assert sock.getpeername() == targets[good]
        several_addresses(monkeypatch, ("127.0.0.1", closed_port()), ("127.0.0.1", closed_port()))
        with pytest.raises(ConnectionRefusedError):
            await aio_dialing.race(loop, "several", 1)

    asyncio.run(run())


class Hello(asyncio.Protocol):
    """Sends a request when it is connected, and keeps what comes."""

    def __init__(self):
        self.got = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        transport.write(b"GET / HTTP/1.1\r\n\r\n")

    def data_received(self, data):
        if not self.got.done():
            self.got.set_result(data)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize("way", ["direct", "proxy"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_every_kind_of_loop_gets_there(ca, monkeypatch, kind, way, tls):
    loop = pytest.importorskip(kind).new_event_loop()
    serve = tls_server(server_context(ca), b"hello") if tls else answering(b"hello")

    async def run(address):
        hello = Hello()
        await aio_dialing.dial(loop, hello, address)
        assert await hello.got == b"hello"
        hello.transport.abort()

    with contextlib.closing(loop), serve as peer, ConnectProxy() as proxy:
        port = peer.host.rpartition(":")[2]
        several_addresses(monkeypatch, ("127.0.0.1", closed_port()), ("127.0.0.1", int(port)))
        # uvloop looks names up by itself, so that it gets a real one with two addresses.
        name = "localhost" if kind == "uvloop" else "several"
        host = f"{'127.0.0.1' if way == 'proxy' or tls else name}:{port}"
        given = {"proxy": proxy.host if way == "proxy" else None, "ssl": ca.path if tls else None}
        address = parse_api_host(f"{'https' if tls else 'http'}://{host}")
        loop.run_until_complete(run(Network(**given).to(address)))


def test_addresses_of_both_families_take_turns():
    six, four = [(10, n) for n in range(3)], [(2, n) for n in range(2)]
    assert list(dialing.interleaved(six + four)) == [
        (10, 0), (2, 0), (10, 1), (2, 1), (10, 2)]  # fmt: skip


def test_a_client_that_is_closed_while_a_proxy_is_silent(answers):
    """The async driver gives up at once; nothing is left open."""
    with Peer(lambda sock: (read_head(sock), sock.recv(1))) as peer:
        face = FACES["async"](answers.api_host, proxy=peer.host)

        async def give_up():
            task = asyncio.ensure_future(face.client.run(echo(1)))
            await asyncio.to_thread(eventually, lambda: peer._sockets)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        face.loop.run_until_complete(give_up())
        face.close()


# -- what else speaks to a server ------------------------------------------------------------------


def test_the_status_and_the_default_client_go_the_same_way(secure, ca, monkeypatch):
    target = f"lms.test:{port_of(secure)}"
    with ConnectProxy({target: f"127.0.0.1:{port_of(secure)}"}) as proxy:
        options = ["--ca", str(ca.path), "--proxy", proxy.host, "--header", "X-A: b"]
        done = _command(["server", "status", "--host", f"https://u:{SECRET}@{target}", *options])
        assert done.exit_code == 0, done.output
        assert f"wss://{target}" in done.output
        assert SECRET not in done.output
        default.reset_default_client()
        default.configure_default_client(f"https://{target}", ssl=ca.path, proxy=proxy.host)
        assert default.get_default_client().run(echo(1)) == 1
        default.reset_default_client()
        monkeypatch.setenv("LMSTUDIO_API_SSL", str(ca.path))
        monkeypatch.setenv("LMSTUDIO_API_PROXY", proxy.host)
        assert Client.is_valid_api_host(f"https://{target}")
        monkeypatch.setenv("LMSTUDIO_API_HOST", f"https://{target}")
        with Client() as client:
            assert client.run(echo(1)) == 1
    assert Network().to(parse_api_host("https://h"), written=True).access.headers == ()


def _command(arguments):
    return CliRunner().invoke(command.build(), arguments)


def test_options_of_a_command_that_are_wrong():
    done = _command(["server", "status", "--header", "nothing"])
    assert done.exit_code == 2
    assert "Name: value" in done.output


def test_a_recording_through_a_reverse_proxy_holds_no_password(
    secure, ca, monkeypatch, tmp_path, caplog
):
    caplog.set_level("DEBUG")
    caplog.set_level("INFO", "websockets.server")  # the scripted server's own log
    monkeypatch.setenv("LMSTUDIO_API_HEADERS", f"X-Key: {SECRET}")
    monkeypatch.setenv("LMSTUDIO_API_SSL", str(ca.path))
    file = tmp_path / "session.jsonl"
    target = secure.api_host.replace("://", f"://u:{SECRET}@")
    with RecordingProxy(target, file) as proxy:
        assert SECRET not in repr(proxy) + proxy.target
        with Client(proxy.api_host) as client:
            assert client.run(echo(f"say {SECRET}")) == f"say {SECRET}"
    assert SECRET not in file.read_text("utf-8")
    assert SECRET not in caplog.text


# -- a reverse proxy -------------------------------------------------------------------------------

NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    location /lms/ {{
      if ($http_authorization != "Basic bWU6d29yZA==") {{ return 401 "who?"; }}
      proxy_pass http://{upstream}/;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
    }}
    location /dead/ {{
      proxy_pass http://127.0.0.1:{dead}/; proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
    }}
    location /stripped/ {{ proxy_pass http://{upstream}/; }}
    location / {{ return 302 https://elsewhere.test/login; }}
  }}
}}
"""


@pytest.fixture
def nginx(answers, ca, tmp_path):
    command = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if command is None:
        pytest.skip("nginx is not installed")
    certificate = ca.issue_cert("127.0.0.1", "localhost")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    port = closed_port()
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        NGINX.format(folder=tmp_path, port=port, upstream=answers.api_host, dead=closed_port())
    )
    process = subprocess.Popen([command, "-c", str(configuration), "-p", str(tmp_path)])

    def answering_now():
        assert process.poll() is None, (tmp_path / "error.log").read_text()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        return False

    try:
        eventually(answering_now)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def test_behind_nginx_with_tls_and_a_prefix(connect, nginx, ca):
    face = connect(f"https://me:word@{nginx}/lms", ssl=ca.path)
    assert face.run(echo("a")) == "a"
    assert face.run(Count()) == [1, 2]
    assert face.run(echo("x" * 2_000_000)) == "x" * 2_000_000
    face.close()
    cases = [
        (f"https://{nginx}/lms", errors.LMStudioAuthenticationError, "who?"),
        (f"https://me:word@{nginx}/dead", errors.LMStudioConnectionError, "502 Bad Gateway. A pr"),
        (f"https://{nginx}", errors.LMStudioWebsocketError, "https://elsewhere.test"),
        (f"http://{nginx}", errors.LMStudioWebsocketError, "It expects TLS: write https://"),
        (
            f"https://{nginx}/stripped",
            errors.LMStudioWebsocketError,
            "/stripped did not open",
        ),
    ]
    for host, kind, said in cases:
        given = {"ssl": ca.path} if host.startswith("https") else {}
        with pytest.raises(kind) as caught:
            connect(host, **given).run(echo(1))
        assert said in str(caught.value), host


def test_a_proxy_without_a_scheme_is_an_http_one():
    assert str(parse_proxy("p:8080")) == "http://p:8080"
    assert str(parse_proxy("socks5://[::1]")) == "socks5://[::1]:1080"
