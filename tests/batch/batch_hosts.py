"""A host in a process of its own: a scripted server that can be killed, stopped and continued.

Run as a program it prints its address, and ends with its standard input.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Process:
    """A host that runs."""

    api_host: str
    process: subprocess.Popen[str]

    def kill(self) -> None:
        """End it without a word."""
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def host_process(*arguments: str) -> Iterator[Process]:
    """A host; ``arguments`` are ``embed``, ``delay=SECONDS``, ``log=FILE`` or ``dies-on=TEXT``."""
    command = [sys.executable, str(Path(__file__)), *arguments]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    try:
        assert process.stdout is not None
        yield Process(process.stdout.readline().strip(), process)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def main(arguments: list[str]) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from lmstudio_testing import FakeServer
    from waiting import trickle

    options = dict(argument.partition("=")[::2] for argument in arguments)
    delay = float(options.get("delay", 0))
    log = open(options["log"], "a", buffering=1) if "log" in options else None  # noqa: SIM115, PTH123

    async def answer(prediction):
        if log is not None:
            log.write(prediction.prompt.replace("\n", " ") + "\n")
        if options.get("dies-on", "\0") in prediction.prompt:
            os._exit(9)
        await trickle(delay)
        return prediction.prompt.upper()

    with FakeServer() as server:
        server.embedding() if "embed" in options else server.llm().answer(answer)
        print(server.api_host, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
