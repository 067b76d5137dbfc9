"""Every error this family raises.

::

    LMStudioError
    ├── LMStudioValueError            (ValueError)    an argument cannot be right
    │   └── ValidationError                           data does not fit its class
    │       └── FieldNameError (TypeError, AttributeError)  by its names: unknown, missing, twice
    ├── LMStudioRuntimeError          (RuntimeError)  not possible in this state
    │   ├── CapabilityNotInstalledError               a package of the family is missing
    │   ├── FrozenProgramError                        a frozen program can start no Python
    │   └── PluginLoadError                           an installed plugin is broken
    ├── LMStudioOSError               (OSError)       a file or a process of this machine
    ├── LMStudioTimeoutError          (TimeoutError)  nothing came for too long
    ├── LMStudioServerError                           the server answered with an error
    │   ├── LMStudioModelNotFoundError
    │   │   └── LMStudioAmbiguousModelError           several models match the key
    │   ├── LMStudioModelDomainError                  an LLM where an embedding model was asked for
    │   ├── LMStudioIdentifierInUseError              another model is loaded under that name
    │   ├── LMStudioPresetNotFoundError
    │   ├── LMStudioPredictionError                   a prediction could not be finished or read
    │   ├── LMStudioChannelClosedError                a channel ended without its last packet
    │   └── LMStudioRequestRejectedError              the server does not know or accept the request
    └── LMStudioClientError
        ├── LMStudioCancelledError                    cancelled by this program
        ├── LMStudioHostError (LMStudioValueError)        the host cannot be one
        ├── LMStudioUnknownMessageWarning (UserWarning)
        ├── LMStudioUnknownSettingWarning (UserWarning)   a key of a config dict was left out
        └── LMStudioWebsocketError                    the connection
            ├── LMStudioClosedError (LMStudioRuntimeError)  closed by this program before
            ├── LMStudioConnectionError (ConnectionError)  no server there, or lost
            └── LMStudioAuthenticationError                the server refused the credentials
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from .lenient import is_blank

if TYPE_CHECKING:
    from .protocol.server_errors import SerializedLMSExtendedError


def with_endpoint(message: str, endpoint: str | None) -> str:
    """The message of an error, and below it what was asked."""
    return f"{message}\nEndpoint: {endpoint}" if endpoint else message


def add_hint(error: LMStudioServerError, hint: str) -> None:
    """Add a line to the message of an error, above the one that names the endpoint."""
    said = str(error)
    above = said.removesuffix(with_endpoint("", error.endpoint))
    error.args = (with_endpoint(f"{above}\n{hint}", error.endpoint if above != said else None),)


class LMStudioError(Exception):  # public, api
    """The base of every error of this family.

    ``partial`` is what a call that does many things had done before one failed; ``None`` for others.
    ``str()`` of it is never empty: one made without a message says what its class stands for.

    Example:
        >>> try:
        ...     model = client.llm.model("no-such-model")
        ... except LMStudioError as error:
        ...     print(type(error).__name__)
        LMStudioModelNotFoundError
    """

    partial: Any = None
    _unsaid: ClassVar[str] = "Something failed; nothing more is known of it."

    def __str__(self) -> str:
        said = super().__str__()
        return self._without_message() if is_blank(said) or self.args == (None,) else said

    def _without_message(self) -> str:
        """What is said in place of an empty message."""
        return with_endpoint(self._unsaid, getattr(self, "endpoint", None))


class LMStudioValueError(ValueError, LMStudioError):  # public, api
    """An argument cannot be right; nothing was sent to the server.

    Example:
        >>> model.respond([])
        Traceback (most recent call last):
        LMStudioValueError: The chat is empty; add a message with chat.add_user_message().
    """

    _unsaid = "An argument is not valid."


class ValidationError(LMStudioValueError):  # public, api
    """Data does not fit the class it is made into; the message names each field, value and reason.

    Example:
        >>> LlmPredictionConfig(temperature="hot")
        Traceback (most recent call last):
        ValidationError: ...
    """

    _unsaid = "Data does not fit the class it was to become."


class FieldNameError(ValidationError, TypeError, AttributeError):  # public
    """The names of the data do not fit the class: one is unknown, missing, or given twice.

    It is a ``TypeError`` as for any other call with wrong keywords, and an ``AttributeError`` as for
    any other assignment to an attribute that is not there.

    Example:
        >>> LlmPredictionConfig(temprature=0.5)
        Traceback (most recent call last):
        FieldNameError: ... did you mean 'temperature'?
    """


class LMStudioRuntimeError(RuntimeError, LMStudioError):  # public, api
    """What was asked is not possible in the present state.

    Example:
        >>> Chat().pop()
        Traceback (most recent call last):
        LMStudioRuntimeError: The chat is empty: there is no message to remove.
    """

    _unsaid = "This is not possible in the present state."


class CapabilityNotInstalledError(LMStudioRuntimeError):  # public, api
    """A capability was used whose package is not installed.

    ``capability`` is its name and ``package`` what to install, if that is known.

    Example:
        >>> client.capability("toys")
        Traceback (most recent call last):
        CapabilityNotInstalledError: No installed package provides 'toys'.
    """

    _unsaid = "A package of the family is not installed."

    def __init__(
        self, message: str = "", *, capability: str = "", package: str | None = None
    ) -> None:
        super().__init__(message)
        self.capability = capability
        self.package = package


class FrozenProgramError(LMStudioRuntimeError):  # public, api
    """A process of Python was to be started where there is none to start.

    That is so in programs that are frozen (PyInstaller, Nuitka, cx_Freeze and the like) or embed
    Python. ``purpose`` says what the process was for.

    Example:
        >>> try:
        ...     model = lmstudio.llm("pocket")
        ... except FrozenProgramError as error:
        ...     print("no server runs, and this program can start none:", error.purpose)
    """

    def __init__(self, message: str = "", *, purpose: str = "") -> None:
        super().__init__(message)
        self.purpose = purpose


class PluginLoadError(LMStudioRuntimeError):  # public, api
    """An installed plugin or capability could not be used.

    ``plugin`` is the entry point's name and ``distribution`` the package it came with.

    Example:
        >>> try:
        ...     names = dir(client)
        ... except PluginLoadError as error:
        ...     print(error.plugin, error.distribution)
    """

    _unsaid = "An installed plugin cannot be used."

    def __init__(
        self, message: str = "", *, plugin: str = "", distribution: str | None = None
    ) -> None:
        super().__init__(message)
        self.plugin = plugin
        self.distribution = distribution


class LMStudioOSError(LMStudioError, OSError):  # public, api
    """A file, process or socket of this machine did not work.

    Example:
        >>> client.prepare_image("no-such-picture.png")
        Traceback (most recent call last):
        LMStudioOSError: ...
    """

    _unsaid = "A file, process or socket of this machine did not work."


class LMStudioTimeoutError(LMStudioError, TimeoutError):  # public, api
    """Nothing arrived for a call in the time allowed.

    ``seconds`` is the limit and ``endpoint`` names the call, where they are known.

    Example:
        >>> try:
        ...     result = model.respond("Tell me a long story.", timeout=60)
        ... except LMStudioTimeoutError as error:
        ...     print("took longer than", error.seconds, "s")
    """

    _unsaid = "Nothing arrived in the time allowed."

    def __init__(
        self, message: str = "", *, seconds: float | None = None, endpoint: str | None = None
    ) -> None:
        super().__init__(message)
        self.seconds = seconds
        self.endpoint = endpoint


class LMStudioServerError(LMStudioError):  # public, api
    """The server answered with an error.

    ``server_error`` holds its title, cause, suggestion and display data; ``endpoint`` names what
    was asked. Without a message of its own, it says these. Details given as a dict, as the server
    sends them, are added to the message.

    Example:
        >>> try:
        ...     client.llm.unload("no-such-model")
        ... except LMStudioServerError as error:
        ...     print(error.endpoint)
        llm.unloadModel
    """

    _unsaid = "The server answered with an error and gave no reason."
    server_error: SerializedLMSExtendedError | None

    def __init__(
        self,
        message: str = "",
        server_error: SerializedLMSExtendedError | Mapping[str, Any] | None = None,
        *,
        endpoint: str | None = None,
    ) -> None:
        details = server_error
        if isinstance(details, Mapping):
            # Only programs for the official SDK make one so. What reads details builds on this
            # module, so it is loaded by name.
            read = importlib.import_module("lmstudio_core.protocol.server_errors")
            details, text = read.described(details)
            message = f"{message}: {text}"
        elif details is not None and (not message or is_blank(str(message))):
            message = with_endpoint(str(details), endpoint)
        super().__init__(message)
        self.server_error = details
        self.endpoint = endpoint

    @staticmethod
    def from_details(message: str, details: Mapping[str, Any]) -> LMStudioServerError:
        """The error that details mean, of the class that their code names.

        Args:
            message: What the text begins with.
            details: The error as the server sends it.
        """
        read = importlib.import_module("lmstudio_core.protocol.server_errors")
        cls: type[LMStudioServerError] = read.error_class(details, LMStudioServerError)
        return cls(message, details)

    @property
    def _raw_error(self) -> dict[str, Any] | None:
        """The details as a dict, for programs that ask the official SDK's errors for it."""
        if self.server_error is None:
            return None
        details = self.server_error.to_dict()
        details.pop("stack", None)
        return details

    @property
    def display_data(self) -> Mapping[str, Any]:
        """The machine-readable part of the server's error; empty if it sent none."""
        if self.server_error is None or self.server_error.display_data is None:
            return {}
        return self.server_error.display_data


