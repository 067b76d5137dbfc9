"""Compiles the versions that the checks install; ``constraints/`` holds what it writes.

``python scripts/pin.py`` asks the package index for the newest versions that go together and writes
them anew. A release elsewhere changes nothing until somebody runs it. The files hold names and
versions alone, so they serve any index. uv, from the ``dev`` group, does the resolving.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from environments import AUDIT, CONSTRAINTS, OFFICIAL_NODE, OFFICIAL_PYTHON, PYTHONS, ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HEADER = "# Compiled by scripts/pin.py. Do not edit.\n"
# Floors that a library of one extra would raise for everybody. Each works with less than it asks for.
OVERRIDES = ["click==8.2.0"]  # huggingface-hub asks for a newer one, for its own command line


def ours(requirement: str) -> bool:
    """Whether a requirement names a package of this repository."""
    return requirement.startswith("lmstudio")


def third_party(groups: Iterable[str]) -> list[str]:
    """Every requirement that is not ours: of the packages, of their extras, of the groups."""

    def found() -> Iterator[str]:
        for path in [ROOT / "pyproject.toml", *sorted(ROOT.glob("packages/*/pyproject.toml"))]:
            data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
            yield from data["build-system"]["requires"]
            yield from data["project"]["dependencies"]
            for extra in data["project"].get("optional-dependencies", {}).values():
                yield from extra
            for name in groups:
                entries = data.get("dependency-groups", {}).get(name, [])
                yield from (entry for entry in entries if isinstance(entry, str))

    return sorted({requirement for requirement in found() if not ours(requirement)})


def one_python(python: str) -> str:
    """The marker of a Python and of no other."""
    major, minor = map(int, python.split("."))
    return f"python_full_version >= '{python}' and python_full_version < '{major}.{minor + 1}'"


def resolve(requirements: Iterable[str], python: str, *options: str, where: str) -> str:
    """What uv chooses for these requirements on a Python, and wherever else a marker holds."""
    project = {
        "name": '"checks"',
        "version": '"0"',
        "requires-python": f'">={python}"',
        "dependencies": json.dumps(list(requirements)),
    }
    lines = ["[project]", *(f"{key} = {value}" for key, value in project.items())]
    lines += ["[tool.uv]", f"environments = [{json.dumps(where)}]"]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "pyproject.toml")
        source.write_text("\n".join(lines), encoding="utf-8")
        command = ["uv", "pip", "compile", str(source), "--python-version", python, "--quiet"]
        # A Python that is not here is not fetched: only what this resolver says of it is wanted.
        command += ["--no-python-downloads", "--no-header", "--no-annotate", *options]
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path}
        )
    if done.returncode:
        raise SystemExit(f"uv could not resolve for Python {python}:\n{done.stderr}")
    return done.stdout


def floors(python: str) -> str:
    """The lowest versions that the packages and the tests ask for, on Linux.

    Wheels alone: a floor that a Python has no wheel of is not what its users get.
    """
    options = ["--resolution", "lowest-direct", "--only-binary", ":all:"]
    options += ["--python-platform", "x86_64-manylinux_2_28"]
    with tempfile.TemporaryDirectory() as folder:
        overrides = Path(folder, "overrides.txt")
        overrides.write_text("\n".join(OVERRIDES), encoding="utf-8")
        options += ["--override", str(overrides)]
        return resolve(third_party(["test"]), python, *options, where=one_python(python))


def write(name: str, text: str) -> None:
    """Write one file, and say so."""
    path = CONSTRAINTS / name
    path.write_text(HEADER + text, encoding="utf-8")
    print(f"{path.relative_to(ROOT)}: {text.count('==')} versions", flush=True)


def pin_npm() -> None:
    """Lock what LM Studio's TypeScript SDK needs, without the addresses it was fetched from."""
    folder = CONSTRAINTS / "node"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(json.dumps(OFFICIAL_NODE, indent=2) + "\n")
    options = ["--package-lock-only", "--omit-lockfile-registry-resolved", "--silent"]
    subprocess.run(["npm", "install", *options, "--prefix", str(folder)], check=True)
    print(f"{(folder / 'package-lock.json').relative_to(ROOT)}", flush=True)


def main() -> None:
    """Write every file of ``constraints/`` anew, or those of the Pythons named."""
    parser = argparse.ArgumentParser(description="Compile the versions that the checks install.")
    parser.add_argument("--python", action="append", metavar="X.Y", help="only these Pythons")
    wanted = parser.parse_args().python
    for python in wanted or PYTHONS:
        newest = resolve(
            third_party(["test", "dev"]), python, "--universal", where=one_python(python)
        )
        write(f"python{python}.txt", newest)
        write(f"lowest-python{python}.txt", floors(python))
    if not wanted:
        oldest = PYTHONS[0]
        where = f"python_full_version >= '{oldest}'"
        write("official.txt", resolve([OFFICIAL_PYTHON], oldest, "--universal", where=where))
        write("audit.txt", resolve([AUDIT], oldest, "--universal", where=where))
        pin_npm()


if __name__ == "__main__":
    main()
