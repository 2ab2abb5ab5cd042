"""A raw client of the WebSocket API: signed requests, and the events of the user data stream as they come."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from typing import Any

from aiohttp import ClientWebSocketResponse

from tests.e2e.venue_stand import VenueStand

LOOK_S = 0.01


class UserStream:
    """Subscribed to the account while open."""

    def __init__(self, venue: VenueStand):
        self._venue = venue
        self._ws: ClientWebSocketResponse
        self.events: list[dict[str, Any]] = []

    async def __aenter__(self) -> UserStream:
        self._ws = await self._venue.http.ws_connect("/ws-api/v3")
        assert (await self.ask("userDataStream.subscribe.signature"))["status"] == 200
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._ws.close()

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to a signed request; events that come before it are kept."""
        params = {"apiKey": self._venue.key, "timestamp": self._venue.now // 1_000_000, **params}
        text = "&".join(f"{name}={params[name]}" for name in sorted(params))
        signature = hmac.new(self._venue.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        await self._ws.send_json({"id": method, "method": method, "params": {**params, "signature": signature}})
        while "event" in (frame := await asyncio.wait_for(self._ws.receive_json(), 5)):
            self.events.append(frame["event"])
        return frame

    async def hear(self) -> list[dict[str, Any]]:
        """All events that have left the venue, and were not asked for yet: whatever follows was not said before now."""
        await self.ask("ping")
        heard, self.events = self.events, []
        return heard

    async def until(self, event: str, seconds: float = 0.0, times: int = 200) -> list[dict[str, Any]]:
        """Events up to and with the first one of this name, letting venue time pass while there is none."""
        heard: list[dict[str, Any]] = []
        for _ in range(times):
            heard += await self.hear()
            for at, each in enumerate(heard):
                if each["e"] == event:
                    self.events = heard[at + 1 :]
                    return heard[: at + 1]
            await asyncio.sleep(LOOK_S)
            if seconds:
                await self._venue.advance(seconds)
        raise AssertionError(f"no {event}, but {heard}")
