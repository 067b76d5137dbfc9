"""Writes ``src/lmstudio``: every public name, listed statically and imported lazily.

    python scripts/facade.py [--check]

The names are those that ``lmstudio_core`` and the capabilities of the family's packages declare;
this script is how they come to stand in one place that editors and type checkers understand. The
module paths of the official SDK (``official_names``) are written likewise, a file each.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from official_names import MODULES, OfficialModule

import lmstudio_core
from lmstudio_agent.capability import CAPABILITY as AGENT
from lmstudio_embed.capability import CAPABILITY as EMBEDDING
from lmstudio_llm.capability import CAPABILITY as LLM

FOLDER = Path(__file__).parent.parent / "src" / "lmstudio"

HEADER = '''"""The Python SDK for LM Studio.

::

    import lmstudio as lms

    print(lms.llm("qwen/qwen3-4b-2507").respond("What is the meaning of life?"))

    with lms.Client() as client:                     # scoped resources
        model = client.llm.model("qwen/qwen3-4b-2507")
        print(model.respond("What is the meaning of life?"))

Nothing is imported before it is used. This file is written by ``scripts/facade.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

try:
    from lmstudio_core.lazy import lazy_names
except ModuleNotFoundError as _error:  # with "_", for it would be a public name
    if _error.name != "lmstudio_core":
        raise
    raise ModuleNotFoundError(
        "lmstudio needs the package lmstudio-core, which is not installed. Install it with: "
        "pip install lmstudio-core",
        name=_error.name,
    ) from _error

if TYPE_CHECKING:
'''

FOOTER = """
__version__: Final = "{version}"

# The module paths that programs for the official SDK know; importing one costs nothing.
_MODULES: Final = ({modules})

if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake
    __getattr__, __dir__ = lazy_names(
        __name__,
        {{
            **{{name: f"{{home}}:{{name}}" for name, home in HOME_OF.items()}},
            **{{name: f"{{__name__}}.{{name}}" for name in _MODULES}},
        }},
    )
"""

MODULE_HEADER = '''"""{about}, under the import path of the official SDK.

Written by ``scripts/facade.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._official import official_names

if TYPE_CHECKING:
'''

MODULE_FOOTER = """
if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake
    __getattr__, __dir__ = official_names(__name__, _HOMES)
"""


def homes() -> dict[str, str]:
    """Public name -> module that it lives in."""
    found = {
        name: f"lmstudio_core.{module}"
        for name, module in lmstudio_core._HOME_OF.items()  # noqa: SLF001 - the table itself
    }
    for capability in (LLM, EMBEDDING, AGENT):
        for name, path in capability.exports.items():
            module, _, attribute = path.partition(":")
            if attribute != name:
                raise SystemExit(f"{path} is exported under another name: {name}")
            found[name] = module
    return found


def facade_text() -> str:
    """The whole of ``__init__.py``."""
    by_module: dict[str, list[str]] = {}
    for name, module in homes().items():
        by_module.setdefault(module, []).append(name)
    lines = [HEADER, "    from . import (\n"]
    lines += [f"        {name} as {name},\n" for name in sorted(MODULES)]
    lines.append("    )\n")
    for module in sorted(by_module):
        lines.append(f"    from {module} import (\n")
        lines += [f"        {name},\n" for name in sorted(by_module[module])]
        lines.append("    )\n")
    lines.append("\n_HOMES: Final[dict[str, tuple[str, ...]]] = {\n")
    for module in sorted(by_module):
        lines.append(f'    "{module}": (\n')
        lines += [f'        "{name}",\n' for name in sorted(by_module[module])]
        lines.append("    ),\n")
    lines.append(
        "}\n\nHOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}\n"
    )
    lines.append("\n__all__ = [\n")
    lines += [f'    "{name}",\n' for name in sorted(homes())]
    lines.append("]\n")
    modules = ", ".join(f'"{name}"' for name in sorted(MODULES))
    return "".join(lines) + FOOTER.format(version=lmstudio_core.__version__, modules=modules)


def module_text(module: OfficialModule) -> str:
    """One of the official SDK's modules."""
    facade = homes()
    paths = {**{name: f"{facade[name]}:{name}" for name in module.same}, **module.other}
    imports: list[str] = []
    assigned: list[str] = []
    for name, path in sorted(paths.items()):
        home, _, attribute = path.partition(":")
        if attribute.startswith("_"):
            continue  # a private name of ours: there when asked for, and not told of
        if home == "builtins":
            assigned.append(f"    {name} = {attribute}\n")
        elif name.startswith("_"):  # an import under a private name would count as unused
            imports.append(f"    from {home} import {attribute}\n")
            assigned.append(f"    {name} = {attribute}\n")
        else:
            imports.append(f"    from {home} import {attribute} as {name}\n")
    # Not in __all__: private names, and type variables, which a star would put over the program's.
    told = [name for name in sorted(paths) if not name.startswith("_") and len(name) > 1]
    return "".join(
        [
            MODULE_HEADER.format(about=module.about),
            *imports,
            "\n" if assigned else "",
            *assigned,
            "\n_HOMES: Final = {\n",
            *(f'    "{name}": "{path}",\n' for name, path in sorted(paths.items())),
            "}\n\n__all__ = [\n",
            *(f'    "{name}",\n' for name in told),
            "]\n",
            MODULE_FOOTER,
        ]
    )


def files() -> dict[Path, str]:
    """What is to stand in each file."""
    raw = {FOLDER / "__init__.py": facade_text()}
    raw |= {FOLDER / f"{name}.py": module_text(module) for name, module in MODULES.items()}
    return {path: ruffed(path, text) for path, text in raw.items()}


def ruffed(path: Path, text: str) -> str:
    """``text`` after ruff's passes, in the order that its rules want."""
    for command in (["format"], ["check", "--fix", "--quiet"], ["format"]):
        full = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(path), "-"]
        done = subprocess.run(full, input=text, capture_output=True, check=True, text=True)
        text = done.stdout
    return text


def main() -> None:
    """Write the files, or with ``--check`` say whether they are current."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    for path, text in files().items():
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"src/lmstudio/{path.name} is not current: run python scripts/facade.py")


if __name__ == "__main__":
    main()