importlib.import_module("lmstudio_core.lazy").lazy_hints(LMStudioServerError)  # as above


class LMStudioModelNotFoundError(LMStudioServerError):  # public, api
    """No model matches the key, identifier or query.

    ``close_matches`` lists downloaded models whose keys are much like the one asked for.

    Example:
        >>> try:
        ...     model = client.llm.model("pockt")
        ... except LMStudioModelNotFoundError as error:
        ...     print("pocket" in error.close_matches)
        True
    """

    _unsaid = "No such model was found."

    close_matches: tuple[str, ...] = ()


class LMStudioAmbiguousModelError(LMStudioModelNotFoundError):  # public, api
    """Several downloaded models match the key; ``close_matches`` lists their whole keys.

    Example:
        >>> try:
        ...     found = client.models.find_downloaded("pocket")
        ... except LMStudioAmbiguousModelError as error:
        ...     print("one of:", error.close_matches)
    """

    _unsaid = "Several models match."


class LMStudioModelDomainError(LMStudioServerError):  # public, api
    """A model of one kind was asked for as one of another, such as an LLM for embeddings.

    Example:
        >>> client.embedding.model("pocket")
        Traceback (most recent call last):
        LMStudioModelDomainError: ...
    """

    _unsaid = "The model is of another kind than was asked for."

    @property
    def actual_domain(self) -> str:
        """What the model is, such as ``"llm"``; empty if the server did not say."""
        return str(self.display_data.get("actualDomain", ""))

    @property
    def expected_domain(self) -> str:
        """What it was asked for as."""
        return str(self.display_data.get("expectedDomain", ""))


