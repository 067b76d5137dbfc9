"""Predictions that plugins work on: asked by the embedded server, seen by whoever wants the answer."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any

import pytest

from lmstudio.plugin import Plugin, PluginConfig, Setting, ToolCall
from lmstudio_core.client import Client
from lmstudio_core.errors import LMStudioServerError
from lmstudio_plugin import PredictionProcess
from lmstudio_plugin.served import ServedPlugin
from lmstudio_server.testing import running_server


def chat(host: str, **body: Any) -> Any:
    data = json.dumps({"model": "pocket", "temperature": 0, **body}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://{host}/api/v1/chat", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


class Settings(PluginConfig):
    prefix: Annotated[str, Setting("Prefix")] = ""


def prefixing(text: str) -> Plugin:
    plugin = Plugin(config=Settings)

    @plugin.prompt_preprocessor
    def prefix(ctl: Any, message: Any) -> str:
        ctl.status("prefixing", "done")
        return text + ctl.plugin_config.prefix + message.content[0].text

    return plugin


def test_preprocessors_are_chained_before_the_model(host: str) -> None:
    with (
        ServedPlugin(prefixing("What is the capital"), host, "test/one"),
        ServedPlugin(prefixing(""), host, "test/two"),
    ):
        two = {"type": "plugin", "id": "test/two", "config": {"prefix": ""}}
        found = chat(host, input=" of France?", integrations=["test/one", two])
    assert "Paris" in found["output"][-1]["content"]


def test_a_loop_answers(host: str) -> None:
    plugin = Plugin()
    seen: dict[str, Any] = {}

    @plugin.prediction_loop
    async def loop(ctl: Any) -> None:
        history = await ctl.pull_history()
        status = ctl.status("thinking", "loading")
        status.add("harder").set("done")
        seen["status"] = await ctl.has_status()
        status.remove()
        seen["named"] = await ctl.needs_naming()
        await ctl.suggest_name("A chat")
        seen["renamed"] = await ctl.needs_naming()
        seen["text"] = await ctl.request_text("Who?")
        seen["allowed"] = (await ctl.confirm_tool_call(1, "x", {})).allowed
        ctl.set_sender_name("Bard")
        ctl.debug("one", 2)
        ctl.citation("t", file_name="f", file_identifier="i", page=(1, 2))
        ctl.tool_status(1, {"type": "callingTool"}).add_warning("slow")
        block = ctl.content_block()
        block.append("It is: ")
        await block.pipe_from((await ctl.token_source()).respond_stream(history))

    with ServedPlugin(plugin, host, "test/loop"):
        found = chat(host, input="What is the capital of France?", integrations=["test/loop"])
    text = found["output"][-1]["content"]
    assert text.startswith("It is: ")
    assert "Paris" in text
    assert (seen["status"], seen["named"], seen["renamed"]) == (True, True, False)
    assert (seen["text"], seen["allowed"]) == ("", True)


def test_a_sync_loop_answers(host: str) -> None:
    plugin = Plugin()

    @plugin.prediction_loop
    def loop(ctl: Any) -> None:
        history = ctl.pull_history()
        block = ctl.content_block()
        block.append(ctl.token_source().respond(history).content.upper())
        for fragment in ctl.token_source().respond_stream(history):
            block.append(fragment.content)

    with ServedPlugin(plugin, host, "test/loop"):
        found = chat(host, input="What is the capital of France?", integrations=["test/loop"])
    assert "PARIS" in found["output"][-1]["content"]
    assert "Paris" in found["output"][-1]["content"]


def calculator() -> Plugin:
    plugin = Plugin()

    @plugin.tool
    def multiply(a: int, b: int, call: ToolCall[Any]) -> int:
        """Given two numbers a and b. Returns the product of them."""
        call.status("multiplying")
        return a * b

    return plugin


def test_a_model_calls_their_tools(host: str) -> None:
    with ServedPlugin(calculator(), host, "test/sums"):
        asked = {"input": "What is 12345 multiplied by 54321?"}
        found = chat(host, **asked, integrations=["dev/test/sums"])
        none = {"type": "plugin", "id": "test/sums", "allowed_tools": []}
        without = chat(host, **asked, integrations=[none])
    called = [item for item in found["output"] if item["type"] == "tool_call"]
    assert called[0]["tool"] == "multiply"
    assert called[0]["output"] == "670592745"
    assert called[0]["provider_info"] == {"type": "plugin", "plugin_id": "test/sums"}
    assert "670592745" in found["output"][-1]["content"]
    assert not [item for item in without["output"] if item["type"] == "tool_call"]


@pytest.mark.parametrize(
    ("integrations", "words"),
    [
        (["test/nobody"], "no plugin"),
        ("test/sums", "has to be a list"),
        ([3], "integrations[0]"),
        ([{"type": "plugin"}], "integrations[0]"),
        ([{"type": "plugin", "id": "test/sums", "config": 1}], "config"),
        ([{"type": "plugin", "id": "test/sums", "config": {"sidez": 1}}], "no setting"),
        ([{"type": "plugin", "id": "test/sums", "allowed_tools": "x"}], "allowed_tools"),
        (["test/sums", "dev/test/sums"], "named twice"),
        ([{"type": "ephemeral_mcp", "server_url": "x"}], "MCP"),
    ],
)
def test_integrations_that_cannot_be(host: str, integrations: Any, words: str) -> None:
    with ServedPlugin(calculator(), host, "test/sums"):
        found = chat(host, input="hi", integrations=integrations)
    assert words in found["error"]["message"]


def test_a_plugin_that_fails_is_an_error_of_the_answer_alone(host: str) -> None:
    plugin = Plugin()

    @plugin.prompt_preprocessor
    async def broken(ctl: Any, message: Any) -> Any:
        raise KeyError("boom")

    with ServedPlugin(plugin, host, "test/broken"):
        for _ in range(2):
            found = chat(host, input="hi", integrations=["test/broken"])
            assert "test/broken" in found["error"]["message"]
            assert "KeyError: 'boom'" in found["error"]["message"]


def test_nobody_else_works_on_a_prediction(host: str, client: Client) -> None:
    stolen: dict[str, PredictionProcess] = {}
    refused: list[str] = []
    thief, victim = Plugin(), Plugin()

    @victim.prompt_preprocessor
    async def careless(ctl: Any, message: Any) -> None:
        stolen["process"] = process = PredictionProcess(ctl.pci, ctl.token)
        try:
            client.plugins.processing(process).pull_history()  # as a guest
        except LMStudioServerError as error:
            refused.append(str(error))

    @thief.prompt_preprocessor
    async def steal(ctl: Any, message: Any) -> None:
        for process in (
            stolen["process"],  # its task is over, and it was another plugin's
            PredictionProcess(ctl.pci, stolen["process"].token),
            PredictionProcess(ctl.pci, ctl.token + "x"),
        ):
            try:
                await ctl.client.plugins.processing(process).pull_history()
            except LMStudioServerError as error:
                refused.append(str(error))

    with ServedPlugin(victim, host, "test/victim"), ServedPlugin(thief, host, "test/thief"):
        chat(host, input="hi", integrations=["test/victim", "test/thief"])
    assert len(refused) == 4
    assert all("no prediction process" in words for words in refused)


def test_generators_are_handles(host: str, client: Client) -> None:
    plugin = Plugin(config=Settings)

    @plugin.generator
    async def write(ctl: Any, history: Any) -> Any:
        said = str(history)
        if ctl.tool_definitions and "670592745" not in said:
            await ctl.fragment("Let me see. ", reasoning=True)
            await ctl.tool_call("multiply", {"a": 12345, "b": 54321})
            return
        yield ctl.plugin_config.prefix
        yield "It is " + ("670592745" if "670592745" in said else "nothing") + "."

    def multiply(a: int, b: int) -> int:
        """Multiply two numbers."""
        return a * b

    with ServedPlugin(plugin, host, "test/writer"):
        generator = client.plugins.generator("test/writer", config={"prefix": "Oh! "})
        assert generator.respond("hi").content == "Oh! It is nothing."
        pieces = [f.content for f in generator.respond_stream("hi")]
        assert "".join(pieces) == "Oh! It is nothing."
        said: list[Any] = []
        done = generator.act("12345 times 54321?", [multiply], on_message=said.append)
        assert done.rounds == 2
        assert "670592745" in str(said[-1])


def test_the_servers_configuration_sets_global_settings(tmp_path: Path) -> None:
    class Shared(PluginConfig):
        seed: Annotated[int, Setting("Seed")] = 1

    plugin = Plugin(global_config=Shared)

    @plugin.tool
    def seed(call: ToolCall[Any]) -> int:
        """Tell the seed."""
        return int(call.global_config.seed)

    config = tmp_path / "server.toml"
    config.write_text('[plugins."test/seeds"]\nseed = 5\n\n[plugins."test/wrong"]\nsead = 5\n')
    with running_server("--config", str(config)) as server, Client(server.host) as client:
        with (
            ServedPlugin(plugin, server.host, "test/seeds"),
            client.plugins.start_tool_use_session("test/seeds") as session,
        ):
            assert session.call_tool("seed") == 5
        with (
            ServedPlugin(plugin, server.host, "test/wrong"),
            pytest.raises(LMStudioServerError, match='no setting "sead"'),
        ):
            client.plugins.start_tool_use_session("test/wrong")


def test_chat_with_plugins_at_the_command_line(host: str) -> None:
    with ServedPlugin(calculator(), host, "test/sums"):
        question = "What is 12345 multiplied by 54321?"
        command = ["-m", "lmstudio", "chat", "pocket", "-p", question, "--plugin", "test/sums"]
        done = subprocess.run(
            [sys.executable, *command, "--host", host], capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    assert "670592745" in done.stdout
    assert "calling multiply" in done.stderr
