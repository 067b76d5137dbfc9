"""Writes ``src/lmstudio/__init__.py``: every public name, listed statically and imported lazily.

    python scripts/facade.py [--check]

The names are those that ``lmstudio_core`` and the capabilities of the family's packages declare;
this script is how they come to stand in one place that editors and type checkers understand.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import lmstudio_core
from lmstudio_agent.capability import CAPABILITY as AGENT
from lmstudio_embed.capability import CAPABILITY as EMBEDDING
from lmstudio_llm.capability import CAPABILITY as LLM

TARGET = Path(__file__).parent.parent / "src" / "lmstudio" / "__init__.py"

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

from lmstudio_core.lazy import lazy_names

if TYPE_CHECKING:
'''

FOOTER = """
__version__: Final = "{version}"

__getattr__, __dir__ = lazy_names(
    __name__, {{name: f"{{home}}:{{name}}" for name, home in HOME_OF.items()}}
)
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


def text() -> str:
    """The whole file."""
    by_module: dict[str, list[str]] = {}
    for name, module in homes().items():
        by_module.setdefault(module, []).append(name)
    lines = [HEADER]
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
    raw = "".join(lines) + FOOTER.format(version=lmstudio_core.__version__)
    return ruff(["check", "--fix", "--quiet"], ruff(["format"], raw))


def ruff(command: list[str], text: str) -> str:
    """``text`` after one of ruff's passes, in the order that its rules want."""
    full = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(TARGET), "-"]
    return subprocess.run(full, input=text, capture_output=True, check=True, text=True).stdout


def main() -> None:
    """Write the file, or with ``--check`` say whether it is current."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        if TARGET.read_text(encoding="utf-8") != text():
            sys.exit("src/lmstudio/__init__.py is not current: run python scripts/facade.py")
    else:
        TARGET.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
