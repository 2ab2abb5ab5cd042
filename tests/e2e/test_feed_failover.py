"""Which venue speaks when venues fail, and by which way: sockets of the best one, REST where no sockets are to be had."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from libs.common.messages import FeedMarks, FeedStatus
from libs.common.timeframe import MINUTE, SECOND
from services.exchange_sim.faults import Fault, RestFault, SocketFault, VenueFault
from tests.e2e.feed_bench import INSTRUMENTS, OTHERS, Venue
from tests.e2e.feed_stand import Stand, standing

BTC, ETH = INSTRUMENTS
READERS = pytest.mark.parametrize("reader", ["native", "ccxt"])
VENUES: tuple[Any, ...] = ("binance", "kraken", "kucoin")
HANDSHAKES = ("/ws*", "/stream*", "/kraken/v2*", "/kucoin/endpoint*")
QUICK: dict[str, Any] = {
    "feed_venues": VENUES,
    "feed_down_ms_max": 200,
    "feed_leave_ms": 300,
    "feed_return_ms": 600,
    "feed_poll_ms": 100,
}
FREE: dict[str, Any] = {"sim_mode": "free", "sim_speed": 60.0, "sim_weight_limit": 0}


def speaks(stand: Stand, venue: str, via: str = "SOCKETS") -> bool:
    """Whether the newest status says so, and that it is LIVE."""
    return (stand.status.venue, stand.status.via, stand.status.state) == (venue, via, "LIVE")


def switches(stand: Stand) -> list[tuple[str, str]]:
    """Who spoke and how, as it changed."""
    told = [(each.venue, each.via) for each in stand.log.of(FeedStatus)]
    return [each for place, each in enumerate(told) if place == 0 or each != told[place - 1]]


async def minutes(stand: Stand, since: int, until: int) -> None:
    """Play from one minute to another, one after the other."""
    for minute in range(since, until + 1):
        await stand.venue.advance(stand.start + minute * MINUTE + SECOND)
        await stand.bars_until(minute)


@READERS
async def test_another_venue_stands_in_until_home_returns(tmp_path: Path, reader: str) -> None:
    """Home is down: Kraken's marks and bars, no trading rules; home is back: its own. A quarter made of both names both."""
    async with standing(tmp_path, feed_reader=reader, **QUICK) as stand:
        await minutes(stand, 1, 3)
        stand.hurt(VenueFault(kind="down"))
        await stand.within(0.5, lambda: speaks(stand, "kraken"), "Kraken speaks")
        assert stand.status.reason == "BINANCE_POOR"
        assert stand.status.specs == ()
        assert stand.status.health["binance"] < 0.5 < stand.status.health["kraken"]
        await minutes(stand, 4, 6)
        await stand.until(lambda: stand.log.marks() == stand.venue.quotes("kraken"), "Kraken's quotes")
        assert stand.log.of(FeedMarks)[-1].venue == "kraken"
        stand.heal()
        await stand.within(1.0, lambda: speaks(stand, "binance"), "home speaks")
        assert stand.status.reason == "RETURNED"
        assert [spec.instrument for spec in stand.status.specs] == list(INSTRUMENTS)
        await minutes(stand, 7, 15)
        await stand.until(lambda: stand.log.marks() == stand.venue.quotes(), "home's quotes")
        assert [bar.venue for bar in stand.said(BTC)] == ["binance"] * 3 + ["kraken"] * 3 + ["binance"] * 9
        assert [bar.venue for bar in stand.said(BTC, "15m")] == ["binance+kraken"]
        assert switches(stand) == [("binance", "SOCKETS"), ("kraken", "SOCKETS"), ("binance", "SOCKETS")]
        await stand.assert_each_as_its_venue_says()


async def test_the_third_venue_stands_in_for_the_second(tmp_path: Path) -> None:
    """Home and Kraken are down: KuCoin speaks; Kraken is back before home: Kraken, because it is preferred."""
    async with standing(tmp_path, **QUICK) as stand:
        await minutes(stand, 1, 1)
        stand.hurt(VenueFault(kind="down"), VenueFault(kind="down", venue="kraken"))
        await stand.within(0.5, lambda: speaks(stand, "kucoin"), "KuCoin speaks")
        await minutes(stand, 2, 3)
        await stand.until(lambda: stand.log.marks() == stand.venue.quotes("kucoin"), "KuCoin's quotes")
        stand.heal()
        stand.hurt(VenueFault(kind="down"))
        await stand.within(1.0, lambda: speaks(stand, "kraken"), "Kraken speaks")
        await minutes(stand, 4, 5)
        assert [bar.venue for bar in stand.said(BTC)] == ["binance", "kucoin", "kucoin", "kraken", "kraken"]
        stand.heal()
        await stand.assert_each_as_its_venue_says()


