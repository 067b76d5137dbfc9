"""What is in the wheels and the sdists."""

from __future__ import annotations

import ast
import re
import sys
import tarfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .conftest import Built

ROOT = Path(__file__).parents[2]
NAMES = (
    "lmstudio",
    "lmstudio-agent",
    "lmstudio-batch",
    "lmstudio-cli",
    "lmstudio-core",
    "lmstudio-embed",
    "lmstudio-llm",
    "lmstudio-plugin",
    "lmstudio-server",
    "lmstudio-testing",
)
INSIDE = {
    "opentelemetry": "opentelemetry_api",
    "pydantic_ai": "pydantic_ai_slim",
    "pydantic_core": "pydantic",
    "yaml": "pyyaml",
}
"""Import packages that another distribution brings as a part of itself."""
COMMANDS = {"click", "lmstudio_cli"}
NOT_REQUIRED = {
    "lmstudio-llm": {"lmstudio_agent", *COMMANDS},
    "lmstudio-embed": COMMANDS,
    "lmstudio-agent": COMMANDS,
    "lmstudio-batch": COMMANDS,
    "lmstudio-plugin": {"pytest", *COMMANDS},
    "lmstudio-testing": {"pytest", "lmstudio_server"},
}
"""Imported only where it is there anyway (commands by lmstudio-cli, a pytest plugin by pytest), or by
type checkers alone."""
BY_NAME = {
    "lmstudio-batch": {"dask", "distributed", "pandas", "pyarrow", "ray"},
    "lmstudio-embed": {"pyarrow", "tqdm"},
    "lmstudio-server": {"psutil", "xllamacpp"},
}
"""Imported by a name in a string."""
FAMILY = re.compile(r"^(lmstudio[a-z-]*)(?:\[[a-z,-]+\])?(.*)$")


def sdist_files(built: Built) -> list[str]:
    with tarfile.open(built.sdist) as archive:
        # Each path begins with the folder "name-version".
        return [name.partition("/")[2] for name in archive.getnames()]


def test_these_are_all(built: Mapping[str, Built]) -> None:
    assert sorted(built) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_wheel_is_pure_typed_and_licensed(built: Mapping[str, Built], name: str) -> None:
    one = built[name]
    assert one.wheel.name.endswith("-py3-none-any.whl")
    assert f"{one.import_name}/py.typed" in one.files()
    assert one.metadata()["License-Expression"] == "MIT"
    assert "MIT License" in one.metadata_file("licenses/LICENSE")
    description = one.metadata().get_payload()
    assert isinstance(description, str)
    assert "```" in description, "the README has an example"


