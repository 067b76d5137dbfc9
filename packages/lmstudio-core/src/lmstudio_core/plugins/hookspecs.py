"""The hooks that plugins may implement (pluggy project name ``lmstudio``).

A plugin announces a module or object by an entry point in the group ``lmstudio.plugins`` and marks
its functions with ``hookimpl``. A hook implementation may leave out arguments it does not need.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import pluggy

if TYPE_CHECKING:
    from ..observe.observations import (
        ActObservation,
        EmbeddingObservation,
        PredictionObservation,
        ToolCallObservation,
    )
    from .health import Finding

__all__ = ["COMMAND_GROUP", "ENGINE_GROUP", "PLUGIN_GROUP", "PROJECT_NAME", "hookimpl", "hookspec"]

PROJECT_NAME: Final = "lmstudio"
PLUGIN_GROUP: Final = "lmstudio.plugins"
COMMAND_GROUP: Final = "lmstudio.commands"
"""Commands of ``lmstudio``: an entry's name is the command's, its object a click command."""

ENGINE_GROUP: Final = "lmstudio.engines"  # api
"""What the bundled server loads models with; see ``lmstudio_server.engines``."""

hookspec: Final = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl: Final = pluggy.HookimplMarker(PROJECT_NAME)  # api


@hookspec(firstresult=True)
def lmstudio_find_server(tried: tuple[str, ...]) -> str | None:
    """Find, or start, a server when no LM Studio was found.

    Args:
        tried: The addresses that were tried, in order.

    Returns:
        ``"host:port"`` of a server that answers, or ``None`` to let the next plugin try. A
        ``lmstudio_core.protocol.address.FoundServer`` is such a text that comes with the server's API
        token, which the client then sends; whoever finds a server knows best who may use it.
    """


@hookspec
def lmstudio_register_commands(cli: Any) -> None:
    """Add commands to the ``lmstudio`` command, a ``click.Group``, with ``cli.add_command``.

    An entry point in the group ``lmstudio.commands`` adds one that is not imported before it runs.
    """


@hookspec
def lmstudio_check_health() -> Iterable[Finding]:  # type: ignore[empty-body]
    """Look at what the plugin needs, for ``lmstudio doctor``: may take seconds, and starts nothing."""


@hookspec
def lmstudio_offer_models() -> Mapping[str, Any]:  # type: ignore[empty-body]
    """Offer models that ``lmstudio get`` can get without the server's repository.

    Returns:
        Model key → the click command that gets it. It is run with all arguments of ``lmstudio get``, the
        key among them.
    """


@hookspec
def lmstudio_register_toolsets(register: Any) -> None:
    """Offer toolsets to agents: call ``register(name, factory)`` for each.

    ``factory`` takes no arguments and returns a list of tools.
    """


@hookspec
def lmstudio_request_finished(endpoint: str, seconds: float, error: BaseException | None) -> None:
    """A request ended: ``endpoint`` as ``"namespace.name"``, its duration, its error if it failed.

    Called in the thread (or event loop) of the caller after every call and channel; it should
    return at once. An exception in it is logged and does not reach the caller.
    """


# What follows is called where the thing happens: in the caller's thread or event loop, a tool's in
# the thread that it runs in. What holds for ``lmstudio_request_finished`` holds for these: they
# should return at once, and an exception is logged. One object stands for one thing from its start
# to its end; see ``lmstudio_core.observe.observations`` for what is known of it.


@hookspec
def lmstudio_prediction_started(prediction: PredictionObservation) -> None:
    """A prediction begins; it has not been sent yet."""


@hookspec
def lmstudio_prediction_first_token(prediction: PredictionObservation) -> None:
    """The first fragment of a prediction has come."""


@hookspec
def lmstudio_prediction_finished(prediction: PredictionObservation) -> None:
    """A prediction has ended: with a ``result``, an ``error``, or neither if it was left."""


@hookspec
def lmstudio_tool_call_started(tool_call: ToolCallObservation) -> None:
    """An agent calls a tool."""


@hookspec
def lmstudio_tool_call_finished(tool_call: ToolCallObservation) -> None:
    """A tool has ended, with a ``result`` or an ``error``, or its time is over."""


@hookspec
def lmstudio_embedding_started(embedding: EmbeddingObservation) -> None:
    """One or several texts are to be embedded."""


@hookspec
def lmstudio_embedding_finished(embedding: EmbeddingObservation) -> None:
    """The texts are embedded, or an ``error`` ended it."""


@hookspec
def lmstudio_act_started(act: ActObservation) -> None:
    """An agent's run begins."""


@hookspec
def lmstudio_act_finished(act: ActObservation) -> None:
    """An agent's run has ended, with a ``result`` or an ``error``."""
