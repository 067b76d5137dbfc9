"""The ``diagnostics`` namespace: the log of this server, as it is written."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from lmstudio_server.errors import WireError

from .endpoint import Channel, Namespace

__all__ = ["namespace"]

_log = logging.getLogger(__name__)

namespace: Final = Namespace("diagnostics")


@namespace.channel("streamLogs", messages=("stop",))
async def stream_logs(channel: Channel, _parameter: Any) -> None:
    """Every line of the log and every prediction from now on, until the client stops it."""
    if not channel.trusted:
        raise WireError(
            "This client may not read the log.",
            cause="It holds what all clients say to models. This one comes from another machine "
            "and has shown no API token.",
            suggestion="Start the server with --api-token and use that token.",
        )
    with channel.services.logs.listen() as listener:
        _log.info("a client reads this log from now on")
        reading = asyncio.ensure_future(listener.get())
        ends = {
            asyncio.ensure_future(channel.cancelled.wait()),
            asyncio.ensure_future(channel.services.shutdown.wait()),
        }
        try:
            while True:
                await asyncio.wait({reading, *ends}, return_when=asyncio.FIRST_COMPLETED)
                if any(end.done() for end in ends):
                    return
                await channel.send({"type": "log", "log": reading.result()})
                reading = asyncio.ensure_future(listener.get())
        finally:
            for task in (reading, *ends):
                task.cancel()
