"""``lmstudio agent``: let a model work on a task with tools."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from lmstudio_core.cli.common import get_model, network_options
from lmstudio_core.errors import LMStudioModelNotFoundError
from lmstudio_core.shapes import error_text

if TYPE_CHECKING:  # the command is registered wherever the package is: it has to be light
    from lmstudio_core.client import Client
    from lmstudio_llm.messages import ToolCallRequest
    from lmstudio_llm.models import LLM

    from .events import ActEvent
    from .results import ActResult
    from .toolsets import ToolInput

__all__ = ["agent"]


@click.command()
@click.argument("task", required=False)
@click.option(
    "--tools",
    "functions",
    multiple=True,
    metavar="MODULE:FUNCTION",
    help="A Python function as a tool; a module alone gives all in its __all__.",
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
@click.option("-m", "--model", help="Which model; by default one that is loaded.")
@click.option("--system", help="Instructions for the model.")
@click.option("--max-rounds", type=click.IntRange(min=1), help="The most rounds.")
@click.option("--html", type=click.Path(dir_okay=False), help="Write the run to an HTML file.")
@click.option("--host", help="host:port of the server; a local one by default.")
@click.option("--api-token", help="The server's API token.")
@network_options
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
    """Let a model work on TASK with tools, and show what it does.

    Before each call of a tool you are asked: yes, no, or always for that tool.
    """
    from lmstudio_core.client import Client
    from lmstudio_llm.chat import Chat

    from .mcp_toolset import mcp_tools

    if html is not None and not Path(html).absolute().parent.is_dir():
        raise click.BadParameter(f"There is no folder for the HTML file {html!r}.")
    tools: list[ToolInput] = [tool for name in functions for tool in _imported(name)]
    tools += [mcp_tools(server) for server in servers]
    chat = Chat(system)
    chat.add_user_message(_given(task))
    with Client(host, api_token) as client:
        stream = _model(client, model).act_stream(
            chat,
            tools,
            toolsets=toolsets,
            max_prediction_rounds=max_rounds,
            guard_tool_call=None if yes else _Asking(),
        )
        with stream:
            show = _Shown()
            for event in stream:
                show(event)
        _finish(stream.result(), html)


def _given(task: str | None) -> str:
    """The task: the argument, else what is piped in."""
    if task is None and not sys.stdin.isatty():
        task = sys.stdin.read()
    if not (task or "").strip():
        raise click.UsageError("There is no TASK: give it as an argument, or pipe it in.")
    return str(task)


def _imported(path: str) -> list[Callable[..., Any]]:
    """The function that ``module:function`` names, or all of a module's ``__all__``."""
    module_name, _, name = path.partition(":")
    if (here := str(Path.cwd())) not in sys.path:  # as "python -m" does
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        said = error_text(error, named=not isinstance(error, ImportError))
        hint = ". Name the module, without .py" if module_name.endswith(".py") else ""
        raise click.BadParameter(f"{module_name!r} cannot be imported: {said}{hint}") from error
    names = [name] if name else list(getattr(module, "__all__", ()))
    if not names:
        raise click.BadParameter(
            f"{module_name!r} has no __all__; name a function: {module_name}:FUNCTION"
        )
    missing = [name for name in names if not callable(getattr(module, name, None))]
    if missing:
        raise click.BadParameter(f"{module_name!r} has no function {missing[0]!r}.")
    return [getattr(module, name) for name in names]


def _model(client: Client, key: str | None) -> LLM:
    """The model named, else a loaded one, else the first that is downloaded."""
    if key is not None:
        return cast("LLM", get_model(client.llm, key))
    if loaded := client.llm.list_loaded():
        return loaded[0]
    if not (downloaded := client.llm.list_downloaded()):
        raise LMStudioModelNotFoundError(
            "The server has no language model; download one in LM Studio, or with 'lms get'."
        )
    return cast("LLM", get_model(client.llm, downloaded[0].model_key))


class _Asking:
    """Asks before each call; what is not clearly allowed is denied."""

    def __init__(self) -> None:
        self._always: set[str] = set()

    def __call__(self, request: ToolCallRequest) -> str | None:
        if request.name in self._always:
            return None
        from .display import arguments_text, visible

        call = visible(f"{request.name}({arguments_text(request.arguments)})")
        try:
            answer = click.prompt(
                f"Run {call}? [y]es, [n]o, [a]lways", default="n", show_default=False, err=True
            )
        except click.Abort:
            if sys.stdin.isatty():
                raise
            answer = "n"  # nobody is there to be asked
        word = str(answer).strip().lower()
        if word in ("a", "always"):
            self._always.add(request.name)
        return None if word in ("y", "yes", "a", "always") else "The user does not allow this call."


class _Shown:
    """Prints what happens: the answer to standard output, all else to standard error."""

    def __init__(self) -> None:
        self._in_line = False

    def __call__(self, event: ActEvent) -> None:
        from lmstudio_llm.fragments import LlmPredictionFragment

        from .display import arguments_text, call_text, visible
        from .events import ActRoundEnd, ActToolCall, ActToolResult

        if isinstance(event, LlmPredictionFragment):
            if event.reasoning_type == "none" and not event.is_structural and event.content:
                click.echo(visible(event.content), nl=False)
                self._in_line = not event.content.endswith("\n")
        elif isinstance(event, ActToolCall):
            self._end_line()
            call = f"{event.name}({arguments_text(event.arguments)})"
            click.echo(click.style(f"→ {visible(call)}", fg="cyan"), err=True)
        elif isinstance(event, ActToolResult):
            self._end_line()
            colour = "green" if event.record.outcome == "ok" else "red"
            click.echo(click.style(f"← {visible(call_text(event.record))}", fg=colour), err=True)
            for kind, text in event.record.reports:
                if kind == "status":  # warnings are logged, which shows them at once
                    click.echo(visible(f"  {kind}: {text}"), err=True)
        elif isinstance(event, ActRoundEnd):
            self._end_line()

    def _end_line(self) -> None:
        if self._in_line:
            click.echo()
            self._in_line = False


def _finish(result: ActResult[Any], html: str | None) -> None:
    from .display import summary

    click.echo(summary(result), err=True)
    if html is not None:
        result.to_html(html)
        click.echo(f"Written: {html}", err=True)
