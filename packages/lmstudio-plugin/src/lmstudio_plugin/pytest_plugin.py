"""The pytest plugin: ``lmstudio_plugin``. Loaded by every pytest run, so it imports nothing before it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .testing import TestedPlugin

__all__ = ["lmstudio_plugin"]


@pytest.fixture
def lmstudio_plugin(lmstudio_server: Any) -> Iterator[Callable[..., TestedPlugin]]:
    """Makes a ``TestedPlugin`` of a plugin's folder or of a ``Plugin``; all end with the test.

    A scripted app asks it; with ``--lmstudio=embedded`` the bundled server does.
    """
    from .testing import TestedPlugin

    with ExitStack() as stack:

        def test(plugin: Any, **options: Any) -> TestedPlugin:
            return stack.enter_context(TestedPlugin(plugin, lmstudio_server, **options))

        yield test
