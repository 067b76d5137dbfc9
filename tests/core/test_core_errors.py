"""The tree of errors: official names and bases, and what the server's own errors become."""

from __future__ import annotations

import ast
import asyncio
import inspect
import itertools
import json
import pickle
import traceback
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import lmstudio_core
from lmstudio_core import errors
from lmstudio_core.lenient import error_text, is_blank
from lmstudio_core.protocol.server_errors import SerializedLMSExtendedError, server_error
from lmstudio_embed.errors import TextTooLongError
from lmstudio_llm.results import StructuredOutputError
from lmstudio_server.embedded import EmbeddedServerError

ROOT = Path(__file__).parents[2]

TABLE = Path(__file__).parents[3] / "shared" / "compat" / "official-1.6.0b1-api.json"
CLASSES = [
    cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, Exception)
]
ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 50) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def test_one_tree():
    assert {cls.__name__ for cls in CLASSES} <= set(lmstudio_core.HOME_OF)
    for cls in CLASSES:
        assert issubclass(cls, errors.LMStudioError)
        assert inspect.getdoc(cls)


def test_the_tree_is_printed_as_it_is():
    """The page at the top of the module is what people read."""
    depths: list[type] = []
    for line in inspect.getdoc(errors).splitlines():
        head, _, rest = line.partition("── ")
        name = (rest or line.strip()).split()[0] if line.strip() else ""
        cls = getattr(errors, name, None)
        if not inspect.isclass(cls):
            continue
        depth = (len(head) + 1) // 4 if rest else 0
        del depths[depth:]
        if depths:
            assert depths[-1] in cls.__bases__, name
        depths.append(cls)
    shown = inspect.getdoc(errors)
    assert all(f"{cls.__name__}" in shown for cls in CLASSES)


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (errors.LMStudioValueError, ValueError),
        (errors.LMStudioRuntimeError, RuntimeError),
        (errors.LMStudioOSError, OSError),
        (errors.LMStudioTimeoutError, TimeoutError),
        (errors.LMStudioConnectionError, ConnectionError),
        (errors.LMStudioUnknownMessageWarning, UserWarning),
    ],
)
def test_dual_inheritance(cls, builtin):
    with pytest.raises(builtin):
        raise cls("x")


@pytest.mark.skipif(not TABLE.exists(), reason="the official API table is not here")
def test_official_names_and_bases():
    table = json.loads(TABLE.read_text())["names"]
    official = {
        n: e["bases"] for n, e in table.items() if n.startswith("LMStudio") and "bases" in e
    }
    for name, bases in official.items():
        if "BaseException" in bases:
            ours = [base.__name__ for base in getattr(errors, name).__mro__]
            assert set(bases) <= set(ours), name


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_errors_can_be_sent_to_another_process(cls):
    error = cls("what happened")
    error.endpoint = "a.b"
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is cls
    assert str(copied) == str(error) == "what happened"
    assert copied.endpoint == "a.b"


def test_fields():
    error = errors.LMStudioServerError("x", SerializedLMSExtendedError(display_data={"code": "c"}))
    assert error.display_data == {"code": "c"}
    assert errors.LMStudioServerError("x").display_data == {}
    assert errors.LMStudioConnectionError("x", tried=["a"]).tried == ("a",)
    assert errors.LMStudioTimeoutError("x", seconds=2, endpoint="a.b").seconds == 2
    assert errors.PluginLoadError("x", plugin="p", distribution="d").distribution == "d"


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        ("generic.noModelMatchingQuery", errors.LMStudioModelNotFoundError),
        ("generic.pathNotFound", errors.LMStudioModelNotFoundError),
        ("generic.identifierNotFound", errors.LMStudioModelNotFoundError),
        ("generic.specificModelUnloaded", errors.LMStudioModelNotFoundError),
        ("generic.presetNotFound", errors.LMStudioPresetNotFoundError),
        ("generic.newInSomeVersion", errors.LMStudioServerError),
        (["odd"], errors.LMStudioServerError),
    ],
)
def test_display_data_chooses_the_class(code, cls):
    raw = {"title": "T", "displayData": {"code": code}}
    error = server_error(raw, "a.b", default=errors.LMStudioServerError)
    assert type(error) is cls
    assert error.display_data["code"] == code


def test_samples_are_listed():
    presets = [{"identifier": f"p{n}", "name": "x"} for n in range(3)]
    data = {"code": "generic.presetNotFound", "availablePresetsSample": presets}
    raw = {"title": "No preset", "displayData": {**data, "totalAvailablePresets": 9}}
    text = str(server_error(raw, "a.b", default=errors.LMStudioServerError))
    assert text == "No preset\nPresets: p0, p1, p2 and 6 more\nEndpoint: a.b"


