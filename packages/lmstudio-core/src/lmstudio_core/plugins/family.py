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

__all__ = ["ANNOUNCED", "FAMILY", "__version__", "announced_by"]

__version__: Final = "2.0.0"
"""All distributions of the family have one version, and move together."""

FAMILY: Final = (
    "lmstudio",
    "lmstudio-core",
    "lmstudio-llm",
    "lmstudio-embed",
    "lmstudio-agent",
    "lmstudio-plugin",
    "lmstudio-batch",
    "lmstudio-cli",
    "lmstudio-testing",
    "lmstudio-server",
)
"""The distributions of the family; their names for things are theirs alone."""

ANNOUNCED: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = {
    "lmstudio-core": {
        "lmstudio.capabilities": {
            "models": "lmstudio_core.manage.models:CAPABILITY",
            "system": "lmstudio_core.manage.system:CAPABILITY",
            "files": "lmstudio_core.files:CAPABILITY",
            "repository": "lmstudio_core.manage.repository:CAPABILITY",
            "runtime": "lmstudio_core.manage.runtime:CAPABILITY",
            "diagnostics": "lmstudio_core.manage.diagnostics:CAPABILITY",
        },
    },
    "lmstudio-llm": {
        "lmstudio.capabilities": {"llm": "lmstudio_llm.capability:CAPABILITY"},
        "lmstudio.commands": {
            "chat": "lmstudio_llm.cli:chat",
            "complete": "lmstudio_llm.cli:complete",
        },
    },
    "lmstudio-embed": {
        "lmstudio.capabilities": {"embedding": "lmstudio_embed.capability:CAPABILITY"},
        "lmstudio.commands": {
            "embed": "lmstudio_embed.commands:embed",
            "similar": "lmstudio_embed.commands:similar",
        },
    },
    "lmstudio-agent": {
        "lmstudio.capabilities": {"agent": "lmstudio_agent.capability:CAPABILITY"},
        "lmstudio.commands": {"agent": "lmstudio_agent.cli:agent"},
    },
    "lmstudio-plugin": {
        "lmstudio.capabilities": {"plugins": "lmstudio_plugin:CAPABILITY"},
        "lmstudio.commands": {"dev": "lmstudio_plugin.commands:dev"},
    },
    "lmstudio-batch": {
        "lmstudio.capabilities": {"batch": "lmstudio_batch.capability:CAPABILITY"},
        "lmstudio.commands": {"batch": "lmstudio_batch.commands:batch"},
        "lmstudio.batch_engines": {
            "local": "lmstudio_batch.engines.local:LocalEngine",
            "dask": "lmstudio_batch.engines.dask:DaskEngine",
            "ray": "lmstudio_batch.engines.ray:RayEngine",
        },
    },
    "lmstudio-server": {
        "lmstudio.commands": {"server": "lmstudio_server.cli:server"},
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