class LMStudioIdentifierInUseError(LMStudioServerError):  # public, api
    """Another model is loaded under the identifier that a new instance was to get.

    Example:
        >>> client.llm.load_new_instance("pocket", "pocket")
        Traceback (most recent call last):
        LMStudioIdentifierInUseError: ...
    """

    _unsaid = "Another model is loaded under that identifier."


class LMStudioPresetNotFoundError(LMStudioServerError):  # public, api
    """No preset matches the name.

    Example:
        >>> model.respond("Hello", preset="no-such-preset")
        Traceback (most recent call last):
        LMStudioPresetNotFoundError: ...
    """

    _unsaid = "No such preset was found."


class LMStudioPredictionError(LMStudioServerError):  # public, api
    """A prediction could not be finished, or its output is not what was asked for.

    Example:
        >>> try:
        ...     result = model.respond("Hello", timeout=60)
        ... except LMStudioPredictionError as error:
        ...     print(error.server_error)
    """

    _unsaid = "The prediction could not be finished or read."


class LMStudioChannelClosedError(LMStudioServerError):  # public, api
    """The server closed a channel before its last packet.

    Example:
        >>> try:
        ...     result = model.respond("Hello")
        ... except LMStudioChannelClosedError as error:
        ...     print("not finished:", error.endpoint)
    """

    _unsaid = "The server closed the channel before its last packet."


