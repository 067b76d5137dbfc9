"""The errors of pools and batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lmstudio_core.plugins.api import (
    LMStudioConnectionError,
    LMStudioRuntimeError,
    LMStudioValueError,
)


class NoHostError(LMStudioConnectionError):  # public
    """No host of a pool takes work; the message has a reason for each. ``tried`` lists them.

    Example:
        >>> with Pool(["localhost:1"], patience=0.1) as pool:
        ...     pool.respond("Hello")
        Traceback (most recent call last):
        NoHostError: ...
    """

    _unsaid = "No host of the pool takes work."

    @classmethod
    def of(cls, reasons: Sequence[tuple[str, str]], waited: float = 0.0) -> NoHostError:
        """The error that names each host and why it is not used.

        Args:
            reasons: Name and reason of each host.
            waited: Seconds that were waited for one of them to come back.
        """
        lines = [f"- {name}: {why or 'it was not tried'}" for name, why in reasons]
        since = f" for {waited:.0f} s" if waited >= 1 else ""
        return cls(
            "\n".join([f"No host of the pool takes work{since}:", *lines]),
            tried=[name for name, _ in reasons],
        )


class BatchInputError(LMStudioValueError):  # public
    """A batch, or its input as a whole, cannot be right; nothing was sent.

    Example:
        >>> spec = BatchSpec("pocket", prompt="Summarise: {txt}")  # the field is "text"
        >>> client.batch.run([{"text": "Cats sleep."}], "out.jsonl", spec)
        Traceback (most recent call last):
        BatchInputError: ...
    """

    _unsaid = "The input of the batch is not valid."


class JournalError(LMStudioRuntimeError):  # public
    """The journal of a batch is another's, or in use.

    Example:
        >>> rows = [{"number": 1}]  # without a text to ask
        >>> client.batch.run(rows, "out.jsonl", BatchSpec("pocket"), on_error="stop")
        Traceback (most recent call last):
        BatchStoppedError: ...
        >>> client.batch.run(rows, "out.jsonl", BatchSpec("pocket", prompt="Say {number}."))
        Traceback (most recent call last):
        JournalError: ...
    """

    _unsaid = "The journal of the batch cannot be used."


class BatchStoppedError(LMStudioRuntimeError):  # public
    """A batch ended before its input did; what is done is in the journal.

    ``report`` says how far it came, as a ``BatchReport``.

    Example:
        >>> spec, hosts = BatchSpec("pocket"), ["localhost:1"]
        >>> try:
        ...     client.batch.run([{"text": "Hello"}], "out.jsonl", spec, hosts=hosts, patience=0.1)
        ... except BatchStoppedError as error:
        ...     print(error.report.rows)
        0
    """

    _unsaid = "The batch was stopped before its end."

    def __init__(self, message: str = "", *, report: Any = None) -> None:
        super().__init__(message)
        self.report = report
