"""The first moments of a background server: detach, then run.

On POSIX the started process forks before it imports anything large and its parent ends: the server
belongs to no one, and whoever started it has no child to wait for.
"""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    """Read the settings from standard input, detach and serve."""
    settings = json.loads(sys.stdin.buffer.read())
    if sys.platform != "win32":
        if os.fork() != 0:
            os._exit(0)
        os.umask(0o077)
    report({"pid": os.getpid()})
    from .background import run_in_background

    sys.exit(run_in_background(settings, report))


def report(message: dict[str, object]) -> None:
    """Tell the process that started us."""
    # It may have given up; that must not end the server.
    try:
        os.write(1, json.dumps(message).encode() + b"\n")
    except OSError:
        return


if __name__ == "__main__":
    main()
