"""Annotations of all public names mean something at run time, as tools that read them expect."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
import typing

import pydantic
import pytest
from pydantic import TypeAdapter, validate_call

import lmstudio as lms
from lmstudio_core.lazy import _Missing, lazy_hints
from lmstudio_llm.tools import resolve_tools
from lmstudio_testing import FakeServer

MODULES = [
    "lmstudio",
    "lmstudio.async_api",
    "lmstudio.history",
    "lmstudio.json_api",
    "lmstudio.schemas",
    "lmstudio.sync_api",
    "lmstudio_agent",
    "lmstudio_core",
    "lmstudio_core.errors",
    "lmstudio_core.observe.observations",
    "lmstudio_core.plugins.api",
    "lmstudio_testing",
    "lmstudio_embed",
    "lmstudio_llm",
    "lmstudio_server",
    "lmstudio_server.embedded",
    "lmstudio_server.testing",
]


def is_ours(thing):
    return (getattr(thing, "__module__", None) or "").partition(".")[0].startswith("lmstudio")


def public(module):
    """(name, class or function) of all that a module offers, methods and properties included."""
    found = importlib.import_module(module)
    for name in getattr(found, "__all__", None) or [n for n in dir(found) if n[0] != "_"]:
        thing = getattr(found, name)
        if is_ours(thing) and (inspect.isclass(thing) or inspect.isfunction(thing)):
            yield name, thing
        for base in thing.__mro__ if inspect.isclass(thing) else ():
            for attribute, value in vars(base).items() if is_ours(base) else ():
                function = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
                if inspect.isfunction(function) and is_ours(function):
                    yield f"{base.__name__}.{attribute}", function


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name(module):
    problems = []
    for name, thing in public(module):
        try:
            hints = typing.get_type_hints(thing, include_extras=True)
        except Exception as error:
            problems.append(f"{name}: {error!r}")
        else:
            problems += [f"{name}: {hint}" for hint in hints.values() if "_Missing" in repr(hint)]
    assert not problems


def test_imports_stay_as_they_were():
    """Hints are looked up when they are asked for: before, nothing is loaded for their sake."""
    code = """
import sys
import lmstudio as lms
from lmstudio import AsyncClient, LMStudioServerError, get_default_client
heavy = ("pydantic", "websockets", "numpy", "lmstudio_llm", "lmstudio_embed", "lmstudio_agent")
assert not [name for name in heavy if name in sys.modules], sys.modules
import typing
assert typing.get_type_hints(AsyncClient.llm.fget)["return"] is lms.AsyncLLMNamespace
assert typing.get_type_hints(get_default_client)["return"] is lms.Client
assert "SerializedLMSExtendedError" in str(typing.get_type_hints(LMStudioServerError))
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_a_missing_package_has_is_anything(monkeypatch):
    @lazy_hints
    def function(a: Absent, b: Absent[int], c: Absent.Part | None):  # noqa: F821
        """Take things."""

    hints = typing.get_type_hints(function)
    assert hints["a"] is _Missing
    assert hints["b"] is typing.Any
    assert validate_call(function)(1, 2, 3) is None
    globals().pop("Absent")


def test_signatures_read_as_they_are_written():
    parameters = inspect.signature(lms.llm).parameters
    assert "LlmLoadConfigInput" in parameters["config"].annotation
    assert inspect.get_annotations(lms.llm, eval_str=True)["return"] is lms.LLM
    assert dict(lms.llm.__annotations__) == lms.llm.__annotations__.copy()


FUNCTIONS = [name for name in lms.__all__ if inspect.isfunction(getattr(lms, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_pydantic_checks_calls_of_functions(name):
    validate_call(getattr(lms, name))


@pytest.mark.parametrize(
    "owner", [lms.LLM, lms.EmbeddingModel, lms.AsyncLLM, lms.Client, lms.AsyncClient, lms.Chat]
)
def test_pydantic_checks_calls_of_methods(owner):
    for name, function in inspect.getmembers(owner, inspect.isfunction):
        if not name.startswith("_"):
            validate_call(function, config=pydantic.ConfigDict(arbitrary_types_allowed=True))


@pytest.mark.parametrize("name", [n for n in lms.__all__ if n.endswith("Dict")])
def test_dicts_are_types_for_pydantic(name):
    TypeAdapter(getattr(lms, name))


def test_a_dict_is_checked():
    config = TypeAdapter(lms.LlmPredictionConfigDict)
    assert config.validate_python({"temperature": 0.5}) == {"temperature": 0.5}
    with pytest.raises(pydantic.ValidationError):
        config.validate_python({"temperature": "hot"})


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


class Record(pydantic.BaseModel):
    chat: lms.Chat
    result: lms.PredictionResult[typing.Any] | None = None
    run: lms.ActResult[typing.Any] | None = None
    events: list[lms.PredictionEvent] = []


def test_chats_and_fragments_are_fields():
    chat = lms.Chat("Be brief.")
    fragment = lms.LlmPredictionFragment("a", reasoning_type="reasoning")
    record = Record(chat=chat, events=[fragment, lms.ToolCallGenerationStart("1")])
    assert record.chat is chat
    assert record.model_dump()["chat"] == chat.to_dict()
    again = Record.model_validate_json(record.model_dump_json())
    assert again.chat.to_dict() == chat.to_dict()
    assert again.events[0] == fragment
    assert Record(chat="Hello").chat.to_dict() == lms.Chat.from_history("Hello").to_dict()
    assert Record.model_json_schema()
    for wrong in (3, [{"role": "nobody", "content": "a"}], {"messages": 4}):
        with pytest.raises(pydantic.ValidationError):
            Record(chat=wrong)


def test_results_are_fields():
    with FakeServer() as server, lms.Client(server.api_host) as client:
        server.llm("fake").respond("Hi.").respond("Hi.")
        model = client.llm.model("fake")
        result = model.respond("Hello")
        run = model.act("Hello", [add])
    record = Record(chat="a", result=result, run=run)
    assert (record.result, record.run) == (result, run)
    data = record.model_dump(mode="json")
    assert data["result"] == result.to_dict()
    assert data["run"]["transcript"] == run.transcript.to_dict()
    again = Record.model_validate(data | {"run": None}).result
    assert again.to_dict() == result.to_dict()
    assert (again.content, again.value) == (result.content, result.content)


def test_methods_of_models_are_tools():
    client = lms.Client("127.0.0.1:9")
    model = lms.LLM(client, "none")
    (tool,) = resolve_tools([model.complete])
    assert tool.name == "complete"


MISSING = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Without())
try:
    exec(sys.argv[2])
except ImportError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("package", "code"),
    [
        ("lmstudio_llm", "from lmstudio import LLM"),
        ("lmstudio_llm", "import lmstudio; lmstudio.llm"),
        ("lmstudio_llm", "from lmstudio.history import Chat"),
        ("lmstudio_embed", "from lmstudio.sync_api import EmbeddingModel"),
        ("lmstudio_agent", "import lmstudio; lmstudio.mcp_tools"),
        ("lmstudio_core", "import lmstudio"),
    ],
)
def test_the_facade_says_which_package_is_missing(package, code):
    command = [sys.executable, "-c", MISSING, package, code]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith("ModuleNotFoundError ")
    assert f"the package {package.replace('_', '-')}, which is not installed" in said
    assert "pip install" in said
