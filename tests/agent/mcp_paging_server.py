"""An MCP server in plain JSON-RPC, for what the package's own server does not do: one tool a page."""

from __future__ import annotations

import json
import sys
from typing import Any

TOOLS = ["first", "second", "third"]


def listed(cursor: str | None) -> dict[str, Any]:
    position = int(cursor or 0)
    tool = {"name": TOOLS[position], "inputSchema": {"type": "object", "properties": {}}}
    onward = {"nextCursor": str(position + 1)} if position + 1 < len(TOOLS) else {}
    return {"tools": [tool], **onward}


def answer(method: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
    match method:
        case "initialize":
            return {
                "protocolVersion": parameters["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "paging", "version": "1"},
            }
        case "tools/list":
            return listed(parameters.get("cursor"))
        case "tools/call":
            return {"content": [{"type": "text", "text": f"this is {parameters['name']}"}]}
        case _:
            return None


for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    given = answer(request["method"], request.get("params") or {})
    told = {"result": given} if given else {"error": {"code": -32601, "message": "no such method"}}
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], **told}), flush=True)
