"""An SDK with the ``lmstudio`` API: this family's, or the official one, whichever is installed."""

from __future__ import annotations

import asyncio

from measure import arguments, check, run_tasks, run_threads

import lmstudio as lms

ARGS = arguments()


def sync() -> None:
    lms.set_sync_api_timeout(60)
    with lms.Client(ARGS.host) as client:
        model = client.llm.model("bench")

        def stream(caller: int, items: int) -> None:
            del caller
            seen = 0
            for fragment in model.respond_stream(str(items)):
                seen += len(fragment.content) > 0
            check(seen, items)

        def rpc(caller: int, items: int) -> None:
            del caller
            for _ in range(items):
                check(model.count_tokens("some text"), 3)

        run_threads(ARGS.callers, ARGS.items, stream if ARGS.work == "stream" else rpc)


async def asynchronous() -> None:
    async with lms.AsyncClient(ARGS.host) as client:
        model = await client.llm.model("bench")

        async def stream(caller: int, items: int) -> None:
            del caller
            seen = 0
            async for fragment in await model.respond_stream(str(items)):
                seen += len(fragment.content) > 0
            check(seen, items)

        async def rpc(caller: int, items: int) -> None:
            del caller
            for _ in range(items):
                check(await model.count_tokens("some text"), 3)

        await run_tasks(ARGS.callers, ARGS.items, stream if ARGS.work == "stream" else rpc)


if ARGS.style == "sync":
    sync()
else:
    asyncio.run(asynchronous())
