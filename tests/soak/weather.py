"""Seeded bad weather for a venue's sockets and REST: one episode after the other, each over in a few seconds."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import aiohttp

VENUES = ("binance", "kraken", "kucoin")
HANDSHAKES = ("/ws*", "/stream*", "/kraken/v2*", "/kucoin/endpoint*")
Script = list[dict[str, Any]]


class Weather:
    """Asks the venue at `url` for faults."""

    def __init__(self, url: str, seed: int):
        self.counts: Counter[str] = Counter()
        self._url = f"{url}/sim/faults"
        self._chance = random.Random(seed)
        self._episodes = {
            "no sockets": self._no_sockets,
            "home down": lambda seconds: [_down("binance", seconds)],
            "home and kraken down": lambda seconds: [_down("binance", seconds), _down("kraken", seconds)],
            "home frozen": lambda seconds: [{"on": "socket", "kind": "freeze", "sticky": True, "seconds": seconds}],
            "one instrument stuck": self._stuck,
            "black hole": lambda seconds: [_socket("black_hole", self._venue(), seconds=seconds)],
            "cut off": lambda _: [_socket(self._chance.choice(("reset", "close")), self._venue())],
            "trades lost": lambda seconds: [_socket("drop", self._venue(), stream="trade", times=3, seconds=seconds)],
            "frames twice": lambda seconds: [_socket("duplicate", self._venue(), seconds=seconds)],
            "frames out of order": lambda seconds: [_socket("hold", self._venue(), times=5, seconds=seconds)],
            "nonsense": lambda _: [_socket("inject", self._venue(), text='{"e":"trade","s":"BTCU', times=3)],
            "bad prices": lambda seconds: [_socket("mangle", "binance", field="p", times=3, seconds=seconds)],
            "subscriptions refused": self._refused,
            "REST busy": lambda seconds: [self._rest("status", seconds, code=429, retry_after=1)],
            "REST talks nonsense": lambda seconds: [
                self._rest(self._chance.choice(("html", "truncated", "empty", "empty_object", "reset")), seconds)
            ],
            "flapping": lambda _: [_down("binance", 0.3)],
        }

    async def blow(self, http: aiohttp.ClientSession) -> None:
        """For ever."""
        names = list(self._episodes)
        while True:
            name = self._chance.choice(names)
            self.counts[name] += 1
            for _ in range(4 if name == "flapping" else 1):
                seconds = round(self._chance.uniform(0.5, 3.0), 2)
                for fault in self._episodes[name](seconds):
                    async with http.post(self._url, json=fault) as answer:
                        answer.raise_for_status()
                await asyncio.sleep(seconds)
            await asyncio.sleep(self._chance.uniform(0.2, 2.5))

    async def clear(self, http: aiohttp.ClientSession) -> None:
        """End all faults."""
        async with http.delete(self._url) as answer:
            answer.raise_for_status()

    def _venue(self) -> str:
        return self._chance.choice(VENUES)

    def _no_sockets(self, seconds: float) -> Script:
        refused = [
            {"on": "rest", "kind": "status", "path": path, "code": 503, "seconds": seconds} for path in HANDSHAKES
        ]
        return refused + [_socket("reset", venue) for venue in VENUES]

    def _refused(self, seconds: float) -> Script:
        venue = self._venue()
        return [_socket("refuse_subscribe", venue, times=3, seconds=seconds), _socket("reset", venue)]

    def _stuck(self, seconds: float) -> Script:
        stream = self._chance.choice(("btcusdt@*", "ethusdt@bookTicker", "btcusdt@trade"))
        return [_socket("freeze", "binance", stream=stream, seconds=seconds)]

    def _rest(self, kind: str, seconds: float, **more: Any) -> dict[str, Any]:
        path = self._chance.choice(("/api/v3/*", "/api/v3/klines", "/kraken/0/*", "/kucoin/api/*"))
        return {"on": "rest", "kind": kind, "path": path, "seconds": seconds, **more}


def _socket(kind: str, venue: str, **more: Any) -> dict[str, Any]:
    return {"on": "socket", "kind": kind, "venue": venue, **more}


def _down(venue: str, seconds: float) -> dict[str, Any]:
    return {"on": "venue", "kind": "down", "venue": venue, "seconds": seconds}