KEYS = [
    "title", "cause", "suggestion", "errorData", "displayData", "stack", "rootTitle", "code", "query",
    "loadedModelsSample", "availablePathsSample", "availablePresetsSample", "totalModels",
    "totalLoadedModels", "totalAvailablePresets", "path", "actualDomain",
]  # fmt: skip
DATA = st.dictionaries(st.sampled_from(KEYS), ODD, max_size=5)
CODES = st.sampled_from(
    [
        "pathNotFound",
        "noModelMatchingQuery",
        "presetNotFound",
        "domainMismatch",
        "identifierNotFound",
    ]
)


@given(ODD | DATA, DATA, CODES)
@example({"title": ""}, {}, "pathNotFound")
@example({"title": " \n\t"}, {"availablePathsSample": [None, "", {"name": ""}]}, "pathNotFound")
@example({"title": "\u200b\x00"}, {"loadedModelsSample": [""]}, "identifierNotFound")
@example({"title": None, "cause": "", "suggestion": " "}, {}, "presetNotFound")
@example({"title": {"title": "x"}, "rootTitle": ["x"]}, {"path": None}, "domainMismatch")
@example({"title": "", "cause": 5, "displayData": [], "errorData": "x"}, {}, "noModelMatchingQuery")
@example({}, {}, "pathNotFound")
@example("", {}, "pathNotFound")
@example(" ", {}, "pathNotFound")
@example(None, {}, "pathNotFound")
@example([{"title": "x"}], {}, "pathNotFound")
def test_no_error_object_is_fatal_or_says_nothing(raw, data, code):
    shown = {**data, "code": f"generic.{code}"}
    for packet in (raw, {"title": "x", "displayData": shown}, {"title": "", "displayData": shown}):
        error = server_error(packet, "a.b", default=errors.LMStudioServerError)
        said, _, endpoint = str(error).rpartition("\n")
        assert not is_blank(said)
        assert endpoint == "Endpoint: a.b"
        assert error.endpoint == "a.b"
        assert not is_blank(error.server_error.title)


WORDS = {"title": "It broke", "cause": "No memory.", "suggestion": "Buy some."}
BLANK = ["", " ", "\n\t", "\u200b\u2060", "\x00", "\ufeff"]


@pytest.mark.parametrize("absent", [*BLANK, None, 7, ["x"], {"title": "x"}, "leave out"])
@pytest.mark.parametrize("known", list(itertools.product([True, False], repeat=3)))
def test_the_message_says_what_is_known_in_order(known, absent):
    raw = {
        key: words if told else absent
        for told, (key, words) in zip(known, WORDS.items(), strict=True)
        if told or absent != "leave out"
    }
    expected = [words for told, words in zip(known, WORDS.values(), strict=True) if told]
    if not known[0]:
        expected.insert(0, "Unknown error")
    error = server_error(raw, "a.b", default=errors.LMStudioServerError)
    assert str(error).splitlines() == [*expected, "Endpoint: a.b"]


def test_other_sources_of_a_title():
    for raw in ("It broke", {"title": " ", "rootTitle": "It broke"}):
        error = server_error(raw, "a.b", default=errors.LMStudioServerError)
        assert str(error) == "It broke\nEndpoint: a.b"


def every_class(cls=errors.LMStudioError):
    yield cls
    for below in cls.__subclasses__():
        yield from every_class(below)


FAMILY = sorted({c for c in every_class() if c.__module__.startswith("lmstudio")}, key=repr)


def test_the_other_packages_are_looked_at():
    assert {StructuredOutputError, TextTooLongError, EmbeddedServerError} <= set(FAMILY)


@pytest.mark.parametrize("cls", FAMILY, ids=lambda cls: cls.__name__)
def test_no_error_of_the_family_is_without_words(cls):
    """However it is made, printed, chained or sent to another process."""
    if cls is StructuredOutputError:  # it makes its message itself
        made = [cls(blank, blank, [blank]) for blank in BLANK]
    else:
        made = [cls(), cls(None), *(cls(blank) for blank in BLANK)]
        assert str(cls("what happened")) == "what happened"
    for error in made:
        copied = pickle.loads(pickle.dumps(error))
        assert not is_blank(str(error))
        assert str(error) != "None"
        assert str(copied) == str(error)
        last = traceback.format_exception_only(cls, error)[0]
        assert not is_blank(last.partition(":")[2])


def test_without_a_message_the_fields_are_told():
    details = SerializedLMSExtendedError(title="It broke", cause="No memory.")
    for nothing in ("", " ", None):
        error = errors.LMStudioPredictionError(nothing, details, endpoint="a.b")
        assert str(error) == "It broke\nNo memory.\nEndpoint: a.b"
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert str(errors.LMStudioTimeoutError(endpoint="a.b")).endswith("allowed.\nEndpoint: a.b")
    assert str(errors.LMStudioPredictionError(" ", endpoint="a.b")).endswith("\nEndpoint: a.b")
    assert str(errors.LMStudioOSError(2, "No such file", "x")) == "[Errno 2] No such file: 'x'"


