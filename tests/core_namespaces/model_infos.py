"""Model infos as a server sends them."""

from __future__ import annotations

from typing import Any


def downloaded(key: str, kind: str = "llm", **fields: Any) -> dict[str, Any]:
    """The info of a downloaded model."""
    info: dict[str, Any] = {
        "type": kind,
        "modelKey": key,
        "format": "gguf",
        "displayName": key.rpartition("/")[2],
        "publisher": "someone",
        "path": f"{key}/model.gguf",
        "sizeBytes": 2_500_000_000,
        "indexedModelIdentifier": f"{key}/model.gguf",
        "deviceIdentifier": None,
        "maxContextLength": 8192,
    }
    if kind == "llm":
        info.update(vision=False, trainedForToolUse=True)
    return {**info, **fields}


def loaded(identifier: str, kind: str = "llm", **fields: Any) -> dict[str, Any]:
    """The info of a loaded model."""
    return {
        **downloaded(identifier, kind),
        "identifier": identifier,
        "instanceReference": f"ref-{identifier}",
        "ttlMs": 3_600_000,
        "lastUsedTime": None,
        "contextLength": 4096,
        **fields,
    }
