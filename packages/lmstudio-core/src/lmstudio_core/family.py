"""The family's own distributions, and what each announces by entry points.

A frozen program (PyInstaller and the like), a zipapp or a folder of copied sources may come without
the metadata of its distributions, in which entry points stand. What others announce is unknown there;
the family's own is known by this table. A test compares it with the packages' ``pyproject.toml``.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

__all__ = ["ANNOUNCED", "FAMILY", "announced_by"]

FAMILY: Final = (
    "lmstudio",
    "lmstudio-core",
    "lmstudio-llm",
    "lmstudio-embed",
    "lmstudio-agent",
    "lmstudio-batch",
    "lmstudio-server",
)
"""The distributions of the family; their names for things are theirs alone."""

ANNOUNCED: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = {
    "lmstudio-core": {
        "lmstudio.capabilities": {
            "models": "lmstudio_core.namespaces.models:CAPABILITY",
            "system": "lmstudio_core.namespaces.system:CAPABILITY",
            "files": "lmstudio_core.namespaces.files:CAPABILITY",
            "repository": "lmstudio_core.namespaces.repository:CAPABILITY",
            "runtime": "lmstudio_core.namespaces.runtime:CAPABILITY",
            "diagnostics": "lmstudio_core.namespaces.diagnostics:CAPABILITY",
            "plugins": "lmstudio_core.namespaces.plugins:CAPABILITY",
        },
    },
    "lmstudio-llm": {
        "lmstudio.capabilities": {"llm": "lmstudio_llm.capability:CAPABILITY"},
        "lmstudio.plugins": {"llm": "lmstudio_llm.plugin"},
    },
    "lmstudio-embed": {
        "lmstudio.capabilities": {"embedding": "lmstudio_embed.capability:CAPABILITY"},
        "lmstudio.plugins": {"embed": "lmstudio_embed.plugin"},
    },
    "lmstudio-agent": {
        "lmstudio.capabilities": {"agent": "lmstudio_agent.capability:CAPABILITY"},
        "lmstudio.plugins": {"agent-commands": "lmstudio_agent.plugin"},
    },
    "lmstudio-batch": {
        "lmstudio.capabilities": {"batch": "lmstudio_batch.capability:CAPABILITY"},
        "lmstudio.plugins": {"batch": "lmstudio_batch.plugin"},
        "lmstudio.batch_engines": {
            "local": "lmstudio_batch.engines.local:LocalEngine",
            "dask": "lmstudio_batch.engines.dask:DaskEngine",
            "ray": "lmstudio_batch.engines.ray:RayEngine",
        },
    },
    "lmstudio-server": {
        "lmstudio.plugins": {"server": "lmstudio_server.plugin"},
        "lmstudio.engines": {
            "llamacpp": "lmstudio_server.engines.llamacpp:LlamaCppEngine",
            "remote": "lmstudio_server.engines.remote:RemoteEngine",
        },
    },
}
"""Distribution → entry-point group → name → object."""


def announced_by(distribution: str) -> str:
    """The text of the ``entry_points.txt`` that a distribution of the family would have.

    Modules that cannot be found are left out: whoever froze the program left them out, too. It is
    empty if nothing of the distribution is there.
    """
    lines: list[str] = []
    for group, entries in ANNOUNCED[distribution].items():
        there = [f"{n} = {value}" for n, value in entries.items() if _is_there(value)]
        lines += [f"[{group}]", *there] if there else []
    return "\n".join(lines)


def _is_there(value: str) -> bool:
    module = value.partition(":")[0]
    package = module.partition(".")[0]
    # The package first: looking for a module in it imports it, and it may be no package of ours.
    for name in (package, module):
        with suppress(ImportError, ValueError):  # ValueError: a module without a spec
            if name in sys.modules or importlib.util.find_spec(name) is not None:
                continue
        return False
    return True