def test_a_hint_stands_above_the_endpoint():
    error = server_error({"title": "T"}, "a.b", default=errors.LMStudioServerError)
    errors.add_hint(error, "Did you mean c?")
    errors.add_hint(error, "Or d?")
    assert str(error) == "T\nDid you mean c?\nOr d?\nEndpoint: a.b"
    error = errors.LMStudioServerError("T", endpoint="a.b")
    errors.add_hint(error, "H")
    assert str(error) == "T\nH"


class UnprintableError(Exception):
    def __str__(self):
        raise RuntimeError("no text for you")


@pytest.mark.parametrize(
    "error",
    [TimeoutError(), OSError(), KeyboardInterrupt(), AssertionError(""), ValueError(" \n"),
     NotImplementedError(), asyncio.CancelledError(), UnprintableError("x")],
    ids=repr,
)  # fmt: skip
def test_what_says_nothing_is_called_by_its_class(error):
    name = type(error).__name__
    assert error_text(error) == error_text(error, named=True) == name


SOURCES = sorted(ROOT.glob("packages/*/src/**/*.py"))
ALONE = {"llamacpp/worker.py"}
"""Imports nothing of the family's, see there."""


def names_in(annotation):
    return {n.id for n in ast.walk(annotation) if isinstance(n, ast.Name)} | {
        n.attr for n in ast.walk(annotation) if isinstance(n, ast.Attribute)
    }


OWN = {
    node.name
    for path in SOURCES
    for node in ast.walk(ast.parse(path.read_text("utf-8")))
    if isinstance(node, ast.ClassDef) and node.name.endswith(("Error", "Warning", "Failure"))
}


def bare_uses(tree):
    """Where the text of somebody else's exception becomes a part of another text just like that."""
    for handler in ast.walk(tree):
        if not isinstance(handler, ast.ExceptHandler) or handler.name is None:
            continue
        if names_in(handler.type) <= OWN:
            continue
        for node in ast.walk(handler):
            inside = None
            if isinstance(node, ast.FormattedValue) and node.conversion == -1:
                inside = node.value
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "str" and node.args:
                inside = node.args[0]
            if isinstance(inside, ast.Name) and inside.id == handler.name:
                yield node.lineno


def test_the_words_of_foreign_exceptions_come_from_one_place():
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        if not path.as_posix().endswith(tuple(ALONE))
        for line in bare_uses(ast.parse(path.read_text("utf-8")))
    ]
    assert not found, "str(error) may be empty; use lmstudio_core.lenient.error_text"


def test_that_check_sees_what_it_is_about():
    code = "try: f()\nexcept (OSError, GgufError) as e: g(f'x: {e}', str(e), f'{e!r}', e.errno)"
    assert list(bare_uses(ast.parse(code))) == [2, 2]


def test_details_given_as_a_dict_are_read_and_told():
    details = {
        "title": "No",
        "cause": "Because",
        "suggestion": "Ask",
        "errorData": {"n": 1},
        "displayData": {"code": "x"},
        "stack": "at line 1",
    }
    error = errors.LMStudioServerError("Prediction error", details)
    assert isinstance(error.server_error, SerializedLMSExtendedError)
    assert error._raw_error == {k: v for k, v in details.items() if k != "stack"}
    assert error.display_data == {"code": "x"}
    for part in ("Prediction error: No", "Because", "Ask", '{"n": 1}', '{"code": "x"}'):
        assert part in str(error)
    assert "line 1" not in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert errors.LMStudioServerError("alone")._raw_error is None


def test_what_the_server_sends_beside_its_words_is_in_the_text():
    error = server_error(
        {"title": "No", "errorData": {"tokens": 7}}, "llm.x", default=errors.LMStudioServerError
    )
    assert str(error) == 'No\nDetails: {"tokens": 7}\nEndpoint: llm.x'
    assert error._raw_error == {"title": "No", "errorData": {"tokens": 7}}


@pytest.mark.parametrize("builtin", [TypeError, AttributeError, ValueError])
def test_wrong_names_are_what_python_calls_them(builtin):
    with pytest.raises(builtin):
        raise errors.FieldNameError("x")


def test_the_class_that_details_ask_for():
    details = {"title": "No", "displayData": {"code": "generic.presetNotFound"}}
    error = errors.LMStudioServerError.from_details("RPC error", details)
    assert type(error) is errors.LMStudioPresetNotFoundError
    assert error._raw_error == details
    assert "RPC error: No" in str(error)
    plain = errors.LMStudioServerError.from_details("RPC error", {"displayData": 3})
    assert type(plain) is errors.LMStudioServerError
