"""What observers are told of: predictions, tool calls, embeddings and runs of agents, while they go on.

A plugin implements the hooks ``lmstudio_prediction_started`` and so on (see ``hookspecs``); a program
adds an object with such functions by ``add_observer``. Who makes a prediction asks once whether any
observer wants to know, so that nothing is spent where none does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, TypeVar

from ..lenient import as_mapping
from ..plugins.registry import plugins

Kind = Literal["prediction", "tool_call", "embedding", "act"]
_O = TypeVar("_O", bound="Observation")

_HOOKS: Final[Mapping[str, tuple[str, ...]]] = {
    "prediction": ("started", "first_token", "finished"),
    "tool_call": ("started", "finished"),
    "embedding": ("started", "finished"),
    "act": ("started", "finished"),
}


@dataclass(eq=False)
class Observation:  # api
    """One thing that goes on, the same object from its start to its end.

    Attributes:
        parent: The run of an agent that it belongs to.
        started_at: When it began, by ``time.perf_counter()``.
        seconds: How long it took, once it has ended.
        error: What it failed with, once it has ended.
        server: The server as ``"host:port"``, once that is known.
        data: Whatever observers want to keep with it.
    """

    kind: ClassVar[Kind]

    parent: Observation | None = None
    started_at: float = field(default_factory=time.perf_counter)
    seconds: float | None = None
    error: BaseException | None = None
    server: str | None = None
    data: dict[Any, Any] = field(default_factory=dict[Any, Any], repr=False)

    def finish(self, error: BaseException | None = None) -> None:
        """It has ended; only the first call counts."""
        if self.seconds is None:
            self.seconds = time.perf_counter() - self.started_at
            self.error = error
            _observers.tell(self, "finished")


@dataclass(eq=False)
class PredictionObservation(Observation):  # api
    """A prediction.

    Attributes:
        endpoint: ``"llm.predict"`` or ``"llm.completeRawText"``.
        parameter: The request as it goes out.
        round_index: The round of an agent's run, counted from 0.
        first_token_seconds: When the first fragment came, counted from the start.
        result: The ``PredictionResult``, once it has ended well; without result and error, it was
            left before its end.
    """

    kind: ClassVar[Kind] = "prediction"

    endpoint: str = "llm.predict"
    parameter: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    round_index: int | None = None
    first_token_seconds: float | None = None
    result: Any = None

    @property
    def model(self) -> str | None:
        """The identifier of the model that is asked; ``None`` for any that is loaded."""
        specifier = as_mapping(self.parameter.get("modelSpecifier"))
        query = as_mapping(specifier.get("query"))
        found = query.get("identifier") or specifier.get("instanceReference")
        return found if isinstance(found, str) else None

    def first_token(self) -> None:
        """The first fragment has come."""
        self.first_token_seconds = time.perf_counter() - self.started_at
        _observers.tell(self, "first_token")


@dataclass(eq=False)
class ToolCallObservation(Observation):  # api
    """A call of a tool by an agent, from the moment its function is called.

    Attributes:
        name: The tool.
        call_id: What the server calls the request.
        arguments: What it is called with.
        description: What the model is told of the tool.
        round_index: The round that asked for it.
        run_id: The same for all calls of one run.
        result: What the function gave, once it has ended well.
    """

    kind: ClassVar[Kind] = "tool_call"

    name: str = ""
    call_id: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    description: str | None = None
    round_index: int = 0
    run_id: str = ""
    result: Any = field(default=None, repr=False)


@dataclass(eq=False)
class EmbeddingObservation(Observation):  # api
    """The embedding of one text or several, by one call.

    Attributes:
        model: The identifier of the model that is asked.
        texts: How many vectors there are so far.
        failed: How many texts could not be embedded so far.
        dimensions: The length of the vectors, once it is known.
    """

    kind: ClassVar[Kind] = "embedding"

    model: str | None = None
    texts: int = 0
    failed: int = 0
    dimensions: int | None = None


@dataclass(eq=False)
class ActObservation(Observation):  # api
    """A run of an agent: predictions and tool calls in rounds, whose ``parent`` it is.

    Attributes:
        model: The identifier of the model that is asked.
        run_id: The same for all calls of this run, and for no others.
        tools: The names of the tools on offer.
        result: The ``ActResult``, once it has ended well.
    """

    kind: ClassVar[Kind] = "act"

    model: str | None = None
    run_id: str = ""
    tools: tuple[str, ...] = ()
    result: Any = None


class _Observers:
    """Who listens to what: looked up once, and again when an observer is added or removed."""

    def __init__(self) -> None:
        self._hooks: dict[tuple[str, str], Callable[..., None]] | None = None
        self._kinds: frozenset[str] = frozenset()

    def forget(self) -> None:
        """Look again, the next time."""
        self._hooks = None

    def listening(self, kind: str) -> bool:
        """Whether anybody listens to that kind of thing."""
        if self._hooks is None:
            self._look()
        return kind in self._kinds

    def _look(self) -> None:
        found = {
            (kind, stage): hook
            for kind, stages in _HOOKS.items()
            for stage in stages
            if (hook := plugins.observer_hook(f"lmstudio_{kind}_{stage}")) is not None
        }
        self._kinds = frozenset(kind for kind, _ in found)
        self._hooks = found

    def tell(self, observation: Observation, stage: str) -> None:
        """Tell all who listen; what one of them raises is logged and reaches nobody."""
        hook = (self._hooks or {}).get((observation.kind, stage))
        if hook is not None:
            hook(**{observation.kind: observation})


_observers = _Observers()


def is_observed(cls: type[Observation]) -> bool:  # api
    """Whether anybody listens to that kind of thing: what there is to ask before all else."""
    return _observers.listening(cls.kind)


def begin_observation(observation: _O, context: Context | None = None) -> _O:  # api
    """Tell that something begins; its ``finish`` has to be called when it ends.

    Args:
        observation: What begins.
        context: The context variables of whoever made it, where that is not whoever begins it: a
            stream that is read by another thread or task is below the span that it was made under.
    """
    if context is None:
        _observers.tell(observation, "started")
    else:
        context.run(_observers.tell, observation, "started")
    return observation


def add_observer(observer: object) -> None:  # api
    """Let an object's or a module's functions that are marked with ``hookimpl`` be called.

    Clients that were made before tell it of everything but ``lmstudio_request_finished``.

    Args:
        observer: What implements the hooks.

    Raises:
        LMStudioValueError: It implements no hook, or one that does not exist, or is added already.

    Example:
        >>> from lmstudio_core.plugins.api import hookimpl
        >>> class Slow:
        ...     @hookimpl
        ...     def lmstudio_prediction_finished(self, prediction):
        ...         if prediction.seconds > 60:
        ...             print(prediction.model, "took", prediction.seconds)
        >>> slow = Slow()
        >>> add_observer(slow)
        >>> remove_observer(slow)
    """
    plugins.register(observer)
    _observers.forget()


def remove_observer(observer: object) -> None:  # api
    """Call an observer no more; what is not added is left alone."""
    plugins.unregister(observer)
    _observers.forget()
