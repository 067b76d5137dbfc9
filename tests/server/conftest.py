"""Fixtures of the server's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

    from fake_hub import FakeHub
    from wire_schema import Audit


@pytest.fixture(autouse=True)
def audit(monkeypatch: pytest.MonkeyPatch) -> Generator[Audit, None, None]:
    """Every packet of every server in this process is compared with the protocol's schemas."""
    from wire_schema import Audit, AuditedSession

    audit = Audit()
    monkeypatch.setattr(AuditedSession, "audit", audit, raising=False)
    monkeypatch.setattr("lmstudio_server.serving.socket.Session", AuditedSession)
    yield audit
    assert not audit.mistakes


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Generator[FakeHub, None, None]:
    """A hub of the test's own, which the server asks in place of Hugging Face's."""
    from fake_hub import fake_hub

    from lmstudio_server.hub import transfer

    monkeypatch.setattr(transfer, "RETRY_SECONDS", (0.01, 0.01))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with fake_hub() as one:
        monkeypatch.setenv("HF_ENDPOINT", one.endpoint)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield one


@pytest.fixture
def big(hub: FakeHub) -> FakeHub:
    """The same with a model on it."""
    from hub_scenes import DATA, REPOSITORY

    hub.add(REPOSITORY, "Big-Q8_0.gguf", DATA)
    return hub
