"""The market feed as a process of its own on a real bus: killed at the worst moment, it does not forget what it doubted."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from libs.common.messages import FeedMarks, Mark
from libs.common.timeframe import MILLISECOND, MINUTE
from services.exchange_sim.faults import RestFault, SocketFault
from services.exchange_sim.sockets import Socket
from tests.e2e.live_services import Log, kind_of, until
from tests.e2e.venue_stand import VenueStand
from tests.nats_stack import NatsStack

ROOT = Path(__file__).parents[2]
BTC = "BTC-USDT"


def start_feed(nats: NatsStack, venue: VenueStand) -> subprocess.Popen[bytes]:
    """`python -m services.market_feed`, on the venue's clock."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BULKHEAD_")}
    settings = {
        "BULKHEAD_HOME": str(nats.home),
        "BULKHEAD_NATS_URL": nats.url,
        "BULKHEAD_CLOCK_URL": f"ws{venue.url.removeprefix('http')}/sim/clock",
        "BULKHEAD_FEED_VENUE_URL": venue.url,
        "BULKHEAD_FEED_VENUES": "binance",
        "BULKHEAD_INSTRUMENTS": BTC,
        "BULKHEAD_FEED_HISTORY_BARS": "16",
        "BULKHEAD_FEED_HISTORY_WEEKS": "1",
    }
    with (nats.home / "feed.log").open("ab") as lines:
        return subprocess.Popen(
            [sys.executable, "-m", "services.market_feed"],
            cwd=ROOT,
            env={**environment, **settings},
            stdout=lines,
            stderr=lines,
        )


async def marked(log: Log, is_so: Callable[[Mark], bool], after: int = 0) -> Mark:
    """The first mark, of the messages behind the first `after`, that is so."""

    async def found() -> Mark | None:
        for message in (await log.said("feed.marks"))[after:]:
            for mark in message.marks:
                if is_so(mark):
                    return mark
        return None

    await until(found)
    mark = await found()
    assert mark is not None
    return mark


def misprint(venue: VenueStand, factor: float, step: int = 1) -> None:
    """A trade with the venue's next id, at a price of nobody."""
    last = venue.server.exchange.last_trades[BTC]
    ms = last.ts // MILLISECOND
    frame = {
        "e": "trade",
        "E": ms,
        "s": "BTCUSDT",
        "t": last.trade_id + step,
        "p": f"{last.px * factor:.2f}",
        "q": "1.00000000",
        "T": ms,
        "m": True,
        "M": True,
    }
    venue.server.faults.add(
        SocketFault(kind="inject", stream="btcusdt@trade", text=msgspec.json.encode(frame).decode())
    )


def listeners(venue: VenueStand) -> list[Socket]:
    """Who reads the trades."""
    hub = venue.server.hub
    return [socket for socket in hub.sockets if "btcusdt@trade" in hub.subscriptions(socket)]


async def test_killed_in_quarantine_it_judges_the_first_print_by_the_last_trusted_price(
    nats: NatsStack, tmp_path: Path
) -> None:
    """kill -9 between a misprint and its end: after the restart the same misprint is still one, and no price of it is ever told."""
    venue = VenueStand(tmp_path / "venue", sim_instruments=BTC)
    await venue.start()
    log = await Log.of(nats)
    process = start_feed(nats, venue)
    try:
        trusted = await marked(log, lambda mark: mark.trust == "TRUSTED")
        misprint(venue, 0.8)
        doubted = await marked(log, lambda mark: mark.trust == "QUARANTINED")
        process.kill()
        process.wait()
        told = len(await log.said("feed.marks"))
        quotes_away = RestFault(kind="status", path="/api/v3/ticker/bookTicker", code=503, seconds=600)
        venue.server.faults.add(quotes_away)  # so that nothing but prints can end the doubt
        await until(lambda: not listeners(venue))
        process = start_feed(nats, venue)
        await until(lambda: bool(listeners(venue)))
        misprint(venue, 0.8)
        venue.server.faults.end()
        again = await marked(log, lambda mark: True, told)
        await venue.http.post("/sim/advance", json={"to": venue.server.exchange.clock.now_ns() + MINUTE})
        await marked(log, lambda mark: mark.trust == "TRUSTED", told)
        process.terminate()
        assert await asyncio.to_thread(process.wait, 20) == 0
    finally:
        process.kill()
        process.wait()
        await venue.stop()
    every = [mark for message in await log.said("feed.marks") for mark in message.marks]
    assert doubted.last_px == trusted.last_px
    assert again.last_px == trusted.last_px
    assert all(abs(mark.last_px / trusted.last_px - 1) < 0.05 for mark in every)
    assert all(abs(mark.protective_px / trusted.last_px - 1) < 0.05 for mark in every)
    assert {type(message) for message in await log.said("feed.marks")} == {FeedMarks}
    report = await log.proof([kind_of("market-feed")])
    assert (report.mismatches, report.unpublished) == ([], 0)
