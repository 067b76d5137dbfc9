"""What users see of an error: their own line, one frame of ours, the message and its causes."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import traceback
import types

import pytest

import lmstudio as lms
from lmstudio_core import errors
from lmstudio_core.drivers.sync import SyncDriver
from lmstudio_core.program import tracebacks
from lmstudio_core.program.tracebacks import Short, cut, short
from lmstudio_testing import FakeServer, ServerFailure

pytest_plugins = ["pytester"]


@pytest.fixture
def server():
    with FakeServer() as server:
        for kind in ("llm", "embedding"):
            failure = ServerFailure(
                "It is gone", displayData={"code": "generic.specificModelUnloaded"}
            )
            server.on_channel(f"{kind}.getOrLoad", lambda channel, f=failure: channel.fail(f))
        server.on_channel("llm.predict", lambda channel: channel.fail(ServerFailure("No memory")))
        server.on("embedding.embedString", ServerFailure("No memory"))
        server.on("system.listDownloadedModels", [])
        server.on("system.version", ServerFailure("No memory"))
        yield server


def ours(error):
    """The frames of the family, outermost first, as "module function"."""
    return [
        f"{frame.f_globals['__name__']} {frame.f_code.co_name}"
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if frame.f_globals["__name__"].startswith("lmstudio")
    ]


def double(n: int) -> int:
    """Twice the number."""
    return 2 * n


SYNC = {
    "model": lambda c: c.llm.model("nope"),
    "respond": lambda c: lms.LLM("gone", c).respond("hi"),
    "fragments": lambda c: list(lms.LLM("gone", c).respond_stream("hi")),
    "events": lambda c: list(lms.LLM("gone", c).respond_stream("hi").events()),
    "result": lambda c: lms.LLM("gone", c).respond_stream("hi").result(),
    "config": lambda c: lms.LLM("gone", c).respond("hi", config={"temperature": "hot"}),
    "act": lambda c: lms.LLM("gone", c).act("hi", [double]),
    "act_stream": lambda c: list(lms.LLM("gone", c).act_stream("hi", [double])),
    "embedding model": lambda c: c.embedding.model("nope"),
    "embed": lambda c: lms.EmbeddingModel("gone", c).embed(["a", "b"]),
    "embed_stream": lambda c: list(lms.EmbeddingModel("gone", c).embed_stream(["a", "b"])),
    "remote_call": lambda c: c.system.remote_call("version"),
    "capability": lambda c: c.capability("nonsense"),
    "chat": lambda c: lms.Chat().add_user_message(3),
    "host": lambda c: lms.Client("nowhere:x"),
    "class method": lambda c: lms.Chat.from_history(3),
    "settings": lambda c: lms.LlmPredictionConfig(temperature="hot"),
    "settings of a dict": lambda c: lms.LlmPredictionConfig.from_dict({"temperature": "hot"}),
    "a setting": lambda c: setattr(lms.LlmPredictionConfig(), "temperature", "hot"),
    "vectors": lambda c: lms.similarity([1.0], [1.0, 2.0]),
    "tools": lambda c: lms.mcp_tools("it's"),
}


@pytest.mark.parametrize("name", SYNC)
def test_one_frame_of_ours_is_left(server, name):
    with lms.Client(server.api_host) as client, pytest.raises(errors.LMStudioError) as caught:
        SYNC[name](client)
    assert len(ours(caught.value)) == 1


async def fragments(stream):
    return [one async for one in stream]


ASYNC = {
    "model": lambda c: c.llm.model("nope"),
    "respond": lambda c: lms.AsyncLLM("gone", c).respond("hi"),
    "fragments": lambda c: fragments(lms.AsyncLLM("gone", c).respond_stream("hi")),
    "act": lambda c: lms.AsyncLLM("gone", c).act("hi", [double]),
    "act_stream": lambda c: fragments(lms.AsyncLLM("gone", c).act_stream("hi", [double])),
    "embed": lambda c: lms.AsyncEmbeddingModel("gone", c).embed(["a"]),
    "embed_stream": lambda c: fragments(lms.AsyncEmbeddingModel("gone", c).embed_stream(["a"])),
    "remote_call": lambda c: c.system.remote_call("version"),
}


@pytest.mark.parametrize("name", ASYNC)
def test_one_frame_of_ours_is_left_in_asyncio(server, name):
    async def main():
        async with lms.AsyncClient(server.api_host) as client:
            with pytest.raises(errors.LMStudioError) as caught:
                await ASYNC[name](client)
            return caught.value

    assert len(ours(asyncio.run(main()))) == 1


def test_the_convenience_functions(server):
    lms.configure_default_client(server.api_host)
    with pytest.raises(lms.LMStudioModelNotFoundError) as caught:
        lms.llm("nope")
    assert ours(caught.value) == ["lmstudio_core.program.tracebacks llm"]
    assert "lmstudio get nope" in str(caught.value)


def test_all_frames_are_there_for_whoever_looks_for_a_mistake(server, monkeypatch):
    monkeypatch.setenv("LMSTUDIO_DEBUG", "1")
    with lms.Client(server.api_host) as client, pytest.raises(errors.LMStudioError) as caught:
        client.llm.model("nope")
    assert len(ours(caught.value)) > 5


def test_a_cause_stays_without_its_frames():
    with lms.Client("127.0.0.1:9") as client, pytest.raises(errors.LMStudioError) as caught:
        client.system.version()
    cause = caught.value.__cause__
    assert isinstance(cause, OSError)
    assert cause.__traceback__ is None
    assert "direct cause" in "".join(traceback.format_exception(caught.value))


def user_code(name="their_module"):
    """Functions of a module that is not of the family."""
    module = types.ModuleType(name)
    code = "def fail(error):\n    raise error\ndef call(function, *arguments):\n    function(*arguments)\n"
    exec(code, module.__dict__)
    return module


class Facade(Short):
    def work(self, function, *arguments):
        function(*arguments)

    def mistake(self):
        return {}["nothing"]

    async def later(self, function, *arguments):
        function(*arguments)

    @property
    def value(self):
        raise errors.LMStudioError("no value")


Facade.__module__ = "lmstudio_core.facade"


def frames(error):
    return [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)][1:]


def test_frames_of_users_stay(monkeypatch):
    theirs = user_code()
    monkeypatch.setitem(globals(), "__name__", "lmstudio_core.facade")  # as if this file were ours
    for error in (ValueError("mine"), errors.LMStudioError("from a callback")):
        with pytest.raises(type(error)) as caught:
            Facade().work(theirs.call, theirs.fail, error)
        assert frames(caught.value) == ["work", "call", "fail"]
    with pytest.raises(ValueError, match="mine") as caught:
        asyncio.run(Facade().later(theirs.fail, ValueError("mine")))
    assert frames(caught.value)[-2:] == ["later", "fail"]


def test_a_mistake_of_ours_shows_where_it_is(monkeypatch):
    monkeypatch.setitem(globals(), "__name__", "lmstudio_core.facade")
    with pytest.raises(KeyError) as caught:
        Facade().mistake()
    assert frames(caught.value) == ["mistake", "mistake"]


def test_a_property(monkeypatch):
    monkeypatch.setitem(globals(), "__name__", "lmstudio_core.facade")
    with pytest.raises(errors.LMStudioError) as caught:
        _ = Facade().value
    assert frames(caught.value) == ["value"]
    assert isinstance(Facade.value, property)


def test_ctrl_c_is_short_too(monkeypatch, server):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(SyncDriver, "_run_call", interrupted)
    with lms.Client(server.api_host) as client, pytest.raises(KeyboardInterrupt) as caught:
        client.system.version()
    assert len(ours(caught.value)) == 1


def test_an_endless_chain_ends():
    one, other = errors.LMStudioError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert cut(one) is one


def test_functions_stay_what_they_were():
    @short
    def greet(name: str = "you") -> str:
        """Greets."""
        return f"Hello {name}"

    assert greet("me") == "Hello me"
    assert (greet.__name__, greet.__doc__) == ("greet", "Greets.")
    assert list(inspect.signature(greet).parameters) == ["name"]
    assert inspect.iscoroutinefunction(lms.AsyncLLM.respond)
    assert inspect.getsource(lms.llm).count("model_key")


def test_pytest_shows_the_line_of_the_test(pytester, server):
    pytester.makepyfile(
        f"""
        import lmstudio_core as lms
        def test_it():
            with lms.Client({server.api_host!r}) as client:
                client.system.version()
        """
    )
    shown = pytester.runpytest_subprocess("-p", "no:cacheprovider").stdout.str()
    assert "client.system.version()" in shown
    assert "LMStudioServerError: No memory" in shown
    assert "tracebacks.py" not in shown


def test_a_script_ends_with_two_frames(server):
    code = f"import lmstudio as lms\nlms.configure_default_client({server.api_host!r})\nlms.llm('nope')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr.count("  File ") == 2
    assert "LMSTUDIO_DEBUG=1" in done.stderr


def test_every_package_of_the_family_is_known():
    from lmstudio_core.plugins.installed import FAMILY

    assert {name.replace("-", "_") for name in FAMILY} <= tracebacks._OURS


@pytest.mark.parametrize("name", ["lmm", "lm", "embeding", "list_downloaded_model"])
@pytest.mark.parametrize("kind", [lms.Client, lms.AsyncClient])
def test_an_attribute_that_is_not_there_has_a_likeness(kind, name):
    with pytest.raises(AttributeError, match="Did you mean '"):
        getattr(kind("127.0.0.1:9"), name)
    with pytest.raises(AttributeError, match=r"'frobnicate'\.$"):
        _ = kind("127.0.0.1:9").frobnicate


class Shell:
    """As much of IPython as shows an error."""

    InteractiveTB = property(lambda self: self)

    def structured_traceback(self, kind, error, found, tb_offset):
        assert tb_offset == 0
        shown = [frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(found)]
        return [*shown, f"{kind.__name__}: {error}"]


def test_ipython_shows_the_frames_of_users(server, monkeypatch):
    with lms.Client(server.api_host) as client, pytest.raises(errors.LMStudioError) as caught:
        client.system.remote_call("version")
    error = caught.value
    assert "Traceback" in error._render_traceback_()[0], "without IPython, all of it"
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = Shell
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert error._render_traceback_() == [
        __name__,
        "LMStudioServerError: No memory\nEndpoint: system.version",
    ]
    monkeypatch.setenv("LMSTUDIO_DEBUG", "1")
    assert "lmstudio_core.program.tracebacks" in error._render_traceback_()
