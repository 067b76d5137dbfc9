"""Virtual models: ``model.yaml`` files that give several model files one name and settings. No I/O.

Read leniently: whatever in a file is not of the expected form is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from lmstudio_core.lenient import as_list, as_mapping, is_mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .model_file import ModelFile

__all__ = ["VirtualModel", "read_virtual_model", "with_virtual_models"]

_IDENTIFIER = re.compile(r"[^/\s@]+/[^/\s@]+")
_MAX_DEPTH = 8
"""How many virtual models may stand on one another."""


@dataclass(frozen=True)
class VirtualModel:
    """What a ``model.yaml`` says.

    Attributes:
        key: ``publisher/name``.
        base: What it stands on: names of models, or of repositories (``user/repository``).
        load_defaults: Load settings that hold where a client says nothing.
        prediction_defaults: The same for predictions.
    """

    key: str
    base: tuple[str, ...]
    kind: Literal["llm", "embedding"] | None = None
    architecture: str | None = None
    params_string: str | None = None
    context_length: int | None = None
    vision: bool | None = None
    tools: bool | None = None
    reasoning: bool | None = None
    load_defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    prediction_defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def described(self, file: ModelFile) -> ModelFile:
        """``file`` with this model's description and settings, its key still its own."""
        kind = self.kind or file.kind
        return replace(
            file,
            kind=kind,
            publisher=self.key.partition("/")[0],
            display_name=_words(self.key.partition("/")[2]),
            architecture=file.architecture or self.architecture,
            params_string=self.params_string or file.params_string,
            max_context_length=file.max_context_length or self.context_length or 0,
            # Without the part that sees, no description makes a model see.
            vision=file.vision and self.vision is not False,
            trained_for_tool_use=_either(self.tools, file.trained_for_tool_use),
            reasoning=_either(self.reasoning, file.reasoning),
            load_defaults={**file.load_defaults, **self.load_defaults},
            prediction_defaults={**file.prediction_defaults, **self.prediction_defaults},
        )


def read_virtual_model(document: object) -> VirtualModel | None:
    """The virtual model in a parsed ``model.yaml``, or ``None`` if it is none."""
    fields = as_mapping(document)
    key = fields.get("model")
    if not isinstance(key, str) or not _IDENTIFIER.fullmatch(key) or not key.isprintable():
        return None
    base = tuple(name for entry in _listed(fields.get("base")) for name in _names(entry))
    if not base:
        return None
    overrides = as_mapping(fields.get("metadataOverrides"))
    config = as_mapping(fields.get("config"))
    domain = overrides.get("domain")
    lengths = [n for n in _listed(overrides.get("contextLengths")) if _is_length(n)]
    return VirtualModel(
        key=key.lower(),
        base=base,
        kind="embedding" if domain == "embedding" else "llm" if domain == "llm" else None,
        architecture=_first_text(overrides.get("architectures")),
        params_string=_first_text(overrides.get("paramsStrings")),
        context_length=max(lengths, default=None),
        vision=_flag(overrides.get("vision")),
        tools=_flag(overrides.get("trainedForToolUse")),
        reasoning=_flag(overrides.get("reasoning")),
        load_defaults=_fields(config.get("load")),
        prediction_defaults=_fields(config.get("operation")),
    )


def with_virtual_models(
    models: Sequence[ModelFile], virtual: Iterable[VirtualModel]
) -> tuple[list[ModelFile], list[ModelFile]]:
    """Put virtual models in the place of the files they stand on.

    Returns:
        What to list, and what has been listed under another name: the variants of virtual models
        (``publisher/name@quantization``), then the files themselves.
    """
    by_key = {one.key: one for one in virtual}
    listed: list[ModelFile] = []
    variants: list[ModelFile] = []
    covered: dict[str, ModelFile] = {}
    for one in sorted(by_key.values(), key=lambda v: v.key):
        files = _files_of(one, models, by_key)
        if not files:
            continue  # not downloaded
        own = [_variant(one, file) for file in files]
        keys = tuple(variant.key for variant in own)
        own = [replace(v, variants=keys, selected_variant=v.key) for v in own]
        chosen = next((variant for variant in own if variant.problem is None), own[0])
        listed.append(replace(chosen, key=one.key, path=one.key))
        variants += own
        covered |= {file.path: file for file in files}
    rest = [
        # Another model's key may be the same; the virtual one has it.
        replace(model, key=model.path.lower()) if model.key in by_key else model
        for model in models
        if model.path not in covered
    ]
    return listed + rest, variants + list(covered.values())


def _files_of(
    one: VirtualModel,
    models: Sequence[ModelFile],
    by_key: Mapping[str, VirtualModel],
    depth: int = 0,
) -> list[ModelFile]:
    """The files a virtual model stands on, described by what lies between; each once."""
    found: dict[str, ModelFile] = {}
    for name in one.base:
        below = by_key.get(name)
        files = (
            [model for model in models if _is_meant(model, name)]
            if below is None or below is one
            else _files_of(below, models, by_key, depth + 1)
            if depth < _MAX_DEPTH
            else []
        )
        for file in files:
            found.setdefault(file.path, one.described(file))
    return list(found.values())


def _is_meant(model: ModelFile, name: str) -> bool:
    path = model.path.lower()
    return name in (model.key, path) or path.startswith(f"{name}/")


def _variant(one: VirtualModel, file: ModelFile) -> ModelFile:
    name = file.quantization_name or file.path.rpartition("/")[2].removesuffix(".gguf")
    key = f"{one.key}@{name.lower()}"
    return replace(file, key=key, path=key)


def _names(entry: object) -> Iterable[str]:
    """The names in an entry of ``base``: itself, its key, and the repositories it comes from."""
    if isinstance(entry, str):
        yield entry.lower()
    fields = as_mapping(entry)
    if isinstance(fields.get("key"), str):
        yield str(fields["key"]).lower()
    for source in as_list(fields.get("sources")):
        user, repository = (as_mapping(source).get(name) for name in ("user", "repo"))
        if isinstance(user, str) and isinstance(repository, str):
            yield f"{user}/{repository}".lower()


def _listed(value: object) -> list[Any]:
    return [value] if isinstance(value, (str, int)) or is_mapping(value) else as_list(value)


def _fields(value: object) -> dict[str, Any]:
    """The settings in ``fields: [{key, value}]``."""
    entries = [as_mapping(entry) for entry in as_list(as_mapping(value).get("fields"))]
    return {e["key"]: e["value"] for e in entries if isinstance(e.get("key"), str) and "value" in e}


def _is_length(value: object) -> bool:
    return isinstance(value, int) and 0 < value < 2**31


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None  # "mixed" says nothing


def _either(stated: bool | None, found: bool) -> bool:
    return found if stated is None else stated


def _first_text(value: object) -> str | None:
    return next((text for text in _listed(value) if isinstance(text, str)), None)


def _words(name: str) -> str:
    return re.sub(r"[-_]+", " ", name).strip() or name
