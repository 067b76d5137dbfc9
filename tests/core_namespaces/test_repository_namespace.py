"""``client.repository`` against a scripted server, sync and async."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import lmstudio_core as lms
from lmstudio_core.errors import (
    LMStudioChannelClosedError,
    LMStudioRequestRejectedError,
    LMStudioServerError,
    LMStudioTimeoutError,
    LMStudioValueError,
)
from lmstudio_testing import ServerFailure

FOUND = {
    "results": [
        {
            "name": "Qwen3 4B",
            "identifier": {"type": "catalog", "identifier": "qwen/qwen3-4b"},
            "exact": True,
            "staffPick": True,
        },
        {"name": "other", "identifier": {"type": "hf", "identifier": "someone/other"}},
    ]
}
OPTIONS = {
    "results": [
        {
            "name": "Qwen3 4B Q4_K_M",
            "quantization": "Q4_K_M",
            "sizeBytes": 2500,
            "fitEstimation": "fullGPUOffload",
            "recommended": True,
            "downloadIdentifier": "dl-1",
            "indexedModelIdentifier": "qwen/qwen3-4b/q4.gguf",
            "compatibilityType": "gguf",
        }
    ]
}
PROGRESS = {"downloadedBytes": 10, "totalBytes": 2500, "speedBytesPerSecond": 5.5}
DOWNLOAD = [
    {"type": "downloadProgress", "update": PROGRESS},
    {"type": "downloadProgress", "update": {**PROGRESS, "downloadedBytes": 2500}},
    {"type": "startFinalizing"},
    {"type": "success", "defaultIdentifier": "qwen/qwen3-4b"},
]


def option(api: Any, server: Any) -> Any:
    server.on("repository.searchModels", FOUND)
    server.on("repository.getModelDownloadOptions", OPTIONS)
    model = api(api.client.repository.search_models())[0]
    return api(model.get_download_options())[0]


# -- search --------------------------------------------------------------------------------------


def test_models_are_found(api: Any, server: Any) -> None:
    server.on("repository.searchModels", FOUND)
    first, second = api(api.client.repository.search_models("qwen", 2, ["gguf"]))
    assert first.search_result.name == "Qwen3 4B"
    assert first.search_result.identifier.identifier == "qwen/qwen3-4b"
    assert (first.search_result.exact, second.search_result.exact) == (True, None)
    name = "AsyncAvailableModel" if api.is_async else "AvailableModel"
    assert repr(first) == f"{name}(name='Qwen3 4B', identifier='qwen/qwen3-4b')"
    assert server.parameters == [
        {"opts": {"searchTerm": "qwen", "limit": 2, "compatibilityTypes": ["gguf"]}}
    ]


def test_a_search_without_a_term_leaves_it_out(api: Any, server: Any) -> None:
    server.on("repository.searchModels", {"results": []})
    assert api(api.client.repository.search_models()) == []
    assert server.parameters == [{"opts": {}}]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"limit": 0}, "from 1 to 25, not 0"),
        ({"limit": 26}, "from 1 to 25, not 26"),
        ({"limit": True}, "from 1 to 25"),
        ({"limit": "3"}, "from 1 to 25"),
        ({"search_term": 5}, "search_term must be a string"),
        ({"compatibility_types": "gguf"}, r"a list, such as \['gguf'\]"),
    ],
)
def test_wrong_search_arguments_are_named(
    api: Any, server: Any, arguments: Any, words: str
) -> None:
    with pytest.raises(LMStudioValueError, match=words):
        api(api.client.repository.search_models(**arguments))
    assert server.requests == ()


def test_download_options(api: Any, server: Any) -> None:
    found = option(api, server)
    assert found.info.quantization == "Q4_K_M"
    assert found.info.size_bytes == 2500
    assert found.info.compatibility_type == "gguf"
    assert "fit_estimation='fullGPUOffload'" in repr(found)
    assert server.parameters[1] == {
        "modelSearchResultIdentifier": {"type": "catalog", "identifier": "qwen/qwen3-4b"}
    }


def test_what_a_newer_server_adds_is_kept(api: Any, server: Any) -> None:
    server.on_odd(
        "repository.searchModels", {"results": [{"name": "x", "identifier": 3, "likes": 4}]}
    )
    (model,) = api(api.client.repository.search_models())
    assert model.search_result.likes == 4
    assert model.search_result.identifier.identifier == ""


# -- downloads -----------------------------------------------------------------------------------


def test_a_model_is_downloaded(api: Any, server: Any) -> None:
    found = option(api, server)
    server.on_channel("repository.downloadModel", DOWNLOAD)
    seen: list[Any] = []
    key = api(found.download(seen.append, lambda: seen.append("finalizing")))
    assert key == "qwen/qwen3-4b"
    first, second, last = seen
    assert isinstance(first, lms.DownloadProgressUpdate)
    assert (first.downloaded_bytes, first.total_bytes, first.speed_bytes_per_second) == (
        10,
        2500,
        5.5,
    )
    assert (second.downloaded_bytes, last) == (2500, "finalizing")
    assert server.parameters[-1] == {"downloadIdentifier": "dl-1"}
    assert api(found.download()) == "qwen/qwen3-4b"


def test_a_failed_download_says_why(api: Any, server: Any) -> None:
    found = option(api, server)
    server.on_channel("repository.downloadModel", ServerFailure("The disk is full"))
    with pytest.raises(LMStudioServerError, match="The disk is full"):
        api(found.download())
    server.on_channel("repository.downloadModel", DOWNLOAD[:1])
    with pytest.raises(LMStudioChannelClosedError):
        api(found.download())


def test_callbacks_that_raise_do_not_stop_a_download(api: Any, server: Any) -> None:
    found = option(api, server)
    server.on_channel("repository.downloadModel", DOWNLOAD)
    assert api(found.download(lambda update: 1 / 0, lambda: [][0])) == "qwen/qwen3-4b"


def test_an_interrupt_cancels_the_servers_download(server: Any) -> None:
    server.on_channel("repository.downloadModel", lambda channel: channel.send(DOWNLOAD[0]))
    server.on("repository.searchModels", FOUND)
    server.on("repository.getModelDownloadOptions", OPTIONS)

    def interrupt(update: Any) -> None:
        raise KeyboardInterrupt

    with lms.Client(server.api_host) as client:
        found = client.repository.search_models()[0].get_download_options()[0]
        with pytest.raises(KeyboardInterrupt):
            found.download(interrupt)
        server.wait_for_request("repository.downloadModel").wait_for_message("cancel")
        assert len(client.repository.search_models()) == 2


def test_a_cancelled_task_cancels_the_servers_download(server: Any) -> None:
    server.on_channel("repository.downloadModel", lambda channel: channel.send(DOWNLOAD[0]))
    server.on("repository.searchModels", FOUND)
    server.on("repository.getModelDownloadOptions", OPTIONS)

    async def main() -> None:
        async with lms.AsyncClient(server.api_host) as client:
            found = (await client.repository.search_models())[0]
            best = (await found.get_download_options())[0]
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(best.download(), 0.2)
            channel = server.wait_for_request("repository.downloadModel")
            await asyncio.to_thread(channel.wait_for_message, "cancel")

    asyncio.run(main())


def test_an_artifact_is_downloaded(api: Any, server: Any) -> None:
    packets = [*DOWNLOAD[:3], {"type": "success"}]
    server.on_channel("repository.downloadArtifact", packets)
    seen: list[Any] = []
    repository = api.client.repository
    api(repository.download_artifact("lmstudio", "a-b.c", "/tmp/x", on_progress=seen.append))
    api(repository.download_artifact("lmstudio", "tool", Path("/tmp/x").absolute(), revision=3))
    assert len(seen) == 2
    assert server.parameters[0] == {
        "artifactOwner": "lmstudio",
        "artifactName": "a-b.c",
        "revisionNumber": None,
        "path": "/tmp/x",
    }
    assert server.parameters[1]["revisionNumber"] == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("Big Owner", "x", "/x"), "owner is made of lower-case letters"),
        (("me", "a--b", "/x"), "name is made of"),
        (("me", None, "/x"), "name is made of"),
        (("me", "x", "here"), "absolute path on the server's machine, not 'here'"),
        (("me", "x", 5), "path must be a path, not int"),
        (("me", "x", b"/x"), "path must be a path, not bytes"),
    ],
)
def test_wrong_artifacts_are_named(api: Any, server: Any, arguments: Any, words: str) -> None:
    with pytest.raises(LMStudioValueError, match=words):
        api(api.client.repository.download_artifact(*arguments))
    assert server.requests == ()


def test_paths_of_both_systems_are_absolute(api: Any, server: Any) -> None:
    server.on("repository.installLocalPlugin")
    for path in ("/home/me/plugin", "C:\\plugins\\mine"):
        api(api.client.repository.install_local_plugin(path))
    assert [p["pluginPath"] for p in server.parameters] == ["/home/me/plugin", "C:\\plugins\\mine"]


# -- artifacts and plugins -----------------------------------------------------------------------


def test_an_artifact_is_pushed(api: Any, server: Any) -> None:
    server.on_channel(
        "repository.pushArtifact",
        [{"type": "message", "message": "packing"}, {"type": "message", "message": "done"}],
    )
    seen: list[str] = []
    api(api.client.repository.push_artifact("/a", on_message=seen.append))
    assert seen == ["packing", "done"]
    api(
        api.client.repository.push_artifact(
            "/a", description="d", make_private=True, write_revision=False, overrides={"tags": []}
        )
    )
    assert server.parameters == [
        {"path": "/a"},
        {
            "path": "/a",
            "description": "d",
            "makePrivate": True,
            "writeRevision": False,
            "overrides": {"tags": []},
        },
    ]


def test_wrong_pushes_are_named(api: Any, server: Any) -> None:
    with pytest.raises(LMStudioValueError, match="up to 1000 characters; this one has 1001"):
        api(api.client.repository.push_artifact("/a", description="x" * 1001))
    with pytest.raises(LMStudioValueError, match="plain JSON"):
        api(api.client.repository.push_artifact("/a", overrides={"x": object()}))


def test_local_files_and_owners_and_plugins(api: Any, server: Any) -> None:
    files = [{"relativePath": "manifest.json", "sizeBytes": 12}]
    server.on(
        "repository.getLocalArtifactFiles",
        {"fileList": {"files": files, "usedIgnoreFile": ".gitignore"}},
    )
    server.on("repository.getWritableArtifactOwners", {"owners": ["me", "us"]})
    server.on("repository.installPluginDependencies")
    repository = api.client.repository
    found = api(repository.get_local_artifact_files("/a"))
    assert (found.files[0].relative_path, found.files[0].size_bytes) == ("manifest.json", 12)
    assert found.used_ignore_file == ".gitignore"
    assert api(repository.get_writable_artifact_owners()) == ["me", "us"]
    assert api(repository.install_plugin_dependencies("/p")) is None
    assert server.parameters[-1] == {"pluginFolder": "/p"}


def test_staff_picks_and_catalog(api: Any, server: Any) -> None:
    pick = {
        "owner": "qwen",
        "name": "qwen3-4b",
        "revisionNumber": 2,
        "createdAtTimestamp": 1_700_000_000_000,
        "description": "small",
        "exact": False,
    }
    model = {
        "owner": "qwen",
        "name": "qwen3-4b",
        "description": "small",
        "downloads": 5,
        "likeCount": 1,
        "type": "model",
        "metadata": {
            "type": "embedding",
            "architectures": ["bert"],
            "compatibilityTypes": ["gguf"],
            "paramsStrings": ["0.1B"],
            "minMemoryUsageBytes": 100,
            "contextLengths": [512],
        },
    }
    server.on("repository.fuzzyFindStaffPicks", {"results": [pick]})
    server.on("repository.getModelCatalog", {"models": [model]})
    (found,) = api(api.client.repository.find_staff_picks("qwen", 50))
    assert (found.owner, found.revision_number) == ("qwen", 2)
    (listed,) = api(api.client.repository.get_model_catalog())
    assert (listed.like_count, listed.metadata["architectures"]) == (1, ["bert"])
    assert server.parameters[0] == {"searchTerm": "qwen", "limit": 50}


# -- servers that do not know an endpoint ---------------------------------------------------------


def test_an_old_server_is_named_at_once(api: Any, server: Any) -> None:
    with pytest.raises(LMStudioRequestRejectedError, match=r"repository\.lmLinkStatus"):
        api(api.client.repository.lm_link.status())
    with pytest.raises(LMStudioRequestRejectedError):
        api(api.client.repository.push_artifact("/a"))


def test_the_sync_timeout_bounds_a_silent_download(server: Any) -> None:
    server.on_channel("repository.downloadArtifact", lambda channel: None)
    before = lms.get_sync_api_timeout()
    with lms.Client(server.api_host) as client:
        client.repository.connect()
        lms.set_sync_api_timeout(0.2)
        try:
            with pytest.raises(LMStudioTimeoutError):
                client.repository.download_artifact("me", "x", "/x")
        finally:
            lms.set_sync_api_timeout(before)
        channel = server.wait_for_request("repository.downloadArtifact")
        channel.wait_for_message("cancel")
