"""Batches on scripted servers: answers, errors, resuming, limits, bad input."""

from __future__ import annotations

import asyncio
import json

import pytest

from lmstudio_batch.driver import partial_path
from lmstudio_batch.errors import BatchInputError, BatchStoppedError, JournalError
from lmstudio_batch.jobs.journal import Journal, read_state
from lmstudio_batch.jobs.rows import Outcome
from lmstudio_batch.jobs.sources import open_source
from lmstudio_batch.jobs.spec import BatchSpec
from lmstudio_core.client import AsyncClient, Client
from lmstudio_core.errors import LMStudioServerError, LMStudioValueError
from lmstudio_core.protocol.address import FoundServer
from lmstudio_testing import FakeServer, ServerFailure, require_token

SPEC = BatchSpec("any", prompt="Echo {text}")


@pytest.fixture
def echo(server):
    """A server that answers with what it was asked; ``fail`` in it makes an error."""
    server.asked = []

    def answer(prediction):
        text = prediction.prompt
        server.asked.append(text)
        if "fail" in text:
            raise ServerFailure("it does not want to")
        return text.upper()

    server.llm().answer(answer)
    return server


@pytest.fixture
def client(echo):
    with Client(echo.api_host) as client:
        yield client


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def read(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def texts(number, **more):
    return [{"text": f"row {n}", **more} for n in range(number)]


def test_every_row_is_answered_in_the_order_of_the_input(client, tmp_path):
    source, out = write(tmp_path / "in.jsonl", texts(50)), tmp_path / "out.jsonl"
    told = []
    report = client.batch.run(
        source, out, SPEC, progress=lambda done, total: told.append((done, total))
    )
    assert [row["output"] for row in read(out)] == [f"ECHO ROW {n}" for n in range(50)]
    assert [row["id"] for row in read(out)] == list(range(50))
    assert (report.rows, report.failed, report.resumed) == (50, 0, 0)
    assert report.tokens > 0
    assert report.hosts[0].done == 50
    assert told[-1] == (50, 50)
    assert not partial_path(out).exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("on_error", ["keep", "skip"])
def test_a_row_without_an_answer_costs_no_other(client, echo, tmp_path, on_error):
    rows = texts(6)
    rows[2]["text"] = "fail"
    source, out = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    report = client.batch.run(source, out, SPEC, on_error=on_error, retries=1)
    found = read(out)
    assert len(found) == (6 if on_error == "keep" else 5)
    assert report.failed == 1
    (error,) = read(report.errors)
    assert error["id"] == 2
    assert "does not want to" in error["error"]
    assert echo.asked.count("Echo fail") == 2


def test_a_row_that_cannot_be_read_is_that_rows_error(client, tmp_path):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(b'{"text": "one"}\n\n{"text": \n{"other": 1}\n[1]\n{"text": "five"}\n')
    client.batch.run(source, out, SPEC)
    errors = [row["error"] for row in read(out)]
    assert errors[0] is None
    assert "Line 3 is not JSON" in errors[1]
    assert "no field 'text'; it has 'other'" in errors[2]
    assert "A row is an object, not list" in errors[3]
    assert errors[4] is None


def test_it_stops_at_an_error_if_asked_to_and_goes_on(client, echo, tmp_path):
    rows = texts(5)
    rows[3]["text"] = "fail"
    source, out = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    with pytest.raises(BatchStoppedError, match="row 4 failed") as raised:
        client.batch.run(source, out, SPEC, on_error="stop", retries=0)
    assert "the same call goes on from there" in str(raised.value)
    assert partial_path(out).is_dir()
    state = read_state(partial_path(out))
    assert state["rows"] == raised.value.report.rows
    assert not state["running"]
    before = len(echo.asked)
    report = client.batch.run(source, out, SPEC, retries=0)
    assert report.resumed == raised.value.report.rows
    assert len(echo.asked) - before == 5 - report.resumed
    assert len(read(out)) == 5


def test_what_is_done_is_not_asked_again_and_gives_the_same_bytes(client, echo, tmp_path):
    source = write(tmp_path / "in.jsonl", texts(200))
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    client.batch.run(source, whole, SPEC)
    with pytest.raises(BatchStoppedError, match="max_tokens_total=20 is spent"):
        client.batch.run(source, out, SPEC, max_tokens_total=20)
    (part,) = partial_path(out).glob("part-*")
    half = part.read_bytes()
    part.write_bytes(half + b"199 0123456789abcdef ok host 1 5 {half a li")  # it was killed there
    done = half.count(b"\n")
    before = len(echo.asked)
    report = client.batch.run(source, out, SPEC)
    assert (report.resumed, len(echo.asked) - before) == (done, 200 - done)
    assert out.read_bytes() == whole.read_bytes()


def test_failed_rows_are_asked_again_on_request(client, echo, tmp_path):
    out = tmp_path / "out.jsonl"
    rows = [{"text": "fail"}, {"text": "one"}, {"text": "fail"}]
    with Journal(partial_path(out), SPEC.decides()) as journal:
        journal.resume()
        digests = [e.digest for e in open_source(rows).rows()]
        journal.add(Outcome(0, False, '{"id": 0, "error": "no"}', "h", 1, 0), digests[0])
        journal.add(Outcome(1, True, '{"id": 1, "output": "kept"}', "h", 1, 3), digests[1])
        assert not journal.add(Outcome(1, True, "{}", "h", 1, 3), digests[1])
    echo.llm().answer(lambda prediction: "now")
    report = client.batch.run(rows, out, SPEC, retry_failed=True, retries=0)
    assert [row.get("output") for row in read(out)][1] == "kept"
    assert report.rows == 3


def test_another_spec_or_a_changed_input_is_refused(client, tmp_path):
    source, out = write(tmp_path / "in.jsonl", texts(200)), tmp_path / "out.jsonl"
    with pytest.raises(BatchStoppedError):
        client.batch.run(source, out, SPEC, max_tokens_total=1)
    with pytest.raises(JournalError, match=r"prompt was 'Echo {text}' and is 'Say {text}'"):
        client.batch.run(source, out, BatchSpec("any", prompt="Say {text}"))
    done = next(iter(partial_path(out).glob("part-*"))).read_bytes().split(b" ")[0]
    rows = texts(200)
    rows[int(done)]["text"] = "changed"
    write(source, rows)
    with pytest.raises(JournalError, match="is not what it was"):
        client.batch.run(source, out, SPEC)
    client.batch.run(source, out, SPEC, restart=True)
    assert read(out)[int(done)]["output"] == "ECHO CHANGED"


def test_an_input_that_lost_rows_is_refused(client, tmp_path):
    source, out = write(tmp_path / "in.jsonl", texts(200)), tmp_path / "out.jsonl"
    with pytest.raises(BatchStoppedError):
        client.batch.run(source, out, SPEC, max_tokens_total=1)
    write(source, texts(3))
    with pytest.raises(JournalError, match="has 3 rows"):
        client.batch.run(source, out, SPEC)


@pytest.mark.parametrize(
    ("name", "data"),
    [("in.csv", b"text\nok\n\xff\n"), ("in.parquet", b"nonsense"), ("in.csv", b'text\n"a\x00b\n')],
)
def test_a_file_that_is_damaged_is_one_error(client, echo, tmp_path, name, data):
    pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(data)
    try:
        client.batch.run(tmp_path / name, tmp_path / "out.jsonl", SPEC)
    except BatchInputError as error:
        assert "cannot be read on after its row" in str(error)  # noqa: PT017 - or it can be read
        assert echo.asked == []


def test_fields_that_are_no_texts_are_shown(client, tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": [1.5], "when": [pandas.Timestamp("2026-01-02")]})
    client.batch.run(frame, tmp_path / "out.jsonl", BatchSpec(prompt="{text} {when}"))
    assert read(tmp_path / "out.jsonl")[0]["output"].startswith('1.5 "2026-01-02')


def test_a_journal_in_use_is_refused(client, tmp_path):
    source, out = write(tmp_path / "in.jsonl", texts(1)), tmp_path / "out.jsonl"
    with (
        Journal(partial_path(out), SPEC.decides()),
        pytest.raises(JournalError, match="Another run"),
    ):
        client.batch.run(source, out, SPEC)


@pytest.mark.parametrize(
    ("rows", "settings", "said"),
    [
        (
            [{"text": "a", "id": 1}, {"text": "b", "id": 1}],
            {"id": "id"},
            "Rows 1 and 2 .* same id '1'",
        ),
        ([{"other": "a"}], {}, "names the field 'text', which none"),
        ([{"text": "a"}], {"on_eror": "keep"}, "Did you mean 'on_error'"),
        ([{"text": "a"}], {"limit": 0}, "limit must be an integer >= 1, got 0"),
        ([{"text": "a"}], {"engine": "spark"}, "no engine 'spark'; there are dask, local, ray"),
        ([{"text": "a"}], {"order": "random"}, "order is one of"),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_is_sent(
    client, echo, tmp_path, rows, settings, said
):
    with pytest.raises(BatchInputError, match=said):
        client.batch.run(rows, tmp_path / "out.jsonl", SPEC, **settings)
    assert echo.asked == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"task": "sing"}, "task is one of"),
        ({"prompt": "{a"}, "cannot be read"),
        ({"prompt": "{a.b}"}, "not the name of a field"),
        ({"task": "embed", "config": {"maxTokens": 1}}, "config cannot be set"),
        ({"chunk": True}, "it is for embeddings"),
        ({"format": "openai", "prompt": "x"}, "OpenAI's bodies"),
    ],
)
def test_a_spec_is_checked(arguments, said):
    with pytest.raises(BatchInputError, match=said):
        BatchSpec(**arguments)


