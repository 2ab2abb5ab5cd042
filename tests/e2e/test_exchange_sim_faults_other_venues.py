"""The faults of sockets, requests and whole venues strike Kraken and KuCoin alike, each for itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.e2e.fault_bench import active, script, trades, until
from tests.e2e.venue_stand import VenueStand, open_venue

VENUES = {
    "kraken": (
        "/kraken/v2",
        {"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USDT"], "snapshot": False}},
        "trade:BTC-USDT",
        "price",
    ),
    "kucoin": (
        "/kucoin/endpoint",
        {"id": "1", "type": "subscribe", "topic": "/market/match:BTC-USDT", "response": True},
        "/market/match:BTC-USDT",
        "price",
    ),
}


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    async with open_venue(tmp_path / "home") as stand:
        yield stand


async def address(venue: VenueStand, name: str) -> str:
    path = VENUES[name][0]
    if name != "kucoin":
        return path
    async with venue.http.post("/kucoin/api/v1/bullet-public") as answer:
        return f"{path}?token={(await answer.json())['data']['token']}&connectId=1"


async def told(socket: aiohttp.ClientWebSocketResponse, word: str) -> Any:
    """The next frame that has `word` in it."""
    while word not in (text := await socket.receive_str(timeout=5)):
        pass
    return json.loads(text)


def data_of(frame: dict[str, Any]) -> dict[str, Any]:
    return frame["data"][0] if isinstance(frame["data"], list) else frame["data"]


@pytest.mark.parametrize("name", VENUES)
async def test_a_venue_is_hurt_and_the_others_are_not(venue, name) -> None:
    """A refused subscription, a mangled price, a frozen stream, a reset, an absence: Binance goes on through all of it."""
    _, subscribe, stream, price = VENUES[name]
    async with venue.http.ws_connect("/ws/btcusdt@trade") as binance:
        async with venue.http.ws_connect(await address(venue, name)) as socket:
            await script(venue, "refuse_subscribe", venue=name)
            await socket.send_json(subscribe)
            assert await told(socket, "refused")
            await socket.send_json(subscribe)
            await until(lambda: any(stream in each.streams for each in venue.server.hub.sockets))
            await script(venue, "mangle", venue=name, stream=stream, field=price, value="NaN")
            await trades(venue, 2)
            assert data_of(await told(socket, "NaN"))[price] == "NaN"
            await told(socket, price)
            await script(venue, "freeze", venue=name)
            await trades(venue, 3)
            assert active(venue)[0]["struck"] == 3
            assert (await script(venue, "reset", venue=name))["sockets"] == 1
            with pytest.raises(TypeError):
                await told(socket, "nothing more")
        venue.server.faults.end()
        await script(venue, "down", "venue", venue=name)
        with pytest.raises(aiohttp.ClientConnectionError):
            await venue.http.ws_connect(f"/{name}/v2")
        assert (await asyncio.wait_for(binance.receive_json(), 5))["e"] == "trade"
        assert "serverTime" in await venue.get("/api/v3/time")
