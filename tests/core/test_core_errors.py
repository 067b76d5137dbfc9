"""The tree of errors: official names and bases, and what the server's own errors become."""

from __future__ import annotations

import inspect
import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmstudio_core import errors
from lmstudio_core.server_errors import SerializedLMSExtendedError, server_error

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
    assert set(errors.__all__) == {cls.__name__ for cls in CLASSES}
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
    assert text == "No preset\nPresets: p0, p1, p2 and 6 more"


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
def test_no_error_object_is_fatal(raw, data, code):
    for packet in (raw, {"title": "x", "displayData": {**data, "code": f"generic.{code}"}}):
        error = server_error(packet, "a.b", default=errors.LMStudioServerError)
        assert str(error)
        assert error.endpoint == "a.b"


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
    assert str(error) == 'No\nDetails: {"tokens": 7}'
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
