"""Loading as operations: both ways of it, and what is told of a load that does not go well."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ..config import ConfigModel, config_stack
from ..data import ServerStruct
from ..errors import (
    LMStudioError,
    LMStudioIdentifierInUseError,
    LMStudioModelNotFoundError,
    LMStudioRuntimeError,
    LMStudioServerError,
    LMStudioValueError,
    add_hint,
)
from ..lenient import as_list, as_mapping
from ..protocol.operations import VOID, Call, Channel, Endpoint, Op, Step
from ..protocol.server_errors import server_error
from .infos import ModelInfoBase, parse_model_info
from .kind import ModelKind
from .matching import close_matches

__all__ = [
    "DEFAULT_TTL",
    "LOCAL_DEVICE",
    "LoadChannel",
    "LoadProgressCallback",
    "device_field",
    "explained",
    "get_or_load",
    "list_downloaded",
    "load_new_instance",
    "model_key_text",
]

logger: Final = logging.getLogger("lmstudio")

DEFAULT_TTL: Final = 3600  # api
"""Seconds without use after which a model that this client loaded is unloaded."""

LOCAL_DEVICE: Final = "local"
"""As ``device=``: the server's own machine, and no other that LM Link connects it to."""

LoadProgressCallback = Callable[[float], object]  # api


# -- arguments -----------------------------------------------------------------------------------


def model_key_text(model_key: Any) -> str:
    """``model_key`` if it can be one.

    Raises:
        LMStudioValueError: It is not a string, or an empty one.
    """
    if not isinstance(model_key, str) or not model_key.strip():
        raise LMStudioValueError(
            f"A model key is a string such as 'qwen/qwen3-4b', not {model_key!r}."
        )
    return model_key


def _instance_identifier(identifier: Any) -> str:
    if not isinstance(identifier, str) or not identifier.strip():
        raise LMStudioValueError(
            "instance_identifier is what to call the instance, or None to let the server choose; "
            f"not {identifier!r}."
        )
    return identifier


def device_field(device: Any) -> dict[str, Any]:
    """The wire form of ``device=``: nothing for any device, null for the server's own."""
    if device is None:
        return {}
    if not isinstance(device, str) or not device:
        raise LMStudioValueError(
            "device is the identifier of an LM Link device (client.repository.lm_link.status() "
            f"lists them), {LOCAL_DEVICE!r} or None, not {device!r}."
        )
    return {"deviceIdentifier": None if device == LOCAL_DEVICE else device}


def _ttl_ms(ttl: Any) -> int | None:
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)) or ttl <= 0:
        raise LMStudioValueError(f"ttl is a positive number of seconds or None, not {ttl!r}.")
    return max(1, int(ttl * 1000))


# -- the channel ---------------------------------------------------------------------------------


class LoadChannel(Channel[float, ServerStruct]):
    """Folds both ways of loading: progress as events, the instance's info as the result."""

    def __init__(
        self,
        kind: ModelKind,
        endpoint: str,
        parameter: Mapping[str, Any],
        on_progress: LoadProgressCallback | None,
        wanted_context: int | None = None,
    ) -> None:
        self.endpoint: Endpoint = Endpoint(kind.namespace, endpoint, "channel")
        self.parameter = parameter
        self._kind = kind
        self._on_progress = on_progress
        self._wanted_context = wanted_context
        self._last = -1.0
        self._info: ServerStruct | None = None

    def feed(self, message: Any) -> Sequence[float]:
        """Take one packet; see ``Channel.feed``."""
        packet = as_mapping(message)
        match packet.get("type"):
            case "startLoading":
                return self._progress(0.0)
            case "resolved":
                self._tell_candidates(packet)
                return self._progress(0.0)
            case "unloadingOtherJITModel":
                other = as_mapping(packet.get("info"))
                logger.info(
                    "Unloading other JIT model %s (%s) to make room for this one.",
                    other.get("identifier"),
                    other.get("modelKey"),
                )
                return ()
            case "progress" | "loadProgress":
                return self._progress(packet.get("progress"))
            case "alreadyLoaded":
                return self._finish(packet, loaded=False)
            case "success" | "loadSuccess":
                return self._finish(packet, loaded=True)
            case _:
                return ()

    def _tell_candidates(self, packet: Mapping[str, Any]) -> None:
        if candidates := as_list(packet.get("ambiguous")):
            logger.warning(
                "Several models match the key %r: %s. The server loads %s; use a whole key to "
                "choose another.",
                self.parameter.get("modelKey"),
                ", ".join(map(str, candidates)),
                as_mapping(packet.get("info")).get("modelKey", "one of them"),
            )

    def _finish(self, packet: Mapping[str, Any], *, loaded: bool) -> Sequence[float]:
        self._info = self._kind.instance_info.from_dict(as_mapping(packet.get("info")))
        self.done = True
        if not loaded:
            return ()
        self._tell_context(self._info)
        return self._progress(1.0)

    def _tell_context(self, info: Any) -> None:
        wanted, got = self._wanted_context, info.context_length
        if wanted is not None and 0 < got < wanted:
            logger.warning(
                "%s was loaded with a context of %d tokens, less than the %d asked for. What fits "
                "depends on the model's own limit and the server's memory.",
                info.identifier,
                got,
                wanted,
            )

    def _progress(self, value: Any) -> Sequence[float]:
        """Report progress if it rose: callers see 0.0 to 1.0, never repeated, never falling."""
        if not isinstance(value, (int, float)) or not self._last < (
            ratio := min(1.0, max(0.0, value))
        ):
            return ()
        self._last = ratio
        if self._on_progress is not None:
            try:
                self._on_progress(ratio)
            except Exception:
                logger.exception("on_load_progress raised; loading goes on")
        return (ratio,)

    def result(self) -> ServerStruct:
        """What it came to; see ``Channel.result``."""
        if self._info is None:
            raise LMStudioRuntimeError("There is no result yet: the model is still being loaded.")
        return self._info

    def error(self, raw: Any) -> LMStudioServerError:
        """The exception for an error of the server; see ``Channel.error``."""
        # The protocol has no code for this one; its words are the same in every version.
        taken = "identifier" in self.parameter and "already exists" in str(raw)
        default = LMStudioIdentifierInUseError if taken else LMStudioServerError
        return server_error(raw, str(self.endpoint), default=default)


