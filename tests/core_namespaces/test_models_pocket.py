"""Model management on a real server: the embedded one with its pocket models; sync and async."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from apis import Api, opened

from lmstudio_core.errors import (
    LMStudioIdentifierInUseError,
    LMStudioModelDomainError,
    LMStudioModelNotFoundError,
    LMStudioServerError,
)
from lmstudio_plugin import PredictionProcess

testing = pytest.importorskip("lmstudio_server.testing")


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with testing.running_server() as server:
        yield server.host


@pytest.fixture(params=["sync", "async"])
def real(request: pytest.FixtureRequest, host: str) -> Iterator[Api]:
    with opened(request.param, host) as api:
        yield api


def test_a_model_from_its_estimate_to_its_end(real: Api) -> None:
    estimate = real(real.client.llm.estimate_resources("pocket", {"contextLength": 256}))
    assert estimate.memory.total_bytes > 0
    found = real(real.client.models.find_downloaded("pocket"))
    progress: list[float] = []
    model = real(
        found.load_new_instance(
            instance_identifier="mine",
            config={"contextLength": 256},
            on_load_progress=progress.append,
        )
    )
    assert (progress[0], progress[-1]) == (0.0, 1.0)
    assert progress == sorted(set(progress))
    assert real(model.get_context_length()) == 256
    assert real(model.processing_state()).status == "idle"
    assert real(model.base_prediction_config()) is not None
    assert model.device_identifier is None
    assert "mine" in [m.identifier for m in real(real.client.models.list_loaded())]
    with pytest.raises(LMStudioIdentifierInUseError, match="mine"):
        real(real.client.llm.load_new_instance("pocket", "mine"))
    real(real.client.models.unload("mine"))
    with pytest.raises(LMStudioModelNotFoundError):
        real(model.get_info())


def test_wrong_keys_are_explained(real: Api) -> None:
    with pytest.raises(LMStudioModelNotFoundError) as caught:
        real(real.client.llm.model("pockt"))
    assert "pocket" in caught.value.close_matches
    assert str(caught.value).count("Did you mean") == 1
    with pytest.raises(LMStudioModelDomainError) as wrong:
        real(real.client.embedding.model("pocket"))
    assert (wrong.value.actual_domain, wrong.value.expected_domain) == ("llm", "embedding")
    with pytest.raises(LMStudioServerError, match="device"):
        real(real.client.llm.model("pocket", device="laptop"))


def test_a_context_beyond_the_model_is_a_warning(
    real: Api, caplog: pytest.LogCaptureFixture
) -> None:
    (info,) = [m.info for m in real(real.client.llm.list_downloaded()) if m.model_key == "pocket"]
    wanted = 4 * info.max_context_length
    with caplog.at_level(logging.WARNING, "lmstudio"):
        model = real(
            real.client.llm.load_new_instance("pocket", "wide", config={"contextLength": wanted})
        )
    got = real(model.get_context_length())
    real(model.unload())
    assert got < wanted
    assert any(str(got) in r.message and str(wanted) in r.message for r in caplog.records)


@pytest.mark.parametrize("name", ["catalog", "login", "history", "tools"])
def test_what_the_server_does_not_offer_it_says_at_once(real: Api, name: str) -> None:
    process = PredictionProcess("p", "t")
    calls: dict[str, tuple[Callable[[], Any], str]] = {
        "catalog": (lambda: real.client.repository.get_model_catalog(), "not offered"),
        "login": (lambda: real.client.repository.ensure_authenticated(print), "not offered"),
        "history": (
            lambda: real.client.plugins.processing(process).pull_history(),
            "no prediction process",
        ),
        "tools": (lambda: real.client.plugins.start_tool_use_session("a/b"), "no plugin"),
    }
    call, words = calls[name]
    with pytest.raises(LMStudioServerError, match=words):
        real(call())
