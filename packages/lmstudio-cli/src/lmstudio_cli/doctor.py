"""``lmstudio doctor``: looks at everything that is often wrong, and says what to do about it."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from lmstudio_core.lenient import error_text, is_interrupt
from lmstudio_core.plugins.health import Finding
from lmstudio_core.program.terminal import is_terminal

from .common import echo, print_json, server_options

if TYPE_CHECKING:
    from .checks import Check

__all__ = ["doctor_command"]

_MARKS: Final = {"ok": ("ok", "green"), "warning": ("!!", "yellow"), "problem": ("XX", "red")}


@click.command("doctor")
@server_options
def doctor_command(host: str | None, api_token: str | None, as_json: bool) -> None:
    """Look for what is wrong, and say what to do.

    Starts nothing. Looks at Python, the family's packages, the API token, the server, and every plugin. Ends with
    exit code 1 if something does not work.
    """
    from .checks import all_checks  # which is heavy, and for this command alone

    findings: list[Finding] = []
    for check in all_checks(host, api_token):
        for finding in _made(check):
            findings.append(finding)
            if not as_json:
                _show(finding)
    problems = sum(finding.state == "problem" for finding in findings)
    warnings = sum(finding.state == "warning" for finding in findings)
    if as_json:
        print_json({"ok": not problems, "findings": [asdict(finding) for finding in findings]})
    else:
        echo()
        echo(_summary(problems, warnings))
    if problems:
        raise click.exceptions.Exit(1)


def _made(check: Check) -> Iterator[Finding]:
    """What a check finds; one that fails itself is a finding, too."""
    try:
        yield from check()
    except BaseException as error:  # whatever it is, the other checks are made
        if isinstance(error, GeneratorExit) or is_interrupt(error):
            raise
        topic = check.__name__.strip("_").replace("_", " ")
        text = f"this could not be looked at: {error_text(error, named=True)}"
        yield Finding(topic, "problem", text)


def _show(finding: Finding) -> None:
    mark, colour = _MARKS[finding.state]
    lines = _wrapped(finding.text, 17)
    echo(mark, nl=False, fg=colour, bold=True)
    echo(f"  {finding.topic:<12} {lines[0]}")
    for line in lines[1:]:
        echo(f"{'':17}{line}")
    for number, line in enumerate(_wrapped(finding.advice, 17)):
        echo(f"{'':14}{'  ' if number else '->'} {line}".rstrip())


def _wrapped(text: str, indent: int) -> list[str]:
    """The lines of a text; in a terminal they are broken between words, elsewhere left alone."""
    if not is_terminal(sys.stdout):
        return text.splitlines()
    width = max(shutil.get_terminal_size().columns - indent - 1, 30)
    wrapper = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
    return [part for line in text.splitlines() for part in wrapper.wrap(line) or [""]]


def _summary(problems: int, warnings: int) -> str:
    if not problems and not warnings:
        return "Everything works."
    counts = [
        f"{number} {word}{'s' if number > 1 else ''}"
        for number, word in ((problems, "problem"), (warnings, "warning"))
        if number
    ]
    return " and ".join(counts) + "."
