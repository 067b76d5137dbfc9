"""The official SDK's module paths: every name with an equal is there, the others name the nearest.

The table is not part of the repository; without it the tests that need it are skipped.
"""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydantic
import pytest

import lmstudio as lms
from lmstudio_core.errors import LMStudioError

TABLE = Path(__file__).parents[3] / "shared" / "compat" / "official-modules.json"
MODULES: dict[str, Any] = json.loads(TABLE.read_text())["modules"] if TABLE.exists() else {}
PATHS = (
    "history", "json_api", "schemas", "sdk_api", "sync_api", "async_api", "_sdk_models",
)  # fmt: skip

needs_table = pytest.mark.skipif(not TABLE.exists(), reason="the table of modules is not here")

SEEN_IN_THE_WILD = """
from lmstudio._sdk_models import GpuSetting, ToolCallRequestData, LlmPredictionFragment
from lmstudio._sdk_models import LlmPredictionConfig, LlmStructuredPredictionSetting
from lmstudio._sdk_models import LlmReasoningParsing
from lmstudio.history import Chat
from lmstudio.json_api import ToolFunctionDef, LMStudioServerError, PredictionResult
from lmstudio.json_api import ToolParamDefDict, AnyPrediction
from lmstudio.sdk_api import LMStudioError
from lmstudio.sync_api import _reset_default_client
import lmstudio.history, lmstudio.json_api, lmstudio.async_api as async_api
"""


def imported(module: str, name: str) -> Any:
    """What ``from lmstudio.module import name`` gives."""
    found: dict[str, Any] = {}
    exec(f"from lmstudio.{module} import {name} as found", found)
    return found["found"]


def test_what_programs_import() -> None:
    exec(SEEN_IN_THE_WILD, {})


@needs_table
@pytest.mark.parametrize("module", PATHS)
def test_every_name_that_has_an_equal(module: str) -> None:
    for name, entry in MODULES[f"lmstudio.{module}"]["names"].items():
        if entry["ours"] is None:
            continue
        found = imported(module, name)
        assert getattr(importlib.import_module(f"lmstudio.{module}"), name) is found
        if entry["ours"]["match"] == "facade":
            assert found is getattr(lms, name), name


@needs_table
@pytest.mark.parametrize("module", PATHS)
def test_every_other_name_is_an_import_error_with_the_nearest(module: str) -> None:
    home = importlib.import_module(f"lmstudio.{module}")
    names = MODULES[f"lmstudio.{module}"]["names"]
    missing = [n for n, entry in names.items() if entry["ours"] is None and n not in dir(home)]
    for name in missing[:: len(missing) // 40 + 1]:
        with pytest.raises(ImportError) as caught:
            imported(module, name)
        said = re.search(r"the nearest is ([\w.]+) ", str(caught.value))
        assert said, name
        place, _, near = said[1].rpartition(".")
        assert hasattr(importlib.import_module(place), near)
        assert caught.value.name == f"lmstudio.{module}"
    assert missing


@pytest.mark.parametrize(
    ("module", "name", "nearest"),
    [
        ("_sdk_models", "LlmTool", "lmstudio.json_api.ToolFunctionDef|lmstudio.ToolFunctionDef"),
        ("_sdk_models", "LlmToolUseSettingToolArray", r"lmstudio.*\.LlmToolUseSetting"),
        ("json_api", "ChatResponseEndpoint", r"lmstudio\.LLM"),
        ("history", "_FileHandleCache", r"lmstudio\.prepare_image"),
        ("sync_api", "_SyncSessionLlms", "_SyncSessionLlm|LLMNamespace|lmstudio"),
    ],
)
def test_the_nearest_is_one_to_use(module: str, name: str, nearest: str) -> None:
    with pytest.raises(ImportError, match=nearest):
        imported(module, name)


def test_an_attribute_that_is_missing_is_an_attribute_error() -> None:
    assert not hasattr(lms.json_api, "ChatResponseEndpoint")
    assert getattr(lms._sdk_models, "LlmTool", None) is None
    with pytest.raises(AttributeError, match="the nearest is") as caught:
        _ = lms.history.AnyChatMessageInput  # type: ignore[attr-defined]
    assert caught.value.name == "AnyChatMessageInput"
    with pytest.raises(AttributeError, match="no attribute '__wrapped__'"):
        _ = lms.history.__wrapped__  # type: ignore[attr-defined]


def test_a_star_brings_the_official_names() -> None:
    found: dict[str, Any] = {}
    exec("from lmstudio.json_api import *\nfrom lmstudio.history import *", found)
    assert found["Chat"] is lms.Chat
    assert found["ToolFunctionDef"] is lms.ToolFunctionDef
    assert "T" not in found


def test_they_cost_nothing_and_need_no_import() -> None:
    code = (
        "import sys, lmstudio as lms\n"
        f"modules = [getattr(lms, name) for name in {PATHS!r}]\n"
        f"assert set({PATHS!r}) <= set(dir(lms))\n"
        "from lmstudio import history, json_api\n"
        "print(*sorted(sys.modules))\n"
        "print(lms.sync_api.LLM is lms.LLM, history.Chat is lms.Chat)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    loaded, same = done.stdout.splitlines()
    heavy = {"pydantic", "websockets", "asyncio", "pluggy", "difflib"}
    others = {
        "lmstudio_llm",
        "lmstudio_embed",
        "lmstudio_agent",
        "lmstudio_plugin",
        "lmstudio_server",
    }
    assert not (heavy | others) & set(loaded.split())
    assert same == "True True"


@needs_table
@pytest.mark.parametrize("module", PATHS)
def test_classes_have_the_official_fields(module: str) -> None:
    """Data of these classes can be made and read as there: every field, under the same name."""
    home = importlib.import_module(f"lmstudio.{module}")
    for name, entry in MODULES[f"lmstudio.{module}"]["names"].items():
        if name not in dir(home) or not entry.get("fields"):
            continue
        cls = getattr(home, name)
        known = set(getattr(cls, "model_fields", ())) | set(getattr(cls, "__annotations__", ()))
        known |= {field for base in cls.__mro__ for field in vars(base)}
        for base in cls.__mro__:
            known |= set(getattr(base, "__annotations__", ()))
        missing = set(entry["fields"]) - known
        assert not missing, f"{name} lacks {missing}"
        if isinstance(cls, type) and issubclass(cls, pydantic.BaseModel):
            aliases = {field.alias or n: n for n, field in cls.model_fields.items()}
            for field, told in entry["fields"].items():
                wire = told["wire"] if isinstance(told, dict) else field
                assert wire in (*aliases, field), f"{name}.{field}"


def test_errors_are_caught_by_the_official_names() -> None:
    from lmstudio.sdk_api import LMStudioError as Official

    assert Official is LMStudioError
