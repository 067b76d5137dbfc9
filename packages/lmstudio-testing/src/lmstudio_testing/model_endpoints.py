"""How the scripted server answers for its models: finding, loading, predicting, embedding."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from lmstudio_core.config import kv_config, stack_values
from lmstudio_core.lenient import as_mapping
from lmstudio_core.protocol.operations import VOID

from .answers import Answer, Drop, Gate, Pause
from .fake_models import FakeEmbeddingModel, FakeLlm, FakeModel, as_answer, token_ids
from .fake_socket import FakeChannel, ServerFailure
from .predictions import PREDICTIONS, PredictionRequest, model_of
from .scripts import UnscriptedRequestError, choose

if TYPE_CHECKING:
    from .fake_server import FakeServer

__all__ = ["ANY", "FakeModels"]

ANY = "any"
"""The model key that stands for every key that no other scripted model has."""

Kind = Literal["llm", "embedding"]
M = TypeVar("M", FakeLlm, FakeEmbeddingModel)


class FakeModels:
    """The models of one scripted server. Once it has any, it answers all that models are asked.

    Attributes:
        endpoints: Endpoint → script, as ``FakeServer.on`` and ``on_channel`` take it.
    """

    def __init__(self, server: FakeServer) -> None:
        self.endpoints: dict[str, Any] = {}
        self._server = server
        self._models: dict[tuple[Kind, str], FakeModel] = {}
        self._uploads = 0

    def add(self, cls: type[M], key: str, *, loaded: bool, info: Mapping[str, Any]) -> M:
        """The model of that key; it is made if there is none yet, else ``info`` is added to it."""
        known = self._models.get((cls.kind, key))
        if known is None:
            known = cls(self._server, key, loaded=loaded, info=info)
            if not self.endpoints:
                self.endpoints = self._made_endpoints()
            self._models[cls.kind, key] = known
        else:
            known.info.update(info)
        return cast("M", known)

    def of_kind(self, kind: Kind) -> list[FakeModel]:
        """All models of a kind."""
        return [model for (its_kind, _), model in self._models.items() if its_kind == kind]

    def loaded(self, kind: Kind) -> Iterator[tuple[str, FakeModel]]:
        """All loaded instances of a kind: identifier and model."""
        for model in self.of_kind(kind):
            yield from ((identifier, model) for identifier in model.identifiers)

    def unused(self) -> list[str]:
        """The answers that were not given as often as the script says."""
        queues = [model.queue for model in self.of_kind("llm") if isinstance(model, FakeLlm)]
        return [str(one) for queue in queues for one in queue if one.left or not one.used]

    # -- finding ---------------------------------------------------------------------------------

    def _of_key(self, kind: Kind, key: str) -> FakeModel | None:
        found = self._models.get((kind, key))
        if found is None and (kind, ANY) in self._models:
            if kind == "llm":
                return self.add(FakeLlm, key, loaded=False, info=self._models[kind, ANY].info)
            made = self.add(
                FakeEmbeddingModel, key, loaded=False, info=self._models[kind, ANY].info
            )
            made.dimensions = cast("FakeEmbeddingModel", self._models[kind, ANY]).dimensions
            return made
        return found

    def _downloaded(self, kind: Kind, key: str) -> FakeModel:
        found = self._of_key(kind, key)
        if found is None:
            keys = [model.key for model in self.of_kind(kind)]
            raise ServerFailure(
                f"FakeServer has no model {key!r}.",
                cause=f"Scripted models: {', '.join(keys) or 'none'}.",
                suggestion=f"Add it with server.{kind}({key!r}), or server.{kind}() for any key.",
                displayData={
                    "code": "generic.pathNotFound",
                    "path": key,
                    "availablePathsSample": keys,
                    "totalModels": len(keys),
                },
            )
        return found

    def instance(self, kind: Kind, specifier: Any) -> tuple[str, FakeModel]:
        """The loaded instance that a specifier means."""
        wanted = model_of(specifier)
        loaded = dict(self.loaded(kind))
        if wanted is None and loaded:
            return next(iter(loaded.items()))
        wanted = (wanted or "").removeprefix("fake-instance-")
        if wanted in loaded:
            return wanted, loaded[wanted]
        # A handle that was made by hand; one that was unloaded stays so.
        unknown = wanted and (kind, wanted) not in self._models
        if unknown and (model := self._of_key(kind, wanted)) is not None:
            model.identifiers.append(wanted)
            return wanted, model
        raise ServerFailure(
            f"FakeServer has no loaded model {wanted!r}." if wanted else "No model is loaded.",
            cause=f"Loaded: {', '.join(loaded) or 'none'}.",
            suggestion=f"Add it with server.{kind}({wanted!r}).",
            displayData={
                "code": "generic.noModelMatchingQuery",
                "query": {},
                "loadedModelsSample": list(loaded),
                "totalLoadedModels": len(loaded),
            },
        )

    # -- endpoints -------------------------------------------------------------------------------

    def _made_endpoints(self) -> dict[str, Any]:
        return {
            **self._shared("llm"),
            **self._shared("embedding"),
            "llm.predict": self._predict,
            "llm.completeRawText": self._predict,
            "llm.applyPromptTemplate": self._apply_template,
            "llm.preloadDraftModel": VOID,
            "embedding.embedString": self._embed,
            "system.listDownloadedModels": self._all_downloaded,
            "system.listDownloadedModelVariants": self._variants,
            "system.version": {"version": "0.0.0", "build": 0},
            "files.uploadFileBase64": self._upload,
        }

    def _shared(self, kind: Kind) -> dict[str, Any]:
        def of(function: Callable[[Kind, Any], Any]) -> Callable[[Any], Any]:
            return functools.partial(function, kind)

        return {
            f"{kind}.getOrLoad": of(self._get_or_load),
            f"{kind}.loadModel": of(self._load_model),
            f"{kind}.unloadModel": of(self._unload),
            f"{kind}.listLoaded": of(self._list_loaded),
            f"{kind}.getModelInfo": of(self._model_info),
            f"{kind}.getLoadConfig": of(self._load_config),
            f"{kind}.getBasePredictionConfig": kv_config({}),
            f"{kind}.getInstanceProcessingState": {"status": "idle", "queued": 0},
            f"{kind}.estimateModelUsage": of(self._estimate),
            f"{kind}.tokenize": of(self._tokenize),
            f"{kind}.countTokens": of(self._count_tokens),
        }

    def _get_or_load(self, kind: Kind, channel: FakeChannel) -> None:
        parameter = as_mapping(channel.parameter)
        name = str(parameter.get("identifier"))
        loaded = dict(self.loaded(kind))
        if name not in loaded:
            model = self._downloaded(kind, name)
            if not model.identifiers:
                info = model.model_info()
                channel.send({"type": "startLoading", "identifier": name, "info": info})
                self._finish_load(channel, model, name, "loadProgress", "loadSuccess")
                return
            name = model.identifiers[0]
            loaded[name] = model
        channel.send({"type": "alreadyLoaded", "info": loaded[name].instance_info(name)})
        channel.close()

    def _load_model(self, kind: Kind, channel: FakeChannel) -> None:
        parameter = as_mapping(channel.parameter)
        model = self._downloaded(kind, str(parameter.get("modelKey")))
        taken = dict(self.loaded(kind))
        name = parameter.get("identifier")
        if name in taken:
            raise ServerFailure(f"A model with the identifier {name!r} already exists.")
        if name is None:
            count = len(model.identifiers) + 1
            name = model.key if count == 1 else f"{model.key}:{count}"
        channel.send({"type": "resolved", "info": model.model_info()})
        self._finish_load(channel, model, str(name), "progress", "success")

    @staticmethod
    def _finish_load(
        channel: FakeChannel, model: FakeModel, name: str, progress: str, success: str
    ) -> None:
        if model.load_failure is not None:
            raise model.load_failure
        stack = as_mapping(channel.parameter).get("loadConfigStack")
        model.load_config = stack_values(stack)
        channel.send({"type": progress, "progress": 0.5}, {"type": progress, "progress": 1.0})
        model.identifiers.append(name)
        channel.send({"type": success, "info": model.instance_info(name)})
        channel.close()

    def _unload(self, kind: Kind, parameter: Any) -> Any:
        specifier = {"query": {"identifier": as_mapping(parameter).get("identifier")}}
        name, model = self.instance(kind, specifier)
        model.identifiers.remove(name)
        return VOID

    def _list_loaded(self, kind: Kind, _: Any) -> Any:
        return [model.instance_info(name) for name, model in self.loaded(kind)]

    def _model_info(self, kind: Kind, parameter: Any) -> Any:
        name, model = self.instance(kind, as_mapping(parameter).get("specifier"))
        return model.instance_info(name)

    def _load_config(self, kind: Kind, parameter: Any) -> Any:
        name, model = self.instance(kind, as_mapping(parameter).get("specifier"))
        length = model.instance_info(name)["contextLength"]
        return kv_config({f"{kind}.load.contextLength": length, **model.load_config})

    def _estimate(self, kind: Kind, parameter: Any) -> Any:
        size = self._downloaded(kind, str(as_mapping(parameter).get("modelKey"))).model_info()
        total = size["sizeBytes"]
        memory = {
            "confidence": "low",
            "modelBytes": total,
            "contextBytes": 0,
            "totalBytes": total,
            "modelVramBytes": 0,
            "contextVramBytes": 0,
            "totalVramBytes": 0,
        }
        return {"memory": memory, "passesGuardrails": True}

    def _tokenize(self, kind: Kind, parameter: Any) -> Any:
        self.instance(kind, as_mapping(parameter).get("specifier"))
        return {"tokens": token_ids(str(as_mapping(parameter).get("inputString")))}

    def _count_tokens(self, kind: Kind, parameter: Any) -> Any:
        return {"tokenCount": len(self._tokenize(kind, parameter)["tokens"])}

    def _apply_template(self, parameter: Any) -> Any:
        chat = PredictionRequest(_Asked(parameter)).messages
        return {"formatted": "".join(f"<{role}>{text}</{role}>\n" for role, text in chat)}

    def _all_downloaded(self, _: Any) -> list[dict[str, Any]]:
        return [model.model_info() for model in self._models.values()]

    def _variants(self, parameter: Any) -> Any:
        key = as_mapping(parameter).get("modelKey")
        return [model.model_info() for model in self._models.values() if model.key == key]

    def _upload(self, parameter: Any) -> Any:
        given = as_mapping(parameter)
        self._uploads += 1
        name, content = str(given.get("name")), str(given.get("contentBase64"))
        image = name.lower().endswith((".png", ".jpg", ".jpeg", ".webp"))
        return {
            "identifier": f"file-{self._uploads}",
            "fileType": "image" if image else "text/plain",
            "sizeBytes": len(content) * 3 // 4 - content[-2:].count("="),
        }

    def _embed(self, parameter: Any) -> Any:
        given = as_mapping(parameter)
        _, model = self.instance("embedding", given.get("modelSpecifier"))
        text = str(given.get("inputString"))
        anybody = self._models.get(("embedding", ANY))
        if isinstance(anybody, FakeEmbeddingModel) and text in anybody.vectors:
            model = anybody
        return {"embedding": cast("FakeEmbeddingModel", model).embed(text)}

    # -- predictions -----------------------------------------------------------------------------

    async def _predict(self, channel: FakeChannel) -> None:
        prediction = PredictionRequest(channel)
        specifier = prediction.parameter.get("modelSpecifier")
        name, model = self.instance("llm", specifier)
        llm = cast("FakeLlm", model)
        answer = await self._answer(llm, prediction)
        if answer is None:
            text = self._unscripted(llm, prediction)
            self._server.failures.append(UnscriptedRequestError(text))
            raise ServerFailure(text)
        player = _Player(channel, prediction, llm, name, answer)
        await player.run()

    async def _answer(self, model: FakeLlm, prediction: PredictionRequest) -> Answer | None:
        for queue in self._queues(model):
            while (scripted := choose(queue, prediction)) is not None:
                answer = await as_answer(scripted, prediction)
                if answer is not None:
                    return answer
                scripted.left, kept = 0, scripted.left  # a function that passes: ask the others
                found = await self._answer(model, prediction)
                scripted.left = kept
                return found
        return None

    def _queues(self, model: FakeLlm) -> list[Any]:
        anybody = self._models.get(("llm", ANY))
        own = [model.queue]
        return own if anybody in (model, None) else [*own, cast("FakeLlm", anybody).queue]

    def _unscripted(self, model: FakeLlm, prediction: PredictionRequest) -> str:
        scripted = [one for queue in self._queues(model) for one in queue]
        used = sum(one.used for one in scripted)
        waiting = [str(one) for one in scripted if one.left != 0]
        how = "complete()" if prediction.endpoint == PREDICTIONS[1] else "respond()"
        roles = ", ".join(role for role, _ in prediction.messages)
        where = f"(chat: {roles})" if roles else ""
        waits = f"Not for this one: {'; '.join(waiting)}." if waiting else ""
        return (
            f"FakeServer has no answer for this prediction: {how} of the model {model.key!r} with "
            f"the prompt {prediction.prompt[:200]!r} {where}. Answers given so far: {used}. {waits} "
            f"Script one more with server.llm({model.key!r}).respond(…); with times=None an answer "
            "is given any number of times."
        )


class _Asked:
    """A request that holds a chat but makes no prediction."""

    def __init__(self, parameter: Any) -> None:
        self.endpoint = ""
        self.parameter = parameter


class _Player:
    """Plays one answer on its channel, until the program cancels it."""

    def __init__(
        self,
        channel: FakeChannel,
        prediction: PredictionRequest,
        model: FakeLlm,
        identifier: str,
        answer: Answer,
    ) -> None:
        self._channel = channel
        self._prediction = prediction
        self._model = model
        self._identifier = identifier
        self._answer = answer
        self._fragments = 0

    async def run(self) -> None:
        playing = asyncio.ensure_future(self._play())
        cancelling = asyncio.ensure_future(self._cancelled())
        try:
            await asyncio.wait({playing, cancelling}, return_when=asyncio.FIRST_COMPLETED)
            if playing.done():
                playing.result()
            else:
                self._succeed("userStopped")
        finally:
            playing.cancel()
            cancelling.cancel()
            await asyncio.gather(playing, cancelling, return_exceptions=True)

    async def _cancelled(self) -> None:
        while as_mapping(await self._channel.next_message()).get("type") != "cancel":
            pass

    async def _play(self) -> None:
        self._channel.send(self._progress(0.0), self._progress(1.0))
        for step in self._answer.steps(self._model.call_ids):
            match step:
                case Gate():
                    await step.passed()
                case Pause():
                    await asyncio.sleep(step.seconds)
                case Drop():
                    self._channel.finished = True
                    self._channel.socket.drop()
                    return
                case ServerFailure():
                    raise step
                case _:
                    self._fragments += as_mapping(step).get("type") == "fragment"
                    self._channel.send(step)
        by_default = "toolCalls" if self._answer.has_tool_calls else "eosFound"
        self._succeed(self._answer.stop_reason or by_default)

    @property
    def _prompt_tokens(self) -> int:
        asked = " ".join(text for _, text in self._prediction.messages) or self._prediction.prompt
        return len(token_ids(asked))

    def _progress(self, ratio: float) -> dict[str, Any]:
        total = self._prompt_tokens
        done = int(ratio * total)
        details = {
            "cachedTokenCount": 0,
            "totalPromptTokenCount": total,
            "processedPromptTokenCount": done,
            "unprocessedPromptTokenCount": total - done,
        }
        return {"type": "promptProcessingProgress", "progress": ratio, "details": details}

    def _succeed(self, stop_reason: str) -> None:
        prompt = self._prompt_tokens
        info = self._model.instance_info(self._identifier)
        load = {"llm.load.contextLength": info["contextLength"], **self._model.load_config}
        stats = {
            "stopReason": stop_reason,
            "tokensPerSecond": 100.0,
            "numGpuLayers": 0,
            "timeToFirstTokenSec": 0.01,
            "totalTimeSec": 0.01 + self._fragments / 100,
            "promptTokensCount": prompt,
            "predictedTokensCount": self._fragments,
            "totalTokensCount": prompt + self._fragments,
            **self._answer.stats,
        }
        settings = stack_values(self._prediction.parameter.get("predictionConfigStack"))
        self._channel.send(
            {
                "type": "success",
                "stats": stats,
                "modelInfo": info,
                "loadModelConfig": kv_config(load),
                "predictionConfig": kv_config(settings),
            }
        )
        self._channel.close()
