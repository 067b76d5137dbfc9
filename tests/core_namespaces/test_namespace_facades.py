"""Sync and async are the same, every endpoint has its method, and nothing loads early."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from typing import Any

import pytest

import lmstudio_plugin as lms_plugins
from lmstudio_core import files
from lmstudio_core.manage import diagnostics, models, repository, runtime, system
from lmstudio_core.manage.repository import available, link, planner
from lmstudio_core.models import handles
from lmstudio_core.models import namespaces as model_namespaces
from lmstudio_core.plugins.registry import plugins
from lmstudio_plugin import development, generation, processing, sessions

PAIRS = [
    (files.FilesNamespace, files.AsyncFilesNamespace),
    (repository.RepositoryNamespace, repository.AsyncRepositoryNamespace),
    (system.SystemNamespace, system.AsyncSystemNamespace),
    (available.AvailableModel, available.AsyncAvailableModel),
    (available.ModelDownloadOption, available.AsyncModelDownloadOption),
    (link.LmLink, link.AsyncLmLink),
    (planner.DownloadPlanner, planner.AsyncDownloadPlanner),
    (models.ModelsNamespace, models.AsyncModelsNamespace),
    (model_namespaces.SyncModelNamespace, model_namespaces.AsyncModelNamespace),
    (handles.SyncModelHandle, handles.AsyncModelHandle),
    (handles.DraftingHandle, handles.AsyncDraftingHandle),
    (runtime.RuntimeNamespace, runtime.AsyncRuntimeNamespace),
    (diagnostics.DiagnosticsNamespace, diagnostics.AsyncDiagnosticsNamespace),
    (diagnostics.LogStream, diagnostics.AsyncLogStream),
    (lms_plugins.PluginsNamespace, lms_plugins.AsyncPluginsNamespace),
    (development.DevelopmentPlugin, development.AsyncDevelopmentPlugin),
    (development.HookStream, development.AsyncHookStream),
    (generation.GeneratorStream, generation.AsyncGeneratorStream),
    (processing.PredictionController, processing.AsyncPredictionController),
    (sessions.ToolUseSession, sessions.AsyncToolUseSession),
]
ASYNC_ONLY = ["start"]  # what a synchronous planner does when it is made
NOT_AWAITED = [
    "generate_with_generator_stream",
    "generator",
    "open_hook",
    "processing",
    "stream_logs",
]


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
        assert inspect.iscoroutinefunction(other) == (name not in NOT_AWAITED), name
        ours, theirs = inspect.signature(one), inspect.signature(other)
        assert list(ours.parameters.values()) == list(theirs.parameters.values()), name
        plain = re.sub("A?[Ss]ync", "", str(theirs.return_annotation))
        assert re.sub("A?[Ss]ync", "", str(ours.return_annotation)) == plain
        assert inspect.getdoc(one), name


OWN_PACE = {
    # What asks nothing, or hands over what has limits of its own.
    "cancel", "client", "close", "connect", "disconnect", "generator", "processing", "result", "send", "start", "wait",
    "create_artifact_download_planner", "create_model_download_planner",
}  # fmt: skip


@pytest.mark.parametrize("cls", [sync for sync, _ in PAIRS])
def test_every_call_can_be_limited(cls: type) -> None:
    for name in public(cls):
        method = getattr(cls, name)
        if inspect.isfunction(method) and name not in OWN_PACE:
            kinds = [p.kind for p in inspect.signature(method).parameters.values()]
            assert inspect.Parameter.VAR_KEYWORD in kinds, name


@pytest.mark.parametrize(
    "name", ["diagnostics", "files", "models", "plugins", "repository", "runtime", "system"]
)
def test_the_capability_is_found_by_its_entry_point(name: str) -> None:
    found = plugins.capability(name)
    homes = {"files": "lmstudio_core.files", "plugins": "lmstudio_plugin"}
    home = importlib.import_module(homes.get(name, f"lmstudio_core.manage.{name}"))
    assert found is home.CAPABILITY
    assert found.name == name
    assert found.load_sync().__name__ == f"{name.title()}Namespace"
    assert found.load_async().__name__ == f"Async{name.title()}Namespace"


@pytest.mark.parametrize(
    "module", [diagnostics, files, lms_plugins, models, repository, runtime, system]
)
def test_every_listed_name_is_there(module: Any) -> None:
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError):
        module.nothing  # noqa: B018


def test_looking_at_the_capabilities_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from lmstudio_core.files import CAPABILITY\n"
        "from lmstudio_plugin import CAPABILITY\n"
        "from lmstudio_core.manage.repository import CAPABILITY\n"
        "from lmstudio_core.manage.runtime import CAPABILITY\n"
        "print([m for m in ('pydantic', 'asyncio', 'websockets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
