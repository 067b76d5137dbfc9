"""What the server says of failures whose own words are none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from lmstudio_core.errors import LMStudioServerError
from lmstudio_core.lenient import is_blank
from lmstudio_core.protocol.server_errors import server_error
from lmstudio_server.api.plugin_use import relayed
from lmstudio_server.doors.errors import described
from lmstudio_server.engines.base import EngineError
from lmstudio_server.engines.remote.problems import connection_problem, status_problem
from lmstudio_server.errors import WireError, from_engine, internal

SILENT = [TimeoutError(), OSError(), AssertionError(""), ValueError(" \n"), NotImplementedError()]
BLANK = ["", " ", "\n\t", "\u200b"]
REMOTE = cast(
    "Any", SimpleNamespace(name="r", base_url="http://r", api_key=None, timeout=3, retries=0)
)


def told(error: WireError) -> str:
    """What a client of the SDK reads."""
    return str(server_error(error.to_wire(), "llm.predict", default=LMStudioServerError))


@pytest.mark.parametrize("error", SILENT, ids=repr)
def test_a_failure_without_words_is_called_by_its_class(error: Exception) -> None:
    name = type(error).__name__
    assert internal("llm.predict", error).cause == name
    assert f"\n{name}\n" in told(internal("llm.predict", error))
    assert described(error).message.startswith(
        f"lmstudio-server failed in an HTTP request. {name}. "
    )
    assert connection_problem(REMOTE, error).cause == name


@pytest.mark.parametrize("blank", BLANK)
def test_a_cause_of_blanks_is_none(blank: str) -> None:
    for error in (
        WireError("It broke.", cause=blank),
        from_engine(EngineError("broke", cause=blank), "It"),
    ):
        assert error.cause is None
        assert str(error) in ("It broke.", "It: broke")
        assert "cause" not in error.to_wire()


@pytest.mark.parametrize("blank", [*BLANK, None, 7, {}])
def test_what_others_say_is_told_only_if_they_say_something(blank: Any) -> None:
    error = relayed({"title": blank, "rootTitle": blank, "cause": blank}, "a/b")
    assert (error.title, error.cause) == ('The plugin "a/b" failed.', None)
    assert relayed({"title": blank, "rootTitle": "It broke"}, "a/b").title == "It broke"


@pytest.mark.parametrize("payload", [*BLANK, None, {"error": ""}, {"error": {"message": " "}}])
def test_an_error_answer_without_words_tells_its_status(payload: Any) -> None:
    error = status_problem(REMOTE, 500, payload)
    assert error.cause == "HTTP status 500"
    assert not is_blank(error.title)
