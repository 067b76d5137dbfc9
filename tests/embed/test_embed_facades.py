"""The sync and the async facade are the same; the capability declares what the package offers."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing
from typing import Any

import pytest

import lmstudio_embed
from lmstudio_core.lazy import load_object
from lmstudio_embed import models, namespaces
from lmstudio_embed.capability import CAPABILITY
from lmstudio_embed.downloaded import AsyncDownloadedEmbeddingModel, DownloadedEmbeddingModel
from lmstudio_embed.kind import EMBEDDING_KIND

PAIRS = [
    (models.EmbeddingModel, models.AsyncEmbeddingModel),
    (DownloadedEmbeddingModel, AsyncDownloadedEmbeddingModel),
    (namespaces.EmbeddingNamespace, namespaces.AsyncEmbeddingNamespace),
]
SAME_UNDER_ANOTHER_NAME = {"close": "aclose", "embed_stream": "embed_stream"}


def public(cls: type) -> dict[str, Any]:
    return {name: getattr(cls, name) for name in dir(cls) if not name.startswith("_")}


@pytest.mark.parametrize(("sync", "aio"), PAIRS)
def test_sync_and_async_have_the_same_signatures(sync: type, aio: type) -> None:
    names = {SAME_UNDER_ANOTHER_NAME.get(name, name): name for name in public(sync)}
    assert set(names) == set(public(aio))
    for async_name, sync_name in names.items():
        one, other = getattr(sync, sync_name), getattr(aio, async_name)
        if not inspect.isfunction(one):
            continue
        ours, theirs = inspect.signature(one), inspect.signature(other)
        input_too = theirs.parameters.get("input")
        if input_too is not None:  # asyncio has a second kind of iterable
            plain = str(input_too.annotation).replace(" | AsyncIterable[str]", "")
            replaced = {**theirs.parameters, "input": input_too.replace(annotation=plain)}
            theirs = theirs.replace(parameters=list(replaced.values()))
        assert list(ours.parameters.values()) == list(theirs.parameters.values()), sync_name


@pytest.mark.skipif(sys.version_info < (3, 11), reason="typing.get_overloads is new in 3.11")
@pytest.mark.parametrize("cls", [models.EmbeddingModel, models.AsyncEmbeddingModel])
@pytest.mark.parametrize("method", ["embed", "embed_stream"])
def test_signatures_are_known_where_numpy_is_not_installed(cls: type, method: str) -> None:
    overloads = typing.get_overloads(getattr(cls, method))
    assert overloads
    for overload in overloads:
        assert "NDArray" not in overload.__annotations__["return"]


def test_every_export_is_where_the_capability_says() -> None:
    assert CAPABILITY.name == "embedding"
    assert CAPABILITY.load_sync() is namespaces.EmbeddingNamespace
    assert CAPABILITY.load_async() is namespaces.AsyncEmbeddingNamespace
    assert CAPABILITY.load_model_kind() is EMBEDDING_KIND
    for name, path in CAPABILITY.exports.items():
        assert load_object(path) is getattr(lmstudio_embed, name), name
    assert set(CAPABILITY.exports) == set(lmstudio_embed.__all__)


def test_the_convenience_function_takes_what_the_namespace_takes() -> None:
    method = inspect.signature(namespaces.EmbeddingNamespace.model).parameters
    function = inspect.signature(lmstudio_embed.embedding_model).parameters
    assert {name: (p.kind, p.default) for name, p in method.items() if name != "self"} == {
        name: (p.kind, p.default) for name, p in function.items()
    }


def test_unknown_attributes_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="embedder"):
        lmstudio_embed.embedder  # noqa: B018
    assert "embedding_model" in dir(lmstudio_embed)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, lmstudio_embed, lmstudio_embed.capability\n"
        "print([m for m in ('pydantic', 'asyncio', 'websockets', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_handles_print_as_documented() -> None:
    assert repr(models.EmbeddingModel("x", None)) == "EmbeddingModel(identifier='x')"
    assert repr(models.AsyncEmbeddingModel("x", None)) == "AsyncEmbeddingModel(identifier='x')"
