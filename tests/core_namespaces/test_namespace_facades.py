"""Sync and async are the same, every endpoint has its method, and nothing loads early."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import pytest
from packet_schemas import namespace_schema

import lmstudio_core as lms
from lmstudio_core.namespaces import files, repository, system
from lmstudio_core.namespaces.repository import available, link, planner
from lmstudio_core.plugins import plugins

PAIRS = [
    (files.FilesNamespace, files.AsyncFilesNamespace),
    (repository.RepositoryNamespace, repository.AsyncRepositoryNamespace),
    (system.SystemNamespace, system.AsyncSystemNamespace),
    (available.AvailableModel, available.AsyncAvailableModel),
    (available.ModelDownloadOption, available.AsyncModelDownloadOption),
    (link.LmLink, link.AsyncLmLink),
    (planner.DownloadPlanner, planner.AsyncDownloadPlanner),
]
ASYNC_ONLY = ["start"]  # what a synchronous planner does when it is made


def public(cls: type) -> list[str]:
    names = [*cls.__dict__]
    return [name for name in names if not name.startswith("_")]


@pytest.mark.parametrize(("sync", "aio"), PAIRS)
def test_sync_and_async_have_the_same_members(sync: type, aio: type) -> None:
    names = {"aclose" if name == "close" else name: name for name in public(sync)}
    assert list(names) == [name for name in public(aio) if name not in ASYNC_ONLY]
    for async_name, name in names.items():
        one, other = getattr(sync, name), getattr(aio, async_name)
        if not inspect.isfunction(one):
            continue
        assert inspect.iscoroutinefunction(other), name
        ours, theirs = inspect.signature(one), inspect.signature(other)
        assert list(ours.parameters.values()) == list(theirs.parameters.values()), name
        assert str(ours.return_annotation) == str(theirs.return_annotation).replace("Async", "")
        assert inspect.getdoc(one), name


@pytest.mark.parametrize("name", ["files", "repository", "system"])
def test_the_capability_is_found_by_its_entry_point(name: str) -> None:
    found = plugins.capability(name)
    assert found is getattr(lms.namespaces, name).CAPABILITY
    assert found.name == name
    assert found.load_sync().__name__ == f"{name.title()}Namespace"
    assert found.load_async().__name__ == f"Async{name.title()}Namespace"


@pytest.mark.parametrize("module", [files, repository, system])
def test_every_listed_name_is_there(module: Any) -> None:
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError):
        module.nothing  # noqa: B018


def test_looking_at_the_capabilities_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from lmstudio_core.namespaces.files import CAPABILITY\n"
        "from lmstudio_core.namespaces.repository import CAPABILITY\n"
        "print([m for m in ('pydantic', 'asyncio', 'websockets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("namespace", ["files", "repository", "system"])
def test_every_endpoint_of_the_protocol_is_used(namespace: str) -> None:
    document = namespace_schema(namespace)
    if document is None:
        pytest.skip("the protocol's schemas are not here")
    package = sys.modules[f"lmstudio_core.namespaces.{namespace}"]
    sources = [
        package,
        *(v for k, v in sys.modules.items() if k.startswith(f"{package.__name__}.")),
    ]
    text = "\n".join(inspect.getsource(source) for source in sources)
    if namespace == "system":
        text += inspect.getsource(sys.modules["lmstudio_core.models.operations"])
        text += inspect.getsource(sys.modules["lmstudio_core.models.loading"])
    assert [name for name in document["endpoints"] if f'"{name}"' not in text] == []
