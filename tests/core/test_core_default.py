"""The default client, and what importing the facade costs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
from core_clients import echo

import lmstudio_core as lms

TOKEN = "sk-lm-Abcd1234:" + "Zy9" * 6 + "Zy"


def test_made_once_and_configured_before(server):
    lms.configure_default_client(server.api_host)
    lms.configure_default_client(server.api_host, TOKEN)
    server.on("test.echo", 1)
    client = lms.get_default_client()
    assert lms.get_default_client() is client
    assert client.run(echo(1)) == 1
    assert server.sockets[0].auth["clientIdentifier"] == "Abcd1234"
    with pytest.raises(lms.LMStudioClientError, match="exists already"):
        lms.configure_default_client(server.api_host)
    with pytest.raises(lms.LMStudioClientError, match="exists already"):
        lms.get_default_client(server.api_host)


def test_get_may_configure(server):
    client = lms.get_default_client(server.api_host)
    assert client.api_host == server.api_host


@pytest.mark.parametrize(("host", "token"), [("nonsense", None), (None, "sk-lm-short")])
def test_what_is_wrong_is_said_at_once_and_changes_nothing(server, host, token):
    with pytest.raises(lms.LMStudioValueError) as caught:
        lms.configure_default_client(host, token)
    assert "sk-lm-short" not in str(caught.value)
    assert lms.get_default_client(server.api_host).api_host == server.api_host


def test_convenience_functions_use_it(server):
    info = {"type": "llm", "modelKey": "a/b", "path": "a/b.gguf"}
    server.on("system.listDownloadedModels", [info])
    server.on("llm.listLoaded", [{**info, "identifier": "a"}])
    server.on("embedding.listLoaded", [])
    lms.configure_default_client(server.api_host)
    assert [m.model_key for m in lms.list_downloaded_models()] == ["a/b"]
    assert [m.identifier for m in lms.list_loaded_models()] == ["a"]
    assert lms.list_loaded_models("embedding") == []
    with pytest.raises(lms.LMStudioValueError, match="namespace must be one of"):
        lms.list_loaded_models("nonsense")


def python(code, *args):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *args],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_closed_at_exit(server):
    server.on("system.version", {"version": "1"})
    code = (
        "import sys, lmstudio_core as lms\n"
        "print(lms.get_default_client(sys.argv[1]).system.version().version)"
    )
    done = python(code, server.api_host)
    assert (done.stdout, done.stderr) == ("1\n", "")
    server.wait_until_closed()
    types = [frame["type"] for _, frame in server.frames]
    assert types == ["rpcCall"]


def test_a_daemon_thread_in_the_middle_of_something_says_nothing_at_exit(server):
    code = (
        "import sys, threading, lmstudio_core as lms\n"
        "client = lms.get_default_client(sys.argv[1])\n"
        "asked = threading.Event()\n"
        "def wait():\n"
        "    with client.diagnostics.stream_logs() as log:\n"
        "        asked.set()\n"
        "        next(log)\n"
        "threading.Thread(target=wait, daemon=True).start()\n"
        "asked.wait()"
    )
    server.on_channel("diagnostics.streamLogs", lambda channel: None)
    done = python(code, server.api_host)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    server.wait_until_closed()


@pytest.mark.parametrize("package", ["lmstudio_core", "lmstudio"])
def test_importing_is_light(package):
    heavy = {"websockets", "pydantic", "asyncio", "click", "pluggy", "ssl", "importlib_metadata"}
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    others = {
        "lmstudio_llm",
        "lmstudio_embed",
        "lmstudio_agent",
        "lmstudio_plugin",
        "lmstudio_server",
    }
    done = python(f"import sys, {package}; print(*sorted(sys.modules))")
    assert done.returncode == 0, done.stderr
    assert not (heavy | others) & set(done.stdout.split())


def test_a_host_where_nothing_answers_is_told_at_once_and_forgotten(server):
    with pytest.raises(lms.LMStudioClientError, match=r"not reachable at 127\.0\.0\.1:9"):
        lms.get_default_client("127.0.0.1:9")
    lms.configure_default_client("127.0.0.1:9")
    for _ in range(2):  # the host that was configured is asked again, and no other
        with pytest.raises(lms.LMStudioConnectionError, match=r"not reachable at 127\.0\.0\.1:9"):
            lms.list_downloaded_models()
    for host in ("unreachable", "http://"):  # not even an address
        with pytest.raises(lms.LMStudioClientError, match="host"):
            lms.get_default_client(host)
        with pytest.raises(lms.LMStudioValueError, match="host"):
            lms.Client(host)
    assert lms.get_default_client(server.api_host).api_host == server.api_host
