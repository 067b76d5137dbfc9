"""``lmstudio agent``: let a model work on a task with tools."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from lmstudio_cli import (
    AnswerPrinter,
    can_ask,
    choose_model,
    connection_options,
    echo,
    given_text,
    model_option,
)
from lmstudio_core.data import nearest

if TYPE_CHECKING:  # the command is registered wherever the package is: it has to be light
    from types import ModuleType

    from lmstudio_llm.messages import ToolCallRequest
    from lmstudio_llm.models import LLM

    from .events import ActEvent
    from .results import ActResult
    from .toolsets import ToolInput

from lmstudio_core.lenient import error_text

__all__ = ["agent"]


@click.command()
@click.argument("task", required=False)
@click.option(
    "--tools",
    "functions",
    multiple=True,
    metavar="FILE.py",
    help="Python functions as tools: those of a file or module, or one of them by FILE.py:NAME.",
)
@click.option(
    "--mcp",
    "servers",
    multiple=True,
    metavar="COMMAND",
    help="An MCP server: the command that starts it, or its http(s) address.",
)
@click.option(
    "--toolset", "toolsets", multiple=True, metavar="NAME", help="A toolset of an installed plugin."
)
@click.option("-y", "--yes", is_flag=True, help="Run tools without asking.")
@model_option
@click.option("--system", help="Instructions for the model.")
@click.option("--max-rounds", type=click.IntRange(min=1), help="The most rounds.")
@click.option("--html", type=click.Path(dir_okay=False), help="Write the run to an HTML file.")
@connection_options
def agent(
    task: str | None,
    functions: tuple[str, ...],
    servers: tuple[str, ...],
    toolsets: tuple[str, ...],
    yes: bool,
    model: str | None,
    system: str | None,
    max_rounds: int | None,
    html: str | None,
    host: str | None,
    api_token: str | None,
) -> None:
    """Let a model work on a task with tools.

    What it does is shown. TASK is followed by what is piped in; - reads the input alone. Before each
    call of a tool you are asked: yes, no, or always for that tool. Where there is no terminal on
    which to ask, --yes allows all calls.
    """
    from lmstudio_core.client import Client
    from lmstudio_llm.chat import Chat

    from .mcp_toolset import mcp_tools

    if html is not None and not Path(html).absolute().parent.is_dir():
        raise click.BadParameter(f"There is no folder for the HTML file {html!r}.")
    tools: list[ToolInput] = [tool for name in functions for tool in _imported(name)]
    tools += [mcp_tools(server) for server in servers]
    chat = Chat(system)
    chat.add_user_message(
        given_text(task, "There is no TASK: give it as an argument, or pipe it in.")
    )
    with Client(host, api_token) as client:
        llm: LLM = choose_model(client.llm, "llm", model)
        stream = llm.act_stream(
            chat,
            tools,
            toolsets=toolsets,
            max_prediction_rounds=max_rounds,
            guard_tool_call=None if yes else _Asking(),
        )
        _check_asking(yes or not (tools or toolsets))
        with stream:
            show = _Shown()
            for event in stream:
                show(event)
        _finish(stream.result(), html)


def _check_asking(needless: bool) -> None:
    """Make sure that calls can be asked about, before a model works for minutes and none can."""
    if not needless and not can_ask():
        raise click.UsageError(
            "There is no terminal on which to ask before each call of a tool. Allow all calls with "
            "--yes."
        )


def _imported(path: str) -> list[Callable[..., Any]]:
    """The function that ``module:function`` or ``file.py:function`` names, or all that are there."""
    source, name = _source_and_name(path)
    module = _module(source)
    names = [name] if name else _offered(module)
    if not names:
        raise click.BadParameter(
            f"{source!r} has no __all__ and no function of its own; name one: {source}:FUNCTION",
            param_hint="--tools",
        )
    missing = [name for name in names if not callable(getattr(module, name, None))]
    if missing:
        like = nearest(missing[0], _offered(module))
        hint = f" Did you mean {like!r}?" if like else ""
        raise click.BadParameter(
            f"{source!r} has no function {missing[0]!r}.{hint}", param_hint="--tools"
        )
    return [getattr(module, name) for name in names]


def _source_and_name(path: str) -> tuple[str, str]:
    """Splits at the colon behind which a name stands; a Windows drive has one, too."""
    source, colon, name = path.rpartition(":")
    return (source, name) if colon and name.isidentifier() else (path.rstrip(":"), "")


def _module(source: str) -> ModuleType:
    if (here := str(Path.cwd())) not in sys.path:  # as "python -m" does
        sys.path.insert(0, here)
    try:
        return _of_file(Path(source)) if source.endswith(".py") else importlib.import_module(source)
    except Exception as error:
        said = error_text(error, named=not isinstance(error, ImportError))
        raise click.BadParameter(
            f"{source!r} cannot be imported: {said}", param_hint="--tools"
        ) from error


def _of_file(file: Path) -> ModuleType:
    """The module of a file, wherever it lies; it finds its neighbours, as a script does."""
    if not file.is_file():
        raise ImportError("there is no such file")
    if (folder := str(file.absolute().parent)) not in sys.path:
        sys.path.insert(0, folder)
    name = f"tools_{file.stem}"  # not that of a module which others import
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError("it is not Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # annotations are looked up there
    spec.loader.exec_module(module)
    return module


def _offered(module: ModuleType) -> list[str]:
    """What a module gives: its ``__all__``, else the public functions that are written in it."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and inspect.isfunction(value)
        and value.__module__ == module.__name__
    ]


