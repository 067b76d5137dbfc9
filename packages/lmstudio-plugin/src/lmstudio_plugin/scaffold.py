"""``lmstudio plugin new NAME --lmstudio``: a plugin for LM Studio whose tests pass at once."""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import Final

from .manifest import check_names

__all__ = ["files_of"]

_PLUGIN: Final = '''"""An LM Studio plugin: dice."""

from __future__ import annotations

import random
from typing import Annotated

from lmstudio.plugin import Plugin, PluginConfig, Setting, ToolCall


class Settings(PluginConfig):
    """What users can set in each chat."""

    sides: Annotated[int, Setting("Sides", hint="How many sides a die has.", slider=(2, 100, 1))] = 6


plugin = Plugin(config=Settings)


@plugin.tool
def roll(count: int, call: ToolCall[Settings]) -> list[int]:
    """Roll some dice and return what they show."""
    call.status(f"Rolling {count} dice with {call.config.sides} sides")
    return [random.randint(1, call.config.sides) for _ in range(count)]
'''

_TEST: Final = '''"""The plugin, tested without LM Studio; ``pytest --lmstudio=embedded`` asks the bundled server."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent.parent


def test_roll(lmstudio_plugin):
    plugin = lmstudio_plugin(HERE, config={"sides": 2})
    assert [tool.name for tool in plugin.tools()] == ["roll"]
    done = plugin.call("roll", {"count": 20})
    assert set(done.result) <= {1, 2}
    assert done.statuses == ["Rolling 20 dice with 2 sides"]
'''

_README: Final = """# {name}

A plugin for LM Studio, written in Python.

```console
$ pip install lmstudio pytest
$ pytest                      # without LM Studio
$ lmstudio dev                # registers it, and starts it anew when a file changes
```

`manifest.json` says what it is called, `src/plugin.py` what it does. Others get it by git, or as a wheel.
"""

_PYPROJECT: Final = """[project]
name = "{distribution}"
version = "0.1.0"
description = "A plugin for LM Studio"
requires-python = ">=3.10"
dependencies = ["lmstudio>=2.0,<3"]

[dependency-groups]
dev = ["lmstudio-server>=2.0,<3", "pytest>=8"]

[tool.pytest.ini_options]
testpaths = ["tests"]
"""


def files_of(name: str, owner: str) -> dict[PurePosixPath, str]:
    """The files of a new plugin: path in its folder → text.

    Raises:
        LMStudioPluginInitError: LM Studio would refuse the name or the owner.
    """
    check_names(owner, name)
    manifest = {"type": "plugin", "runner": "python", "owner": owner, "name": name, "revision": 1}
    distribution = re.sub(r"[.]", "-", name)
    found = {
        "manifest.json": json.dumps(manifest, indent=2) + "\n",
        "src/plugin.py": _PLUGIN,
        "tests/test_plugin.py": _TEST,
        "README.md": _README.format(name=name),
        "pyproject.toml": _PYPROJECT.format(distribution=distribution),
    }
    return {PurePosixPath(path): text for path, text in found.items()}
