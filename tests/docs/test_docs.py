"""Every Python block of every page runs, and every link leads somewhere."""

from __future__ import annotations

import ast
import codeop
import os
import re
import subprocess
import sys
from html import unescape
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from doc_pages import ROOT, Block, blocks, pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.docs

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """A server with nothing but the pocket models."""
    from lmstudio_server.testing import running_server

    with running_server() as server:
        yield server.host


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def with_code() -> list[Path]:
    return [page for page in pages() if any(block.reason is None for block in blocks(page))]


@pytest.mark.parametrize("page", with_code(), ids=named)
def test_its_code_runs(page: Path, host: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "tests/docs/doc_pages.py"), str(page)],
        cwd=tmp_path,
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith(("LM_", "LMS"))},
            "LMSTUDIO_API_HOST": host,
            "HOME": str(tmp_path),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def prompted(code: str) -> str | None:
    """The line at which a prompt that is given the code line by line complains."""
    compiled = codeop.CommandCompiler()
    compiled.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    entered: list[str] = []
    for line in (*code.splitlines(), ""):
        entered.append(line)
        try:
            done = compiled("\n".join(entered), "<prompt>", "single")
        except SyntaxError:
            return line
        if done is not None:
            entered = []
    return None


@pytest.mark.parametrize("page", ["README.md", "docs/llm.md", "packages/lmstudio-llm/README.md"])
def test_its_code_can_be_pasted_into_a_prompt(page: str) -> None:
    for block in blocks(ROOT / page):
        assert prompted(block.code) is None, f"{page}:{block.line}"


def test_files_that_pages_show_are_those_of_the_example() -> None:
    example = ROOT / "examples/lmstudio-sample"
    shown = {b.file: b.code for page in pages() for b in blocks(page) if b.file is not None}
    assert set(shown) >= {f"src/lmstudio_sample/{name}.py" for name in ("operations", "plugin")}
    for file, code in shown.items():
        assert code == (example / str(file)).read_text(encoding="utf-8"), file


def left_out() -> Iterator[tuple[Path, Block]]:
    for page in pages():
        yield from ((page, block) for block in blocks(page) if block.reason is not None)


def test_what_is_not_run_says_why_and_is_still_python() -> None:
    found = list(left_out())
    for page, block in found:
        assert block.reason, f"{named(page)}:{block.line} gives no reason"
        compile(block.code, str(page), "exec", flags=0x2000)  # top-level await allowed
    # A page whose code is left out bit by bit is no longer tested by anything.
    assert len(found) <= 8, [f"{named(page)}:{block.line}" for page, block in found]


def anchors(page: Path) -> set[str]:
    headings = HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", pages(), ids=named)
def test_its_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), f"{named(page)} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{named(page)} links to {target}"


def test_the_picture_of_the_readme_is_drawn_for_browsers() -> None:
    """Browsers collapse runs of blanks in an image, and stretch what has a length."""
    script = [sys.executable, str(ROOT / "scripts" / "picture.py"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    text = (ROOT / "docs/images/session.svg").read_text("utf-8")
    lines = re.findall(r"<text [^>]*>([^<]*)</text>", text)
    session = (ROOT / "docs/images/session.txt").read_text("utf-8").splitlines()
    assert [unescape(line).replace("\xa0", " ") for line in lines] == list(filter(None, session))
    assert not any(" " in line for line in lines)
    assert "textLength" not in text
    ElementTree.fromstring(text)
