"""Plans of downloads from a hub that the test makes; every packet is checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_hub import FakeHub
from hub_scenes import (
    DATA,
    REPOSITORY,
    repository,
    serving,
    until_held,
)
from wire_client import Client, Packets, Refused, client, run

pytest.importorskip("huggingface_hub")


SOURCE = {"type": "huggingface", "user": "acme", "repo": "Big-GGUF"}


async def planned(one: Client, **opts: Any) -> tuple[Packets, dict[str, Any]]:
    """A channel with a plan that is ready, and the plan."""
    target = {"type": "model", "source": SOURCE}
    packets = await one.open(
        "createDownloadPlan", target=target, **({"opts": opts} if opts else {})
    )
    first = await anext(packets)
    assert (first["type"], first["plan"]["nodes"][0]["state"]) == ("planUpdated", "fetching")
    ready = await anext(packets)
    assert ready["type"] == "planReady"
    assert ready["plan"]["version"] > first["plan"]["version"]
    return packets, ready["plan"]


async def tell(one: Client, packets: Packets, kind: str, **fields: Any) -> None:
    message = {"type": kind, **fields}
    await one.send(type="channelSend", channelId=packets.channel_id, message=message)


class TestPlan:
    def test_a_choice_is_reflected_with_its_version(self, big: FakeHub, tmp_path: Path) -> None:
        big.add(REPOSITORY, "Big-F16.gguf", DATA)

        async def test() -> None:
            async with repository(tmp_path) as one:
                packets, plan = await planned(one)
                (node,) = plan["nodes"]
                assert node["downloadOptions"][node["selectedDownloadOptionIndex"]]["recommended"]
                other = 1 - node["selectedDownloadOptionIndex"]
                choice = {"nodeIndex": 0, "selectedDownloadOptionIndex": other}
                select = "setSelectedDownloadOptionIndex"
                await tell(one, packets, select, **choice, requestedPlanVersion=7)
                changed = await anext(packets)
                assert changed["plan"]["version"] == 7
                assert changed["plan"]["nodes"][0]["selectedDownloadOptionIndex"] == other
                await tell(one, packets, "commit")
                rest = [packet["type"] async for packet in packets]
                assert rest[0] == "downloadProgress"
                assert rest[-2:] == ["startFinalizing", "success"]
                packets, plan = await planned(one)
                assert plan["nodes"][0]["alreadyOwned"]["modelKey"]

        run(test)

    @pytest.mark.parametrize(("node", "option"), [(1, 0), (0, 5), (0, -1), (0, None)])
    def test_a_choice_that_is_none(
        self, big: FakeHub, tmp_path: Path, node: int, option: int | None
    ) -> None:
        async def test() -> None:
            async with repository(tmp_path) as one:
                packets, _ = await planned(one)
                choice = {"nodeIndex": node, "selectedDownloadOptionIndex": option}
                select = "setSelectedDownloadOptionIndex"
                await tell(one, packets, select, **choice, requestedPlanVersion=2)
                with pytest.raises(Refused, match="does not fit"):
                    await anext(packets)

        run(test)

    def test_a_message_of_the_wrong_shape_is_warned_of_and_the_plan_stays(
        self, big: FakeHub, tmp_path: Path
    ) -> None:
        async def test() -> None:
            async with repository(tmp_path) as one:
                packets, _ = await planned(one)
                await tell(one, packets, "setSelectedDownloadOptionIndex", nodeIndex="x")
                assert (await one.receive())["kind"] == "channelMessageTypeError"
                await tell(one, packets, "cancelPlan")
                assert [packet async for packet in packets] == []

        run(test)

    def test_a_download_of_a_plan_is_stopped_and_goes_on(
        self, big: FakeHub, tmp_path: Path
    ) -> None:
        big.hold_after = 300_000

        async def test() -> None:
            async with serving(tmp_path) as server, client(server, "repository") as one:
                packets, _ = await planned(one)
                await tell(one, packets, "commit")
                while (await anext(packets))["update"]["downloadedBytes"] == 0:
                    pass
                await until_held(big)
                async with client(server, "repository", "guest:two") as two:
                    _, seen = await planned(two)
                    assert seen["downloadAction"] == "attachToExistingDownload"
                    assert seen["nodes"][0]["downloadOptions"][0]["availability"] == "downloading"
                await tell(one, packets, "cancelDownload")
                assert {p["type"] async for p in packets} <= {"downloadProgress"}
                big.hold_after = None
                packets, _ = await planned(one, compatibilityTypes=["gguf"])
                await tell(one, packets, "commit")
                assert [p async for p in packets][-1] == {"type": "success"}
                assert big.downloads()[-1].range is not None

        run(test)

    def test_no_model_for_this_server(self, hub: FakeHub, tmp_path: Path) -> None:
        hub.add(REPOSITORY, "model.safetensors", DATA)

        async def test() -> None:
            async with repository(tmp_path) as one:
                with pytest.raises(Refused, match="no model that this server can run"):
                    await planned(one)

        run(test)