# -- operations ----------------------------------------------------------------------------------


def get_or_load(
    kind: ModelKind,
    model_key: str,
    *,
    ttl: float | None,
    config: ConfigModel | Mapping[str, Any] | None,
    on_load_progress: LoadProgressCallback | None,
    device: str | None = None,
) -> Op[ServerStruct]:
    """The info of the model of that key: the loaded one if there is one, else it is loaded."""
    load = kind.parse_load_config(config)
    parameter: dict[str, Any] = {
        "identifier": model_key_text(model_key),
        "loadConfigStack": config_stack(("apiOverride", load.to_kv())),
        **device_field(device),
    }
    if (ttl_ms := _ttl_ms(ttl)) is not None:
        parameter["loadTtlMs"] = ttl_ms
    wanted = getattr(load, "context_length", None)
    channel = LoadChannel(kind, "getOrLoad", parameter, on_load_progress, wanted)
    return explained(kind, model_key, channel)


def load_new_instance(
    kind: ModelKind,
    model_key: str,
    instance_identifier: str | None,
    *,
    ttl: float | None,
    config: ConfigModel | Mapping[str, Any] | None,
    on_load_progress: LoadProgressCallback | None,
    device: str | None = None,
) -> Op[ServerStruct]:
    """The info of one more instance of the model, whatever is loaded already."""
    load = kind.parse_load_config(config)
    parameter: dict[str, Any] = {
        "modelKey": model_key_text(model_key),
        "loadConfigStack": config_stack(("apiOverride", load.to_kv())),
        **device_field(device),
    }
    if instance_identifier is not None:
        parameter["identifier"] = _instance_identifier(instance_identifier)
    if (ttl_ms := _ttl_ms(ttl)) is not None:
        parameter["ttlMs"] = ttl_ms
    wanted = getattr(load, "context_length", None)
    channel = LoadChannel(kind, "loadModel", parameter, on_load_progress, wanted)
    return explained(kind, model_key, channel)


def list_downloaded(domain: str | None = None) -> Call[list[ModelInfoBase]]:
    """The infos of all downloaded models, or of those of one domain."""

    def decode(raw: Any) -> list[ModelInfoBase]:
        infos = [parse_model_info(item) for item in as_list(raw)]
        return [info for info in infos if domain is None or info.type == domain]

    return Call(Endpoint("system", "listDownloadedModels"), VOID, decode)


def explained(kind: ModelKind, key: str, asked: Step) -> Op[Any]:
    """Ask for something of a downloaded model; an unknown key is explained by what there is."""
    try:
        answer: Any = yield asked
    except LMStudioModelNotFoundError as error:
        try:
            downloaded: Sequence[ModelInfoBase] = yield list_downloaded()
        except LMStudioError:
            downloaded = ()  # what the server said has to do
        _explain(error, kind, key, downloaded)
        raise
    return answer


def _explain(
    error: LMStudioModelNotFoundError,
    kind: ModelKind,
    key: str,
    downloaded: Sequence[ModelInfoBase],
) -> None:
    """Add what the server left out: close matches, or that the model is of another kind."""
    if any(i.model_key == key and i.type == kind.domain for i in downloaded):
        return  # it is there, so the server misses another one
    other = next((i.type for i in downloaded if i.model_key == key and i.type != kind.domain), None)
    like = close_matches(key, [i.model_key for i in downloaded if i.type == kind.domain])
    error.close_matches = tuple(like)
    if other is not None:
        add_hint(error, f"{key} is downloaded, as a model for client.{other}.")
    elif like and "Did you mean" not in str(error):
        add_hint(error, f"Did you mean {' or '.join(like)}?")
    elif not like:
        add_hint(error, f"To download it: `lmstudio get {key}`.")
