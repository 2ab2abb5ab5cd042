"""`make soak-feed`: the feed in bad weather for half an hour, flapping between venues, and between sockets and REST.

The venue is a process of its own, so what is measured is the feed's. At the end every minute must have been told once, those that home
told as home has them, those of another venue under its name and at its prices, and nothing may have grown.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry

from libs.common.messages import Bar, FeedBars, FeedStatus, Message, PrintRejected
from libs.common.timeframe import MINUTE, bar_open
from libs.runtime.adapter import AdapterContext
from libs.runtime.clock import VenueClock
from services.exchange_sim.listing import listing_of
from services.exchange_sim.other_venues import KRAKEN, KUCOIN, OtherListing
from services.market_feed.adapters.feed import MarketFeed
from services.market_feed.machine import MarketFeedMachine
from services.market_feed.settings import Settings
from tests.soak.gauges import Sample, growth, sampled
from tests.soak.weather import VENUES, Weather

INSTRUMENTS = ("BTC-USDT", "ETH-USDT")
SPEED = 60.0
SAMPLE_S = 1.0
UP_S_MAX = 30.0
CALM_S_MAX = 60.0
CALM_MINUTES = 3
OTHERS = {
    rules.venue: {name: OtherListing(rules, listing_of(name)) for name in INSTRUMENTS} for rules in (KRAKEN, KUCOIN)
}


class Counting:
    """A logger that remembers how often, not what."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def info(self, event: str, **_: Any) -> None:
        """Count it."""
        self.counts[event] += 1

    debug = warning = error = info


class Heard:
    """What the feed said, as far as it is judged at the end."""

    def __init__(self) -> None:
        self.bars: list[Bar] = []
        self.ends: list[int] = []
        self.statuses: list[FeedStatus] = []
        self.refused = 0

    def emit(self, message: Message) -> None:
        """A message for the log."""
        if isinstance(message, FeedBars):
            self.ends.append(message.end_ts)
            self.bars += (bar for bar in message.bars if bar.timeframe == "1m")
        elif isinstance(message, FeedStatus):
            self.statuses.append(message)

    def market(self, message: Message) -> None:
        """A message for MARKET."""
        self.refused += isinstance(message, PrintRejected)

    @property
    def is_home(self) -> bool:
        """Whether home speaks by its sockets, and is believed."""
        newest = self.statuses[-1]
        return (newest.venue, newest.via, newest.state) == (VENUES[0], "SOCKETS", "LIVE")


@asynccontextmanager
async def venue_process(home: Path, seed: int) -> AsyncIterator[str]:
    """exchange_sim as a process; its address."""
    env = {
        "BULKHEAD_HOME": str(home),
        "BULKHEAD_SIM_SPEED": str(SPEED),
        "BULKHEAD_SIM_SEED": str(seed),
        "BULKHEAD_SIM_WEIGHT_LIMIT": "0",
        "BULKHEAD_SIM_INSTRUMENTS": ",".join(INSTRUMENTS),
    }
    (home / "exchange_sim").mkdir(parents=True)
    with (home / "venue.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.exchange_sim", env={**os.environ, **env}, stdout=log, stderr=log
        )
        try:
            port = home / "exchange_sim" / "port"
            async with asyncio.timeout(UP_S_MAX):
                while not port.exists() or not port.read_text():  # noqa: ASYNC110  (a file)
                    await asyncio.sleep(0.05)
            yield f"http://127.0.0.1:{port.read_text().strip()}"
        finally:
            process.terminate()
            await process.wait()