@READERS
async def test_home_is_frozen(tmp_path: Path, reader: str) -> None:
    """Its connections are up and answer pings, but say nothing, old ones and new ones: another venue speaks, by the clock."""
    async with standing(tmp_path, market=FREE, feed_reader=reader, **QUICK) as stand:
        stand.hurt(SocketFault(kind="freeze", sticky=True))
        await stand.within(1.5, lambda: speaks(stand, "kraken"), "Kraken speaks")
        await stand.told_of("kraken", 2)
        stand.heal()
        await stand.within(2.0, lambda: speaks(stand, "binance"), "home speaks")
        await stand.told_of("binance", 1)
        assert {bar.venue for bar in stand.said(BTC)} == {"binance", "kraken"}
        await stand.assert_each_as_its_venue_says()


NO_SOCKETS: list[Fault] = [
    *(RestFault(kind="status", path=path, code=503, seconds=60.0) for path in HANDSHAKES),
    *(SocketFault(kind="reset", venue=venue) for venue in VENUES),
]
NO_SUBSCRIPTIONS: list[Fault] = [
    *(SocketFault(kind="refuse_subscribe", venue=venue, seconds=60.0) for venue in VENUES),
    *(SocketFault(kind="reset", venue=venue) for venue in VENUES),
]


@READERS
@pytest.mark.parametrize("faults", [NO_SOCKETS, NO_SUBSCRIPTIONS], ids=["handshakes", "subscriptions"])
async def test_without_any_sockets_home_is_polled(tmp_path: Path, reader: str, faults: list[Fault]) -> None:
    """No venue lets us listen, home's REST answers: its prices and bars by REST, until sockets are back."""
    async with standing(tmp_path, feed_reader=reader, **QUICK) as stand:
        await minutes(stand, 1, 1)
        stand.hurt(*faults)
        await stand.within(0.5, lambda: speaks(stand, "binance", "POLLING"), "POLLING")
        assert stand.status.reason == "NO_SOCKETS"
        assert stand.status.specs
        for minute in (2, 3, 4):
            await minutes(stand, minute, minute)
            await stand.within(0.1, lambda: stand.log.marks() == stand.venue.quotes(), "the newest quotes")
        assert not any(line.are_up for line in stand.feed.adapter.lines.values())
        stand.heal()
        await stand.until(lambda: all(line.are_up for line in stand.feed.adapter.lines.values()), "sockets everywhere")
        await minutes(stand, 5, 6)
        await stand.within(1.0, lambda: speaks(stand, "binance"), "home's sockets")
        assert stand.status.reason in ("SOCKETS_BACK", "RETURNED")
        await minutes(stand, 7, 7)
        said = [bar.venue for bar in stand.said(BTC)]
        assert (said[:4], said[-1]) == (["binance"] * 4, "binance")
        await stand.assert_each_as_its_venue_says()


async def test_the_venue_that_is_polled_goes_too(tmp_path: Path) -> None:
    """No sockets anywhere, and home's REST ends as well: Kraken's REST is what is left, and then home's sockets."""
    async with standing(tmp_path, **QUICK) as stand:
        await minutes(stand, 1, 1)
        stand.hurt(*NO_SOCKETS)
        await stand.within(0.5, lambda: speaks(stand, "binance", "POLLING"), "POLLING")
        stand.hurt(RestFault(kind="status", path="/api/v3/*", code=503, seconds=60.0))
        await stand.within(0.5, lambda: speaks(stand, "kraken", "POLLING"), "Kraken is polled")
        await minutes(stand, 2, 2)
        await stand.within(1.1, lambda: stand.log.marks() == stand.venue.quotes("kraken"), "Kraken's quotes")
        stand.heal()
        await stand.until(lambda: speaks(stand, "binance"), "home speaks")
        await minutes(stand, 3, 3)
        assert [bar.venue for bar in stand.said(BTC)] == ["binance", "kraken", "binance"]
        await stand.assert_each_as_its_venue_says()


