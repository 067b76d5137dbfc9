"""Download planners against a scripted server, sync and async."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

import lmstudio_core as lms
from lmstudio_core.errors import (
    LMStudioRuntimeError,
    LMStudioServerError,
    LMStudioTimeoutError,
    LMStudioValueError,
)
from lmstudio_core.manage.repository.plans import PlanChannel, artifact_target, plan_channel

OPTIONS = [
    {
        "displayName": name,
        "sizeBytes": size,
        "quantName": name,
        "compatibilityType": "gguf",
        "fitEstimation": "fullGPUOffload",
        "availability": "notDownloaded",
    }
    for name, size in (("Q4_K_M", 2500), ("Q8_0", 5000))
]


def plan(version: int, *, selected: int = 0) -> dict[str, Any]:
    return {
        "nodes": [
            {
                "type": "artifact",
                "owner": "qwen",
                "name": "qwen3-4b",
                "state": "completed",
                "artifactType": "model",
                "dependencyNodes": [1],
            },
            {
                "type": "model",
                "state": "completed",
                "dependencyLabel": "base model",
                "downloadOptions": OPTIONS,
                "selectedDownloadOptionIndex": selected,
                "recommendedDownloadOptionIndex": 0,
            },
        ],
        "downloadSizeBytes": OPTIONS[selected]["sizeBytes"],
        "downloadAction": "startNewDownload",
        "version": version,
    }


PROGRESS = {"downloadedBytes": 1, "totalBytes": 2, "speedBytesPerSecond": 3}


async def serve(channel: Any) -> None:
    """Plan, let the client choose, download."""
    channel.send({"type": "planUpdated", "plan": {**plan(0), "nodes": plan(0)["nodes"][:1]}})
    channel.send({"type": "planReady", "plan": plan(1)})
    while (message := await channel.next_message())["type"] == "setSelectedDownloadOptionIndex":
        version, selected = message["requestedPlanVersion"], message["selectedDownloadOptionIndex"]
        channel.send({"type": "planUpdated", "plan": plan(version - 1)})
        channel.send({"type": "planUpdated", "plan": plan(version, selected=selected)})
    if message["type"] == "commit":
        channel.send({"type": "downloadProgress", "update": PROGRESS})
        channel.send({"type": "startFinalizing"}, {"type": "success"})
        channel.close()


@contextlib.contextmanager
def opened(api: Any, made: Any) -> Iterator[Any]:
    """A planner in its ``with`` statement."""
    planner = api(made)
    api(planner.__aenter__() if api.is_async else planner.__enter__())
    try:
        yield planner
    finally:
        arguments = (None, None, None)
        api(planner.__aexit__(*arguments) if api.is_async else planner.__exit__(*arguments))


def test_a_plan_is_made_changed_and_downloaded(api: Any, server: Any) -> None:
    server.on_odd_channel("repository.createDownloadPlan", serve)
    plans: list[Any] = []
    seen: list[Any] = []
    made = api.client.repository.create_artifact_download_planner(
        "qwen", "qwen3-4b", on_plan_updated=plans.append
    )
    with opened(api, made) as planner:
        ready = api(planner.wait_ready())
        assert planner.is_ready
        assert ready is planner.plan
        assert ready.download_size_bytes == 2500
        assert ready.nodes[0].dependency_nodes == (1,)
        assert [o.quant_name for o in ready.nodes[1].download_options] == ["Q4_K_M", "Q8_0"]
        changed = api(planner.select(1, 1))
        assert (changed.version, changed.download_size_bytes) == (2, 5000)
        assert "ready: 5000 bytes" in repr(planner)
        api(planner.download(seen.append, lambda: seen.append("finalizing")))
        with pytest.raises(LMStudioRuntimeError, match="started already"):
            api(planner.download())
    assert [p.version for p in plans] == [0, 1, 1, 2]
    assert isinstance(seen[0], lms.DownloadProgressUpdate)
    assert seen[1:] == ["finalizing"]
    assert [m["type"] for m in server.requests[0].messages] == [
        "setSelectedDownloadOptionIndex",
        "commit",
    ]
    assert server.parameters == [
        {"target": {"type": "artifact", "owner": "qwen", "name": "qwen3-4b"}}
    ]


def test_a_model_is_planned_by_preference(api: Any, server: Any) -> None:
    server.on_odd_channel("repository.createDownloadPlan", serve)
    made = api.client.repository.create_model_download_planner(
        "someone",
        "Model-GGUF",
        prefer_files=["m.Q4.gguf"],
        prefer_quantizations=["Q4_K_M", "Q8_0"],
        compatibility_types=["gguf"],
    )
    with opened(api, made) as planner:
        api(planner.download())
    assert server.parameters == [
        {
            "target": {
                "type": "model",
                "source": {"type": "huggingface", "user": "someone", "repo": "Model-GGUF"},
            },
            "opts": {
                "resolutionPreference": [
                    {"type": "fileName", "fileName": "m.Q4.gguf"},
                    {"type": "quantName", "quantName": "Q4_K_M"},
                    {"type": "quantName", "quantName": "Q8_0"},
                ],
                "compatibilityTypes": ["gguf"],
            },
        }
    ]


def test_a_plan_that_is_left_is_given_up(api: Any, server: Any) -> None:
    server.on_odd_channel("repository.createDownloadPlan", serve)
    made = api.client.repository.create_artifact_download_planner("qwen", "qwen3-4b")
    with opened(api, made) as planner:
        api(planner.wait_ready())
    server.requests[0].wait_for_message("cancelPlan")
    with pytest.raises(LMStudioRuntimeError):
        api(planner.download())


def test_a_download_that_is_interrupted_is_stopped(server: Any) -> None:
    async def slow(channel: Any) -> None:
        channel.send({"type": "planReady", "plan": plan(1)})
        await channel.next_message()
        channel.send({"type": "downloadProgress", "update": PROGRESS})

    def interrupt(update: Any) -> None:
        raise KeyboardInterrupt

    server.on_odd_channel("repository.createDownloadPlan", slow)
    with lms.Client(server.api_host) as client:
        planner = client.repository.create_artifact_download_planner("qwen", "qwen3-4b")
        with pytest.raises(KeyboardInterrupt), planner:
            planner.download(interrupt)
        server.requests[0].wait_for_message("cancelDownload")


def test_a_plan_that_cannot_be_made_says_why(api: Any, server: Any) -> None:
    server.on_odd_channel("repository.createDownloadPlan", lambda channel: channel.fail("Unknown"))
    made = api.client.repository.create_artifact_download_planner("qwen", "nothing")
    with opened(api, made) as planner, pytest.raises(LMStudioServerError, match="Unknown"):
        api(planner.wait_ready())


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ((0, 0), "Node 0 of the plan is no model to choose for; models are: 1"),
        ((7, 0), "Node 7 of the plan"),
        ((1, 2), "has 2 options"),
        ((1, -1), "has 2 options"),
        ((1, None), "No downloaded model satisfies node 1"),
    ],
)
def test_wrong_choices_are_named(choice: Any, words: str) -> None:
    channel = PlanChannel({}, None)
    channel.feed({"type": "planReady", "plan": plan(1)})
    with pytest.raises(LMStudioValueError, match=words):
        channel.select(*choice)


def test_wrong_preferences_are_named() -> None:
    options: dict[str, Any] = dict.fromkeys(
        ("prefer_files", "prefer_quantizations", "compatibility_types", "on_plan_updated")
    )
    with pytest.raises(
        LMStudioValueError, match=r"prefer_quantizations is a list, such as \['Q4'\]"
    ):
        plan_channel(artifact_target("a", "b"), **{**options, "prefer_quantizations": "Q4"})


def test_a_choice_shows_only_in_a_plan_that_is_new_enough() -> None:
    channel = PlanChannel({}, None)
    assert not channel.ready
    channel.feed({"type": "planReady", "plan": plan(4)})
    assert channel.ready
    assert channel.select(1, 1)["requestedPlanVersion"] == 5
    assert channel.select(1, 0)["requestedPlanVersion"] == 6
    assert not channel.ready
    channel.feed({"type": "planUpdated", "plan": plan(5)})
    assert not channel.ready
    channel.feed({"type": "planUpdated", "plan": plan(6)})
    assert channel.ready
    assert channel.feed({"type": "news"}) == ()
    assert channel.feed(None) == ()


def test_a_plan_outlives_a_wait_that_was_too_short(api: Any, server: Any) -> None:
    async def slow(channel: Any) -> None:
        channel.send({"type": "planUpdated", "plan": {**plan(0), "nodes": plan(0)["nodes"][:1]}})

    server.on_odd_channel("repository.createDownloadPlan", slow)
    with opened(api, api.client.repository.create_artifact_download_planner("o", "n")) as planner:
        with pytest.raises(LMStudioTimeoutError, match="timeout="):
            api(planner.wait_ready(timeout=0.05))
        assert not planner.is_ready
        server.requests[0].send({"type": "planReady", "plan": plan(1)})
        assert api(planner.wait_ready(timeout=20)).download_size_bytes == 2500


def test_a_download_that_takes_too_long_is_stopped(api: Any, server: Any) -> None:
    async def stuck(channel: Any) -> None:
        channel.send({"type": "planReady", "plan": plan(1)})

    server.on_odd_channel("repository.createDownloadPlan", stuck)
    with opened(api, api.client.repository.create_artifact_download_planner("o", "n")) as planner:
        with pytest.raises(LMStudioTimeoutError):
            api(planner.download(timeout=0.05))
        server.requests[0].wait_for_message("cancelDownload")
