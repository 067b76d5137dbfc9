"""What type checkers make of programs: mistakes are errors, right programs are not, types are kept.

``mistakes.py``, ``right.py`` and ``inferred.py`` are read by mypy and by pyright, and never run.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import is_typeddict

from lmstudio_core.data import InputStruct
from lmstudio_core.models import gpu, infos, specifiers
from lmstudio_embed import config as embedding
from lmstudio_llm import config, config_dicts, config_types

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# Each checker runs once, in whichever worker has these tests; alone it takes some seconds.
pytestmark = [pytest.mark.xdist_group("typing"), pytest.mark.timeout(300)]
FILES = ("mistakes.py", "right.py", "inferred.py")


def run(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr  # 1: there are errors
    return done.stdout


def mypy() -> dict[str, dict[int, str]]:
    """File → line → error."""
    pytest.importorskip("mypy")
    paths = [str(HERE / name) for name in FILES]
    output = run(sys.executable, "-m", "mypy", "--config-file", str(HERE / "mypy.ini"), *paths)
    found: dict[str, dict[int, str]] = {name: {} for name in FILES}
    for name, line, text in re.findall(
        r"^(?:.*[\\/])?(\w+\.py):(\d+): error: (.*)", output, re.MULTILINE
    ):
        found[name][int(line)] = text
    return found


def pyright() -> dict[str, dict[int, str]]:
    """File → line → error."""
    command = Path(sys.executable).with_name("pyright")
    if not command.exists():
        pytest.skip("pyright is not installed")
    output = run(str(command), "--outputjson", "-p", str(HERE), "--pythonpath", sys.executable)
    found: dict[str, dict[int, str]] = {name: {} for name in FILES}
    report = json.loads(output)
    assert report["summary"]["filesAnalyzed"] == len(FILES)
    for problem in report["generalDiagnostics"]:
        if problem["severity"] == "error":
            line = problem["range"]["start"]["line"] + 1
            found[Path(problem["file"]).name][line] = problem["message"]
    return found


@pytest.fixture(scope="module", params=[mypy, pyright], ids=lambda checker: checker.__name__)
def errors(request: pytest.FixtureRequest) -> dict[str, dict[int, str]]:
    """The errors that a checker finds; it runs once for all tests here."""
    return request.param()


def test_every_mistake_is_an_error(errors: dict[str, dict[int, str]]) -> None:
    lines = (HERE / "mistakes.py").read_text().splitlines()
    marked = {number for number, line in enumerate(lines, 1) if line.endswith("# mistake")}
    assert len(marked) > 100
    missed = [lines[number - 1].strip() for number in sorted(marked - set(errors["mistakes.py"]))]
    assert not missed
    others = {n: text for n, text in errors["mistakes.py"].items() if n not in marked}
    assert not others


@pytest.mark.parametrize("name", ["right.py", "inferred.py"])
def test_what_is_right_is_no_error(errors: dict[str, dict[int, str]], name: str) -> None:
    assert not errors[name]


def dict_forms() -> list[Any]:
    """Every ``XDict`` of a class ``X`` that a config, or a part of one, may be written as."""
    homes = (config_dicts, config_types, config, gpu, embedding, infos, specifiers)
    found = {name: value for home in homes for name, value in vars(home).items()}
    return [
        pytest.param(found[name.removesuffix("Dict")], value, id=name)
        for name, value in sorted(found.items())
        if is_typeddict(value) and name.removesuffix("Dict") in {*found} - {name}
    ]


@pytest.mark.parametrize(("cls", "as_dict"), dict_forms())
def test_dict_types_have_the_same_keys(cls: type[InputStruct], as_dict: Any) -> None:
    """Both spellings of each field, of one type; where keys are required, the server's alone."""
    hints = typing.get_type_hints(as_dict)
    fields = cls.model_fields
    spellings = {name: str(field.alias) for name, field in fields.items()}
    assert set(spellings.values()) <= set(hints)
    assert set(hints) <= {*spellings, *spellings.values()}
    for name, alias in spellings.items():
        assert hints.get(name, hints[alias]) == hints[alias]
        if alias not in as_dict.__required_keys__ and len(as_dict.__optional_keys__) > 1:
            assert name in hints


def test_the_dict_types_are_all_found() -> None:
    names = {form.id for form in dict_forms()}
    assert {"LlmPredictionConfigDict", "EmbeddingLoadModelConfigDict", "GpuSettingDict"} <= names