class _Asking:
    """Asks before each call; what is not clearly allowed is denied."""

    def __init__(self) -> None:
        self._always: set[str] = set()

    def __call__(self, request: ToolCallRequest) -> str | None:
        if request.name in self._always:
            return None
        from .display import arguments_text

        echo(f"Run {request.name}({arguments_text(request.arguments)})?", err=True)
        word = ""
        while word not in _ANSWERS:  # asked until it is one: a slip of the key decides nothing
            word = click.prompt(
                "[y]es, [n]o, [a]lways",
                default="n",
                show_default=False,
                err=True,
                prompt_suffix=" ",
            )
            word = word.strip().lower()
        if _ANSWERS[word] == "always":
            self._always.add(request.name)
        return "The user does not allow this call." if _ANSWERS[word] == "no" else None


_ANSWERS: Final = {
    **dict.fromkeys(("y", "yes"), "yes"),
    **dict.fromkeys(("n", "no"), "no"),
    **dict.fromkeys(("a", "always"), "always"),
}


class _Shown:
    """Prints what happens: the answer to standard output, all else to standard error."""

    def __init__(self) -> None:
        self._answer = AnswerPrinter()

    def __call__(self, event: ActEvent) -> None:
        from lmstudio_llm.fragments import LlmPredictionFragment

        from .display import arguments_text, call_text
        from .events import ActRoundEnd, ActToolCall, ActToolResult

        if isinstance(event, LlmPredictionFragment):
            if event.reasoning_type == "none" and not event.is_structural and event.content:
                self._answer.write(event.content)
        elif isinstance(event, ActToolCall):
            self._answer.end()
            call = f"{event.name}({arguments_text(event.arguments)})"
            echo(f"→ {call}", err=True, fg="cyan")
        elif isinstance(event, ActToolResult):
            self._answer.end()
            colour = "green" if event.record.outcome == "ok" else "red"
            echo(f"← {call_text(event.record)}", err=True, fg=colour)
            for kind, text in event.record.reports:
                if kind == "status":  # warnings are logged, which shows them at once
                    echo(f"  {kind}: {text}", err=True)
        elif isinstance(event, ActRoundEnd):
            self._answer.end()


def _finish(result: ActResult[Any], html: str | None) -> None:
    from .display import summary

    echo(summary(result), err=True)
    if html is not None:
        result.to_html(html)
        echo(f"Written: {html}", err=True)
