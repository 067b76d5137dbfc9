"""What both drivers do alike, against a scripted server on a real socket."""

from __future__ import annotations

import pytest
from core_clients import Count, echo, numbers

from lmstudio_core import errors
from lmstudio_core.protocol.operations import VOID, Batch, Call, Endpoint, Invoke, InvokeMany
from lmstudio_testing import NO_ANSWER, ServerFailure

TOKEN = "sk-lm-Abcd1234:" + "Zy9" * 6 + "Zy"


# -- calls -----------------------------------------------------------------------------------------


def test_a_call_gets_its_answer(face, server):
    server.on("test.echo", lambda parameter: parameter)
    assert face.run(echo({"a": [1, None, "ü"]})) == {"a": [1, None, "ü"]}
    assert server.requests[0].parameter == {"a": [1, None, "ü"]}


def test_a_void_parameter_and_a_void_answer_are_absent_keys(face, server):
    server.on("test.echo", VOID)
    assert face.run(echo(VOID)) is VOID
    assert "parameter" not in server.frames[0][1]


def test_an_answer_of_null_is_none(face, server):
    server.on("test.echo", None)
    assert face.run(echo(1)) is None


def test_superjson_endpoints_wrap_and_unwrap(face, server):
    wrapped = {"json": [["a", 1]], "meta": {"values": ["map"]}}
    server.on("test.selections", wrapped)
    call = Call(Endpoint("test", "selections", serialization="superjson"))
    assert face.run(call) == {"a": 1}
    assert server.requests[0].parameter == {"json": None, "meta": {"values": ["undefined"]}}


def test_a_server_error_becomes_an_exception(face, server):
    failure = ServerFailure(
        "No such model",
        cause="it is not there",
        displayData={"code": "generic.pathNotFound", "availablePathsSample": ["a", "b"]},
    )
    server.on("test.echo", failure)
    with pytest.raises(errors.LMStudioModelNotFoundError) as caught:
        face.run(echo(1))
    assert str(caught.value) == (
        "No such model\nit is not there\nDownloaded models: a, b\nEndpoint: test.echo"
    )
    assert caught.value.endpoint == "test.echo"
    server.on("test.echo", 2)
    assert face.run(echo(1)) == 2


def test_a_server_error_says_nothing_twice(face, server):
    presets = [{"identifier": "p", "name": "P"}, {"name": "odd"}]
    sample = {"availablePresetsSample": presets}
    server.on("test.said", ServerFailure("There are p and odd", displayData=sample))
    server.on("test.unsaid", ServerFailure("Unknown", displayData=sample))
    with pytest.raises(errors.LMStudioServerError) as caught:
        face.run(echo(1, "said"))
    assert str(caught.value) == "There are p and odd\nEndpoint: test.said"
    with pytest.raises(errors.LMStudioServerError) as caught:
        face.run(echo(1, "unsaid"))
    assert str(caught.value) == "Unknown\nPresets: p, odd\nEndpoint: test.unsaid"


def test_an_answer_that_cannot_be_understood_is_a_server_error(face, server):
    server.on("test.echo", {"no": "tokens"})
    with pytest.raises(errors.LMStudioServerError, match=r"test\.echo.*KeyError") as caught:
        face.run(Call(Endpoint("test", "echo"), 1, lambda raw: raw["tokens"]))
    assert isinstance(caught.value.__cause__, KeyError)


def test_what_is_not_json_is_refused_before_it_is_sent(face, server):
    server.on("test.echo", lambda parameter: parameter)
    with pytest.raises(errors.LMStudioValueError, match=r"test\.echo"):
        face.run(echo({"x": object()}))
    assert face.run(echo(float("nan"))) is None
    assert len(server.requests) == 1


def test_answers_find_their_callers(face, server):
    server.on("test.echo", lambda parameter: parameter)
    assert face.run_all([echo(n) for n in range(50)]) == list(range(50))
    assert len(server.sockets) == 1


def test_answers_may_come_in_any_order(face, server):
    calls = []

    def late(parameter):
        calls.append(parameter)
        if len(calls) == 3:
            for request in reversed(server.requests_to("test.echo")):
                request.reply(request.parameter * 10)
        return NO_ANSWER

    server.on("test.echo", late)
    assert face.run_all([echo(n) for n in (1, 2, 3)]) == [10, 20, 30]


# -- batches ---------------------------------------------------------------------------------------


def test_a_batch_keeps_the_order_and_the_limit(face, server):
    most = 0

    def answer(parameter):
        nonlocal most
        most = max(most, len(server.requests) - parameter)
        return parameter

    server.on("test.echo", answer)
    batch = Batch([echo(n) for n in range(100)], max_in_flight=8)
    assert face.run(batch) == list(range(100))
    assert most <= 8


def test_a_batch_of_none(face, server):
    assert face.run(Batch([])) == []
    assert not server.sockets


def test_a_batch_of_one_at_a_time(face, server):
    server.on("test.echo", lambda parameter: parameter)
    assert face.run(Batch([echo(n) for n in range(5)], max_in_flight=1)) == list(range(5))


def test_the_first_error_ends_a_batch(face, server):
    def answer(parameter):
        if parameter == 3:
            raise ServerFailure("not three")
        return parameter

    server.on("test.echo", answer)
    with pytest.raises(errors.LMStudioServerError, match="not three"):
        face.run(Batch([echo(n) for n in range(10)], max_in_flight=2))
    assert len(server.requests) < 10
    assert face.run(echo(7)) == 7
    kept = face.run(Batch([echo(n) for n in range(2, 5)], keep_errors=True))
    assert kept[0] == 2
    assert isinstance(kept[1], errors.LMStudioServerError)
    assert kept[2] == 4


# -- functions -------------------------------------------------------------------------------------


