"""What a user's machine looks like to these tests: no LM Studio, the embedded server installed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Run a command as a user would, with a home and a server state of its own.

    The server that the command starts on demand is stopped at the end.
    """
    environment = {
        **{
            k: v for k, v in os.environ.items() if not k.startswith(("LMSTUDIO_", "LM_API", "LMS_"))
        },
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(tmp_path),
        "USERPROFILE": str(tmp_path),
        "LMSTUDIO_STATE_DIR": str(tmp_path / "state"),
        "PYTHONWARNINGS": "error",
    }

    def run(
        *command: str, stdin: str | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            input=stdin if stdin is not None else "",
            env={**environment, **(env or {})},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    yield run
    run(sys.executable, "-m", "lmstudio_server", "stop")
