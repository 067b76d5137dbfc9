"""The models in memory: who they are, who is using them, and when they go.

The registry knows engines and model files, and nothing of the wire.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from .errors import ShuttingDownError, identifier_in_use

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from .engines.base import Engine, LoadedModel, LoadRequest
    from .library import ModelFile

__all__ = ["Activity", "Instance", "ModelRegistry"]

_log = logging.getLogger(__name__)

Kind = Literal["llm", "embedding"]
Activity = Literal["processingPrompt", "generating", "computingEmbedding"]

GRACE_SECONDS = 5.0
"""How long an unload waits for its predictions to say good-bye."""


@dataclass(eq=False)
class Instance:
    """One loaded model."""

    identifier: str
    file: ModelFile
    model: LoadedModel
    load_config: dict[str, Any]
    ttl_ms: int | None = None
    reference: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    last_used_ms: int | None = None
    used_at: float = field(default_factory=time.monotonic)
    """On the clock of this process; the load counts as a use."""
    activities: dict[object, Activity] = field(default_factory=dict[object, Activity])
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the instance is going away; its users stop then."""
    ended_because: Literal["unloaded", "crashed"] | None = None
    parallel: int = 1
    on_demand: bool = False
    """Loaded because somebody asked for the model, not because somebody loaded it."""
    timer: asyncio.TimerHandle | None = None
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def kind(self) -> Kind:
        return self.file.kind

    @property
    def key(self) -> str:
        return self.file.key

    def mark_used(self) -> None:
        """Note a use at this moment."""
        self.last_used_ms = int(time.time() * 1000)
        self.used_at = time.monotonic()

    def processing_state(self) -> dict[str, Any]:
        """What it does at this moment (``modelProcessingState``)."""
        doing = list(self.activities.values())
        order: tuple[Activity, ...] = ("generating", "processingPrompt", "computingEmbedding")
        status = next((activity for activity in order if activity in doing), "idle")
        return {"status": status, "queued": max(0, len(doing) - self.parallel)}


