"""Patches: compared with a plain reading of what each operation means."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmstudio_core.protocol.operations import VOID
from lmstudio_core.protocol.signals import PatchError, apply_patches

VALUE = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


def places(value, path=()):
    """Every path inside a value."""
    parts = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, part in parts:
        yield [*path, key]
        yield from places(part, (*path, key))


def at(value, path):
    for key in path:
        value = value[key]
    return value


@given(VALUE, VALUE, st.data())
def test_replace_and_remove_at_any_place(value, new, data):
    paths = list(places(value))
    if not paths:
        return
    path = data.draw(st.sampled_from(paths))
    before = copy.deepcopy((value, new))
    replaced = apply_patches(value, [{"op": "replace", "path": path, "value": new}])
    assert at(replaced, path) == new
    back = apply_patches(replaced, [{"op": "replace", "path": path, "value": at(value, path)}])
    assert back == value
    removed = apply_patches(value, [{"op": "remove", "path": path}])
    parent = at(value, path[:-1])
    assert len(at(removed, path[:-1])) == len(parent) - 1
    again = apply_patches(removed, [{"op": "add", "path": path, "value": at(value, path)}])
    assert again == value
    assert (value, new) == before  # nothing that was passed in is changed


@given(VALUE, VALUE)
def test_the_whole_value(value, new):
    assert apply_patches(value, [{"op": "replace", "path": [], "value": new}]) == new
    assert apply_patches(value, [{"op": "remove", "path": []}]) is VOID
    assert apply_patches(VOID, [{"op": "add", "path": [], "value": new}]) == new


def test_patches_apply_in_order_and_leave_each_other_alone():
    inner = {"b": 1}
    patches = [
        {"op": "add", "path": ["a"], "value": inner},
        {"op": "replace", "path": ["a", "b"], "value": 2},
        {"op": "add", "path": ["list"], "value": [1, 2, 3]},
        {"op": "replace", "path": ["list", "length"], "value": 1},
    ]
    assert apply_patches({}, patches) == {"a": {"b": 2}, "list": [1]}
    assert inner == {"b": 1}


@pytest.mark.parametrize(
    "patch",
    [
        {}, 5, None, [], {"op": "move", "path": []}, {"op": "add"}, {"op": "add", "path": "a"},
        {"op": "replace", "path": ["x", "y"], "value": 1}, {"op": "remove", "path": ["x"]},
        {"op": "add", "path": ["l", 9], "value": 1}, {"op": "add", "path": ["l", -1], "value": 1},
        {"op": "remove", "path": ["l", -1]}, {"op": "replace", "path": ["l", True], "value": 1},
        {"op": "replace", "path": ["l", "0"], "value": 1}, {"op": "add", "path": ["n", "x"]},
        {"op": "add", "path": [1], "value": 1}, {"op": "add", "path": [["x"]], "value": 1},
        {"op": "replace", "path": ["l", "length"], "value": "x"},
        {"op": "replace", "path": ["l", 5], "value": 1}, {"op": "add", "path": ["s", 0]},
    ],
)  # fmt: skip
def test_what_does_not_fit(patch):
    value = {"l": [1, 2], "n": 5, "s": "text"}
    with pytest.raises(PatchError):
        apply_patches(value, [patch])
    assert value == {"l": [1, 2], "n": 5, "s": "text"}
