"""Closing a run where it may be closed: in callbacks and signal handlers, at any step."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import lmstudio_agent
from injection import Steps
from lmstudio_core import errors
from lmstudio_core.client import Client

CODE = (str(Path(lmstudio_agent.__file__).parent),)
PATIENCE = 20


def double(n: int) -> int:
    """Double a number."""
    return 2 * n


@pytest.fixture
def model(server):
    llm = server.llm()
    llm.call_tool("double", {"n": 1}, times=None)
    with Client(server.api_host) as client:
        yield client.llm.model("any")


@pytest.mark.parametrize("parallel", [1, 2])
def test_closing_at_any_line(model, parallel):
    """One step after the other; a tool runs in a thread when two may run at a time."""

    def scenario(at: int) -> int:
        stream = model.act_stream(
            "What is twice one?",
            [double],
            max_parallel_tool_calls=parallel,
            max_prediction_rounds=2,
        )
        with Steps(stream.close, CODE, at) as steps:
            for _ in stream:
                pass
        with contextlib.suppress(errors.LMStudioCancelledError):  # unless it had ended before
            assert stream.result().rounds == 2
        return steps.calls

    at = 1
    with ThreadPoolExecutor(1) as pool:
        while pool.submit(scenario, at).result(PATIENCE):
            at += 29
    assert at > 300  # else little was tried


def test_closing_in_a_callback(model):
    def close(*_: object) -> None:
        stream.close()

    stream = model.act_stream("What is twice one?", [double], on_round_start=close)
    list(stream)
    with pytest.raises(errors.LMStudioCancelledError):
        stream.result()
