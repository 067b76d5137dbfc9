"""Every name of the official SDK's public surface is here, with at least its parameters.

The table is not part of the repository; without it these tests are skipped.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pydantic
import pytest

import lmstudio as lms

TABLE = Path(__file__).parents[3] / "shared" / "compat" / "official-1.6.0b1-api.json"

pytestmark = pytest.mark.skipif(not TABLE.exists(), reason="the official API table is not here")

API: dict[str, Any] = json.loads(TABLE.read_text()) if TABLE.exists() else {}
NAMES: dict[str, Any] = API.get("names", {})
NAMESPACES: dict[str, Any] = API.get("namespaces", {})

# Values that are written in another way and mean the same.
SAME_DEFAULT = {"{}": ("None", "{}"), "()": ("()", "[]"), "3600": ("3600",)}


def missing_parameters(function: Any, expected: list[dict[str, Any]]) -> list[str]:
    """What ``function`` lacks of the expected parameters; empty if a caller cannot tell."""
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]
    by_name = {p.name: p for p in parameters}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    problems = []
    for position, want in enumerate(e for e in expected if not e["kind"].startswith("var")):
        have = by_name.get(want["name"])
        if want["kind"] == "positional_only":  # its name does not matter, its place does
            have = parameters[position] if position < len(parameters) else None
        if have is None:
            if not takes_any:
                problems.append(f"no parameter {want['name']}")
            continue
        if want["kind"] != "keyword_only":
            if have.kind is have.KEYWORD_ONLY:
                problems.append(f"{want['name']} is keyword-only")
            elif parameters.index(have) != position:
                problems.append(f"{want['name']} is at another position")
        problems += default_problem(want, have)
    known = {e["name"] for e in expected}
    problems += [
        f"{p.name} is required"
        for p in parameters
        if p.name not in known
        and p.default is p.empty
        and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL, p.POSITIONAL_ONLY)
    ]
    return problems


def default_problem(want: dict[str, Any], have: inspect.Parameter) -> list[str]:
    if "default" not in want:
        return []
    if have.default is have.empty:
        return [f"{want['name']} has no default"]
    shown = repr(have.default)
    allowed = SAME_DEFAULT.get(want["default"], (want["default"],))
    return (
        [] if shown in allowed else [f"{want['name']} defaults to {shown}, not {want['default']}"]
    )


def member_problems(owner: Any, members: dict[str, Any]) -> list[str]:
    problems = []
    fields = getattr(owner, "model_fields", {})
    for name, member in members.items():
        annotated = name in getattr(owner, "__annotations__", {}) or name in fields
        found = inspect.getattr_static(owner, name, None)
        if found is None and not annotated:
            problems.append(f"no member {name}")
        elif member["kind"] in ("method", "classmethod", "staticmethod"):
            function = getattr(owner, name)
            problems += [f"{name}: {p}" for p in missing_parameters(function, member["params"])]
    return problems


@pytest.mark.parametrize("name", sorted(NAMES))
def test_name(name: str) -> None:
    want, have = NAMES[name], getattr(lms, name)
    problems: list[str] = []
    if want["kind"] == "function":
        problems += missing_parameters(have, want["params"])
    if want["kind"] == "exception":
        bases = {base.__name__ for base in have.__mro__}
        problems += [f"not a {base}" for base in want["bases"] if base not in bases]
    if want["kind"] == "class":
        problems += member_problems(have, want.get("members", {}))
        problems += constructor_problems(have, want)
    assert problems == []


def constructor_problems(have: Any, want: dict[str, Any]) -> list[str]:
    """A class can be made of the keywords that make the official one."""
    expected = want.get("init")
    if not expected or want["kind"] != "class":
        return []
    if isinstance(have, type) and issubclass(have, pydantic.BaseModel):
        problems = [f"no field {e['name']}" for e in expected if e["name"] not in have.model_fields]
        names = {e["name"] for e in expected}
        required = [n for n, f in have.model_fields.items() if f.is_required()]
        return problems + [f"{n} is required" for n in required if n not in names]
    return missing_parameters(have, expected)


@pytest.mark.parametrize("name", sorted(NAMESPACES))
def test_namespace(name: str) -> None:
    client_name, _, namespace = name.partition(".")
    client: Any = (lms.Client if client_name == "client" else lms.AsyncClient)("127.0.0.1:1")
    found = getattr(client, namespace)
    assert member_problems(type(found), NAMESPACES[name]) == []
