"""What tools return and raise, by every way to run them: the model is told, and told the truth."""

from __future__ import annotations

import array
import asyncio
import collections
import dataclasses
import enum
import functools
import itertools
import json
import math
import re
import sqlite3
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pydantic
import pytest
from agent_scripts import Scripted, call, make_run, prediction, run_async, run_sync
from hypothesis import given, settings
from hypothesis import strategies as st

from lmstudio_agent.encoding import encoded
from lmstudio_agent.operations import _with_toolsets
from lmstudio_agent.toolsets import Toolset
from lmstudio_core.errors import LMStudioRuntimeError

if TYPE_CHECKING:
    from pathlib import Path as OnlyForCheckers

    from lmstudio_agent import ToolCallContext

RUNS = [run_sync, run_async]


@dataclasses.dataclass
class Spot:
    x: Any


class Model(pydantic.BaseModel):
    data: bytes


class Level(enum.IntEnum):
    LOW = 1


class Named:
    def __str__(self) -> str:
        return "a thing"


class Mute:
    def __str__(self) -> str:
        raise RuntimeError("no words")


def circular() -> Any:
    held: list[Any] = []
    held.append(held)
    return held


def rows() -> Any:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    try:
        return connection.execute("select 1 as a, 'x' as b").fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.int64(3), 3),
        (np.float32(1.5), 1.5),
        (np.bool_(True), True),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        ({"mean": np.float64(0.5), "n": np.int8(2)}, {"mean": 0.5, "n": 2}),
        (range(3), [0, 1, 2]),
        ({"a": 1}.keys(), ["a"]),
        ({"a": 1}.values(), [1]),
        ({"a": 1}.items(), [["a", 1]]),
        ({3}, [3]),
        (frozenset({3}), [3]),
        (collections.deque([1]), [1]),
        (array.array("i", [1, 2]), [1, 2]),
        (b"ok", "ok"),
        (b"\xff\x00", {"base64": "/wA="}),
        (memoryview(b"ok"), "ok"),
        (Spot(np.int64(1)), {"x": 1}),
        (Spot(Named()), {"x": "a thing"}),
        ([Model(data=b"\xff")], [{"data": {"base64": "/w=="}}]),
        (Level.LOW, 1),
        (ValueError("too far"), "ValueError: too far"),
        (Named(), "a thing"),
        ({"thing": Named()}, {"thing": "a thing"}),
        (Mute(), "<Mute>"),
        ({(1, 2): 3, None: 4, Level.LOW: 5}, {"[1, 2]": 3, "null": 4, "1": 5}),
        (1j, "1j"),
        ([math.nan, math.inf], ["nan", "inf"]),
        (rows(), [{"a": 1, "b": "x"}]),
        ({"inside": (n for n in [1, 2])}, {"inside": [1, 2]}),
    ],
    ids=lambda value: re.sub(r" at 0x\w+", "", repr(value)),
)
def test_what_tools_return(value, plain) -> None:
    assert json.loads(encoded(value)) == plain


def test_what_holds_itself_is_told_as_text() -> None:
    assert "[...]" in encoded(circular())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.floats()
        | st.builds(Spot, st.binary()) | st.just(Named()) | st.sampled_from(Level),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner)
        | st.builds(Spot, inner) | st.tuples(inner),
        max_leaves=8,
    )
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_whatever_comes_is_legal_json(value) -> None:
    def refuse(name: str) -> Any:
        raise AssertionError(name)

    json.loads(encoded(value), parse_constant=refuse).__class__.__name__.encode()
    encoded(value).encode("utf-8")


def countdown(start: int = 3) -> Any:
    """Count down."""
    yield from range(start, 0, -1)


async def countdown_async(start: int = 3) -> Any:
    """Count down."""
    for value in range(start, 0, -1):
        await asyncio.sleep(0)
        yield value


async def countdown_late(start: int = 3) -> Any:
    """Count down."""
    return countdown(start)


def countdown_object(start: int = 3) -> Any:
    """Count down."""
    return countdown_async(start)


async def told(start: int, context: ToolCallContext) -> Any:
    """Count down."""
    context.status("counting")
    for value in range(start, 0, -1):
        yield value


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize(
    "tool", [countdown, countdown_async, countdown_late, countdown_object, told]
)
@pytest.mark.parametrize("limits", [{}, {"tool_timeout": 30.0}])
def test_generators_are_drained(run, tool, limits) -> None:
    record = only(run, tool, call(tool.__name__, {"start": 3}), **limits)
    assert (record.outcome, json.loads(record.content)) == ("ok", [3, 2, 1])


def only(run: Any, tool: Any, request: Any, **options: Any) -> Any:
    script = Scripted(prediction("", request), prediction("Done."))
    (record,) = run(make_run(script, [tool], **options)).tool_calls
    return record