class Use:
    """One request that is keeping an instance busy."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def now(self, activity: Activity) -> None:
        """Report what the request is doing."""
        self._instance.activities[self] = activity


class ModelRegistry:
    """All instances of one server. Lives in one event loop."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._instances: dict[str, Instance] = {}
        self._reserved: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    def instances(self, kind: Kind | None = None) -> list[Instance]:
        """Loaded instances, oldest first."""
        return [i for i in self._instances.values() if kind is None or i.kind == kind]

    def loading(self) -> list[str]:
        """The identifiers of instances that are being loaded."""
        return sorted(self._reserved)

    def by_identifier(self, identifier: str) -> Instance | None:
        """The instance with exactly this identifier."""
        return self._instances.get(identifier)

    def by_reference(self, reference: str) -> Instance | None:
        """The instance a pinned handle points at."""
        return next((i for i in self._instances.values() if i.reference == reference), None)

    def find(self, kind: Kind, name: str) -> Instance | None:
        """The instance somebody means by ``name``: an identifier, a model key, a path or its start."""
        instances = self.instances(kind)
        tests: Iterable[Callable[[Instance], bool]] = (
            lambda i: i.identifier == name,
            lambda i: i.key == name,
            lambda i: i.file.path == name,
            lambda i: i.file.path.startswith(name.rstrip("/") + "/"),
        )
        return next((i for test in tests for i in instances if test(i)), None)

    async def load(
        self,
        file: ModelFile,
        request: LoadRequest,
        load_config: dict[str, Any],
        *,
        identifier: str | None = None,
        ttl_ms: int | None = None,
        on_demand: bool = False,
        on_progress: Callable[[float], None],
    ) -> Instance:
        """Load a new instance. Cancelling the caller ends the load and leaves nothing behind.

        Args:
            file: The model's file.
            request: What the engine is asked for.
            load_config: How it is loaded, by the server's keys.
            identifier: What to call the instance.
            ttl_ms: Milliseconds without use after which it is unloaded; ``None`` keeps it.
            on_demand: Whether it was loaded for a request, and may make room for others.
            on_progress: Called with 0.0 to 1.0.
        """
        self._check_open()
        name = self._reserve(identifier, file.key)
        try:
            request = replace(request, engine=file.engine, format=file.format, model=file.model)
            model = await self.engine.load(request, on_progress)
            instance = Instance(
                name,
                file,
                model,
                load_config,
                ttl_ms=ttl_ms,
                on_demand=on_demand,
                parallel=request.parallel,
            )
            # Registered without an await in between: a cancelled caller either never got the
            # model or finds it here.
            self._instances[name] = instance
        finally:
            self._reserved.discard(name)
        instance.idle.set()
        model.on_exit(lambda reason: self._crashed(instance, reason))
        _log.info("loaded %s as %r (context %d)", file.key, name, model.context_length)
        self._arm(instance)
        return instance

    async def unload(self, instance: Instance) -> None:
        """Let an instance go: its predictions end first, then its memory is freed."""
        if not self._remove(instance, "unloaded"):
            return
        if instance.activities:
            try:
                await asyncio.wait_for(instance.idle.wait(), GRACE_SECONDS)
            except asyncio.TimeoutError:
                _log.warning("%r is unloaded while still in use", instance.identifier)
        await instance.model.unload()
        _log.info("unloaded %r", instance.identifier)

    async def unload_idle(self, instance: Instance) -> None:
        """Let an instance go, unless a request has begun to use it meanwhile."""
        if not instance.activities:
            await self.unload(instance)

    async def drain(self, seconds: float) -> None:
        """Take no new work, and let what is under way end by itself for some time."""
        self._closing = True
        busy = [instance for instance in self.instances() if instance.activities]
        if not busy or seconds <= 0:
            return
        count = sum(len(instance.activities) for instance in busy)
        _log.info("waiting up to %g s for what is under way (%d)", seconds, count)
        ends = {asyncio.get_running_loop().create_task(i.idle.wait()) for i in busy}
        _, late = await asyncio.wait(ends, timeout=seconds)
        for task in late:
            task.cancel()
        if late:
            _log.warning("requests that took longer than %g s are ended", seconds)
            await asyncio.wait(late)

    async def close(self) -> None:
        """Unload everything."""
        await asyncio.gather(*(self.unload(instance) for instance in self.instances()))
        await asyncio.gather(*self._tasks)

    def touch(self, instance: Instance) -> None:
        """A short use: the time to live begins again."""
        instance.mark_used()
        if not instance.activities:
            self._arm(instance)

    @asynccontextmanager
    async def use(self, instance: Instance, activity: Activity) -> AsyncGenerator[Use, None]:
        """Keep an instance busy: it does not expire meanwhile."""
        self._check_open()
        self._disarm(instance)
        use = Use(instance)
        instance.activities[use] = activity
        instance.idle.clear()
        instance.mark_used()
        try:
            yield use
        finally:
            del instance.activities[use]
            instance.mark_used()
            if not instance.activities:
                instance.idle.set()
                self._arm(instance)

    def _check_open(self) -> None:
        if self._closing:
            raise ShuttingDownError

    def _reserve(self, identifier: str | None, key: str) -> str:
        taken = self._instances.keys() | self._reserved
        if identifier is None:
            identifier, number = key, 1
            while identifier in taken:
                number += 1
                identifier = f"{key}:{number}"
        elif identifier in taken:
            raise identifier_in_use(identifier)
        self._reserved.add(identifier)
        return identifier

    def _remove(self, instance: Instance, because: Literal["unloaded", "crashed"]) -> bool:
        if self._instances.get(instance.identifier) is not instance:
            return False
        del self._instances[instance.identifier]
        self._disarm(instance)
        instance.ended_because = because
        instance.ended.set()
        return True

    def _crashed(self, instance: Instance, reason: str) -> None:
        if self._remove(instance, "crashed"):
            _log.error("the engine of %r ended: %s", instance.identifier, reason)

    def _disarm(self, instance: Instance) -> None:
        if instance.timer is not None:
            instance.timer.cancel()
            instance.timer = None

    def _arm(self, instance: Instance) -> None:
        self._disarm(instance)
        if instance.ttl_ms is not None and not instance.ended.is_set():
            loop = asyncio.get_running_loop()
            instance.timer = loop.call_later(instance.ttl_ms / 1000, self._expire, instance)

    def _expire(self, instance: Instance) -> None:
        _log.info("%r was idle for %s ms", instance.identifier, instance.ttl_ms)
        task = asyncio.get_running_loop().create_task(self.unload_idle(instance))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
