"""An opened venue adapter of the executor on a bench: requests in, answers and emitted messages out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog

from libs.common.messages import Message, UserStreamChanged
from libs.runtime.adapter import AdapterContext, Unmetered, VenueBudget
from libs.runtime.core import Asked
from libs.runtime.machine import Request
from services.order_executor.adapters.venues import venue_of
from services.order_executor.settings import Settings
from tests.e2e.venue_stand import VenueStand
from tests.unit.order_executor.desk import BTC, ETH, policy


class Bench:
    """An opened adapter, its context, and everything it emitted."""

    def __init__(
        self,
        home: Path,
        url: str,
        key: str,
        secret: str,
        now: Callable[[], int],
        budget: VenueBudget | None = None,
        **changes: Any,
    ):
        self.heard: list[Message] = []
        self.lease = True
        self.now = now
        self.count = 0
        self.adapter = venue_of(_settings(home, url, key, secret, **changes))
        self.context = AdapterContext(
            emit=self.heard.append,
            publish_market=self.heard.append,
            clock=self,  # type: ignore[arg-type]
            state=lambda: None,
            logger=structlog.get_logger(),
            holds_lease=self._holds_lease,
            read_log=None,  # type: ignore[arg-type]
            budget=budget or Unmetered(),
        )

    async def _holds_lease(self) -> bool:
        return self.lease

    async def ask(self, request: Request) -> Any:
        """The answer to one request."""
        self.count += 1
        answer = await self.adapter.perform(Asked(f"r{self.count}", request, 1, 1, "c", "c"))
        assert answer.request_id == f"r{self.count}"
        assert answer.ts_init == self.now()
        return answer

    async def until(self, kind: type[Message], count: int = 1) -> list[Any]:
        """The first `count` messages of a kind, once they have been emitted."""
        for _ in range(500):
            found = [each for each in self.heard if isinstance(each, kind)]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.02)
        raise AssertionError(f"{count} x {kind.__name__} not heard, but {self.heard}")


def _settings(home: Path, url: str, key: str, secret: str, **changes: Any) -> Settings:
    home.mkdir(parents=True, exist_ok=True)
    for name, value in (("exec-key", key), ("exec-secret", secret)):
        (home / name).write_text(value)
        (home / name).chmod(0o600)
    values = {
        "home": home,
        "instruments": (BTC, ETH),
        "exec_gate_public_key": policy().gate_public_key,
        "exec_api_key_file": home / "exec-key",
        "exec_api_secret_file": home / "exec-secret",
        "exec_venue_url": url,
        "exec_deadline_ms": 2_000,
        **changes,
    }
    return Settings(**values)


@asynccontextmanager
async def bench(venue: VenueStand, home: Path, **changes: Any) -> AsyncIterator[Bench]:
    """A bench at the emulated venue, its user stream connected."""
    made = Bench(home, venue.url, venue.key, venue.secret, lambda: venue.now, **changes)
    await made.adapter.open(made.context)
    try:
        await made.until(UserStreamChanged)
        yield made
    finally:
        await made.adapter.close()
