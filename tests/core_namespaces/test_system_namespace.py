"""``client.system`` against a scripted server, sync and async."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from patience import outlast_the_timeout

import lmstudio_core as lms
from lmstudio_core.errors import (
    LMStudioConnectionError,
    LMStudioRequestRejectedError,
    LMStudioValueError,
)
from lmstudio_core.protocol.operations import VOID

VARIANT = {
    "type": "llm",
    "modelKey": "qwen/qwen3-4b@q4_k_m",
    "format": "gguf",
    "displayName": "Qwen3 4B",
    "publisher": "qwen",
    "path": "qwen/qwen3-4b",
    "sizeBytes": 2500,
    "indexedModelIdentifier": "qwen/qwen3-4b",
    "deviceIdentifier": None,
    "vision": False,
    "trainedForToolUse": True,
    "maxContextLength": 4096,
}


def test_version_and_info(api: Any, server: Any) -> None:
    server.on("system.version", {"version": "0.4.0", "build": 7})
    server.on("system.info", {"pid": 42, "isDaemon": True, "version": "0.4.0"})
    assert api(api.client.system.version()).build == 7
    info = api(api.client.system.info())
    assert (info.pid, info.is_daemon) == (42, True)
    assert server.parameters == [VOID, VOID]


def test_models_and_their_variants(api: Any, server: Any) -> None:
    server.on("system.listDownloadedModels", [VARIANT])
    server.on("system.listDownloadedModelVariants", [VARIANT, {**VARIANT, "modelKey": "b"}])
    (model,) = api(api.client.system.list_downloaded_models())
    assert model.model_key == "qwen/qwen3-4b@q4_k_m"
    variants = api(api.client.system.list_downloaded_model_variants("qwen/qwen3-4b"))
    assert [v.model_key for v in variants] == ["qwen/qwen3-4b@q4_k_m", "b"]
    assert isinstance(variants[0], lms.LlmInfo)
    assert server.parameters[-1] == {"modelKey": "qwen/qwen3-4b"}


def test_notifications(api: Any, server: Any) -> None:
    server.on("system.notify")
    api(api.client.system.notify("done"))
    api(api.client.system.notify("done", "in 3 s", no_auto_dismiss=True))
    assert server.parameters == [
        {"title": "done"},
        {"title": "done", "description": "in 3 s", "noAutoDismiss": True},
    ]


def test_experiments(api: Any, server: Any) -> None:
    server.on("system.getExperimentFlags", ["a", "b"])
    server.on("system.setExperimentFlag")
    assert api(api.client.system.get_experiment_flags()) == ["a", "b"]
    api(api.client.system.set_experiment_flag("c", False))
    assert server.parameters[-1] == {"code": "c", "value": False}


def test_the_http_server(api: Any, server: Any) -> None:
    server.on("system.startHttpServer")
    server.on("system.stopHttpServer")
    system = api.client.system
    api(system.start_http_server())
    api(system.start_http_server(1234, cors=False, network_interface="127.0.0.1"))
    api(system.stop_http_server())
    assert server.parameters == [
        {},
        {"port": 1234, "cors": False, "networkInterface": "127.0.0.1"},
        VOID,
    ]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda system: system.notify(""), "title must be a string"),
        (lambda system: system.set_experiment_flag("x", 1), "True or False"),
        (lambda system: system.start_http_server(0), "from 1 to 65535"),
        (lambda system: system.start_http_server(70000), "from 1 to 65535"),
        (lambda system: system.start_http_server(True), "from 1 to 65535"),
        (lambda system: system.list_downloaded_model_variants(None), "A model key is a string"),
    ],
)
def test_wrong_arguments_are_named(api: Any, server: Any, call: Any, words: str) -> None:
    with pytest.raises(LMStudioValueError, match=words):
        api(call(api.client.system))
    assert server.requests == ()


def test_shutdown(api: Any, server: Any) -> None:
    server.on("system.requestShutdown")
    assert api(api.client.system.request_shutdown()) is None


def test_waiting_for_the_end_of_the_server(api: Any, server: Any) -> None:
    server.on_channel("system.alive", lambda channel: None)

    def end() -> None:
        server.wait_for_request("system.alive")
        server.open_sockets[0].drop()

    thread = threading.Thread(target=end)
    thread.start()
    assert api(api.client.system.wait_disconnected()) is None
    thread.join()


def test_waiting_ends_when_the_server_ends_the_channel(api: Any, server: Any) -> None:
    server.on_channel("system.alive", [])
    assert api(api.client.system.wait_disconnected()) is None


def test_waiting_outlasts_the_sync_timeout(server: Any) -> None:
    server.on_channel("system.alive", lambda channel: None)

    def end() -> None:
        socket = server.wait_for_request("system.alive").socket
        outlast_the_timeout(server)
        socket.drop()

    thread = threading.Thread(target=end)
    with lms.Client(server.api_host) as client:
        client.system.connect()
        lms.set_sync_api_timeout(0.1)
        thread.start()
        client.system.wait_disconnected()
    thread.join()
    assert len(server.requests_to("system.alive")) == 1


def test_waiting_needs_a_server_to_begin_with(api: Any, server: Any) -> None:
    server.stop()
    with pytest.raises(LMStudioConnectionError):
        api(api.client.system.wait_disconnected())


def test_an_old_server_is_named_at_once(api: Any) -> None:
    with pytest.raises(LMStudioRequestRejectedError, match=r"system\.alive"):
        api(api.client.system.wait_disconnected())
