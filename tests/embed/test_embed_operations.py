"""Embedding as operations: what goes out, what comes back, what is refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from lmstudio_core.errors import LMStudioServerError, LMStudioValueError
from lmstudio_core.protocol.operations import Batch, Call
from lmstudio_embed import operations as ops


def drive(op: Any, answer: Any = None) -> tuple[list[Any], Any]:
    """Run an operation by hand with one answer for every step: (steps, result)."""
    steps: list[Any] = []
    try:
        steps.append(next(op))
        while True:
            steps.append(op.send(answer))
    except StopIteration as stop:
        return steps, stop.value


def test_one_text_is_one_call() -> None:
    steps, result = drive(ops.embed("minilm", "Hello"), [0.5, -1.0])
    (call,) = steps
    assert isinstance(call, Call)
    assert str(call.endpoint) == "embedding.embedString"
    assert call.parameter == {
        "modelSpecifier": {"type": "query", "query": {"identifier": "minilm"}},
        "inputString": "Hello",
    }
    assert call.decode({"embedding": [1, 2.5]}) == [1, 2.5]
    assert result == [0.5, -1.0]


@pytest.mark.parametrize("texts", [["a", "b"], ("a", "b"), (c for c in "ab")])
def test_several_texts_are_one_batch_in_order(texts: Any) -> None:
    steps, _ = drive(ops.embed("minilm", texts, max_in_flight=7))
    (batch,) = steps
    assert isinstance(batch, Batch)
    assert [call.parameter["inputString"] for call in batch.calls] == ["a", "b"]
    assert batch.max_in_flight == 7


def test_no_texts_need_no_server() -> None:
    assert drive(ops.embed("minilm", [])) == ([], [])


@pytest.mark.parametrize("wrong", [None, 7, b"bytes", {"a": 1}, [1], ["ok", None], [b"no"]])
def test_what_is_no_text_is_refused(wrong: Any) -> None:
    with pytest.raises(LMStudioValueError, match="string"):
        drive(ops.embed("minilm", wrong))


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, None])
def test_max_in_flight_is_a_positive_number(wrong: Any) -> None:
    with pytest.raises(LMStudioValueError, match="max_in_flight"):
        drive(ops.embed("minilm", ["a"], wrong))


@pytest.mark.parametrize("answer", [{}, None, [], {"embedding": None}])
def test_an_answer_without_a_vector_is_a_server_error(answer: Any) -> None:
    with pytest.raises(LMStudioServerError, match="no vector"):
        ops.vector(answer)
