"""The page at ``/``: what it is made of, and what a browser shows of it."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from fake_engine import FakeEngine, FakeLibrary, fake_file
from http_browser import Page, browser
from http_client import ask, get, post
from wire_client import fake_server, run

from lmstudio_server.doors.page.routes import PAGE
from lmstudio_server.testing import running_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lmstudio_server.serving.server import RunningServer

TOKEN = "sk-lm-abcdefgh:ABCDEFGHIJKLMNOPQRST"
ATTACK = "<img src=x onerror=document.title='taken'>"


def test_the_page_needs_nothing_from_elsewhere() -> None:
    text = PAGE.read_text(encoding="utf-8")
    # The one address in it is the name of SVG's namespace, inside the icon.
    assert set(re.findall(r"https?://[^'\"\s]+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text)
    assert not re.search(r"\son\w+=|\sstyle=", text)


def test_its_headers() -> None:
    async def test() -> None:
        async with fake_server() as server:
            answer = await get(server, "/")
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert (await ask(server, "GET", "/?x=1")).status == 200

    run(test)


def test_its_data() -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with fake_server(engine) as server:
            await post(server, "/v1/completions", model="pocket", prompt="say: a b")
            data = (await get(server, "/status.json")).json
            assert (data["predictions"], data["predictedTokens"]) == (1, 2)
            [loaded] = data["loaded"]
            assert (loaded["identifier"], loaded["inFlight"]) == ("pocket", 0)
            assert "broken" not in json.dumps(data["models"])
            loading = asyncio.create_task(post(server, "/v1/completions", model="slow", prompt="a"))
            while not server.services.registry.loading():  # noqa: ASYNC110 - no event is set
                await asyncio.sleep(0)
            assert (await get(server, "/status.json")).json["loading"] == ["slow"]
            engine.release.set()
            await loading

    run(test)


@contextmanager
def served(**settings: Any) -> Iterator[RunningServer]:
    """A server in a thread of its own: the browser is driven from this one."""
    ready: list[tuple[RunningServer, asyncio.AbstractEventLoop, asyncio.Event]] = []
    is_ready = threading.Event()

    async def main() -> None:
        end = asyncio.Event()
        library = FakeLibrary(fake_file("pocket"), fake_file(ATTACK))
        async with fake_server(library=library, **settings) as server:
            ready.append((server, asyncio.get_running_loop(), end))
            is_ready.set()
            await end.wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert is_ready.wait(30)
    server, loop, end = ready[0]
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(30)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with browser(tmp_path) as page:
        yield page


def test_in_a_browser(page: Page) -> None:
    with served() as server:
        page.go(f"http://{server.host}/")
        page.wait("document.querySelector('#models tr')")
        assert page.text("#state") == "running"
        assert page.text("#none").startswith("No model is loaded")
        # A name is text, whatever is in it.
        assert ATTACK in page.text("#models")
        assert page.run("document.querySelector('#models img')") is None
        page.wait("document.title === 'lmstudio-server' && rates.length > 0")
        # It updates itself.
        page.run(
            "fetch('/v1/completions', {method: 'POST', "
            "body: JSON.stringify({model: 'pocket', prompt: 'say: a b c'})}).then(r => r.json())"
        )
        page.wait("document.querySelector('#loaded tr')")
        assert page.text("#loaded tr td") == "pocket"
        page.wait("document.querySelector('#predictions').textContent === '1'")
        assert "3 tokens predicted" in page.text("#footer")
        assert page.complaints == []
        # What the policy does not allow does not run.
        page.run("document.body.append(document.createElement('script').textContent = 'x=1')")
        page.run("{const s = document.createElement('script'); s.textContent = 'taken = 1'; "
                 "document.body.append(s);}")  # fmt: skip
        assert page.run("typeof taken") == "undefined"
    page.wait("document.querySelector('#state').textContent === 'no answer'")


def test_in_a_browser_with_a_token(page: Page) -> None:
    with served(api_tokens=(TOKEN,)) as server:
        page.go(f"http://{server.host}/")
        page.wait("!document.querySelector('#login').hidden")
        assert "pocket" not in page.run("document.body.innerText")
        assert page.run("document.querySelector('#content').hidden") is True

        def enter(token: str) -> None:
            page.run(f"document.querySelector('#token').value = {json.dumps(token)}")
            page.run("document.querySelector('button').click()")

        enter("wrong")
        page.wait("!document.querySelector('#problem').hidden")
        assert "does not have the form" in page.text("#problem")
        enter(TOKEN)
        page.wait("document.querySelector('#models tr')")
        assert page.run("document.querySelector('#login').hidden") is True
        assert TOKEN not in page.run("document.documentElement.outerHTML")
        # A reload of the tab remembers it.
        page.go(f"http://{server.host}/?again")
        page.wait("location.search === '?again' && document.querySelector('#models tr')")


def test_in_a_browser_with_the_real_engine(page: Page) -> None:
    with running_server() as server:
        page.go(f"http://{server.host}/")
        page.wait("document.querySelectorAll('#models tr').length === 3")
        body = {"model": "pocket", "messages": [{"role": "user", "content": "Tell me a story."}]}
        page.run(
            "fetch('/v1/chat/completions', {method: 'POST', body: "
            f"JSON.stringify({json.dumps(body)})}}).then(r => r.json())"
        )
        page.wait("Math.max(...rates) > 0")
        assert page.text("#loaded tr td") == "pocket"
        assert page.complaints == []
