"""The ``lmstudio`` command, and what commands of other packages share with it.

A package adds a command by an entry point in the group ``lmstudio.commands``: the entry's name is the
command's, its object a click command, which is imported when the command runs. Names are imported
when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio_core.lazy import lazy_names

if TYPE_CHECKING:
    from .command import end_with as end_with
    from .command import main as main
    from .common import Group as Group
    from .common import connected as connected
    from .common import connection_options as connection_options
    from .common import echo as echo
    from .common import network_options as network_options
    from .common import server_options as server_options
    from .given import can_ask as can_ask
    from .given import choose_model as choose_model
    from .given import get_model as get_model
    from .given import given_text as given_text
    from .given import model_option as model_option
    from .lines import LineReader as LineReader
    from .printing import AnswerPrinter as AnswerPrinter
    from .printing import colours as colours
    from .printing import print_json as print_json
    from .printing import say as say
    from .server_status import in_words as in_words
    from .server_status import no_answer as no_answer
    from .server_status import server_that_answers as server_that_answers
    from .tables import print_table as print_table

_HOMES: Final[dict[str, tuple[str, ...]]] = {
    "command": ("end_with", "main"),
    "common": (
        "Group",
        "connected",
        "connection_options",
        "echo",
        "network_options",
        "server_options",
    ),
    "given": ("can_ask", "choose_model", "get_model", "given_text", "model_option"),
    "lines": ("LineReader",),
    "printing": ("AnswerPrinter", "colours", "print_json", "say"),
    "server_status": ("in_words", "no_answer", "server_that_answers"),
    "tables": ("print_table",),
}

__all__ = [
    "AnswerPrinter",
    "Group",
    "LineReader",
    "can_ask",
    "choose_model",
    "colours",
    "connected",
    "connection_options",
    "echo",
    "end_with",
    "get_model",
    "given_text",
    "in_words",
    "main",
    "model_option",
    "network_options",
    "no_answer",
    "print_json",
    "print_table",
    "say",
    "server_options",
    "server_that_answers",
]

__version__: Final = "2.0.0"

if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake
    __getattr__, __dir__ = lazy_names(
        __name__,
        {name: f"{__name__}.{home}:{name}" for home, names in _HOMES.items() for name in names},
    )
