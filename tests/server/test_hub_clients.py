"""Downloads as users have them: through the SDK and the command, from a server of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fake_hub import PATIENCE, FakeHub, fake_hub, partials
from pocket_models import MEANING, MEANING_ANSWER, POCKET

import lmstudio as lms
from lmstudio_server.testing import ServerProcess, running_server

pytest.importorskip("huggingface_hub")

REPOSITORY = "acme/Parrot-GGUF"
FILE = f"{REPOSITORY}/Parrot-Q8_0.gguf"
DATA = POCKET.read_bytes()


@pytest.fixture
def hub() -> Generator[FakeHub, None, None]:
    with fake_hub() as one:
        one.add(REPOSITORY, "Parrot-Q8_0.gguf", DATA)
        one.add(REPOSITORY, "Parrot-F16.gguf", DATA + bytes(1000))
        yield one


@contextmanager
def serving(hub: FakeHub, folder: Path) -> Generator[ServerProcess, None, None]:
    environment = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": "", "NO_PROXY": "127.0.0.1"}
    with running_server(models=[folder], environment=environment) as server:
        yield server


@pytest.fixture
def server(hub: FakeHub, tmp_path: Path) -> Generator[ServerProcess, None, None]:
    with serving(hub, tmp_path) as one:
        yield one


@pytest.fixture
def client(server: ServerProcess) -> Generator[lms.Client, None, None]:
    with lms.Client(server.host) as one:
        yield one


def sets(begun: threading.Event | asyncio.Event) -> Callable[[Any], None]:
    """A callback that says when something has arrived."""

    def on_progress(update: Any) -> None:
        if update.downloaded_bytes:
            begun.set()

    return on_progress


def recommended(client: lms.Client) -> Any:
    (found,) = client.repository.search_models(REPOSITORY)
    return next(o for o in found.get_download_options() if o.info.recommended)


def test_what_was_downloaded_answers(client: lms.Client) -> None:
    option = recommended(client)
    assert option.info.quantization == "Q8_0"
    updates: list[Any] = []
    finalizing: list[bool] = []
    key = option.download(updates.append, lambda: finalizing.append(True))
    assert key == "parrot"
    assert updates[-1].downloaded_bytes == updates[-1].total_bytes == len(DATA)
    assert finalizing == [True]
    answer = client.llm.model(key).respond(MEANING, config={"temperature": 0})
    assert answer.content == MEANING_ANSWER


def test_the_same_with_asyncio(server: ServerProcess) -> None:
    async def test() -> None:
        async with lms.AsyncClient(server.host) as client:
            (found,) = await client.repository.search_models(REPOSITORY)
            options = await found.get_download_options()
            key = await next(o for o in options if o.info.recommended).download()
            model = await client.llm.model(key)
            answer = await model.respond(MEANING, config={"temperature": 0})
            assert answer.content == MEANING_ANSWER
            assert await client.repository.is_authenticated() is False

    asyncio.run(asyncio.wait_for(test(), PATIENCE * 2))


def test_a_cancelled_task_stops_the_download_and_the_next_goes_on(
    hub: FakeHub, server: ServerProcess, tmp_path: Path
) -> None:
    hub.hold_after = 300_000

    async def test() -> None:
        async with lms.AsyncClient(server.host) as client:
            (found,) = await client.repository.search_models(REPOSITORY)
            option = next(o for o in await found.get_download_options() if o.info.recommended)
            begun = asyncio.Event()
            work = asyncio.ensure_future(option.download(sets(begun)))
            await begun.wait()
            assert await asyncio.to_thread(hub.held.wait, PATIENCE)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
            hub.hold_after = None
            first: list[int] = []
            key = await option.download(lambda u: first.append(u.downloaded_bytes))
            assert hub.downloads()[-1].range == f"bytes={first[0]}-"
            assert first[0] > 0
            assert [m.model_key for m in await client.llm.list_downloaded()].count(key) == 1

    asyncio.run(asyncio.wait_for(test(), PATIENCE * 2))
    assert (tmp_path / FILE).read_bytes() == DATA


def test_a_killed_server_loses_nothing(hub: FakeHub, tmp_path: Path) -> None:
    hub.hold_after = 300_000
    with serving(hub, tmp_path) as server, lms.Client(server.host) as client:
        option = recommended(client)
        begun = threading.Event()
        failure: list[BaseException] = []

        def download() -> None:
            try:
                option.download(sets(begun))
            except lms.LMStudioConnectionError as error:
                failure.append(error)

        thread = threading.Thread(target=download)
        thread.start()
        assert begun.wait(PATIENCE)
        os.kill(server.pid, signal.SIGKILL)
        thread.join(PATIENCE)
        assert failure
    (partial,) = partials(tmp_path)
    kept = partial.stat().st_size
    assert kept > 0
    hub.hold_after = None
    with serving(hub, tmp_path) as server, lms.Client(server.host) as client:
        key = recommended(client).download()
        assert hub.downloads()[-1].range == f"bytes={kept}-"
        assert client.llm.model(key).respond(MEANING, config={"temperature": 0}).content


def test_errors_of_the_hub_reach_the_program(hub: FakeHub, client: lms.Client) -> None:
    with pytest.raises(lms.LMStudioServerError, match="has no repository"):
        client.repository.search_models("no/body")
    hub.gated.add(REPOSITORY)
    with pytest.raises(lms.LMStudioServerError, match="accepted its terms"):
        recommended(client).download()


class TestPlanner:
    def test_a_plan_is_looked_at_changed_and_downloaded(self, client: lms.Client) -> None:
        with client.repository.create_model_download_planner("acme", "Parrot-GGUF") as planner:
            plan = planner.wait_ready()
            (node,) = plan.nodes
            assert node.state == "completed"
            assert plan.download_action == "startNewDownload"
            assert node.selected_download_option_index == node.recommended_download_option_index
            other = 1 - (node.selected_download_option_index or 0)
            plan = planner.select(0, other)
            assert plan.nodes[0].selected_download_option_index == other
            assert plan.download_size_bytes == node.download_options[other].size_bytes
            updates: list[Any] = []
            planner.download(updates.append)
            assert updates[-1].downloaded_bytes == plan.download_size_bytes
        assert "parrot" in [m.model_key for m in client.llm.list_downloaded()]

    def test_a_preferred_quantization_and_what_is_here_already(
        self, hub: FakeHub, client: lms.Client
    ) -> None:
        make = client.repository.create_model_download_planner
        with make("acme", "Parrot-GGUF", prefer_quantizations=["f16"]) as planner:
            (node,) = planner.wait_ready().nodes
            assert node.selected is not None
            assert node.selected.quant_name == "F16"
            planner.download()
        with make("acme", "Parrot-GGUF") as planner:
            plan = planner.wait_ready()
            (node,) = plan.nodes
            assert (plan.download_action, plan.download_size_bytes) == ("none", 0)
            assert node.state == "satisfied"
            assert node.already_owned is not None
            assert node.selected_download_option_index is None
            asked = len(hub.downloads())
            planner.download()
            assert len(hub.downloads()) == asked

    def test_a_plan_can_be_given_up(self, hub: FakeHub, client: lms.Client, tmp_path: Path) -> None:
        with client.repository.create_model_download_planner("acme", "Parrot-GGUF") as planner:
            planner.wait_ready()
        assert client.repository.is_authenticated() is False
        assert hub.downloads() == []
        assert list(tmp_path.iterdir()) == []

    def test_no_plan_for_what_is_not_there(self, client: lms.Client) -> None:
        repository = client.repository
        with (
            repository.create_model_download_planner("no", "body") as planner,
            pytest.raises(lms.LMStudioServerError, match="has no repository"),
        ):
            planner.wait_ready()
        with (
            repository.create_artifact_download_planner("acme", "plugin") as planner,
            pytest.raises(lms.LMStudioServerError, match="not offered"),
        ):
            planner.wait_ready()


class TestCommand:
    def test_get_as_json(self, server: ServerProcess, tmp_path: Path) -> None:
        done = get(server, REPOSITORY, "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["modelKey"] == "parrot"
        assert told["option"]["quantization"] == "Q8_0"
        assert (tmp_path / FILE).read_bytes() == DATA

    def test_get_lists_the_options(self, server: ServerProcess) -> None:
        done = get(server, REPOSITORY, "--list")
        assert done.returncode == 0, done.stderr
        assert "Q8_0" in done.stdout
        assert "recommended" in done.stdout

    def test_get_says_what_is_wrong(self, server: ServerProcess) -> None:
        done = get(server, REPOSITORY, "--quant", "Q2_K")
        assert done.returncode != 0
        assert "Q8_0" in done.stderr
        done = get(server, "no/body")
        assert done.returncode != 0
        assert "has no repository" in done.stderr

    @pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX terminal")
    def test_get_shows_a_bar_on_a_terminal(self, server: ServerProcess) -> None:
        import pty

        mine, its = pty.openpty()
        try:
            done = get(server, REPOSITORY, stderr=its)
        finally:
            os.close(its)
        shown = os.read(mine, 100_000).decode()
        os.close(mine)
        assert done.returncode == 0
        assert "Downloading Parrot-Q8_0 [" in shown
        assert "100%" in shown
        assert done.stdout == "parrot is ready: lmstudio load parrot\n"


def get(server: ServerProcess, *arguments: str, stderr: int = subprocess.PIPE) -> Any:
    code = "from lmstudio_cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "get", "--host", server.host, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
