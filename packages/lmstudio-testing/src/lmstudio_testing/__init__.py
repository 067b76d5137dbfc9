"""For tests of programs and plugins: a scripted server that says exactly what a test wants said.

::

    from lmstudio_core import Client
    from lmstudio_testing import FakeServer

    def test_greeting():
        with FakeServer() as server, Client(server.api_host) as client:
            server.llm().respond("Good morning!")
            assert greet(client) == "Good morning!"
            assert server.last_prediction.config["temperature"] == 0.5

With pytest, the fixtures ``lmstudio_server`` and ``lmstudio_client`` are there without an import;
see the page on testing. Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmstudio_core.lazy import lazy_names

if TYPE_CHECKING:
    from .answers import Answer as Answer
    from .answers import BrokenToolCall as BrokenToolCall
    from .answers import Drop as Drop
    from .answers import Gate as Gate
    from .answers import Packet as Packet
    from .answers import Pause as Pause
    from .answers import Reasoning as Reasoning
    from .answers import ToolCall as ToolCall
    from .fake_models import FakeEmbeddingModel as FakeEmbeddingModel
    from .fake_models import FakeLlm as FakeLlm
    from .fake_server import FakeServer as FakeServer
    from .fake_socket import NO_ANSWER as NO_ANSWER
    from .fake_socket import FakeCall as FakeCall
    from .fake_socket import FakeChannel as FakeChannel
    from .fake_socket import FakeRequest as FakeRequest
    from .fake_socket import FakeSocket as FakeSocket
    from .fake_socket import ServerFailure as ServerFailure
    from .predictions import PredictionRequest as PredictionRequest
    from .recording_proxy import RecordingProxy as RecordingProxy
    from .recordings import Recording as Recording
    from .replay import ReplayMismatchError as ReplayMismatchError
    from .rules import AuthRule as AuthRule
    from .rules import accept as accept
    from .rules import refuse as refuse
    from .rules import require_token as require_token
    from .rules import silent as silent
    from .scripts import ModelScript as ModelScript
    from .scripts import UnscriptedRequestError as UnscriptedRequestError

__all__ = [
    "NO_ANSWER",
    "Answer",
    "AuthRule",
    "BrokenToolCall",
    "Drop",
    "FakeCall",
    "FakeChannel",
    "FakeEmbeddingModel",
    "FakeLlm",
    "FakeRequest",
    "FakeServer",
    "FakeSocket",
    "Gate",
    "ModelScript",
    "Packet",
    "Pause",
    "PredictionRequest",
    "Reasoning",
    "Recording",
    "RecordingProxy",
    "ReplayMismatchError",
    "ServerFailure",
    "ToolCall",
    "UnscriptedRequestError",
    "accept",
    "refuse",
    "require_token",
    "silent",
]

_HOMES = {
    "answers": (
        "Answer",
        "BrokenToolCall",
        "Drop",
        "Gate",
        "Packet",
        "Pause",
        "Reasoning",
        "ToolCall",
    ),
    "fake_models": ("FakeEmbeddingModel", "FakeLlm"),
    "fake_server": ("FakeServer",),
    "fake_socket": (
        "NO_ANSWER",
        "FakeCall",
        "FakeChannel",
        "FakeRequest",
        "FakeSocket",
        "ServerFailure",
    ),
    "predictions": ("PredictionRequest",),
    "recording_proxy": ("RecordingProxy",),
    "recordings": ("Recording",),
    "replay": ("ReplayMismatchError",),
    "rules": ("AuthRule", "accept", "refuse", "require_token", "silent"),
    "scripts": ("ModelScript", "UnscriptedRequestError"),
}

if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake
    __getattr__, __dir__ = lazy_names(
        __name__,
        {name: f"{__name__}.{home}:{name}" for home, names in _HOMES.items() for name in names},
    )