def test_invoke_runs_functions(face):
    async def later():
        return "later"

    assert face.run(Invoke(lambda: "now")) == "now"
    assert face.run(Invoke(lambda: "apart", blocking=True)) == "apart"
    assert face.run(Invoke(later)) == "later"


@pytest.mark.parametrize("parallel", [1, 2, None])
def test_invoke_many_keeps_order_and_errors(face, parallel):
    def fail():
        raise KeyError("x")

    async def later():
        return 3

    results = face.run(InvokeMany([lambda: 1, fail, later], max_parallel=parallel))
    assert results[0] == 1
    assert isinstance(results[1], KeyError)
    assert results[2] == 3


def test_ops_compose_steps_and_catch_errors(face, server):
    server.on("test.echo", lambda parameter: parameter)
    server.on("test.bad", ServerFailure("no"))

    def op():
        first = yield echo(1)
        try:
            yield echo(2, "bad")
        except errors.LMStudioServerError:
            second = yield Invoke(lambda: 5)
        rest = yield Batch([echo(first + second), echo(second)])
        return rest

    assert face.run(op()) == [6, 5]


# -- channels --------------------------------------------------------------------------------------


def test_a_channel_gives_events_and_then_its_result(face, server):
    server.on_channel("test.count", numbers(1, [2, 3], [], 4))
    stream = face.open(Count({"to": 4}))
    assert [next(stream) for _ in range(4)] == [1, 2, 3, 4]
    with pytest.raises(StopIteration):
        next(stream)
    assert stream.result() == [1, 2, 3, 4]
    assert server.requests[0].parameter == {"to": 4}
    stream.close()
    server.on("test.echo", 1)
    assert face.run(echo(1)) == 1
    assert not server.sockets[0].warnings_sent


def test_run_takes_a_channel_to_its_end(face, server):
    server.on_channel("test.count", numbers(1, 2))
    assert face.run(Count()) == [1, 2]


def test_cancel_lets_the_rest_come(face, server):
    async def script(channel):
        channel.send({"type": "n", "n": 1})
        assert await channel.next_message() == {"type": "cancel"}
        channel.send(*numbers(2))
        channel.close()

    server.on_channel("test.count", script)
    stream = face.open(Count())
    assert next(stream) == 1
    stream.cancel()
    assert list(stream) == [2]
    assert stream.result() == [1, 2]


def test_close_tells_the_server_and_ends_the_stream(face, server):
    server.on_channel("test.count", NO_ANSWER)
    stream = face.open(Count())
    channel = server.wait_for_request("test.count")
    channel.send({"type": "n", "n": [1, 2]})
    assert next(stream) == 1
    stream.close()
    assert channel.wait_for_message() == {"type": "cancel"}
    assert list(stream) == []
    stream.close()
    with pytest.raises(errors.LMStudioRuntimeError, match="no result"):
        stream.result()


def test_break_cancels_on_the_server(face, server):
    server.on_channel("test.count", lambda channel: channel.send({"type": "n", "n": 1}))
    assert face.take(Count(), 1) == [1]
    server.requests[0].wait_for_message("cancel")


def test_a_finished_channel_is_not_cancelled(face, server):
    """A cancel after the last packet would draw a warning, of which a server has five."""
    server.on_channel("test.count", numbers(1))
    server.on("test.echo", 1)
    stream = face.open(Count())
    assert next(stream) == 1
    assert face.run(echo(1)) == 1  # by now all of it has come
    stream.close()
    assert face.run(echo(1)) == 1
    assert [frame["type"] for _, frame in server.frames].count("channelSend") == 0
    server.on_channel("test.count", lambda channel: channel.send(*numbers(1)))
    stream = face.open(Count())
    assert next(stream) == 1
    server.requests_to("test.count")[1].send({"type": "n", "n": [2]})
    assert next(stream) == 2  # the packet before this was the last that counts
    stream.close()
    assert face.run(echo(1)) == 1
    assert [frame["type"] for _, frame in server.frames].count("channelSend") == 0


def test_an_endpoint_without_a_cancel_message_is_just_left(face, server):
    server.on_channel("test.count", NO_ANSWER)
    server.on("test.echo", 1)
    quiet = Count()
    quiet.cancel_message = None
    stream = face.open(quiet)
    stream.close()
    assert face.run(echo(1)) == 1
    assert server.requests[0].messages == []


def test_messages_of_the_client_arrive(face, server):
    server.on_channel("test.count", NO_ANSWER)
    stream = face.open(Count())
    stream.send({"type": "more"})
    server.wait_for_request("test.count").wait_for_message("more")
    server.requests[0].send(*numbers(1))
    server.requests[0].close()
    assert list(stream) == [1]
    stream.send({"type": "too late"})
    stream.close()
    assert len(server.requests[0].messages) == 1


def test_a_channel_error(face, server):
    server.on_channel("test.count", ServerFailure("broken", suggestion="mend it"))
    with pytest.raises(errors.LMStudioServerError, match="broken\nmend it"):
        face.run(Count())


def test_a_channel_that_closes_too_early(face, server):
    server.on_channel("test.count", [{"type": "n", "n": 1}])
    with pytest.raises(errors.LMStudioChannelClosedError, match=r"test\.count"):
        face.run(Count())


def test_streams_interleave(face, server):
    server.on_channel("test.count", NO_ANSWER)
    streams = [face.open(Count(n)) for n in range(3)]
    channels = [server.wait_for_request("test.count", n + 1) for n in range(3)]
    for step in range(5):
        for channel in reversed(channels):
            channel.send({"type": "n", "n": [channel.parameter * 100 + step]})
    for n, stream in enumerate(streams):
        assert [next(stream) for _ in range(5)] == [n * 100 + step for step in range(5)]
        stream.close()
