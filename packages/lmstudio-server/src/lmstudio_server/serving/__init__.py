"""The server on its port: HTTP, WebSockets, start and end.

Everything that decides lies in ``wire`` and ``api``; here it is connected to the network.
"""

from __future__ import annotations
