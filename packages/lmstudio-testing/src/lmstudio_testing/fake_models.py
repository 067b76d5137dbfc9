"""The models of a scripted server: what they are, what they say, and the vectors that they give."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from typing_extensions import Self

from lmstudio_core.lazy import lazy_hints

from .answers import Answer
from .fake_socket import ServerFailure
from .scripts import ModelScript, Scripted

if TYPE_CHECKING:
    from .fake_server import FakeServer

__all__ = ["FakeEmbeddingModel", "FakeLlm", "FakeModel", "as_answer", "token_ids"]

_TOKEN: Final = re.compile(r"\s*(?:\w+|[^\w\s])|\s+")
_WORD: Final = re.compile(r"\w+")


def token_ids(text: str) -> list[int]:
    """Token ids of a text: a word or a mark each, always the same."""
    return [_number(token.group()) % 32000 for token in _TOKEN.finditer(text)]


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8], "big")


_HINTS: Final = {"FakeServer": f"{__package__}.fake_server:FakeServer"}


@lazy_hints
class FakeModel:
    """A model of the scripted server's; made by ``server.llm()`` and ``server.embedding()``.

    Attributes:
        key: Its model key.
        identifiers: What its loaded instances are called; empty if it is not loaded.
        info: More keys of the model's info, by the server's names.
        load_config: What it was loaded with, by the server's keys.
        load_failure: What loading it fails with; ``None`` lets it load.
    """

    kind: Literal["llm", "embedding"]

    def __init__(
        self, server: FakeServer, key: str, *, loaded: bool, info: Mapping[str, Any]
    ) -> None:
        self.key = key
        self.identifiers: list[str] = [key] if loaded else []
        self.info: dict[str, Any] = dict(info)
        self.load_config: dict[str, Any] = {}
        self.load_failure: ServerFailure | None = None
        self._server = server

    def fail_to_load(self, title: str, **fields: Any) -> Self:
        """Let every load of it fail with this error of the server's."""
        self.load_failure = ServerFailure(title, **fields)
        return self

    def model_info(self) -> dict[str, Any]:
        """The info of the downloaded model, as servers send it."""
        own: dict[str, Any] = {"vision": False, "trainedForToolUse": True}
        return {
            "type": self.kind,
            "modelKey": self.key,
            "format": "gguf",
            "displayName": self.key,
            "publisher": "lmstudio-testing",
            "path": f"lmstudio-testing/{self.key}.gguf",
            "sizeBytes": 1_000_000,
            "indexedModelIdentifier": f"lmstudio-testing/{self.key}.gguf",
            "deviceIdentifier": None,
            "paramsString": "1M",
            "architecture": "fake",
            **(own if self.kind == "llm" else {}),
            "maxContextLength": 4096,
            **{key: value for key, value in self.info.items() if key != "contextLength"},
        }

    def instance_info(self, identifier: str) -> dict[str, Any]:
        """The info of a loaded instance, as servers send it."""
        info = self.model_info()
        return {
            **info,
            "identifier": identifier,
            "instanceReference": f"fake-instance-{identifier}",
            "ttlMs": None,
            "lastUsedTime": None,
            "contextLength": self.info.get("contextLength", info["maxContextLength"]),
        }

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key!r} loaded as {self.identifiers}>"


@lazy_hints
class FakeLlm(FakeModel, ModelScript):  # public
    """A scripted language model; see ``ModelScript`` for what it can be made to say."""

    kind: Literal["llm", "embedding"] = "llm"

    def __init__(
        self, server: FakeServer, key: str, *, loaded: bool, info: Mapping[str, Any]
    ) -> None:
        FakeModel.__init__(self, server, key, loaded=loaded, info=info)
        self.queue: list[Scripted] = []
        self.call_ids: itertools.count[int] = itertools.count(1)
        ModelScript.__init__(self, self.queue)


@lazy_hints
class FakeEmbeddingModel(FakeModel):  # public
    """A scripted embedding model. Texts that share words get vectors that are close.

    Attributes:
        dimensions: The length of its vectors.
        vectors: Vectors that were set by hand.
    """

    kind: Literal["llm", "embedding"] = "embedding"

    def __init__(
        self,
        server: FakeServer,
        key: str,
        *,
        loaded: bool,
        info: Mapping[str, Any],
        dimensions: int = 8,
    ) -> None:
        super().__init__(server, key, loaded=loaded, info=info)
        self.dimensions = dimensions
        self.vectors: dict[str, Sequence[float] | ServerFailure] = {}

    def vector(self, text: str, values: Sequence[float]) -> Self:
        """Give this vector for this text."""
        self.vectors[text] = list(values)
        return self

    def fail(
        self, text: str, title: str = "The text could not be embedded.", **fields: Any
    ) -> Self:
        """Answer this text with an error of the server's."""
        self.vectors[text] = ServerFailure(title, **fields)
        return self

    def embed(self, text: str) -> list[float]:
        """The vector of a text: of length 1, always the same, made of the vectors of its words.

        Raises:
            ServerFailure: The text is scripted to fail.
        """
        given = self.vectors.get(text)
        if isinstance(given, ServerFailure):
            raise given
        if given is not None:
            return list(given)
        words = _WORD.findall(text.casefold()) or [text]
        rows = [[_coordinate(word, n) for n in range(self.dimensions)] for word in words]
        total = [math.fsum(column) for column in zip(*rows, strict=True)]
        length = math.sqrt(math.fsum(value * value for value in total)) or 1.0
        return [value / length for value in total]


def _coordinate(word: str, index: int) -> float:
    return _number(f"{index}:{word}") / 2**63 - 1


async def as_answer(scripted: Scripted, prediction: Any) -> Answer | None:
    """The answer itself; a function that makes it is called."""
    given: Any = scripted.answer
    if isinstance(given, Answer):
        return given
    function: Callable[[Any], Any] = given
    made = function(prediction)
    if inspect.isawaitable(made):
        made = await made
    if made is None or isinstance(made, Answer):
        return made
    return Answer(cast("tuple[Any, ...]", made) if isinstance(made, tuple) else (made,))
