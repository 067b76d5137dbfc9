"""How a test lets the sync timeout pass without sleeping."""

from __future__ import annotations

from typing import Any

import pytest

from lmstudio_core import Client
from lmstudio_core.errors import LMStudioTimeoutError
from lmstudio_testing import NO_ANSWER


def outlast_the_timeout(server: Any) -> None:
    """Return after another client's call, begun now, has timed out."""
    server.on_odd("files.getLocalFileAbsolutePath", NO_ANSWER)
    with Client(server.api_host) as other, pytest.raises(LMStudioTimeoutError):
        other.files.remote_call("getLocalFileAbsolutePath", {"fileName": "f"})
