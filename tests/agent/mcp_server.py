"""A small MCP server for the tests: over its standard input and output, or by HTTP on a port."""

from __future__ import annotations

import base64
import os
import socket
import sys

try:  # the class was renamed in mcp 2
    from mcp.server.mcpserver import Image, MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
except ImportError:
    from mcp.server.fastmcp import FastMCP as MCPServer
    from mcp.server.fastmcp import Image
    from mcp.server.fastmcp.exceptions import ToolError

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

server = MCPServer("tests")


@server.tool()
def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


@server.tool()
def describe(city: str, days: int = 1) -> dict[str, str | int]:
    """Describe a city's weather."""
    return {"city": city, "days": days, "weather": "rain"}


@server.tool()
def words(text: str) -> list[str]:
    """Split a text into words."""
    return text.split()


@server.tool()
def fail(reason: str) -> str:
    """Always fail."""
    raise ToolError(reason)


@server.tool()
def picture() -> Image:
    """Give a picture."""
    return Image(data=PIXEL, format="png")


@server.tool()
def environment(name: str) -> str:
    """Tell an environment variable."""
    return os.environ.get(name, "")


@server.tool()
def leave() -> str:
    """End the whole server."""
    os._exit(3)


def serve_http() -> None:
    import uvicorn

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()  # from here on a client that comes early is kept waiting, not refused
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(server.streamable_http_app(), log_level="error")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    if "--refuse" in sys.argv:
        sys.exit("the licence has expired")
    if "--http" in sys.argv:
        serve_http()
    else:
        server.run("stdio")
