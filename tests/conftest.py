"""Fixtures for every test directory."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest

from lmstudio_core import default, timeouts
from lmstudio_core.testing import FakeServer

# How fast inputs are drawn depends on what else the machine is doing, so it fails no test.
hypothesis.settings.register_profile(
    "shared machine",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("shared machine")

_VARIABLES = (
    "LM_API_TOKEN",
    "LMSTUDIO_API_HOST",
    "LMSTUDIO_API_TOKEN",
    "LMSTUDIO_DEBUG",
    "LMSTUDIO_DISABLE_PLUGINS",
    "LMSTUDIO_STRICT_PLUGINS",
    "LMS_API_SERVER_INFO_PATH",
    "NO_COLOR",
)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A scripted server."""
    with FakeServer() as server:
        yield server


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test depends on what the developer's shell has set, or leaves something to the next."""
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    yield
    timeouts.set_sync_api_timeout(timeouts.DEFAULT_SYNC_TIMEOUT)
    default.reset_default_client()
