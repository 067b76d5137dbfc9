"""Answers of LM Studio's REST API. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from lmstudio_server.doors.errors import DoorError, described, model_unloaded

if TYPE_CHECKING:
    from lmstudio_server.hub.jobs import DownloadJob
    from lmstudio_server.library import ModelFile
    from lmstudio_server.registry import Instance

__all__ = ["ChatEvents", "error_answer", "job_answer", "load_answer", "model_answer"]

Json = dict[str, Any]

_FOREVER_SECONDS: Final = 10**9
_KINDS: Final = {404: "model_not_found", 501: "not_implemented"}


def error_answer(error: DoorError) -> Json:
    """An error as this API tells it."""
    kind = _KINDS.get(error.status)
    if kind is None or (error.status == 404 and error.code != "model_not_found"):
        kind = "invalid_request" if error.is_request else "internal_error"
    if error.status == 501:
        kind = "not_implemented"
    answer: Json = {"type": kind, "message": error.message}
    if error.code is not None and error.code != kind:
        answer["code"] = error.code
    if error.param is not None:
        answer["param"] = error.param
    return {"error": answer}


def model_answer(file: ModelFile, instances: Iterable[Instance]) -> Json:
    """A model of ``GET /api/v1/models``."""
    answer: Json = {
        "type": file.kind,
        "publisher": file.publisher,
        "key": file.key,
        "display_name": file.display_name,
    }
    if file.kind == "llm":
        answer["architecture"] = file.architecture
    answer |= {
        "quantization": None
        if file.quantization_name is None
        else {"name": file.quantization_name, "bits_per_weight": file.quantization_bits},
        "size_bytes": file.size_bytes,
        "params_string": file.params_string,
        "loaded_instances": [
            {"id": instance.identifier, "config": load_answer(instance)}
            for instance in instances
            if instance.key == file.key
        ],
        "max_context_length": file.max_context_length,
        "format": file.format,
    }
    if file.variants:
        answer["variants"] = list(file.variants)
        answer["selected_variant"] = file.selected_variant
    if file.kind == "llm":
        answer["capabilities"] = {
            "vision": file.vision,
            "trained_for_tool_use": file.trained_for_tool_use,
        }
        answer["description"] = None
    return answer


def load_answer(instance: Instance) -> Json:
    """The configuration of a loaded instance."""
    config = instance.load_config
    answer: Json = {"context_length": instance.model.context_length}
    if instance.kind == "llm":
        answer["eval_batch_size"] = config.get("llm.load.llama.evalBatchSize")
        answer["parallel"] = instance.parallel
        answer["flash_attention"] = config.get("llm.load.llama.flashAttention") is True
        answer["offload_kv_cache_to_gpu"] = config.get("llm.load.offloadKVCacheToGpu") is not False
    return answer


def job_answer(job: DownloadJob) -> Json:
    """The state of a download."""
    answer: Json = {
        "job_id": job.job_id,
        "status": job.status,
        "total_size_bytes": job.offer.size_bytes,
        "downloaded_bytes": job.downloaded_bytes,
        "started_at": _moment(job.started),
    }
    if job.status == "downloading":
        answer["bytes_per_second"] = speed = job.bytes_per_second
        missing = job.offer.size_bytes - job.downloaded_bytes
        if missing < speed * _FOREVER_SECONDS:
            end = datetime.now(timezone.utc) + timedelta(seconds=missing / speed)
            answer["estimated_completion"] = _moment(end)
    elif job.ended is not None:
        answer["completed_at" if job.error is None else "failed_at"] = _moment(job.ended)
    if job.error is not None:
        answer |= error_answer(described(job.error))
    return answer


def _moment(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class ChatEvents:
    """Folds the packets of a prediction into this API's events, and sums them up."""

    model_instance_id: str
    load_seconds: float | None = None
    response_id: str | None = None
    output: list[Json] = field(default_factory=list[Json])
    stats: Json = field(default_factory=dict[str, Any])
    _open: str | None = None
    _prompt: bool = False
    _reasoning_tokens: int = 0
    _calls: dict[str, Json] = field(default_factory=dict[str, Json])

    def feed(self, packet: Mapping[str, Any]) -> Iterator[Json]:
        """The events that a packet becomes."""
        kind = packet["type"]
        if kind == "promptProcessingProgress":
            yield from self._progress(packet["progress"])
            return
        yield from self._end_prompt()
        if kind == "fragment":
            yield from self._fragment(packet["fragment"])
        elif kind == "toolCall":
            yield from self._tool_call(packet)
        elif kind == "toolResult":
            yield from self._tool_result(packet)
        elif kind == "success":
            self.stats = dict(packet["stats"])
            yield from self._switch(None)
            self._check()

    def text(self) -> str:
        """The answer without its reasoning."""
        return "".join(item["content"] for item in self.output if item["type"] == "message")

    def result(self) -> Json:
        """The answer to a request without ``stream``, and the end of a stream."""
        stats: Json = {
            "input_tokens": self.stats.get("promptTokensCount", 0),
            "total_output_tokens": self.stats.get("predictedTokensCount", 0),
            "reasoning_output_tokens": self._reasoning_tokens,
            "tokens_per_second": self.stats.get("tokensPerSecond", 0.0),
            "time_to_first_token_seconds": self.stats.get("timeToFirstTokenSec", 0.0),
        }
        if self.load_seconds is not None:
            stats["model_load_time_seconds"] = self.load_seconds
        result: Json = {
            "model_instance_id": self.model_instance_id,
            "output": self.output,
            "stats": stats,
        }
        return result if self.response_id is None else {**result, "response_id": self.response_id}

    def _progress(self, progress: float) -> Iterator[Json]:
        if not self._prompt:
            self._prompt = True
            yield {"type": "prompt_processing.start"}
        yield {"type": "prompt_processing.progress", "progress": progress}

    def _end_prompt(self) -> Iterator[Json]:
        if self._prompt:
            self._prompt = False
            yield {"type": "prompt_processing.end"}

    def _fragment(self, fragment: Mapping[str, Any]) -> Iterator[Json]:
        is_reasoning = fragment["reasoningType"] == "reasoning"
        if is_reasoning:
            self._reasoning_tokens += fragment["tokensCount"]
        if fragment["isStructural"] or not fragment["content"]:
            return
        kind = "reasoning" if is_reasoning else "message"
        yield from self._switch(kind)
        self.output[-1]["content"] += fragment["content"]
        yield {"type": f"{kind}.delta", "content": fragment["content"]}

    def _tool_call(self, packet: Mapping[str, Any]) -> Iterator[Json]:
        yield from self._switch(None)
        provider = {"type": "plugin", "plugin_id": packet["plugin"]}
        call = {"tool": packet["name"], "provider_info": provider}
        yield {"type": "tool_call.start", **call}
        yield {"type": "tool_call.arguments", **call, "arguments": packet["arguments"]}
        self.output.append({"type": "tool_call", **call, "arguments": packet["arguments"]})
        self._calls[packet["id"]] = self.output[-1]

    def _tool_result(self, packet: Mapping[str, Any]) -> Iterator[Json]:
        call = self._calls.pop(packet["id"])
        call["output"] = packet["content"]
        kind = "failure" if packet["failed"] else "success"
        yield {**call, "type": f"tool_call.{kind}"}

    def _switch(self, kind: str | None) -> Iterator[Json]:
        if kind == self._open:
            return
        if self._open is not None:
            yield {"type": f"{self._open}.end"}
        self._open = kind
        if kind is not None:
            self.output.append({"type": kind, "content": ""})
            yield {"type": f"{kind}.start"}

    def _check(self) -> None:
        if self.stats.get("stopReason") == "modelUnloaded":
            raise model_unloaded()