async def test_a_venue_that_comes_and_goes_is_not_followed(tmp_path: Path) -> None:
    """Down and up again and again: the feed leaves it once, and returns once it stays."""
    patience = {**QUICK, "feed_leave_ms": 250, "feed_return_ms": 1_500}
    async with standing(tmp_path, **patience) as stand:
        await minutes(stand, 1, 1)
        for minute in range(2, 5):
            stand.hurt(VenueFault(kind="down"))
            await asyncio.sleep(0.6)
            stand.heal()
            await minutes(stand, minute, minute)
            await asyncio.sleep(0.4)
        assert switches(stand) == [("binance", "SOCKETS"), ("kraken", "SOCKETS")]
        await stand.until(lambda: speaks(stand, "binance"), "home speaks")
        await minutes(stand, 5, 5)
        assert [bar.venue for bar in stand.said(BTC)] == ["binance", *["kraken"] * 3, "binance"]
        await stand.assert_each_as_its_venue_says()


# --- lines of ccxt --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("venue", OTHERS)
@pytest.mark.parametrize("kind", ["freeze", "black_hole", "reset", "close", "refuse_subscribe"])
async def test_faults_of_another_venues_line(tmp_path: Path, venue: Any, kind: Any) -> None:
    """Kraken or KuCoin as home, silent, dead, cut off or unwilling: found out, connected anew, and no bar is another one."""
    settings = {"feed_venues": (venue,), "feed_ping_ms": 250}
    async with standing(tmp_path, market={**FREE, "sim_speed": 120.0}, **settings) as stand:
        before = stand.epochs
        stand.hurt(SocketFault(kind=kind, venue=venue))
        if kind == "refuse_subscribe":
            stand.hurt(SocketFault(kind="reset", venue=venue))
        await stand.within(2.5, lambda: any(stand.epochs[name] > before[name] for name in before), "a new connection")
        stand.heal()
        await stand.until(lambda: speaks(stand, venue) and stand.are_up, "LIVE")
        await stand.whole_minutes(1)
        await stand.assert_undisturbed()
        if kind in ("freeze", "black_hole"):
            found = {each["reason"] for each in stand.feed.logged("socket_renewed")} & {"SILENT", "STUCK", "DEAF"}
            assert found or any("keepalive" in each["reason"] for each in stand.feed.logged("socket_lost"))
        if kind == "refuse_subscribe":
            assert stand.refused("SUBSCRIPTION") or stand.feed.logged("socket_lost")


async def test_a_list_without_sense_does_not_end_another_venues_line(tmp_path: Path) -> None:
    """Kraken answers a page of HTML when asked what it lists: it is asked again, and can stand in later."""
    async with Venue(tmp_path, sim_mode="step") as venue:
        for path in ("/kraken/0/public/AssetPairs", "/kucoin/api/v2/symbols"):
            venue.server.faults.add(RestFault(kind="html", path=path))
        stand = Stand(venue, **QUICK)
        await stand.begun()
        await stand.until(lambda: all(line.are_up for line in stand.feed.adapter.lines.values()), "every line up")
        await stand.feed.close()


async def test_what_kraken_no_longer_tells_is_marked(tmp_path: Path) -> None:
    """Away for thirteen hours, of which it tells the newest twelve: the minutes before are flat and say that they are made up."""
    async with Venue(tmp_path, sim_mode="step") as venue:
        stand = Stand(venue, feed_venues=("kraken",), feed_grace_ms=0)
        await stand.begun()
        await minutes(stand, 1, 2)
        await stand.feed.close()
        await venue.advance(stand.start + 782 * MINUTE)
        again = Stand(venue, stand.log, feed_venues=("kraken",), feed_grace_ms=0)
        again.start = stand.start
        await again.bars_until(782)
        await again.feed.close()
    assert again.are_in_step()
    for instrument in INSTRUMENTS:
        made_up = [bar.ts_open for bar in again.said(instrument) if bar.synthetic]
        assert made_up == [stand.start + minute * MINUTE for minute in range(2, 2 + len(made_up))]
        assert 55 <= len(made_up) <= 65
