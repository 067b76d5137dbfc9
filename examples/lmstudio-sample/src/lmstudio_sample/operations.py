"""What is asked of the server. No I/O happens here: both clients run these."""

from __future__ import annotations

from typing import Any

from lmstudio_core.plugins.api import (
    Call,
    Endpoint,
    LMStudioValueError,
    Op,
    ServerStruct,
    as_list,
    as_mapping,
)

KINDS = ("llm", "embedding")


class SampleOverview(ServerStruct):
    """What is on the server's disk: its version, and its models with their size in bytes."""

    version: str = ""
    models: int = 0
    size_bytes: int = 0


def server_version() -> Call[str]:
    """One request: where it goes, and what its answer means."""

    def decode(raw: Any) -> str:
        return str(as_mapping(raw).get("version", ""))

    return Call(Endpoint("system", "version"), decode=decode)


def model_sizes(kind: str | None) -> Call[list[int]]:
    """The sizes of the downloaded models of a kind."""

    def decode(raw: Any) -> list[int]:
        models = [as_mapping(model) for model in as_list(raw)]
        chosen = [m for m in models if kind in (None, m.get("type"))]
        return [int(m.get("sizeBytes") or 0) for m in chosen]

    return Call(Endpoint("system", "listDownloadedModels"), decode=decode)


def overview(kind: str | None) -> Op[SampleOverview]:
    """Several requests: yield each, and go on with its result."""
    if kind is not None and kind not in KINDS:
        raise LMStudioValueError(f"kind is one of {', '.join(KINDS)}, not {kind!r}.")
    version = yield server_version()
    sizes = yield model_sizes(kind)
    return SampleOverview(version=version, models=len(sizes), size_bytes=sum(sizes))
