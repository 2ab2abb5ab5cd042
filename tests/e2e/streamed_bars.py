"""What a reader hears of another venue, and the bars it would make of it."""

from __future__ import annotations

import asyncio
from typing import Any

from libs.common.timeframe import MILLISECOND, SECOND
from tests.e2e.venue_stand import VenueStand

MS_A_MINUTE = 60_000


async def hear_minutes(venue: VenueStand, exchange: Any, symbol: str, minutes: int) -> tuple[int, list[dict[str, Any]]]:
    """The opening time (ms) of the next whole span of `minutes`, and every trade of that span as it was heard."""
    span = minutes * MS_A_MINUTE
    opens = (venue.now // MILLISECOND // span + 1) * span
    ends = opens + span
    await venue.advance(opens / 1000 - 30 - venue.now / SECOND)
    heard: dict[str, dict[str, Any]] = {}

    async def listen() -> None:
        while True:
            for trade in await exchange.watch_trades(symbol):
                heard[trade["id"]] = trade

    listener = asyncio.create_task(listen())
    try:
        for _ in range(6 * minutes + 20):
            await asyncio.sleep(0.01)
            if any(trade["timestamp"] >= ends for trade in heard.values()):
                return opens, [trade for trade in heard.values() if opens <= trade["timestamp"] < ends]
            await venue.advance(10)
    finally:
        listener.cancel()
    raise AssertionError("the end of the minutes was never heard")


def bars_of(trades: list[dict[str, Any]], opens: int, minutes: int) -> list[list[float]]:
    """Open, high, low, close and volume of each minute."""
    bars = []
    for start in range(opens, opens + minutes * MS_A_MINUTE, MS_A_MINUTE):
        minute = [trade for trade in trades if start <= trade["timestamp"] < start + MS_A_MINUTE]
        prices = [trade["price"] for trade in minute]
        volume = round(sum(trade["amount"] for trade in minute), 8)
        bars.append([start, prices[0], max(prices), min(prices), prices[-1], volume])
    return bars
