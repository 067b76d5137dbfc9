from __future__ import annotations

from collections.abc import Iterator

import pytest
from llm_scripts import Caller

from lmstudio_testing import FakeServer


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture(params=["sync", "async"])
def caller(request: pytest.FixtureRequest, server: FakeServer) -> Iterator[Caller]:
    made = Caller(server.api_host, is_async=request.param == "async")
    yield made
    made.close()