class Soak:
    """One run."""

    def __init__(self, home: Path, seconds: float, seed: int):
        self.heard = Heard()
        self.log = Counting()
        self.samples: list[Sample] = []
        self.faults: list[str] = []
        self._home = home
        self._seconds = seconds
        self._seed = seed
        self._weather: Weather

    async def run(self) -> None:
        """Half an hour, or whatever was asked for; what is wrong then stands in `faults`."""
        async with venue_process(self._home, self._seed) as url, aiohttp.ClientSession() as http:
            clock = VenueClock(url.replace("http", "ws") + "/sim/clock")
            await clock.connect()
            feed = MarketFeed(self._settings(url))
            feeding = asyncio.create_task(feed.open(self._context(clock)))
            self._weather = Weather(url, self._seed)
            await self._until(lambda: len(self.heard.ends) >= 1, feeding)
            blowing = asyncio.create_task(self._weather.blow(http))
            ends_at = time.monotonic() + self._seconds
            while time.monotonic() < ends_at:
                await asyncio.sleep(SAMPLE_S)
                self.samples.append(sampled(feed))
                for task in (feeding, blowing):
                    if task.done():
                        task.result()
            blowing.cancel()
            with suppress(asyncio.CancelledError):
                await blowing
            await self._weather.clear(http)
            told = len(self.heard.ends)
            await self._until(lambda: self.heard.is_home and len(self.heard.ends) >= told + CALM_MINUTES, feeding)
            await feed.close()
            await feeding
            await clock.close()
            await self._judge(url, http)

    def report(self) -> str:
        """What happened, in a few lines."""
        switched = Counter(f"{each.venue} {each.via} {each.state}" for each in self.heard.statuses)
        venues = Counter(bar.venue for bar in self.heard.bars)
        episodes = sum(self._weather.counts.values())
        lines = [
            f"{self._seconds:.0f} s at {SPEED:g} times wall time, seed {self._seed}: {len(self.heard.ends)} minutes of market",
            f"weather, {episodes} episodes: {dict(sorted(self._weather.counts.items()))}",
            f"said: {dict(sorted(switched.items()))}",
            f"noticed: {dict(sorted(self.log.counts.items()))}",
            f"refused: {self.heard.refused} frames and prints",
            f"bars of one minute by venue: {dict(sorted(venues.items()))}",
            *(str(each) for each in growth(self.samples)),
            *(
                self.faults
                or ["every minute once; home's as home has them, the others' at their prices, under their names"]
            ),
        ]
        return "\n".join(lines)

    @property
    def held(self) -> bool:
        """Whether nothing is wrong and nothing grew."""
        return not self.faults and all(each.is_flat for each in growth(self.samples))

    def _settings(self, url: str) -> Settings:
        return Settings(
            instruments=INSTRUMENTS,
            feed_venue_url=url,
            feed_venues=VENUES,
            feed_history_bars=20,
            feed_history_weeks=2,
            feed_ping_ms=250,
            feed_down_ms_max=200,
            feed_leave_ms=400,
            feed_return_ms=800,
            feed_poll_ms=100,
        )

    def _context(self, clock: VenueClock) -> AdapterContext:
        async def holds_lease() -> bool:
            return True

        return AdapterContext(
            emit=self.heard.emit,
            publish_market=self.heard.market,
            clock=clock,
            state=MarketFeedMachine.State,
            logger=self.log,
            holds_lease=holds_lease,
            read_log=lambda durable, seq: aiter(()),  # type: ignore[arg-type,call-overload]
            registry=CollectorRegistry(),
        )

    async def _until(self, is_so: Any, feeding: asyncio.Task[None]) -> None:
        async with asyncio.timeout(CALM_S_MAX):
            while not is_so():
                if feeding.done():
                    feeding.result()
                await asyncio.sleep(0.05)

    # --- the end ----------------------------------------------------------------------------------------------------

    async def _judge(self, url: str, http: aiohttp.ClientSession) -> None:
        ends = self.heard.ends
        if ends != list(range(ends[0], ends[-1] + 1, MINUTE)):
            self.faults.append("a minute is missing, or was told twice")
        own = {name: await self._own(url, http, name, ends[0] - MINUTE, ends[-1]) for name in INSTRUMENTS}
        for bar in self.heard.bars:
            home = own[bar.instrument].get(bar.ts_open)
            expected = None if home is None else _as_told_by(bar, home)
            if expected is None or expected != (bar.open, bar.high, bar.low, bar.close, bar.volume):
                self.faults.append(f"{bar.venue} {bar.instrument} {bar.ts_open}: {bar} is not {expected}")
            if bar.synthetic or bar.ts_open != bar_open(bar.ts_open, "1m"):
                self.faults.append(f"{bar.venue} {bar.instrument} {bar.ts_open}: made up, though the venues knew it")

    async def _own(
        self, url: str, http: aiohttp.ClientSession, instrument: str, since: int, until: int
    ) -> dict[int, tuple[float, ...]]:
        """Home's own bars."""
        found: dict[int, tuple[float, ...]] = {}
        while since < until:
            params = {
                "symbol": instrument.replace("-", ""),
                "interval": "1m",
                "startTime": since // 10**6,
                "limit": 1000,
            }
            async with http.get(f"{url}/api/v3/klines", params=params) as answer:
                rows = await answer.json()
            found |= {row[0] * 10**6: tuple(map(float, row[1:6])) for row in rows}
            since = max(found) + MINUTE
        return found


def _as_told_by(bar: Bar, home: tuple[float, ...]) -> tuple[float, ...] | None:
    """Home's bar as the venue that a bar names has it; None for a venue nobody knows."""
    if bar.venue == VENUES[0]:
        return home
    if bar.venue not in OTHERS:
        return None
    listing = OTHERS[bar.venue][bar.instrument]
    return (*map(listing.px, home[:4]), home[4])


async def _main() -> int:
    parser = argparse.ArgumentParser(prog="make soak-feed", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="of wall time")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bulkhead-soak-") as name:
        soak = Soak(Path(name), given.minutes * 60, given.seed)
        await soak.run()
    print(soak.report(), flush=True)
    print("everything held" if soak.held else "NOT everything held")
    return 0 if soak.held else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