@pytest.mark.parametrize("name", NAMES)
def test_wheel_holds_the_import_package_whole_and_nothing_else(
    built: Mapping[str, Built], name: str
) -> None:
    one = built[name]
    inside = {path for path in one.files() if not path.endswith("/")}
    package = {path for path in inside if path.startswith(f"{one.import_name}/")}
    source = {
        f"{one.import_name}/{path.relative_to(one.source).as_posix()}"
        for path in one.source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert package == source
    rest = inside - package
    assert all(PurePosixPath(path).parts[0].endswith(".dist-info") for path in rest), rest
    code = [path for path in package if not path.endswith(".tmpl")]  # what `plugin new` writes
    assert not [path for path in code if "/tests/" in path or "/training/" in path]


def test_versions_move_together_and_are_pinned(built: Mapping[str, Built]) -> None:
    versions = {one.metadata()["Version"] for one in built.values()}
    assert len(versions) == 1
    (version,) = versions
    for one in built.values():
        for requirement in one.requirements():
            match = FAMILY.match(requirement.partition(";")[0].strip())
            if match:
                assert match[1] in built
                assert match[2] == f"=={version}", f"{one.name} requires {requirement}"


def test_who_depends_on_whom(built: Mapping[str, Built]) -> None:
    def family(name: str) -> set[str]:
        found = (FAMILY.match(requirement) for requirement in built[name].requirements())
        return {match[1] for match in found if match}

    assert family("lmstudio-core") == set()
    assert family("lmstudio-llm") == {"lmstudio-core"}
    assert family("lmstudio-embed") == {"lmstudio-core"}
    assert family("lmstudio-agent") == {"lmstudio-core", "lmstudio-llm"}
    assert family("lmstudio-batch") == {"lmstudio-core", "lmstudio-llm", "lmstudio-embed"}
    assert family("lmstudio-plugin") == {"lmstudio-core", "lmstudio-llm", "lmstudio-agent"}
    assert family("lmstudio-cli") == {"lmstudio-core"}
    assert family("lmstudio-testing") == {"lmstudio-core"}
    assert family("lmstudio-server") == {"lmstudio-core", "lmstudio-cli"}
    assert family("lmstudio") == set(NAMES) - {"lmstudio"}
    for extra in ("server", "testing"):
        (found,) = [
            r for r in built["lmstudio"].requirements() if r.startswith(f"lmstudio-{extra}")
        ]
        assert f"extra == '{extra}'" in found.replace('"', "'")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_imported_is_declared_and_the_reverse(
    built: Mapping[str, Built], name: str
) -> None:
    one = built[name]
    declared = {re.split(r"[^\w-]", r)[0].replace("-", "_") for r in one.requirements()}
    imported = {
        INSIDE.get(found, found)
        for path in one.source.rglob("*.py")
        for found in imports(path)
        if found not in sys.stdlib_module_names
    }
    imported -= {one.import_name}
    # Core names the others for type checkers alone, and the facade's six are its purpose.
    if name in ("lmstudio-core", "lmstudio"):
        imported = {found for found in imported if not found.startswith("lmstudio_")}
        declared = {found for found in declared if not found.startswith("lmstudio_")}
    assert (imported | BY_NAME.get(name, set())) - NOT_REQUIRED.get(name, set()) == declared


@pytest.mark.parametrize("name", NAMES)
def test_each_dependency_has_its_reason_on_the_page(built: Mapping[str, Built], name: str) -> None:
    page = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    section = page.partition(f"### {name}\n")[2].partition("### ")[0]
    for requirement in built[name].requirements():
        assert f"`{re.split(r'[^A-Za-z0-9-]', requirement)[0]}`" in section


def imports(path: Path) -> set[str]:
    """The top-level names that a module imports anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_entry_points(built: Mapping[str, Built]) -> None:
    def entry_points(name: str) -> str:
        return built[name].metadata_file("entry_points.txt")

    assert "lmstudio = lmstudio.__main__:main" in entry_points("lmstudio")
    assert "lmstudio-server = lmstudio_server.cli:main" in entry_points("lmstudio-server")
    for name, capability in (("llm", "llm"), ("embed", "embedding"), ("agent", "agent")):
        assert f"{capability} = lmstudio_{name}.capability" in entry_points(f"lmstudio-{name}")
    assert "lmstudio = lmstudio_testing.pytest_plugin" in entry_points("lmstudio-testing")
    commands = {
        name: re.findall(
            r"^(\w+) = ",
            entry_points(name).partition("[lmstudio.commands]")[2].partition("[")[0],
            re.MULTILINE,
        )
        for name in NAMES
    }
    assert {name: found for name, found in commands.items() if found} == {
        "lmstudio-agent": ["agent"],
        "lmstudio-batch": ["batch"],
        "lmstudio-embed": ["embed", "similar"],
        "lmstudio-llm": ["chat", "complete"],
        "lmstudio-plugin": ["dev"],
        "lmstudio-server": ["server"],
    }
    # Two distributions with one script would take it from each other when one is uninstalled.
    for name in ("lmstudio-core", "lmstudio-cli"):
        assert "[console_scripts]" not in entry_points(name)


def test_server_carries_the_pocket_model(built: Mapping[str, Built]) -> None:
    models = [path for path in built["lmstudio-server"].files() if path.endswith(".gguf")]
    assert len(models) == 2
    assert built["lmstudio-server"].wheel.stat().st_size < 4_000_000


def test_root_sdist_leaves_packages_and_tests_out(built: Mapping[str, Built]) -> None:
    tops = {PurePosixPath(path).parts[0] for path in sdist_files(built["lmstudio"]) if path}
    expected = {"src", "README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "PKG-INFO"}
    assert tops <= {*expected, ".gitignore"}
    assert tops >= expected


@pytest.mark.parametrize("name", NAMES)
def test_sdist_is_licensed_and_without_tests(built: Mapping[str, Built], name: str) -> None:
    files = sdist_files(built[name])
    assert {"LICENSE", "README.md", "pyproject.toml"} <= set(files)
    assert not [path for path in files if path.startswith(("tests", "packages", "training"))]