class LMStudioRequestRejectedError(LMStudioServerError):  # public, api
    """The server does not know the endpoint or does not accept the request's shape.

    Servers answer such a request with a warning only; ``kind`` is that warning's kind.

    Example:
        >>> client.llm.remote_call("noSuchEndpoint", {})
        Traceback (most recent call last):
        LMStudioRequestRejectedError: ...
    """

    _unsaid = "The server does not accept the request."

    def __init__(
        self, message: str = "", *, endpoint: str | None = None, kind: str | None = None
    ) -> None:
        super().__init__(message, endpoint=endpoint)
        self.kind = kind


class LMStudioClientError(LMStudioError):  # public, api
    """Something on this side of the connection.

    Example:
        >>> issubclass(LMStudioWebsocketError, LMStudioClientError)
        True
    """

    _unsaid = "Something failed on this side of the connection."


class LMStudioCancelledError(LMStudioClientError):  # public, api
    """The program itself cancelled what it was waiting for.

    Example:
        >>> try:
        ...     result = model.respond("Hello")
        ... except LMStudioCancelledError:
        ...     print("stopped")
    """

    _unsaid = "This was cancelled by the program itself."


class LMStudioHostError(LMStudioValueError, LMStudioClientError):  # public
    """What was given as the server's host is not of the form of one; nobody was asked.

    Example:
        >>> Client("http//localhost")
        Traceback (most recent call last):
        LMStudioHostError: ...
    """


class LMStudioUnknownMessageWarning(LMStudioClientError, UserWarning):  # noqa: N818 - the official name  # public, api
    """The server sent something this version does not know; it was ignored.

    Example:
        >>> import warnings
        >>> warnings.simplefilter("ignore", LMStudioUnknownMessageWarning)
    """

    _unsaid = "The server sent something unknown; it was ignored."


class LMStudioUnknownSettingWarning(LMStudioClientError, UserWarning):  # noqa: N818 - as above  # public
    """A config dict has a key that this version does not know; the setting was left out.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     config = LlmPredictionConfig.from_dict({"temprature": 0.5})
        >>> caught[0].category.__name__
        'LMStudioUnknownSettingWarning'
    """


class LMStudioWebsocketError(LMStudioClientError):  # public, api
    """The connection to the server failed.

    ``status`` is the HTTP status with which it, or a proxy on the way, refused to open one.

    Example:
        >>> try:
        ...     version = client.system.version()
        ... except LMStudioWebsocketError as error:
        ...     print("status", error.status)
    """

    def __init__(self, message: str = "", *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status

    _unsaid = "The connection to the server failed."


class LMStudioClosedError(LMStudioRuntimeError, LMStudioWebsocketError):  # public
    """The program closed the client, or this namespace of it, and then used it or still waits.

    Example:
        >>> client.close()
        >>> client.system.version()
        Traceback (most recent call last):
        LMStudioClosedError: This client is closed; make a new one.
    """

    def __init__(self, message: str = "This client is closed; make a new one.") -> None:
        super().__init__(message)


class LMStudioConnectionError(LMStudioWebsocketError, ConnectionError):  # public, api
    """No server could be reached, or the connection to it was lost.

    ``tried`` lists the addresses tried, in order.

    Example:
        >>> Client("127.0.0.1:9", proxy=False).system.version()
        Traceback (most recent call last):
        LMStudioConnectionError: ...
    """

    _unsaid = "No server was reached, or the connection was lost."

    def __init__(
        self, message: str = "", *, tried: Sequence[str] = (), status: int | None = None
    ) -> None:
        super().__init__(message, status=status)
        self.tried: tuple[str, ...] = tuple(tried)


class LMStudioAuthenticationError(LMStudioWebsocketError):  # public, api
    """The server refused this client's credentials.

    Example:
        >>> try:
        ...     version = client.system.version()
        ... except LMStudioAuthenticationError as error:
        ...     print("set LM_API_TOKEN:", error)
    """

    _unsaid = "The server refused this client's credentials."
