"""What the ``llm`` and ``embedding`` namespaces share: finding, loading and describing models."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from lmstudio_server.convert.info import instance_info, model_info
from lmstudio_server.engines.base import EngineError
from lmstudio_server.errors import (
    WireError,
    domain_mismatch,
    from_engine,
    model_not_found,
    no_loaded_model,
    specific_model_unloaded,
)
from lmstudio_server.eviction import available_memory, to_evict
from lmstudio_server.kv.drafts import load_draft
from lmstudio_server.kv.load import effective_load_config, load_request
from lmstudio_server.kv.stack import collapse, fields

from . import parameters as p
from .drafts import find_draft, take_settings
from .endpoint import ABSENT, Call, Channel, Namespace
from .usage import estimate_usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lmstudio_server.library import ModelFile
    from lmstudio_server.loading import Progress
    from lmstudio_server.registry import Instance

__all__ = [
    "client_config",
    "ensure_loaded",
    "model_endpoints",
    "require_model",
    "resolve",
    "run_engine",
]

_log = logging.getLogger(__name__)

T = TypeVar("T")

Evicting = Callable[["Instance"], Awaitable[None]]


def client_config(stack: p.KVStack) -> dict[str, Any]:
    """A parameter's configuration stack, collapsed."""
    return collapse(layer.config.fields_ for layer in stack.layers)


def lookup(call: Call, specifier: p.Specifier) -> Instance | None:
    """The loaded instance that a specifier means; ``None`` if a query matches nothing."""
    registry = call.services.registry
    if isinstance(specifier, p.InstanceSpecifier):
        instance = registry.by_reference(specifier.instance_reference)
        if instance is None or instance.kind != call.kind:
            raise specific_model_unloaded(specifier.instance_reference)
        return instance
    query = specifier.query
    if query.device_identifier is not None or query.domain not in (None, call.kind):
        return None
    found = registry.instances(call.kind)
    if query.identifier is not None:
        named = registry.find(call.kind, query.identifier)
        found = [named] if named is not None else []
    if query.path is not None:
        found = [i for i in found if query.path in (i.file.path, i.key)]
    if query.vision is not None:
        found = [i for i in found if i.file.vision == query.vision]
    # Of several, the one that was used last: it is the likeliest to be meant.
    return max(found, key=lambda i: i.last_used_ms or 0, default=None)


def resolve(call: Call, specifier: p.Specifier) -> Instance:
    """The loaded instance that a specifier means, or an error that says what is loaded."""
    instance = lookup(call, specifier)
    if instance is not None:
        return instance
    if isinstance(specifier, p.InstanceSpecifier):
        raise specific_model_unloaded(specifier.instance_reference)
    raise _nothing_loaded(call, specifier.query.model_dump(by_alias=True, exclude_none=True))


def _nothing_loaded(call: Call, query: Mapping[str, Any]) -> WireError:
    loaded = [instance.identifier for instance in call.services.registry.instances(call.kind)]
    name = query.get("identifier")
    matches = [key for key in loaded if isinstance(name, str) and name.lower() in key.lower()]
    return no_loaded_model(call.kind, query, loaded, matches)


async def require_model(call: Call, key: str) -> ModelFile:
    """The model file with a key, of the namespace's kind and in working order."""
    library = call.services.library
    file = await asyncio.to_thread(library.find, key)
    if file is None:
        files = await asyncio.to_thread(library.scan)
        keys = [file.key for file in files if file.problem is None]
        right = {file.key for file in files if file.kind == call.kind}
        matches = await asyncio.to_thread(library.close_matches, key)
        raise model_not_found(key, keys, [match for match in matches if match in right][:3])
    if file.problem is not None:
        raise WireError(
            f'The file of the model "{file.key}" cannot be used.',
            cause=f"{file.file}: {file.problem}",
            suggestion="Download the model again, or remove the file.",
        )
    if file.kind != call.kind:
        raise domain_mismatch(file.key, file.kind, call.kind)
    return file


async def _model_or_loaded_other(call: Call, name: str) -> ModelFile:
    """The model file of that name; where there is none, the name may be that of an instance."""
    try:
        return await require_model(call, name)
    except WireError as error:
        other = call.services.registry.by_identifier(name)
        if other is None:
            raise
        raise domain_mismatch(name, other.kind, call.kind) from error


