"""Whether data fits a JSON schema, by the ``jsonschema`` package.

Servers constrain the output to the schema while generating. What this finds is output that was cut
off, servers that do not constrain, and keywords that a grammar cannot express.

The package takes 90 ms to import. That is done in a thread once the request is on its way
(``import_soon``), so that it costs neither the program's start nor an event loop's time.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterable
from typing import Any, Final

from lmstudio_core.lenient import error_text, is_mapping, is_sequence

__all__ = [
    "UncheckableSchemaError",
    "import_soon",
    "joined_path",
    "schema_errors",
    "schema_line",
    "schema_problems",
]

_MAX_SHOWN: Final = 300
_DATA_KEYWORDS: Final = ("enum", "const", "default", "examples")


class UncheckableSchemaError(ValueError):
    """The schema cannot be used: it is none, or refers to what is not in it."""


def import_soon() -> None:
    """Begin to import the package, unless that has been done; returns at once."""
    if "jsonschema" not in sys.modules:
        try:
            threading.Thread(target=_import, name="lmstudio-import").start()
        except RuntimeError:  # no more threads: it is imported when it is needed
            return


def _import() -> Any:
    import jsonschema  # type: ignore[import-untyped]

    return jsonschema


def schema_problems(data: Any, schema: Any) -> tuple[str, ...]:
    """What is wrong with ``data``, one line each with the place; empty if it fits.

    Raises:
        UncheckableSchemaError: The schema cannot be used.
    """
    return tuple(dict.fromkeys(schema_line(error) for error in schema_errors(data, schema)))


def schema_errors(data: Any, schema: Any) -> list[Any]:
    """The same as the package's own errors, which know the path.

    Patterns are ECMAScript's in JSON schema. One that Python cannot read is not checked.

    Raises:
        UncheckableSchemaError: The schema cannot be used.
    """
    package = _import()
    try:
        try:
            return _errors(package, data, schema)
        except re.error:
            return _errors(package, data, _with_readable_patterns(schema))
    except UncheckableSchemaError:
        raise
    except RecursionError as error:
        raise UncheckableSchemaError("the schema, or the data, is nested without end") from error
    except Exception as error:  # what a keyword of a wrong type raises is anybody's guess
        raise UncheckableSchemaError(f"the schema cannot be used: {_short(error)}") from error


def _errors(package: Any, data: Any, schema: Any) -> list[Any]:
    from referencing import Registry
    from referencing.jsonschema import EMPTY_REGISTRY

    cls = package.validators.validator_for(schema, default=package.Draft202012Validator)
    try:
        cls.check_schema(schema, format_checker=package.FormatChecker(()))
    except package.SchemaError as error:
        raise UncheckableSchemaError(f"the schema is wrong: {schema_line(error)}") from error
    # With a registry of its own the package fetches nothing over the network.
    registry: Registry[Any] = EMPTY_REGISTRY
    validator = cls(schema, registry=registry, format_checker=cls.FORMAT_CHECKER)
    return sorted(validator.iter_errors(data), key=lambda error: [str(p) for p in error.path])


def _with_readable_patterns(schema: Any) -> Any:
    """The schema without the patterns that Python cannot read."""
    if is_sequence(schema):
        return [_with_readable_patterns(item) for item in schema]
    if not is_mapping(schema):
        return schema
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "pattern" and isinstance(value, str) and not _readable(value):
            continue
        if key == "patternProperties" and is_mapping(value):
            value = {name: rule for name, rule in value.items() if _readable(name)}
        made[key] = value if key in _DATA_KEYWORDS else _with_readable_patterns(value)
    if "patternProperties" in made and made["patternProperties"] != schema["patternProperties"]:
        # Which names are additional is not known any more.
        made.pop("additionalProperties", None)
        made.pop("unevaluatedProperties", None)
    return made


def _readable(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def schema_line(error: Any) -> str:
    """An error of the package as a line: the place and what is wrong there."""
    where = joined_path(error.absolute_path)
    said = _short(error.message)
    return f"{where}: {said}" if where else said


def joined_path(path: Iterable[Any]) -> str:
    """A place in data as text: ``books.0.title``."""
    return ".".join(str(step) for step in path)


def _short(said: str | BaseException) -> str:
    text = error_text(said, named=True) if isinstance(said, BaseException) else said
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
