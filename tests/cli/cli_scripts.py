"""What the scripted servers of these tests tell, and how commands are run."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from lmstudio_cli.command import build


def run(server: Any, *arguments: str, code: int = 0) -> Result:
    """Run a command against the server; it has to end with that code."""
    result = CliRunner().invoke(build(), [*arguments, "--host", server.api_host])
    assert result.exit_code == code, (result.exit_code, result.output, result.exception)
    return result


def run_json(server: Any, *arguments: str) -> Any:
    """What a command prints with ``--json``; nothing else is on standard output."""
    return json.loads(run(server, *arguments, "--json").stdout)


def downloaded(key: str, kind: str = "llm", **fields: Any) -> dict[str, Any]:
    """The info of a downloaded model."""
    return {
        "type": kind,
        "modelKey": key,
        "format": "gguf",
        "displayName": key,
        "path": key,
        "sizeBytes": 2_500_000_000,
        "deviceIdentifier": None,
        "paramsString": "4B",
        "architecture": "qwen3",
        "quantization": {"name": "Q4_K_M", "bits": 4},
        "maxContextLength": 8192,
        **fields,
    }


def loaded(identifier: str, key: str = "qwen/qwen3-4b", **fields: Any) -> dict[str, Any]:
    """The info of a loaded model."""
    return {
        **downloaded(key),
        "identifier": identifier,
        "instanceReference": f"ref-{identifier}",
        "ttlMs": 3_600_000,
        "lastUsedTime": None,
        "contextLength": 4096,
        **fields,
    }


def lines(text: str) -> str:
    """A golden text as it is written in a test: indented, with a line break at both ends."""
    return "".join(f"{line.strip()}\n" for line in text.strip().splitlines())
