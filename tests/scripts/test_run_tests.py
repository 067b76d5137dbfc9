"""The command that runs the checks: its options, and what calls it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run_tests(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import run_tests

    yield run_tests
    for name in ("run_tests", "environments"):
        sys.modules.pop(name)


@pytest.mark.parametrize("tier", [[], ["--fast"], ["--all"]])
def test_what_is_no_option_of_ours_goes_to_pytest(run_tests, tier: list[str]) -> None:
    _, rest = run_tests.parse([*tier, "tests/llm", "-k", "chat", "--durations=3"])
    assert rest == ["tests/llm", "-k", "chat", "--durations=3"]


def test_fast_is_the_default(run_tests) -> None:
    options, _ = run_tests.parse(["--fast"])
    plain, _ = run_tests.parse([])
    assert vars(options) == {**vars(plain), "fast": True}


def test_two_tiers_at_once_are_refused(run_tests, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_tests.parse(["--latest", "--lowest"])
    assert "not allowed with" in capsys.readouterr().err


def test_a_failed_step_fails_the_run_and_is_named(
    run_tests, capsys: pytest.CaptureFixture[str]
) -> None:
    report = run_tests.Report()
    assert report.run("good", lambda: (True, {"passed": 3}))
    assert not report.run("bad", lambda: (False, {"passed": 1, "failed": 2}))
    assert report.finish() == 1
    printed = capsys.readouterr().out
    assert "FAILED: bad" in printed
    assert printed.endswith("4 passed, 2 failed, 0 skipped\n")


def test_ci_makes_every_check() -> None:
    assert 'scripts/test" --all' in (ROOT / ".ci" / "run").read_text()