async def run_engine(call: Call, instance: Instance, awaitable: Awaitable[T]) -> T:
    """Await something of an instance's engine; its errors become errors for the client.

    Args:
        call: The request that it is for.
        instance: The loaded model.
        awaitable: What its engine is to do.
    """
    call.services.registry.touch(instance)
    try:
        return await awaitable
    except EngineError as error:
        raise from_engine(error, instance.identifier) from error


async def _load(
    channel: Channel,
    file: ModelFile,
    stack: p.KVStack,
    *,
    progress: Progress,
    shared: bool,
    identifier: str | None,
    ttl_ms: int | None,
    evicting: Evicting | None = None,
) -> Instance | None:
    services = channel.services
    client = take_settings({**file.load_defaults, **client_config(stack)})
    config = effective_load_config(channel.kind, client, file.max_context_length)
    draft = await find_draft(channel, load_draft(config), require_model)
    request = load_request(channel.kind, config, file.file, file.mmproj, draft=draft)
    if shared:
        await _make_room(channel, file, config, evicting)
        loaded = services.registry.find(channel.kind, file.key)
        if loaded is not None:
            # Another client's load has ended while there was something to wait for.
            return loaded
    try:
        return await services.loads.run(
            (channel.kind, file.key) if shared else None,
            lambda report: services.registry.load(
                file,
                request,
                config,
                identifier=identifier,
                ttl_ms=ttl_ms,
                on_demand=shared,
                on_progress=report,
            ),
            progress=progress,
            cancelled=channel.cancelled,
        )
    except EngineError as error:
        _log.warning("loading %s failed: %s", file.file, error)
        raise WireError(
            f'The model "{file.key}" could not be loaded: {error.title}',
            cause=" ".join(filter(None, (f"File {file.file}.", error.cause))),
            suggestion=error.suggestion,
        ) from error


async def _make_room(
    channel: Channel, file: ModelFile, config: Mapping[str, Any], evicting: Evicting | None
) -> None:
    """Unload idle models that were loaded on demand, where there are too many or memory is short."""
    services, needed = channel.services, 0
    if file.engine is None:
        usage = await asyncio.to_thread(estimate_usage, file, config)
        needed = usage["memory"]["totalBytes"]
    if services.registry.find(channel.kind, file.key) is not None:
        return
    chosen = to_evict(
        services.registry.instances(),
        limit=services.config.jit_models,
        needed=needed,
        available=available_memory(),
    )
    for instance in chosen:
        if instance.activities or instance.ended.is_set():
            # While the one before it was unloaded, somebody began to use it, or unloaded it.
            continue
        _log.info("unloading %r to make room for %s", instance.identifier, file.key)
        if evicting is not None:
            await evicting(instance)
        await services.registry.unload_idle(instance)


def _local_only(device: str | None) -> None:
    if device is not None:
        raise WireError(
            f'The device "{device}" is not known to this server.',
            cause="lmstudio-server runs models on its own machine only.",
            suggestion="Leave deviceIdentifier out.",
        )


async def _load_model(channel: Channel, parameter: p.LoadModel) -> None:
    _local_only(parameter.device_identifier)
    file = await require_model(channel, parameter.model_key)
    others = await asyncio.to_thread(channel.services.library.ambiguous, parameter.model_key)
    ambiguous = {"ambiguous": list(others)} if others else {}
    await channel.send({"type": "resolved", "info": model_info(file), **ambiguous})

    async def progress(value: float) -> None:
        await channel.send({"type": "progress", "progress": value})

    instance = await _load(
        channel,
        file,
        parameter.load_config_stack,
        progress=progress,
        shared=False,
        identifier=parameter.identifier,
        ttl_ms=parameter.ttl_ms,
    )
    if instance is not None:
        await channel.send({"type": "success", "info": instance_info(instance)})


async def _get_or_load(channel: Channel, parameter: p.GetOrLoad) -> None:
    _local_only(parameter.device_identifier)
    registry = channel.services.registry
    loaded = registry.find(channel.kind, parameter.identifier)
    if loaded is None:
        # The name may be one that only the library understands ("pocket.gguf", other case).
        file = await _model_or_loaded_other(channel, parameter.identifier)
        loaded = registry.find(channel.kind, file.key)
    else:
        file = loaded.file
    if loaded is not None:
        await channel.send({"type": "alreadyLoaded", "info": instance_info(loaded)})
        return
    await channel.send({"type": "startLoading", "identifier": file.key, "info": model_info(file)})

    async def progress(value: float) -> None:
        await channel.send({"type": "loadProgress", "progress": value})

    async def evicting(other: Instance) -> None:
        await channel.send({"type": "unloadingOtherJITModel", "info": instance_info(other)})

    instance = await _load(
        channel,
        file,
        parameter.load_config_stack,
        progress=progress,
        shared=True,
        identifier=None,
        ttl_ms=parameter.load_ttl_ms,
        evicting=evicting,
    )
    if instance is not None:
        await channel.send({"type": "loadSuccess", "info": instance_info(instance)})


