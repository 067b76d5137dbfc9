"""The pytest plugin, as this project's tests use it, and in the suites of other projects."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

import lmstudio as lms
from lmstudio_testing import FakeServer, Reasoning

# --- the fixtures, used ----------------------------------------------------------------------


def test_a_program_that_uses_the_default_client(lmstudio_server: FakeServer) -> None:
    lmstudio_server.llm().respond(Reasoning("Hm."), "Hello!")
    assert lms.llm("any key").respond("Hi").content == "Hello!"
    assert lmstudio_server.last_prediction.prompt == "Hi"


def test_a_client(lmstudio_server: FakeServer, lmstudio_client: lms.Client) -> None:
    key = lmstudio_server.embedding(dimensions=3).key
    assert len(lmstudio_client.embedding.model(key).embed("Hi")) == 3


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_async_client(
    lmstudio_server: FakeServer, lmstudio_async_client: lms.AsyncClient
) -> None:
    lmstudio_server.llm().respond("Hello!")
    model = await lmstudio_async_client.llm.model("any key")
    assert (await model.respond("Hi")).content == "Hello!"


# --- in other projects -----------------------------------------------------------------------

Outcome = tuple[dict[str, int], str]
Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run pytest on a file, as another project would; how many tests ended how, and its output."""

    def run(source: str, *options: str, asyncio: bool = False, **variables: str) -> Outcome:
        (tmp_path / "test_app.py").write_text(textwrap.dedent(source), "utf-8")
        off = [] if asyncio else ["-p", "no:asyncio"]
        command = [sys.executable, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", *off]
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("LMS", "LM_", "PYTEST"))}
        done = subprocess.run(
            [*command, "-W", "error", *options, "test_app.py"],
            cwd=tmp_path,
            env={**kept, "LMSTUDIO_STATE_DIR": str(tmp_path / "state"), **variables},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        counts = re.findall(r"(\d+) (passed|failed|error|skipped)", done.stdout.splitlines()[-1])
        return {kind: int(count) for count, kind in counts}, done.stdout + done.stderr

    return run


BOTH = """
    import pytest
    import lmstudio as lms

    def capital(country):
        answer = lms.llm("qwen/qwen3-4b").respond(f"What is the capital of {country}?")
        return answer.content

    def test_capital(lmstudio_server):
        lmstudio_server.llm().respond("The capital of France is Paris.")
        assert "Paris" in capital("France")
        assert lmstudio_server.last_prediction.prompt == "What is the capital of France?"
        lmstudio_server.assert_all_used()

    def test_tools(lmstudio_server, lmstudio_client):
        def multiply(a: int, b: int) -> int:
            "Multiply two numbers."
            return a * b

        lmstudio_server.llm().call_tool("multiply", {"a": 6, "b": 7}).respond("It is 42.")
        result = lmstudio_client.llm.model("some/model").act("What is 6 times 7?", [multiply])
        assert "42" in result.final
        assert [prediction.tools for prediction in lmstudio_server.predictions] == [["multiply"]] * 2

    def test_vectors(lmstudio_server, lmstudio_client):
        key = lmstudio_server.embedding("nomic").key
        assert lmstudio_client.embedding.model(key).embed("Hi")
        assert lmstudio_server.embedded_texts == ["Hi"]

    @pytest.mark.lmstudio_scripted
    def test_words(lmstudio_server):
        lmstudio_server.llm().respond("exactly this")
        assert capital("x") == "exactly this"

    def test_errors(lmstudio_server):
        lmstudio_server.llm().fail("Out of memory")
        with pytest.raises(lms.LMStudioPredictionError):
            capital("x")

    def test_endpoints(lmstudio_server, lmstudio_client):
        lmstudio_server.on("system.version", {"version": "9", "build": 9})
        assert lmstudio_client.system.version().build == 9
"""


def test_the_scripted_server(run: Run) -> None:
    counts, output = run(BOTH, LM_API_TOKEN="not one", LMSTUDIO_API_HOST="127.0.0.1:9")
    assert counts == {"passed": 6}, output


@pytest.mark.skipif(find_spec("lmstudio_server") is None, reason="needs the bundled server")
def test_the_same_tests_with_the_embedded_server(run: Run) -> None:
    counts, output = run(BOTH, "--lmstudio=embedded")
    assert counts == {"passed": 3, "skipped": 3}, output
    assert "cannot be told to fail" in output


def test_any_server_and_recordings(run: Run, server: FakeServer, tmp_path: Path) -> None:
    source = """
        import lmstudio as lms

        def test_recorded(lmstudio_server):
            lmstudio_server.replay("session.jsonl")
            assert lms.llm("the one").respond("Hi").content == "Hello!"
            lmstudio_server.assert_all_used()
    """
    server.llm("the other").respond("Hello!", times=2)
    host = f"--lmstudio={server.api_host}"
    counts, output = run(source, host)
    assert counts == {"failed": 1}, output  # it has no such model, and none stands for it
    counts, output = run(source.replace("the one", "the other"), host)
    assert counts == {"passed": 1}, output
    assert not (tmp_path / "session.jsonl").exists()
    counts, output = run(source.replace("the one", "the other"), host, "--lmstudio-record")
    assert counts == {"passed": 1}, output
    (tmp_path / "pytest.ini").write_text("[pytest]\nlmstudio = scripted\n")
    counts, output = run(source.replace("the one", "the other"))
    assert counts == {"passed": 1}, output


def test_models_that_stand_for_scripted_ones(run: Run, server: FakeServer) -> None:
    server.llm("real").respond("Hello!")
    source = """
        def test_it(lmstudio_server, lmstudio_client):
            lmstudio_server.llm("the one").respond("Hello!")
            assert lmstudio_client.llm.model("the one").respond("Hi").content == "Hello!"
    """
    counts, output = run(source, f"--lmstudio={server.api_host}", "--lmstudio-model=real")
    assert counts == {"passed": 1}, output


def test_a_prediction_without_an_answer_fails_the_test(run: Run) -> None:
    counts, output = run(
        """
        import lmstudio as lms

        def test_hides_it(lmstudio_server):
            lmstudio_server.llm()
            try:
                lms.llm("x").respond("Hi")
            except lms.LMStudioError:
                pass
        """
    )
    assert counts == {"passed": 1, "error": 1}, output
    assert "FakeServer has no answer for this prediction" in output


UNSCRIPTED = """
    import lmstudio as lms

    def test_before_there_is_a_model(lmstudio_server):
        try:
            lms.llm("x").respond("Hi")
        except lms.LMStudioError:
            pass

    def test_another_endpoint(lmstudio_server, lmstudio_client):
        lmstudio_server.llm().respond("Hello!")
        assert lms.llm("x").respond("Hi").content == "Hello!"
        try:
            lmstudio_client.repository.search_models("x")
        except lms.LMStudioError:
            pass

    def test_a_file(lmstudio_server, lmstudio_client):
        try:
            lmstudio_client.files.prepare_file(b"text", "a.txt")
        except lms.LMStudioError:
            pass

    def test_one_that_expects_it(lmstudio_server, lmstudio_client):
        try:
            lmstudio_client.repository.search_models("x")
        except lms.LMStudioError:
            lmstudio_server.failures.clear()
"""


def test_a_request_without_a_script_fails_the_test(run: Run) -> None:
    counts, output = run(UNSCRIPTED)
    assert counts == {"passed": 4, "error": 3}, output
    for endpoint in ("llm.getOrLoad", "files.uploadFileBase64", "repository.searchModels"):
        assert f"FakeServer was asked for {endpoint}" in output


DEPENDING = """
    import gc, pytest
    import lmstudio as lms

    FIXTURE
    async def model(lmstudio_server, lmstudio_async_client):
        lmstudio_server.llm().respond("one").respond("two").respond("three")
        model = await lmstudio_async_client.llm.model("x")
        assert (await model.respond("Hi")).content == "one"
        yield model
        assert (await model.respond("Hi")).content == "three"

    MARK
    async def test_it(model, lmstudio_server):
        assert (await model.respond("Hi")).content == "two"

    def test_no_socket_is_left(lmstudio_server):
        gc.collect()
"""


ASYNC = """
    import asyncio, gc, pytest
    import lmstudio as lms

    MARK
    async def test_it(lmstudio_server, lmstudio_async_client):
        lmstudio_server.llm().respond("Hello!")
        model = await lmstudio_async_client.llm.model("x")
        assert (await model.respond("Hi")).content == "Hello!"

    class TestInAClass:
        MARK
        async def test_it(self, lmstudio_async_client, lmstudio_server):
            lmstudio_server.llm().respond("Hello!")
            model = await lmstudio_async_client.llm.model("x")
            assert (await model.respond("Hi")).content == "Hello!"

    def test_no_socket_is_left(lmstudio_server):
        gc.collect()

    def test_a_loop_of_its_own(lmstudio_server, lmstudio_async_client):
        async def main():
            async with lmstudio_async_client as client:
                lmstudio_server.llm().respond("Hello!")
                return await (await client.llm.model("x")).respond("Hi")

        assert asyncio.run(main()).content == "Hello!"
"""


def test_fixtures_that_depend_on_the_client_with_anyio(run: Run) -> None:
    source = DEPENDING.replace("MARK", "@pytest.mark.anyio").replace("FIXTURE", "@pytest.fixture")
    backend = '    @pytest.fixture(scope="session")\n    def anyio_backend(): return "asyncio"\n'
    counts, output = run(source + "\n" + backend)
    assert counts == {"passed": 2}, output


@pytest.mark.skipif(find_spec("pytest_asyncio") is None, reason="needs pytest-asyncio")
@pytest.mark.parametrize("scope", ["function", "module"])
def test_fixtures_that_depend_on_the_client_with_pytest_asyncio(run: Run, scope: str) -> None:
    source = DEPENDING.replace("MARK", f'@pytest.mark.asyncio(loop_scope="{scope}")')
    fixture = f'import pytest_asyncio\n    @pytest_asyncio.fixture(loop_scope="{scope}")'
    options = ("-o", "asyncio_default_fixture_loop_scope=function")
    counts, output = run(source.replace("FIXTURE", fixture), *options, asyncio=True)
    assert counts == {"passed": 2}, output


def test_with_the_plugin_of_anyio(run: Run) -> None:
    source = ASYNC.replace("MARK", "@pytest.mark.anyio")
    backend = '    @pytest.fixture(scope="session")\n    def anyio_backend(): return "asyncio"\n'
    counts, output = run(source + "\n" + backend)
    assert counts == {"passed": 4}, output


@pytest.mark.skipif(find_spec("pytest_asyncio") is None, reason="needs pytest-asyncio")
def test_with_pytest_asyncio(run: Run) -> None:
    scope = ("-o", "asyncio_default_fixture_loop_scope=function")
    counts, output = run(ASYNC.replace("MARK", "@pytest.mark.asyncio"), *scope, asyncio=True)
    assert counts == {"passed": 4}, output
    options = (*scope, "-o", "asyncio_mode=auto", "-p", "no:anyio")
    counts, output = run(ASYNC.replace("MARK", ""), *options, asyncio=True)
    assert counts == {"passed": 4}, output


def test_the_plugin_is_light_and_can_be_turned_off(run: Run) -> None:
    source = """
        import sys

        def test_it(pytestconfig):
            assert pytestconfig.pluginmanager.has_plugin("lmstudio")
            loaded = {name for name in sys.modules if name.startswith("lmstudio")}
            assert len(loaded) < 12, loaded  # and so none of what they need
    """
    counts, output = run(source, "-p", "no:hypothesispytest", "-p", "no:anyio")
    assert counts == {"passed": 1}, output
    counts, output = run(source, "-p", "no:lmstudio")
    assert counts == {"failed": 1}, output


def test_the_tests_on_the_page(run: Run) -> None:
    page = (Path(__file__).parents[2] / "docs/testing.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    kept = [block for block in blocks if re.search(r"^(async )?def ", block, re.MULTILINE)]
    source = "\n".join(block for block in kept if "RecordingProxy" not in block)
    assert run(source)[0] == {"passed": 5}