def test_a_spec_of_a_dict_names_the_nearest_setting():
    with pytest.raises(BatchInputError, match="Did you mean 'prompt'"):
        BatchSpec.from_dict({"promt": "x"})


def test_rows_stream_as_they_end(client):
    rows = client.batch.stream(({"text": f"row {n}"} for n in range(30)), SPEC)
    found = {row.position: row for row in rows}
    assert found.keys() == set(range(30))
    assert found[7].result.content == "ECHO ROW 7"
    assert found[7].error is None
    assert found[7].host == client.api_host
    with_error = list(client.batch.stream([{"text": "fail"}], SPEC, retries=0))
    assert isinstance(with_error[0].error, LMStudioServerError)
    assert with_error[0].attempts == 1


def test_a_stream_that_is_left_ends(client):
    rows = client.batch.stream(({"text": f"row {n}"} for n in range(10**9)), SPEC)
    next(rows)
    rows.close()


def test_structured_output_and_messages(server, tmp_path):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    server.llm().answer(lambda p: '{"n": 3}' if "good" in p.prompt else "nonsense")
    rows = [{"messages": [{"role": "user", "content": "good"}]}, {"prompt": "bad"}]
    out = tmp_path / "out.jsonl"
    with Client(server.api_host) as client:
        client.batch.run(rows, out, BatchSpec(response_format=schema))
    good, bad = read(out)
    assert good["output"] == {"n": 3}
    assert "not in its format" in bad["error"]


