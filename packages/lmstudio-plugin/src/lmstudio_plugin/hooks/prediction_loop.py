"""Prediction loops: the plugin answers the user, with whatever it likes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ..data import HookRequest
from ..operations import HookName
from .common import TGlobalConfigSchema, TPluginConfigSchema
from .processing import ProcessingController
from .serving import TaskServer, called

__all__ = ["PredictionLoop", "PredictionLoopController", "run_prediction_loop"]


class PredictionLoopController(
    ProcessingController[HookRequest, TPluginConfigSchema, TGlobalConfigSchema]
):  # public
    """What a prediction loop is given."""

    _with_current = True


class PredictionLoop(TaskServer):
    """Lets the plugin's function answer."""

    hook: ClassVar[HookName] = "predictionLoopHandler"
    request_type: ClassVar[str] = "handlePredictionLoop"
    what: ClassVar[str] = "The prediction loop"

    async def answer(self, request: HookRequest) -> Mapping[str, Any]:
        """All that it shows, to the end."""
        ctl = PredictionLoopController[Any, Any](
            self.session, request, self.plugin_config_schema, self.global_config_schema
        )
        await called(self.hook_impl, ctl)
        await ctl.flush()
        return {}


async def run_prediction_loop(
    plugin_name: str,
    hook_impl: Callable[..., Any],
    plugin_config_schema: Any,
    global_config_schema: Any,
    session: Any,
    notify_ready: Callable[[], Any],
) -> None:
    """Open the hook and answer, until the server closes it."""
    server = PredictionLoop(plugin_name, hook_impl, plugin_config_schema, global_config_schema)
    await server.process_requests(session, notify_ready)