def test_a_value_whose_text_panics_has_its_class() -> None:
    assert json.loads(encoded(Unreadable())) == "<Unreadable>"


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("part", ["open", "close", "tools"])
def test_what_a_toolset_raises_is_no_end_of_the_program(run, part, caplog) -> None:
    class Bad(Toolset):
        is_open = False  # type: ignore[assignment]

        def open(self) -> None:
            if part == "open":
                panics()

        def close(self) -> None:
            if part == "close":
                panics()

        @property
        def tools(self) -> list[Any]:
            return panics() or [] if part == "tools" else []  # type: ignore[func-returns-value]

    script = Scripted(prediction("Done."))
    act, _ = make_run(script)
    made = act, _with_toolsets(act, script, [Bad("bad")], None)  # type: ignore[arg-type]
    if part == "close":  # what the run gave is there
        assert run(made).rounds == 1
        assert "could not be closed" in caplog.text
    else:
        with pytest.raises(LMStudioRuntimeError, match="'bad' failed: PanicError"):
            run(made)


@pytest.mark.parametrize("run", RUNS)
def test_an_endless_generator_is_cut_off_and_closed(run) -> None:
    closed: list[bool] = []

    def endless() -> Any:
        """Never end."""
        try:
            yield from itertools.count()
        finally:
            closed.append(True)

    record = only(run, endless, call("endless"))
    said = json.loads(record.content)
    assert record.outcome == "ok"
    assert len(said["result"]) == 10_000
    assert "Cut off after 10000 values" in said["note"]
    assert closed == [True]


@pytest.mark.parametrize("run", RUNS)
def test_large_texts_count(run) -> None:
    def large() -> Any:
        """Give much."""
        for _ in itertools.count():
            yield "x" * 100_000

    assert len(json.loads(only(run, large, call("large")).content)["result"]) == 11


@pytest.mark.parametrize("run", RUNS)
def test_an_endless_generator_has_its_time_only(run) -> None:
    async def asleep() -> Any:
        """Wait."""
        yield 1
        await asyncio.Event().wait()

    assert only(run, asleep, call("asleep"), tool_timeout=0.05).outcome == "timeout"


def breaks() -> Any:
    """Break in the middle."""
    yield 1
    raise ValueError("broke")


async def breaks_async() -> Any:
    """Break in the middle."""
    yield 1
    raise ValueError("broke")


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def mute() -> None:
    """Fail without words."""
    raise MuteError


async def cancelled_inside() -> None:
    """Wait for what is cancelled."""
    inner = asyncio.ensure_future(asyncio.Event().wait())
    inner.cancel()
    await inner


def cancelled_in_a_loop() -> None:
    """Run a loop in which something is cancelled."""
    raise asyncio.CancelledError


class PanicError(BaseException):
    """As those of extensions that are written in Rust."""


def panics() -> None:
    """Panic."""
    raise PanicError("index out of bounds")


async def panics_async() -> None:
    """Panic."""
    panics()


async def panics_midway() -> Any:
    """Give something, then panic."""
    yield 1
    panics()


def skips() -> None:
    """Miss something."""
    pytest.skip("no torch")


def leaves() -> None:
    """End the program."""
    sys.exit(2)


async def leaves_async() -> None:
    """End the program."""
    sys.exit(2)


class Unreadable:
    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise PanicError

    def __str__(self) -> str:
        raise PanicError


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize(
    ("tool", "says"),
    [
        (breaks, "ValueError: broke"),
        (breaks_async, "ValueError: broke"),
        (mute, "MuteError"),
        (cancelled_inside, "CancelledError"),
        (cancelled_in_a_loop, "CancelledError"),
        (panics, "PanicError: index out of bounds"),
        (panics_async, "PanicError: index out of bounds"),
        (panics_midway, "PanicError: index out of bounds"),
        (skips, "Skipped: no torch"),
        (leaves, "SystemExit: 2"),
        (leaves_async, "SystemExit: 2"),
    ],
)
@pytest.mark.parametrize("limits", [{}, {"tool_timeout": 30.0}])
def test_what_tools_raise(run, tool, says, limits) -> None:
    record = only(run, tool, call(tool.__name__), **limits)
    assert record.outcome == "failed"
    assert says in record.content


def test_a_run_that_is_cancelled_itself_is_cancelled() -> None:
    begun: list[asyncio.Event] = []

    async def forever() -> None:
        """Wait."""
        begun[0].set()
        await asyncio.Event().wait()

    async def main() -> None:
        from agent_scripts import NOWHERE, ScriptedClient

        from lmstudio_agent import AsyncActStream
        from lmstudio_core.client import AsyncClient

        begun.append(asyncio.Event())
        script = Scripted(prediction("", call("forever")), prediction("Done."))
        async with AsyncClient(NOWHERE) as client:
            stream = AsyncActStream(ScriptedClient(client), *make_run(script, [forever]))
            task = asyncio.ensure_future(stream.wait_for_result())
            await asyncio.wait_for(begun[0].wait(), 30)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())


def save(
    text: str, context: ToolCallContext, note: ToolCallContext | None = None
) -> OnlyForCheckers:
    """Save."""
    context.status(text)
    return f"{text} {note is context}"  # type: ignore[return-value]


@pytest.mark.parametrize("run", RUNS)
def test_a_context_may_be_known_to_checkers_only(run) -> None:
    record = only(run, save, call("save", {"text": "a"}))
    assert record.content == '"a True"'
    assert record.reports == (("status", "a"),)


def test_partials_of_generators() -> None:
    filled = functools.partial(countdown, start=2)
    tool = {"name": "down", "description": "D.", "parameters": {}, "implementation": filled}
    assert only(run_sync, tool, call("down")).content == "[2, 1]"