def test_openai_batches(client, tmp_path):
    def row(name, **body):
        content = {"messages": [{"role": "user", "content": f"say {name}"}], **body}
        return {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": content}

    rows = [row("a", max_tokens=9, stop="x"), row("b", magic=1), row("c", n=2)]
    source, out = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    report = client.batch.run(source, out, BatchSpec(format="openai"))
    (answer,) = read(out)
    assert answer["custom_id"] == "a"
    assert answer["response"]["body"]["choices"][0]["message"]["content"] == "SAY A"
    assert answer["response"]["body"]["usage"]["total_tokens"] > 0
    errors = read(report.errors)
    assert [e["custom_id"] for e in errors] == ["b", "c"]
    assert "'magic', which is not supported" in errors[0]["error"]["message"]


@pytest.mark.parametrize("suffix", [".csv", ".txt", ".parquet"])
def test_other_files(client, tmp_path, suffix):
    source, out = tmp_path / f"in{suffix}", tmp_path / "out.parquet"
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    if suffix == ".parquet":
        parquet.write_table(pa.table({"text": ["one", "two"]}), source)
    else:
        source.write_text("text\none\ntwo\n" if suffix == ".csv" else "one\n\ntwo\n", "utf-8")
    client.batch.run(source, out, SPEC)
    table = parquet.read_table(out).to_pydict()
    assert table["output"] == ["ECHO ONE", "ECHO TWO"]
    assert table["error"] == [None, None]


def test_a_data_frame_is_an_input(client, tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": ["one", "two"], "n": [1, 2]})
    client.batch.run(frame, tmp_path / "out.jsonl", SPEC)
    assert [row["output"] for row in read(tmp_path / "out.jsonl")] == ["ECHO ONE", "ECHO TWO"]


def test_embeddings(server, tmp_path):
    model = server.embedding()
    model.fail("bad", "it cannot")
    rows = [{"text": f"text {n}"} for n in range(600)] + [{"text": "bad"}]
    with Client(server.api_host) as client:
        spec = BatchSpec(task="embed")
        report = client.batch.run(rows, tmp_path / "out.jsonl", spec)
    found = read(tmp_path / "out.jsonl")
    assert [row["output"] for row in found[:600]] == [
        pytest.approx(model.embed(f"text {n}"), rel=1e-6) for n in range(600)
    ]
    assert report.failed == 1
    assert "it cannot" in found[600]["error"]


def test_async(echo, tmp_path):
    async def rows():
        for n in range(12):
            yield {"text": f"row {n}"}

    async def main():
        async with AsyncClient(echo.api_host) as client:
            report = await client.batch.run(texts(5), tmp_path / "out.jsonl", SPEC)
            return report, [row async for row in client.batch.stream(rows(), SPEC)]

    report, found = asyncio.run(main())
    assert report.rows == 5
    assert sorted(row.position for row in found) == list(range(12))


def test_an_async_batch_that_is_cancelled_keeps_its_journal(server, tmp_path):
    server.llm()
    server.on_channel("llm.predict")  # never answered
    out = tmp_path / "out.jsonl"

    async def main():
        async with AsyncClient(server.api_host) as client:
            work = asyncio.ensure_future(client.batch.run(texts(5), out, SPEC))
            await asyncio.to_thread(server.wait_for_request, "llm.predict")
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work

    asyncio.run(main())
    assert read_state(partial_path(out))["rows"] == 0


def test_the_token_of_the_client_goes_with_its_host(tmp_path):
    token = "sk-lm-abcdefgh:ABCDEFGHIJKLMNOPQRST"
    with FakeServer(auth=require_token(token)) as server:
        server.llm().respond("Hi.", times=None)
        with Client(server.api_host, token) as client:
            assert client.batch.run(texts(2), tmp_path / "out.jsonl", SPEC).failed == 0
            hosts = [FoundServer(server.api_host, token)]
            assert [r.error for r in client.batch.stream(texts(1), SPEC, hosts=hosts)] == [None]
            assert token not in repr(client)
        with Client(server.api_host) as guest:
            assert guest.api_token is None
            with pytest.raises(BatchStoppedError) as raised:
                guest.batch.run(texts(2), tmp_path / "none.jsonl", SPEC)
            assert token not in str(raised.value)


def test_no_host_names_it_and_keeps_the_journal(tmp_path):
    with (
        Client("127.0.0.1:9") as client,
        pytest.raises(BatchStoppedError, match=r"127.0.0.1:9") as raised,
    ):
        client.batch.run(texts(3), tmp_path / "out.jsonl", SPEC)
    assert "goes on from there" in str(raised.value)


def test_output_is_checked_first(client, tmp_path):
    (tmp_path / "there.jsonl").touch()
    with pytest.raises(LMStudioValueError, match="force"):
        client.batch.run(texts(1), tmp_path / "there.jsonl", SPEC)
    with pytest.raises(LMStudioValueError, match="decides the format"):
        client.batch.run(texts(1), tmp_path / "out.xlsx", SPEC)
    with pytest.raises(LMStudioValueError, match="does not exist"):
        client.batch.run(texts(1), tmp_path / "no" / "out.jsonl", SPEC)


@pytest.mark.parametrize(
    "row",
    [
        {"messages": 5},
        {"messages": [7]},
        {"messages": [{"role": 1}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        {"prompt": ["a"]},
        {"text": None},
        {},
        "",
        None,
        7,
    ],
)
def test_whatever_is_wrong_with_a_row_is_its_own_error(client, tmp_path, row):
    out = tmp_path / "out.jsonl"
    report = client.batch.run([row, {"text": "good"}], out, BatchSpec())
    first, second = read(out)
    assert second["output"] == "GOOD"
    if row != "":
        assert report.failed == 1
        assert first["error"]


def test_an_async_stream_that_is_left_ends(echo):
    async def main():
        async with AsyncClient(echo.api_host) as client:
            rows = client.batch.stream(({"text": str(n)} for n in range(10**9)), SPEC)
            async for _ in rows:
                break
            await rows.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
def test_vectors_in_other_files(server, tmp_path, suffix):
    numpy = pytest.importorskip("numpy")
    parquet = pytest.importorskip("pyarrow.parquet")
    model = server.embedding()
    model.fail("bad", "it cannot")
    rows, out = [{"text": "bad"}, {"text": "one"}, {"text": "two"}], tmp_path / f"out{suffix}"
    with Client(server.api_host) as client:
        client.batch.run(rows, out, BatchSpec(task="embed"))
    expected = numpy.array([model.embed("one"), model.embed("two")], dtype="float32")
    if suffix == ".npy":
        matrix = numpy.load(out)
        assert numpy.isnan(matrix[0]).all()
        assert (matrix[1:] == expected).all()
    else:
        table = parquet.read_table(out).to_pydict()
        assert table["output"] == [None, *expected.tolist()]
        assert "it cannot" in table["error"][0]


def test_rows_in_the_order_in_which_they_ended(client, tmp_path):
    out = tmp_path / "out.jsonl"
    with pytest.raises(BatchStoppedError):
        client.batch.run(texts(200), out, SPEC, order="done", max_tokens_total=20)
    parts = sorted(partial_path(out).glob("part-*"))
    begun = [
        json.loads(line.split(b" ", 6)[6])["id"] for line in parts[0].read_bytes().splitlines()
    ]
    client.batch.run(texts(200), out, SPEC, order="done")
    ids = [row["id"] for row in read(out)]
    assert ids[: len(begun)] == begun
    assert sorted(ids) == list(range(200))
