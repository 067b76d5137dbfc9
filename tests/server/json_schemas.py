"""JSON schemas as they come: of public collections of tools, and any at all. For tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

TEXT: dict[str, Any] = {"type": "string"}
TYPES = ("string", "number", "integer", "boolean", "null", "array", "object")
_NAMES = st.sampled_from(["a", "b", "c", "x/y~z %", "ä"])
_ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, [], {}, "file", 0, -1, 1.5, 1e300, "", "null", ["string", "x"], [None]]
)
_PATTERNS = st.sampled_from(
    [
        *("^[a-z]+$", "[a-z]+", r"^\d{3}-\d{4}$", r"^\w+@\w+\.\w+$", "^(a|b)*$", "^a{1,3}$", ""),
        *(
            r"^(?=x)y$",
            "^[(",
            r"(a)\1",
            r"\bfoo\b",
            "[[a]",
            r"\p{L}+",
            "^(a{1,200}){1,200}$",
            "a$b",
        ),
        *(
            r"^\/x\-y$",
            r"[\w.-]+",
            "^$",
            "a|",
            "|",
            "()",
            "a**",
            "^.*?$",
            r"[^\s\S]",
            "[z-a]",
            "x--",
        ),
    ]
)
_REFERENCES = st.sampled_from(
    [
        *("#", "#/$defs/a", "#/$defs/b", "#/definitions/a", "#/properties/a", "#/$defs/none"),
        *(
            "#/$defs/x~1y~0z%20%25",
            "https://example.com/s.json",
            "#name",
            "a",
            "#/properties/a/items",
        ),
    ]
)
_NUMBERS = st.one_of(
    st.integers(-3, 30), st.floats(-1e3, 1e3), st.sampled_from([10**30, 1e-9, 2.5])
)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-99, 99), st.sampled_from(["", "x", "\ud800"])),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_NAMES, inner, max_size=2),
    max_leaves=4,
)


def _keywords(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    many = st.lists(inner, max_size=3)
    named = st.dictionaries(_NAMES, inner, max_size=3)
    types = st.sampled_from(
        [*TYPES, *TYPES, "str", "file", ["string", "null"], ["object", "array"]]
    )
    fields: dict[str, st.SearchStrategy[Any]] = {
        "type": types,
        "$ref": _REFERENCES,
        "enum": st.lists(_VALUES, max_size=3),
        "const": _VALUES,
        "properties": named,
        "patternProperties": named,
        "required": st.lists(_NAMES, max_size=3),
        "additionalProperties": st.booleans() | inner,
        "items": inner | many,
        "prefixItems": many,
        "anyOf": many,
        "oneOf": many,
        "allOf": many,
        "not": inner,
        "if": inner,
        "then": inner,
        "contains": inner,
        "propertyNames": inner,
        "uniqueItems": st.booleans(),
        "pattern": _PATTERNS,
        "format": st.sampled_from(["date", "uri"]),
        **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "multipleOf"), _NUMBERS),
        **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _NUMBERS),
        "minProperties": _NUMBERS,
        "$defs": named,
        "definitions": named,
        "$anchor": st.just("name"),
        "description": st.sampled_from(["Words.", None]),
        "$id": st.just("https://example.com/s.json"),
    }
    some = st.lists(st.sampled_from(sorted(fields)), min_size=1, max_size=4, unique=True)
    return some.flatmap(
        lambda keys: st.fixed_dictionaries(
            {k: st.one_of(fields[k], fields[k], fields[k], _ODD) for k in keys}
        )
    )


ANY_SCHEMA: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([TEXT, {"type": "integer"}, {"$ref": "#/$defs/a"}, {}, True, False, None]),
    _keywords,
    max_leaves=8,
)
"""Any schema, sound or not."""
