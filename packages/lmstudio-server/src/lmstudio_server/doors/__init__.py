"""The other doors of the same port: HTTP for programs that do not speak LM Studio's WebSocket API.

``openai`` and ``rest`` translate requests to the parameters of the WebSocket endpoints, and the
packets of these to HTTP answers; the endpoints do the work. ``app`` and what it imports need
starlette and uvicorn, and are imported with the first such request.
"""

from __future__ import annotations
