"""Recorded sessions: what was asked and what came, without credentials, in a file of JSON lines.

The file is made to be kept beside tests and read in diffs: one line for each request and each thing
that came for it, in the order of the requests, with keys sorted, without what changes from run to
run (timings, references of instances, ids of tool calls).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from typing_extensions import Self

from lmstudio_core.lenient import as_mapping, is_list, is_mapping, json_text
from lmstudio_core.protocol.operations import VOID

__all__ = ["RecordedRequest", "Recording", "Scrubber"]

_FORMAT: Final = "lmstudio_recording"
_VERSION: Final = 1

_HIDDEN: Final = "***"
_SECRET_KEYS: Final = frozenset(
    {
        "accesstoken",
        "apikey",
        "apitoken",
        "authorization",
        "clientidentifier",
        "clientpasskey",
        "keyid",
        "passkey",
        "password",
        "privatekey",
        "refreshtoken",
        "secret",
        "token",
    }
)
_SECRET_TEXTS: Final = re.compile(
    r"sk-lm-[A-Za-z0-9]+:[A-Za-z0-9]+|(?<=[Bb]earer )[\w.~+/=-]+|\bhf_[A-Za-z0-9]{20,}"
)
_NAMED: Final = {"instanceReference": "instance", "toolCallId": "tool-call"}
_CHANGING: Final = frozenset(
    {"lastUsedTime", "timeToFirstTokenSec", "tokensPerSecond", "totalTimeSec"}
)


class Scrubber:
    """Takes out of packets what must not, or need not, be kept.

    Args:
        secrets: Texts to hide wherever they stand.
        keep_timings: Whether numbers that differ in every run stay.
        rename: Whether instances and tool calls get names that are the same in every run.
    """

    def __init__(
        self, secrets: Iterable[str] = (), *, keep_timings: bool = False, rename: bool = True
    ) -> None:
        self._secrets = [secret for secret in secrets if secret]
        self._keep_timings = keep_timings
        self._rename = rename
        self._names: dict[str, dict[str, str]] = {"instance": {}, "tool-call": {}}

    def hide(self, secret: Any) -> None:
        """Hide this text, too, from now on."""
        if isinstance(secret, str) and secret and secret not in self._secrets:
            self._secrets.append(secret)

    def clean(self, value: Any, key: str = "") -> Any:
        """The value with nothing in it that must not be kept."""
        if is_mapping(value):
            is_call = value.get("type") == "function" and "arguments" in value
            return {
                str(name): self.clean(
                    inner, "toolCallId" if is_call and name == "id" else str(name)
                )
                for name, inner in value.items()
                if inner is not VOID and (self._keep_timings or name not in _CHANGING)
            }
        if is_list(value):
            return [self.clean(inner, key) for inner in value]
        if not isinstance(value, str):
            return value
        if re.sub(r"[^a-z]", "", key.lower()) in _SECRET_KEYS:
            return _HIDDEN
        if self._rename and key in _NAMED:
            names = self._names[_NAMED[key]]
            return names.setdefault(value, f"{_NAMED[key]}-{len(names) + 1}")
        value = _SECRET_TEXTS.sub(_HIDDEN, value)
        for secret in self._secrets:
            value = value.replace(secret, _HIDDEN)
        return value


@dataclass
class RecordedRequest:
    """One request and all that came for it.

    Attributes:
        kind: ``"rpc"`` or ``"channel"``.
        endpoint: ``"namespace.name"``.
        parameter: What was asked; ``VOID`` for nothing.
        steps: What followed, in order, one key each: ``result``, ``error`` and ``packet`` came
            from the server, ``sent`` from the program; ``closed`` ended a channel, ``lost`` the
            connection; ``warning`` is an answer to what the server did not understand.
    """

    kind: str
    endpoint: str
    parameter: Any = VOID
    steps: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def __str__(self) -> str:
        return f"{self.endpoint} {_shown(self.parameter)}"


@dataclass
class Recording:  # public
    """The requests of a session, in order."""

    requests: list[RecordedRequest] = field(default_factory=list[RecordedRequest])

    def save(self, path: str | Path) -> None:
        """Write the file, in place of what is there."""
        lines: list[Mapping[str, Any]] = [{_FORMAT: _VERSION}]
        for number, request in enumerate(self.requests, 1):
            asked = {"request": number, "kind": request.kind, "endpoint": request.endpoint}
            if request.parameter is not VOID:
                asked["parameter"] = request.parameter
            lines.append(asked)
            lines += [{"request": number, **step} for step in request.steps]
        text = "".join(f"{json_text(line, sort_keys=True)}\n" for line in lines)
        Path(path).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file.

        Raises:
            ValueError: It is no recording, or one of another version; the message says where.
        """
        requests: dict[int, RecordedRequest] = {}
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            try:
                step = dict(as_mapping(json.loads(line)))
                if number == 1:
                    _check_format(step, path)
                    continue
                index = int(step.pop("request"))
                if index in requests:
                    requests[index].steps.append(step)
                else:
                    parameter = step.get("parameter", VOID)
                    requests[index] = RecordedRequest(step["kind"], step["endpoint"], parameter)
            except (KeyError, TypeError, json.JSONDecodeError) as error:
                raise ValueError(
                    f"{path}, line {number} is no line of a recording: {error!r}"
                ) from error
        if not lines:
            raise ValueError(f"{path} is empty, and no recording.")
        return cls(list(requests.values()))


def _check_format(header: Mapping[str, Any], path: str | Path) -> None:
    version = header.get(_FORMAT)
    if version != _VERSION:
        raise ValueError(
            f"{path} is no recording that this version reads: its first line is not "
            f'{{"{_FORMAT}": {_VERSION}}}.'
        )


def _shown(value: Any) -> str:
    if value is VOID:
        return "nothing"
    text = json_text(value, sort_keys=True, default=repr)
    return text if len(text) <= 120 else f"{text[:117]}…"


def differences(recorded: Any, asked: Any, where: str = "parameter") -> list[str]:
    """Where two values differ, a line each: the path, what was recorded, what is asked now."""
    if is_mapping(recorded) and is_mapping(asked):
        keys = sorted({*recorded, *asked})
        return [
            line
            for key in keys
            for line in differences(recorded.get(key, VOID), asked.get(key, VOID), f"{where}.{key}")
        ]
    if is_list(recorded) and is_list(asked):
        longest = max(len(recorded), len(asked))
        pairs = (
            (recorded[n] if n < len(recorded) else VOID, asked[n] if n < len(asked) else VOID)
            for n in range(longest)
        )
        return [
            line
            for n, (old, new) in enumerate(pairs)
            for line in differences(old, new, f"{where}[{n}]")
        ]
    # In JSON 1 and 1.0 are one, but 1 and true are not.
    if recorded == asked and isinstance(recorded, bool) == isinstance(asked, bool):
        return []
    return [f"{where}: recorded {_shown(recorded)}, asked {_shown(asked)}"]
