"""Fixtures for every test directory."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import hypothesis
import pytest

from lmstudio_core import timeouts
from lmstudio_core.client import default
from lmstudio_testing import FakeServer

# How fast inputs are drawn depends on what else the machine is doing, so it fails no test.
hypothesis.settings.register_profile(
    "shared machine",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("shared machine")

# No test depends on what the developer's shell has set; what the tests themselves read stays.
_OURS = ("LMSTUDIO_", "LMS_", "LM_")
_FOR_TESTS = ("LMSTUDIO_TEST_", "LMSTUDIO_OFFICIAL_")
_OTHERS = (
    *("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "HF_TOKEN", "HF_ENDPOINT"),
)
for _name in list(os.environ):
    if _name.upper() in _OTHERS or (_name.startswith(_OURS) and not _name.startswith(_FOR_TESTS)):
        del os.environ[_name]
os.environ["TERM"] = "xterm-256color"

# A shell starts background jobs with Ctrl-C ignored, and what the tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """No test is named by what it reads: an archive holds the time that a worker made it at."""
    return argname if isinstance(val, bytes) or (isinstance(val, str) and len(val) > 80) else None


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A scripted server."""
    with FakeServer() as server:
        yield server


@pytest.fixture(autouse=True)
def plain_state() -> Iterator[None]:
    """No test leaves a timeout or a default client to the next."""
    yield
    timeouts.set_sync_api_timeout(timeouts.DEFAULT_SYNC_TIMEOUT)
    default.reset_default_client()
