"""Encrypted connections, with a certificate made for the test."""

from __future__ import annotations

import shutil
import ssl
import subprocess

import pytest
from core_clients import Count, SyncFace, echo, numbers

from lmstudio_core import errors
from lmstudio_testing import FakeServer

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="there is no openssl command")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def server(certificate):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with FakeServer(tls=tls) as server:
        yield server


def test_calls_streams_and_large_frames(connect, server, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    server.on("test.echo", lambda parameter: parameter)
    server.on_channel("test.count", numbers(1, 2))
    face = connect(server.api_host)
    assert face.run(echo("a")) == "a"
    assert face.run(Count()) == [1, 2]
    text = "x" * 5_000_000
    assert face.run(echo(text)) == text
    assert face.run_all([echo("y" * 50_000 + str(n)) for n in range(16)])[3].endswith("y3")


def test_many_threads_share_a_connection(server, certificate, monkeypatch):
    """OpenSSL allows one thread at a time in a connection, and the driver has to see to it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    server.on("test.echo", lambda parameter: parameter)
    face = SyncFace(server.api_host)
    for _ in range(10):
        assert face.run_all([echo(n) for n in range(24)]) == list(range(24))
    face.close()
    server.wait_until_closed()


def test_a_certificate_that_nobody_trusts(connect, server, monkeypatch, tmp_path):
    with pytest.raises(errors.LMStudioConnectionError, match=r"(?i)certificate"):
        connect(server.api_host).run(echo(1))


def test_a_server_without_tls(connect):
    with FakeServer() as plain, pytest.raises(errors.LMStudioConnectionError):
        connect(f"wss://{plain.api_host}").run(echo(1))
