"""Programs as people write them for the official SDK, over its names alone.

Each takes the address of a server and returns what it found, as plain data. The tests run them here
and, by ``python official_programs.py HOST:PORT [NAME]``, with the official SDK: both are to find the same.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import re
import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lmstudio as lms
from lmstudio._sdk_models import GpuSetting, LlmStructuredPredictionSetting, ToolCallRequestData
from lmstudio.history import Chat
from lmstudio.json_api import LMStudioServerError, ToolFunctionDef, ToolFunctionDefDict
from lmstudio.sdk_api import LMStudioError

if TYPE_CHECKING:
    from collections.abc import Callable

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
EXACT: Any = {"temperature": 0}
PRODUCT = "What is 12345 multiplied by 54321?"
CAPITAL = "What is the capital of France?"


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


@dataclass(kw_only=True, frozen=True)
class Tracked(ToolFunctionDef):
    """A tool that says which team it is of."""

    team: str = "math"


def agent_with_tool_definitions(host: str) -> Any:
    """An agent: a subclass of ToolFunctionDef, a dict, and a look at the parts of each message."""
    log: list[Any] = []

    def inspect(message: Any) -> None:
        for part in message.content:
            if isinstance(part, lms.TextData):
                log.append([message.role, "text", bool(part.text)])
            elif isinstance(part, ToolCallRequestData):
                request = part.tool_call_request
                log.append([message.role, request.name, request.arguments, request.type])
            elif isinstance(part, lms.ToolCallResultData):
                log.append([message.role, json.loads(part.content), bool(part.tool_call_id)])

    tool = Tracked(
        name="multiply",
        description="Multiply two numbers.",
        parameters={"a": int, "b": int},
        implementation=multiply,
    )
    other: ToolFunctionDefDict = {
        "name": "subtract",
        "description": "Subtract two numbers.",
        "parameters": {"a": int, "b": {"type": int, "default": 1}},
        "implementation": lambda a, b: a - b,
    }
    rounds: list[int] = []
    with lms.Client(host) as client:
        model = client.llm.model("pocket")
        chat = Chat.from_history(PRODUCT)
        result = model.act(
            chat,
            [tool, other],
            config=EXACT,
            on_message=inspect,
            on_prediction_completed=lambda prediction: rounds.append(prediction.round_index),
        )
    return [tool.team, result.rounds, rounds, log, len(chat.copy()._messages)]


def configs_changed_by_attribute(host: str) -> Any:
    """Config objects that are made empty and filled afterwards."""
    load = lms.LlmLoadModelConfig()
    load.context_length = 512
    load.gpu = GpuSetting(ratio=0.0)
    config = lms.LlmPredictionConfig(temperature=0)
    with lms.Client(host) as client:
        model = client.llm.load_new_instance("pocket", "configured", config=load)
        found: list[Any] = [model.get_context_length(), model.get_load_config().context_length]
        for limit in (2, 4):
            config.max_tokens = limit
            result = model.respond(CAPITAL, config=config)
            found.append([result.content, result.stats.stop_reason])
            found.append(result.prediction_config.max_tokens)
        config.max_tokens = None
        config.stop_strings = ["Paris"]
        found.append(model.respond(CAPITAL, config=config).stats.stop_reason)
        model.unload()
    try:
        config.max_token = 3  # type: ignore[attr-defined]
    except AttributeError:
        found.append("AttributeError")
    return [*found, config.to_dict()]


def prefilled_chat(host: str) -> Any:
    """A chat that ends with the beginning of the answer."""
    chat = Chat("You are brief.")
    chat.add_user_message(CAPITAL)
    chat.add_assistant_response("The capital of")
    with lms.Client(host) as client:
        model = client.llm.model("pocket")
        result = model.respond(chat, config={"maxTokens": 6, **EXACT})
        streamed = [f.content for f in model.respond_stream(chat, config={"maxTokens": 6, **EXACT})]
    try:
        chat.add_assistant_response(result.content)
    except lms.LMStudioRuntimeError as error:
        return [result.content, "".join(streamed), "consecutive" in str(error)]
    return None


def images_by_bytes(host: str) -> Any:
    """A picture from memory, in a chat with a model that sees."""
    with lms.Client(host) as client:
        handles = [client.prepare_image(PIXEL, "pixel.png"), client.files.prepare_image(PIXEL)]
        chat = Chat()
        message = chat.add_user_message("What is this?", images=handles)
        chat.add_user_message("Say it in a word.")
        model = client.llm.model("seeing")
        result = model.respond(chat, config={"maxTokens": 4, **EXACT})
        shown = [type(part).__name__ for part in message.content]
        model.unload()
    return [shown, handles[0].name, handles[0].file_type, handles[0].size_bytes, result.content]


def loops_over_loaded_models(host: str) -> Any:
    """Models are loaded, looked for among those that are, and unloaded in a loop."""
    with lms.Client(host) as client:
        model = client.llm.model("pocket")
        second = client.llm.load_new_instance("pocket", "second")
        embedding = client.embedding.model("pocket-embedding")
        mine = [model, second, embedding]
        found: list[Any] = [
            model == client.llm.model("pocket"),
            model == second,
            [one in client.list_loaded_models() for one in mine],
            second in client.list_loaded_models("embedding"),
            embedding in client.embedding.list_loaded(),
        ]
        downloaded = client.list_downloaded_models("llm")
        found.append([one in client.list_downloaded_models() for one in downloaded])
        found.append(sorted(one.model_key for one in downloaded))
        for loaded in client.list_loaded_models():
            if loaded != model:
                loaded.unload()
        found.append([loaded.identifier for loaded in client.list_loaded_models()])
    return found


def async_client_before_the_loop(host: str) -> Any:
    """The client is made where there is no event loop yet."""
    client = lms.AsyncClient(host)

    async def main() -> Any:
        async with client:
            model = await client.llm.model("pocket")
            same = model == await client.llm.model("pocket")
            listed = model in await client.list_loaded_models()
            chat = Chat()
            chat.add_user_message(CAPITAL)
            stream = await model.respond_stream(chat, config=EXACT, on_message=chat.append)
            text = "".join([fragment.content async for fragment in stream])
            answers = await asyncio.gather(*(model.respond("", config=EXACT) for _ in range(3)))
            return [same, listed, text == stream.result().content, len({str(a) for a in answers})]

    return asyncio.run(main())


def retries_on_type_errors(host: str) -> Any:
    """Settings that a version does not know are tried and left out: by keyword, then by dict."""
    wanted = {"max_tokens": 2, "temperature": 0, "a_setting_of_tomorrow": 1}
    tried: list[str] = []
    for _ in range(3):
        try:
            config = lms.LlmPredictionConfig(**wanted)
        except TypeError as error:
            unknown = re.findall(r"nexpected keyword argument '(\w+)'", str(error))[0]
            del wanted[unknown]
            tried.append(unknown)
        else:
            break
    with lms.Client(host) as client:
        model = client.llm.model("pocket")
        first = model.respond("Hi", config=config)
        try:
            model.respond("Hi", temperature=0)  # type: ignore[call-overload]
        except TypeError:
            tried.append("temperature")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            second = model.respond("Hi", config={**wanted, "aSettingOfTomorrow": 1})
            client.llm.model("pocket", config={"aSettingOfTomorrow": True})
    return [tried, first.content, second.content == first.content]


def trimmed_history(host: str) -> Any:
    """Only the last messages are sent, so a result stands without its request."""
    request = {"type": "function", "name": "multiply", "id": "1", "arguments": {"a": 2, "b": 3}}
    history = [
        {"role": "system", "content": "You are helpful."},
        {"role": "user", "content": "What is 2 times 3?"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": ""},
                {"type": "toolCallRequest", "toolCallRequest": request},
            ],
        },
        {
            "role": "tool",
            "content": [{"type": "toolCallResult", "toolCallId": "1", "content": "6"}],
        },
        {"role": "user", "content": "Thanks."},
        {"role": "user", "content": CAPITAL},
    ]
    found = []
    with lms.Client(host) as client:
        model = client.llm.model("pocket")
        for kept in (history, [history[0], *history[3:]], history[4:]):
            chat = Chat.from_history({"messages": kept})
            result = model.respond({"messages": kept}, config=EXACT)
            again = model.respond(chat, config=EXACT)
            found.append([bool(result.content), again.content == result.content])
        chat = Chat()
        part: Any = {"type": "toolCallRequest", "toolCallRequest": request}
        response = chat.add_assistant_response("Let me see.", [part])
        found.append([type(part).__name__ for part in response.content])
    return found


SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string", "maxLength": 20}, "year": {"type": "integer"}},
    "required": ["title", "year"],
}


class Book(lms.BaseModel):
    """A book."""

    title: str
    year: int


def structured_output(host: str) -> Any:
    """Formats in every form; output that is cut off keeps its text."""
    grammar = r'root ::= "{\"ok\": " ("true" | "false") "}"'
    formats: list[Any] = [
        Book,
        SCHEMA,
        LlmStructuredPredictionSetting(type="json", json_schema=SCHEMA),
        {"type": "json", "jsonSchema": SCHEMA},
        LlmStructuredPredictionSetting(type="gbnf", gbnf_grammar=grammar),
        {"type": "gbnf", "gbnfGrammar": grammar},
        {"type": "gbnf", "gbnfGrammar": 'root ::= "yes"'},
    ]
    found: list[Any] = []
    with lms.Client(host) as client:
        model = client.llm.model("pocket")
        for form in formats:
            result = model.respond("Tell me about a book.", response_format=form, config=EXACT)
            plain = result.parsed if isinstance(result.parsed, str) else sorted(result.parsed)
            found.append([result.structured, plain])
        cut = model.respond("A book?", response_format=SCHEMA, config={"maxTokens": 2, **EXACT})
        found.append([cut.content, cut.stats.stop_reason])
        config = lms.LlmPredictionConfig(
            structured=LlmStructuredPredictionSetting(type="json", json_schema=SCHEMA)
        )
        found.append(sorted(model.respond("A book?", config=config).parsed))
    return found


def chat_loop(host: str) -> Any:
    """A chat over several turns, with copies, and a default argument made by ``or``."""

    def ask(model: Any, text: str, chat: Chat | None = None) -> Chat:
        chat = chat or Chat("You are a resident AI philosopher.")
        chat.add_user_message(text)
        stream = model.respond_stream(chat, config=EXACT, on_message=chat.append)
        seen.extend(bool(fragment.content) for fragment in stream)
        seen.append(stream.result().content == str(stream.result()))
        return chat

    seen: list[bool] = []
    with lms.Client(host) as client:
        model = client.llm.model("pocket")
        mine = Chat()
        chat = ask(model, CAPITAL, mine)
        branch, deep = copy.copy(chat), copy.deepcopy(chat)
        ask(model, "What is the meaning of life?", branch)
        counts = [len(one._messages) for one in (mine, chat, deep, branch)]
        first = branch._messages[0].to_dict()
    known = {chat: "chat", branch: "branch"}
    return [chat is mine, all(seen), counts, first, chat == deep, known[branch]]


def error_handling(host: str) -> Any:
    """What programs catch, and what they read off it."""
    found: list[Any] = []

    def note(attempt: Callable[[], Any], *kinds: type[BaseException]) -> None:
        try:
            attempt()
        except BaseException as error:
            found.append([isinstance(error, kind) for kind in kinds])
            if isinstance(error, LMStudioServerError):
                raw: Any = error._raw_error
                told: Any = error.server_error
                found.append([raw["title"] in str(error), raw["title"] == told.title])
                found.append(sorted(raw))
        else:
            found.append("nothing")

    def fail(_: object) -> None:
        raise KeyError("mine")

    lms.sync_api._reset_default_client()
    note(lambda: lms.get_default_client("127.0.0.1:9"), lms.LMStudioClientError, LMStudioError)
    lms.sync_api._reset_default_client()
    assert lms.get_default_client(host) is lms.get_default_client()
    note(lambda: lms.get_default_client(host), lms.LMStudioClientError)
    note(lambda: lms.configure_default_client(host), lms.LMStudioClientError)
    lms.sync_api._reset_default_client()
    with lms.Client(host) as client:
        model = client.llm.model("pocket")
        note(lambda: client.llm.model("no-such-model"), LMStudioServerError)
        note(lambda: client.llm.unload("nobody"), lms.LMStudioModelNotFoundError)
        note(lambda: model.respond("Hi", preset="none"), lms.LMStudioPresetNotFoundError)
        note(lambda: model.respond("Hi", on_message=fail), KeyError)
        note(lambda: model.complete("Hi", on_message=fail, config={"maxTokens": 2}), KeyError)
        lms.set_sync_api_timeout(0)
        found.append(lms.get_sync_api_timeout() == 0)
        note(lambda: model.get_info(), lms.LMStudioTimeoutError, TimeoutError)
        lms.set_sync_api_timeout(60)
        found.append(model.get_info().identifier)
    note(lambda: model.respond("Hi"), Exception)
    made = LMStudioServerError("Prediction error", {"title": "T", "displayData": {"code": "c"}})
    return [*found, [part in str(made) for part in ("Prediction error", "T", '"code"')]]


def histories_as_dicts(host: str) -> Any:
    """Dicts follow the rules of chats; settings in dicts may be spelled either way."""
    found: list[Any] = []
    merged = Chat.from_history(
        {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}
    )
    found.append([message.to_dict() for message in merged._messages])
    for role in ("system", "assistant"):
        twice: Any = {"messages": [{"role": role, "content": "x"}] * 2}
        try:
            Chat.from_history(twice)
        except lms.LMStudioRuntimeError:
            found.append(f"consecutive {role}")
    handle = lms.FileHandle(name="a", identifier="1", size_bytes=1, file_type="image")
    found.append(len(Chat().add_assistant_response(handle).content))
    try:
        Chat().add_system_prompt(handle)  # type: ignore[arg-type]
    except ValueError:
        found.append("no file in a system prompt")
    function = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}
    tools = {"type": "toolArray", "tools": [{"type": "function", "function": function}]}
    with lms.Client(host) as client:
        model = client.llm.model("pocket")
        for config in ({"max_tokens": 2}, {"maxTokens": 2, "rawTools": {**tools, "force": False}}):
            result = model.respond("Hi", config={**config, **EXACT})
            found.append(result.stats.predicted_tokens_count)
        found.append(bool(model.respond("", config=EXACT).content))
    return found


def tools_that_fail(host: str) -> Any:
    """A tool raises: a handler is asked what to say, may end the run, and is told what was wrong."""
    heard: list[Any] = []

    def broken(a: int, b: int, note: str = "") -> int:
        """Multiply two numbers."""
        raise ZeroDivisionError

    def say(error: Any, request: Any) -> str:
        heard.append([isinstance(error, lms.LMStudioPredictionError), request.name])
        return "That cannot be."

    def give_up(error: Exception, request: Any) -> None:
        raise error

    tool = ToolFunctionDef.from_callable(broken, name="multiply", description="Multiply.")
    messages: list[Any] = []
    with lms.Client(host) as client:
        model = client.llm.model("pocket")
        rounds = model.act(
            PRODUCT,
            [tool],
            config=EXACT,
            max_prediction_rounds=2,
            max_parallel_tool_calls=None,
            on_message=messages.append,
            handle_invalid_tool_request=say,
        ).rounds
        try:
            model.act(PRODUCT, [tool], config=EXACT, handle_invalid_tool_request=give_up)
        except lms.LMStudioPredictionError:
            heard.append("given up")
    [result] = [message for message in messages if message.role == "tool"]
    return [rounds, heard, json.loads(result.content[0].content), len(messages)]


PROGRAMS: dict[str, Callable[[str], Any]] = {
    program.__name__: program
    for program in (
        agent_with_tool_definitions,
        configs_changed_by_attribute,
        prefilled_chat,
        images_by_bytes,
        loops_over_loaded_models,
        async_client_before_the_loop,
        retries_on_type_errors,
        trimmed_history,
        structured_output,
        chat_loop,
        error_handling,
        histories_as_dicts,
        tools_that_fail,
    )
}


def main() -> None:
    """Run all, or those named, and print what each found."""
    names = sys.argv[2:] or PROGRAMS
    print(json.dumps({name: PROGRAMS[name](sys.argv[1]) for name in names}))


if __name__ == "__main__":
    main()
