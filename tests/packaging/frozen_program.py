"""A user's program, to be frozen: one of everything, with the server that the command line names."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import sys

from pydantic import BaseModel

import lmstudio as lms


class City(BaseModel):
    name: str


def multiply(a: int, b: int) -> int:
    """Multiply two whole numbers."""
    return a * b


def use(client: lms.Client) -> None:
    model = client.llm.model("any")
    print("respond", model.respond("Hello"))
    chat = lms.Chat("Be brief.")
    chat.add_user_message("Hello")
    print("stream", "".join(fragment.content for fragment in model.respond_stream(chat)))
    print("act", model.act("What is 6 times 7?", [multiply]).final)
    print("structured", model.respond("Where?", response_format=City).parsed)
    print("embed", len(client.embedding.model("any").embed("Hello")))
    for name in ("models", "system", "files", "repository", "runtime", "diagnostics", "plugins"):
        assert client.capability(name) is getattr(client, name)


async def use_async(host: str) -> None:
    async with lms.AsyncClient(host) as client:
        model = await client.llm.model("any")
        print("async respond", await model.respond("Hello"))
        print("async act", (await model.act("What is 6 times 7?", [multiply])).final)
        print("async embed", len(await (await client.embedding.model("any")).embed("Hello")))


def look_for_a_server() -> None:
    os.environ["LMS_API_SERVER_INFO_PATH"] = os.devnull  # LM Studio's own ports are not looked at
    try:
        lms.Client().list_loaded_models()
    except lms.LMStudioConnectionError as error:
        print("no server:", "frozen" in str(error), "lmstudio-server start" in str(error))


def main() -> None:
    if len(sys.argv) != 2:  # as a helper that was started with "-m" would be
        print("started again with", sys.argv)
        raise SystemExit(1)
    host = sys.argv[1]
    with lms.Client(host) as client:
        use(client)
    asyncio.run(use_async(host))
    lms.configure_default_client(host)
    print("default", lms.llm("any").respond("Hello"))
    print("names", [name for name in lms.__all__ if not hasattr(lms, name)])
    print("version", importlib.metadata.version("lmstudio-core") == lms.__version__)
    look_for_a_server()


if __name__ == "__main__":
    main()
