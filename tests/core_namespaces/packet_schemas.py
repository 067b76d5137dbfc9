"""The protocol's schemas, where they are at hand, and what they say of a packet."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from lmstudio_core.protocol.operations import VOID

SCHEMAS = Path(
    os.environ.get(
        "LMSTUDIO_PROTOCOL_SCHEMAS", str(Path(__file__).parents[3] / "shared/protocol/schema")
    )
)
"""Not part of the repository; without it the packets are not checked."""


@cache
def namespace_schema(namespace: str) -> dict[str, Any] | None:
    path = SCHEMAS / f"{namespace}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def serialization(namespace: str, name: str) -> Any:
    """How the endpoint's values travel, by the schema; ``"raw"`` without one."""
    document = namespace_schema(namespace)
    return document["endpoints"][name]["serialization"] if document else "raw"


def check(endpoint: str, part: str, value: Any) -> None:
    """``value`` is what the protocol allows as that part of the endpoint."""
    namespace, _, name = endpoint.partition(".")
    document = namespace_schema(namespace)
    if document is None:
        return
    schema = document["endpoints"][name][part]
    if schema.get("x-void"):
        assert value is VOID, f"{endpoint} {part} has no value, not {value!r}"
        return
    if value is VOID and {"not": {}} in schema.get("anyOf", ()):
        return  # optional
    jsonschema = pytest.importorskip("jsonschema")
    assert value is not VOID, f"{endpoint} {part} has a value"
    jsonschema.Draft7Validator({**schema, "definitions": document["definitions"]}).validate(value)
