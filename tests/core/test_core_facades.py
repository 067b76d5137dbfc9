"""The synchronous and the asyncio side of core are the same."""

from __future__ import annotations

from typing import Any

import pytest

import lmstudio
import lmstudio_core
from lmstudio_core import client
from lmstudio_core.client import namespace as base
from lmstudio_core.drivers import aio, batches, sync
from lmstudio_core.manage import models, system
from lmstudio_core.models import downloaded, generic, handles, namespaces
from lmstudio_core.protocol import runner
from parity import differences, plainly

PAIRS = [
    (client.Client, client.AsyncClient),
    (base.SyncNamespace, base.AsyncNamespace),
    (namespaces.SyncModelNamespace, namespaces.AsyncModelNamespace),
    (models.ModelsNamespace, models.AsyncModelsNamespace),
    (system.SystemNamespace, system.AsyncSystemNamespace),
    (handles.SyncModelHandle, handles.AsyncModelHandle),
    (generic.ModelHandleOfKind, generic.AsyncModelHandleOfKind),
    (downloaded.DownloadedModel, downloaded.AsyncDownloadedModel),
    (batches.SyncBatchStream, batches.AsyncBatchStream),
]


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=lambda cls: cls.__name__)
def test_parity(one, other):
    assert differences(one, other) == []


def test_streams_are_what_the_runners_promise():
    # An async stream is started by its first step, a sync one when it is made; and what is at hand
    # needs no coroutine.
    only = ["at_hand", "start"]
    assert differences(sync.SyncChannelStream, aio.AsyncChannelStream, only_one_has=only) == []
    assert differences(runner.ChannelStream, runner.AsyncChannelStream, only_one_has=only) == []


def test_the_comparison_itself_sees_differences():  # noqa: C901 - two classes to compare
    class One:
        """Synchronous."""

        limit = 1

        def same(self, x: int = 1) -> list[int]:
            """Documented."""

        def moved(self) -> None: ...
        def kind(self, x): ...
        def default(self, x=1): ...
        def annotation(self, x: int) -> None: ...
        def returns(self) -> int: ...
        def documented(self):
            """Here only."""

        @property
        def prop(self): ...
        def only(self): ...
        def close(self): ...

    class Other:
        """Asynchronous."""

        limit = 2

        async def same(self, x: int = 1) -> list[int]:
            """Documented."""

        async def kind(self, *, x): ...
        async def default(self, x=2): ...
        async def annotation(self, x: str) -> None: ...
        async def returns(self) -> str: ...
        async def documented(self): ...
        async def prop(self): ...
        async def moved(self) -> None: ...
        async def aclose(self): ...

    found = "\n".join(differences(One, Other))
    expected = ["limit:", "kind:", "default:", "annotation:", "returns:", "documented:", "prop:"]
    assert all(name in found for name in [*expected, "only One has only"])
    assert "same" not in found
    assert "close" not in found
    assert "another order" in "\n".join(differences(One, Other, only_one_has=["only"]))


def test_what_counts_as_the_same_type():
    assert plainly("AsyncIterator[AsyncLLM]") == plainly("Iterator[LLM]")
    assert plainly("AsyncClient") == plainly("Client")
    assert plainly("SyncRunner") == plainly("AsyncRunner")


@pytest.mark.parametrize("kind", [client.Client, client.AsyncClient])
def test_a_namespace_shows_its_client(kind: Any) -> None:
    made = kind("127.0.0.1:9")
    name = type(made.system).__name__
    assert repr(made.system) == f"<{name} of {kind.__name__}('127.0.0.1:9')>"


@pytest.mark.parametrize("facade", [lmstudio, lmstudio_core])
def test_a_prompt_completes_public_names_alone(facade: Any) -> None:
    shown = {name for name in dir(facade) if not name.startswith("_")}
    assert {"Client", "Chat", "llm", "ActResult"} <= shown
    assert not shown & {"Any", "Final", "TYPE_CHECKING", "annotations", "importlib", "sys"}
    with pytest.raises(AttributeError) as caught:
        _ = facade.chat
    assert (caught.value.name, caught.value.obj) == ("chat", facade)  # for "Did you mean: 'Chat'?"
