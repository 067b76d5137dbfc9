"""Plugins bridged by the server: our SDK as the plugin, and as whoever uses it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from plugin_process import MANIFEST, MULTIPLY, NAME, SCHEMATICS, Process, values

from lmstudio_agent import plugin_tools
from lmstudio_core.client import AsyncClient, Client
from lmstudio_core.errors import LMStudioAuthenticationError, LMStudioServerError
from lmstudio_server.testing import running_server


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with running_server() as server:
        yield server.host


@contextmanager
def plugin(host: str, *hooks: Any) -> Iterator[Process]:
    with (
        Client(host) as controller,
        controller.plugins.register_development_plugin(MANIFEST) as registered,
    ):
        process = Process(host, registered.credentials, *hooks)
        try:
            yield process
        finally:
            process.end()


@pytest.fixture
def tools(host: str) -> Iterator[Process]:
    with plugin(host, "toolsProvider") as process:
        yield process


@pytest.fixture
def generator(host: str) -> Iterator[Process]:
    with plugin(host, "generator", "promptPreprocessor", "predictionLoopHandler") as process:
        yield process


@pytest.fixture
def client(host: str) -> Iterator[Client]:
    with Client(host) as client:
        yield client


class TestTools:
    def test_are_called_by_another_client(self, tools: Process, client: Client) -> None:
        statuses: list[str] = []
        warnings: list[str] = []
        with client.plugins.start_tool_use_session(
            NAME, config={"test.name": "me"}, working_directory="/tmp"
        ) as session:
            assert [tool.name for tool in session.available] == ["multiply", "hang"]
            assert session.available[0].parameters["required"] == ["a", "b"]
            callbacks: Any = {"on_status": statuses.append, "on_warning": warnings.append}
            assert session.call_tool("multiply", {"a": 6, "b": 7}, **callbacks) == 42
            assert (statuses, warnings) == (["thinking"], ["it is hot"])
            with pytest.raises(LMStudioServerError, match="a is no number"):
                session.call_tool("multiply", {"b": 7})
        started: Any = tools.sums.wait_for("initSession").to_dict()
        assert values(started["pluginConfig"]) == {
            "test.greeting": "hello",
            "test.name": "me",
            "test.fail": False,
        }
        assert started["workingDirectoryPath"] == "/tmp"
        tools.sums.wait_for("discardSession")

    def test_sessions_are_apart(self, tools: Process, client: Client, host: str) -> None:
        del tools
        with (
            Client(host) as other,
            client.plugins.start_tool_use_session(NAME) as one,
            other.plugins.start_tool_use_session(NAME) as two,
        ):
            results: dict[int, int] = {}

            def work(session: Any, offset: int) -> None:
                for n in range(offset, 100, 2):
                    results[n] = session.call_tool("multiply", {"a": n, "b": 3})

            threads = [
                threading.Thread(target=work, args=(session, n))
                for n, session in enumerate((one, two))
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
            assert results == {n: n * 3 for n in range(100)}

    def test_a_model_uses_them(self, tools: Process, client: Client) -> None:
        model = client.llm.model("pocket")
        said: list[Any] = []
        done = model.act(
            "What is 12345 multiplied by 54321?", [plugin_tools(NAME)], on_message=said.append
        )
        assert done.rounds == 2
        assert "670592745" in str(said[-1])
        tools.sums.wait_for("discardSession")

    def test_a_model_uses_them_in_asyncio(self, tools: Process, host: str) -> None:
        async def main() -> str:
            async with AsyncClient(host) as client:
                model = await client.llm.model("pocket")
                said: list[Any] = []
                question = "What is 12345 multiplied by 54321?"
                await model.act(question, [plugin_tools(NAME)], on_message=said.append)
                return str(said[-1])

        assert "670592745" in asyncio.run(asyncio.wait_for(main(), 60))
        tools.sums.wait_for("discardSession")

    def test_a_call_can_be_aborted(self, tools: Process, host: str) -> None:
        async def main() -> None:
            async with (
                AsyncClient(host) as client,
                await client.plugins.start_tool_use_session(NAME) as session,
            ):
                hanging = asyncio.Event()
                task = asyncio.create_task(
                    session.call_tool("hang", on_status=lambda _text: hanging.set())
                )
                await hanging.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                asked = await asyncio.to_thread(tools.sums.wait_for, "abortToolCall")
                assert asked.call_id == tools.sums.wait_for("callTool").call_id
                assert await session.call_tool("multiply", {"a": 6, "b": 7}) == 42

        asyncio.run(asyncio.wait_for(main(), 60))

    def test_a_session_that_does_not_begin(self, tools: Process, client: Client) -> None:
        del tools
        with pytest.raises(LMStudioServerError, match="No key") as caught:
            client.plugins.start_tool_use_session(NAME, config={"test.fail": True})
        assert "Buy one." in str(caught.value)

    @pytest.mark.parametrize("how", ["process", "registration"])
    def test_a_plugin_that_goes_away(self, host: str, client: Client, how: str) -> None:
        with Client(host) as controller:
            registered = controller.plugins.register_development_plugin(MANIFEST)
            process = Process(host, registered.credentials, "toolsProvider")
            session = client.plugins.start_tool_use_session(NAME)
            errors: list[Exception] = []

            def hang() -> None:
                try:
                    session.call_tool("hang")
                except Exception as error:
                    errors.append(error)

            thread = threading.Thread(target=hang)
            thread.start()
            process.sums.wait_for("callTool")
            if how == "process":
                process.end()
            else:
                registered.close()
            thread.join(30)
            assert "is gone" in str(errors[0])
            words = "not running" if how == "process" else "no plugin"
            with pytest.raises(LMStudioServerError, match=words):
                client.plugins.start_tool_use_session(NAME)
            registered.close()
            process.end()

    def test_a_client_that_goes_away(self, tools: Process, host: str) -> None:
        client = Client(host)
        client.plugins.start_tool_use_session(NAME)
        client.close()
        tools.sums.wait_for("discardSession")


class TestGenerators:
    def test_answer(self, generator: Process, client: Client) -> None:
        found = client.plugins.generate_with_generator_stream(NAME, "hi", tools=[MULTIPLY])
        steps = [getattr(event, "step", None) or getattr(event, "content", "") for event in found]
        assert steps == ["Hm. ", "You said hi", "start", "name", "arguments", "end", "failed"]
        result = found.result()
        assert (result.reasoning_content, result.non_reasoning_content) == ("Hm. ", "You said hi")
        assert result.tool_call_requests[0]["arguments"] == {"a": 1}
        asked: Any = generator.sums.wait_for("generate").to_dict()
        assert asked["toolDefinitions"] == [MULTIPLY]

    def test_fail(self, generator: Process, client: Client) -> None:
        del generator
        with pytest.raises(LMStudioServerError, match="No idea") as caught:
            client.plugins.generate_with_generator(NAME, "fail")
        assert "I am empty." in str(caught.value)
        with pytest.raises(LMStudioServerError, match="has no tools"):
            client.plugins.start_tool_use_session(NAME)

    def test_are_cancelled(self, generator: Process, client: Client) -> None:
        with client.plugins.generate_with_generator_stream(NAME, "wait") as stream:
            next(stream)
        generator.sums.wait_for("abort")

    def test_go_away(self, generator: Process, client: Client) -> None:
        stream = client.plugins.generate_with_generator_stream(NAME, "wait")
        next(stream)
        generator.end()
        with pytest.raises(LMStudioServerError, match="is gone"):
            list(stream)


class TestRegistration:
    def test_one_of_a_name(self, tools: Process, client: Client) -> None:
        del tools
        with pytest.raises(LMStudioServerError, match="registered already"):
            client.plugins.register_development_plugin(MANIFEST)

    def test_ends_with_its_client(self, host: str, client: Client) -> None:
        for _ in range(3):
            with Client(host) as controller:
                found = controller.plugins.register_development_plugin(MANIFEST).credentials
            name, passkey = found.client_identifier, found.client_passkey
            late = Client(host, client_identifier=name, client_passkey=passkey)
            with late, pytest.raises(LMStudioServerError, match="Only a plugin"):
                late.plugins.plugin_init_completed()
        client.plugins.reindex_plugins()

    def test_nobody_else_has_the_credentials(self, host: str, client: Client) -> None:
        with client.plugins.register_development_plugin(MANIFEST) as registered:
            name = registered.credentials.client_identifier
            thief = Client(host, client_identifier=name, client_passkey="guess")
            with thief, pytest.raises(LMStudioAuthenticationError):
                thief.plugins.plugin_init_completed()

    def test_only_plugins_have_hooks(self, client: Client) -> None:
        calls: list[Callable[[], Any]] = [
            client.plugins.plugin_init_completed,
            lambda: client.plugins.set_config_schematics(SCHEMATICS),
            lambda: list(client.plugins.open_hook("toolsProvider")),
        ]
        for call in calls:
            with pytest.raises(LMStudioServerError, match="Only a plugin"):
                call()

    def test_the_environment_says_who_a_plugin_is(
        self, host: str, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with client.plugins.register_development_plugin(MANIFEST) as registered:
            found = registered.credentials
            monkeypatch.setenv("LMS_PLUGIN_CLIENT_IDENTIFIER", found.client_identifier)
            monkeypatch.setenv("LMS_PLUGIN_CLIENT_PASSKEY", found.client_passkey)
            monkeypatch.setenv("LMS_PLUGIN_BASE_URL", f"ws://{host}")

            async def main() -> None:
                async with AsyncClient() as own:
                    await own.plugins.plugin_init_completed()

            asyncio.run(main())
            with Client() as own:
                own.plugins.report_error(
                    "unauthorized", plugin_run_id="1", server_url="u", message="m"
                )
            with Client(host) as other, pytest.raises(LMStudioServerError, match="Only a plugin"):
                other.plugins.plugin_init_completed()


def test_predictions_of_lm_studio_are_not_there(client: Client) -> None:
    from lmstudio_plugin import PredictionProcess

    process = PredictionProcess("p", "t")
    work = client.plugins.processing(process)
    calls: list[Callable[[], Any]] = [
        work.pull_history,
        work.token_source,
        work.has_status,
        lambda: work.handle_update({"type": "setSenderName", "name": "x"}),
    ]
    for call in calls:
        with pytest.raises(LMStudioServerError, match="no prediction process"):
            call()
    with pytest.raises(LMStudioServerError, match="no plugin"):
        client.plugins.start_tool_use_session("nobody/there")
