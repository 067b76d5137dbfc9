"""What notebooks show in place of a ``repr``: HTML in which whatever others wrote stays text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final, TypeVar

from .progress import size_text
from .terminal import visible

__all__ = ["DOWNLOADED_HEADER", "ModelList", "downloaded_row", "html_table", "html_text"]

_T = TypeVar("_T")

DOWNLOADED_HEADER: Final = (
    *("MODEL", "KIND", "PARAMS", "ARCHITECTURE", "QUANT", "SIZE", "DEVICE"),
)
_LOADED_HEADER: Final = ("IDENTIFIER", "KIND", "DEVICE")


def html_text(text: object) -> str:  # api
    """Text for any place in HTML, attributes included.

    >>> html_text("<b>&")
    '&lt;b&gt;&amp;'
    """
    return escape(visible(str(text)), quote=True)


def html_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:  # api
    """A table of text; columns in which nothing stands are left out, as on the command line."""
    lines = [[str(cell) for cell in row] for row in rows]
    used = [i for i in range(len(header)) if any(line[i] for line in lines)]
    head = "".join(f"<th>{html_text(header[i].capitalize())}</th>" for i in used)
    body = "".join(
        f"<tr>{''.join(f'<td>{html_text(line[i])}</td>' for i in used)}</tr>" for line in lines
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def downloaded_row(info: Any) -> tuple[str, ...]:
    """What a table shows of a downloaded model, in the order of ``DOWNLOADED_HEADER``."""
    return (
        info.model_key,
        info.type,
        info.params_string or "",
        info.architecture or "",
        info.quantization.name if info.quantization else "",
        size_text(info.size_bytes),
        info.device_identifier or "",
    )


class ModelList(list[_T]):
    """A list of models, downloaded or loaded, which notebooks show as a table."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        if not self:
            return "<p>No models.</p>"
        if all(hasattr(model, "info") for model in self):
            rows = [downloaded_row(model.info) for model in self]  # type: ignore[attr-defined]
            return html_table(DOWNLOADED_HEADER, rows)
        return html_table(_LOADED_HEADER, [_loaded_row(model) for model in self])


def _loaded_row(handle: Any) -> tuple[str, ...]:
    kind = getattr(getattr(handle, "_kind", None), "domain", "")
    return handle.identifier, kind, handle.device_identifier or ""