async def ensure_loaded(channel: Channel, name: str, ttl_ms: int) -> Instance | None:
    """The loaded instance of a name, loaded if need be; ``None`` if the client gave up.

    Args:
        channel: Where the client hears of the progress.
        name: An identifier or a model key.
        ttl_ms: Milliseconds without use after which it is unloaded; ``None`` keeps it.
    """
    registry = channel.services.registry
    loaded = registry.find(channel.kind, name)
    if loaded is None:
        file = await require_model(channel, name)
        loaded = registry.find(channel.kind, file.key)
        if loaded is None:
            return await _load(
                channel,
                file,
                p.KVStack(layers=[]),
                progress=_unseen,
                shared=True,
                identifier=None,
                ttl_ms=ttl_ms,
            )
    return loaded


async def _unseen(_progress: float) -> None:
    pass


async def _unload(call: Call, parameter: p.Unload) -> Any:
    instance = call.services.registry.by_identifier(parameter.identifier)
    if instance is None or instance.kind != call.kind:
        raise _nothing_loaded(call, {"identifier": parameter.identifier})
    await call.services.registry.unload(instance)
    return ABSENT


async def _list_loaded(call: Call, _parameter: Any) -> Sequence[Any]:
    return [instance_info(i) for i in call.services.registry.instances(call.kind)]


async def _get_info(call: Call, parameter: p.GetInfo) -> Any:
    if parameter.throw_if_not_found:
        return instance_info(resolve(call, parameter.specifier))
    try:
        instance = lookup(call, parameter.specifier)
    except WireError:
        instance = None
    return ABSENT if instance is None else instance_info(instance)


async def _get_load_config(call: Call, parameter: p.GetLoadConfig) -> Any:
    return fields(resolve(call, parameter.specifier).load_config)


async def _processing_state(call: Call, parameter: p.GetInfo) -> Any:
    if parameter.throw_if_not_found:
        return resolve(call, parameter.specifier).processing_state()
    try:
        instance = lookup(call, parameter.specifier)
    except WireError:
        instance = None
    return {"status": "idle", "queued": 0} if instance is None else instance.processing_state()


async def _tokens(call: Call, parameter: p.TokenizeText) -> list[int]:
    instance = resolve(call, parameter.specifier)
    return await run_engine(call, instance, instance.model.tokenize(parameter.input_string))


async def _tokenize(call: Call, parameter: p.TokenizeText) -> Any:
    return {"tokens": await _tokens(call, parameter)}


async def _count_tokens(call: Call, parameter: p.TokenizeText) -> Any:
    return {"tokenCount": len(await _tokens(call, parameter))}


async def _estimate(call: Call, parameter: p.EstimateUsage) -> Any:
    _local_only(parameter.device_identifier)
    file = await require_model(call, parameter.model_key)
    client = {**file.load_defaults, **client_config(parameter.load_config_stack)}
    config = effective_load_config(call.kind, client, file.max_context_length)
    return await asyncio.to_thread(estimate_usage, file, config)


def model_endpoints(name: str) -> Namespace:
    """A namespace with the endpoints that both kinds of models have."""
    namespace = Namespace(name)
    namespace.rpc("unloadModel", p.Unload)(_unload)
    namespace.rpc("listLoaded")(_list_loaded)
    namespace.rpc("getModelInfo", p.GetInfo)(_get_info)
    namespace.rpc("getLoadConfig", p.GetLoadConfig)(_get_load_config)
    namespace.rpc("getInstanceProcessingState", p.GetInfo)(_processing_state)
    namespace.rpc("tokenize", p.TokenizeText)(_tokenize)
    namespace.rpc("countTokens", p.TokenizeText)(_count_tokens)
    namespace.rpc("estimateModelUsage", p.EstimateUsage)(_estimate)
    namespace.channel("loadModel", p.LoadModel)(_load_model)
    namespace.channel("getOrLoad", p.GetOrLoad)(_get_or_load)
    return namespace
