"""Whatever a venue's public REST answers, or does not, is asked again until it makes sense; nothing of it ends or hangs the feed."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from libs.common.messages import FeedStatus
from services.exchange_sim.faults import RestFault, SocketFault
from services.market_feed.adapters import feed as feed_adapter
from tests.e2e.feed_bench import INSTRUMENTS, Venue
from tests.e2e.feed_stand import Stand, standing

BTC, ETH = INSTRUMENTS
READERS = pytest.mark.parametrize("reader", ["native", "ccxt"])
KLINES, TIME, BOOK, LISTING = "/api/v3/klines", "/api/v3/time", "/api/v3/ticker/bookTicker", "/api/v3/exchangeInfo"
HANG_MS = 300
ANSWERS: dict[str, dict[str, Any]] = {
    **{
        f"{code}": {"kind": "status", "code": code, "retry_after": 1 if code in (418, 429) else None}
        for code in (403, 418, 429, 451, 500, 502, 503, 504)
    },
    "cut off": {"kind": "status", "code": 200, "body": '[[1767571200000,"61'},
    "an error with 200": {"kind": "status", "code": 200, "body": '{"code":-1001,"msg":"Internal error."}'},
    "reset": {"kind": "reset", "times": 2},
    **{kind: {"kind": kind} for kind in ("hang", "truncated", "empty", "html", "empty_object")},
}
"""How a request may be answered instead of truthfully; after one reset the HTTP client asks again by itself."""


def unavailable(stand: Stand) -> int:
    """How often the feed has noticed that REST does not answer with sense."""
    return len(stand.feed.logged("venue_unavailable"))


@READERS
async def test_bars_that_are_asked_for(tmp_path: Path, reader: str) -> None:
    """A trade is lost, and the venue's own bar cannot be had at first: the minute waits, and is right in the end."""
    async with standing(tmp_path, feed_reader=reader) as stand:
        stand.feed.rest.exchange.timeout = HANG_MS
        await stand.play(0.9)
        for minute, (name, answer) in enumerate(ANSWERS.items(), start=1):
            before = unavailable(stand)
            stand.hurt(SocketFault(kind="drop", stream="btcusdt@trade"))
            stand.hurt(RestFault(path=KLINES if minute % 2 else TIME, **answer))
            await stand.play(1)
            await stand.until(lambda: unavailable(stand) > before, f"{name} noticed")  # noqa: B023
            await stand.bars_until(minute)
            stand.heal()
        await stand.play(1.1)
        await stand.bars_until(len(ANSWERS) + 2)
        assert set(stand.epochs.values()) == {1}
        await stand.assert_undisturbed()


async def test_prices_that_are_asked_for(tmp_path: Path) -> None:
    """Quotes changed while no socket told, and REST does not tell at first either: the marks become right."""
    async with standing(tmp_path, feed_poll_ms=100) as stand:
        stand.feed.rest.exchange.timeout = HANG_MS
        await stand.play(0.5)
        for name, answer in ANSWERS.items():
            before = unavailable(stand)
            stand.hurt(SocketFault(kind="freeze", sticky=True), RestFault(path=BOOK, **answer))
            await stand.play(0.2)
            stand.hurt(SocketFault(kind="reset"))
            await stand.until(lambda: unavailable(stand) > before, f"{name} noticed")  # noqa: B023
            await stand.until(lambda: stand.log.marks() == stand.venue.quotes(), f"true marks after {name}")
            stand.heal()
        await stand.play(1)
        minute = int(0.5 + 0.2 * len(ANSWERS) + 1)
        await stand.bars_until(minute)
        await stand.assert_undisturbed()


STARTS = {name: ANSWERS[name] for name in ("429", "451", "cut off", "empty", "html", "empty_object")}


@pytest.mark.parametrize("answer", STARTS.values(), ids=STARTS)
async def test_a_start_without_the_list_of_instruments(tmp_path: Path, answer: dict[str, Any]) -> None:
    """It is DOWN until the venue says what it trades; an answer without sense is not taken for an empty list."""
    async with Venue(tmp_path, sim_mode="step") as venue:
        venue.server.faults.add(RestFault(path=LISTING, **answer))
        stand = Stand(venue)
        await stand.begun()
        assert stand.log.statuses == ["DOWN", "LIVE"]
        assert unavailable(stand) == 1
        await stand.feed.close()
    assert stand.log.of(FeedStatus)[0].reason == "UNREACHABLE"


@READERS
async def test_a_venue_that_comes_and_goes(tmp_path: Path, reader: str) -> None:
    """Away at the start and in the middle, with its whole server: DOWN in time, LIVE when it returns, no minute lost."""
    async with Venue(tmp_path, sim_mode="step") as venue:
        await venue.leave()
        stand = Stand(venue, feed_reader=reader, feed_down_ms_max=200)
        await stand.within(0.2, lambda: stand.log.statuses == ["DOWN"], "DOWN")
        await venue.return_()
        await stand.begun()
        await stand.play(1.2)
        await venue.leave()
        await stand.within(0.2, lambda: stand.log.statuses[-1] == "DOWN", "DOWN again")
        await venue.return_()
        await stand.play(1)
        await stand.until(lambda: stand.log.statuses == ["DOWN", "LIVE", "DOWN", "LIVE"], "LIVE again")
        await stand.bars_until(2)
        await stand.assert_undisturbed()
        await stand.feed.close()


@READERS
async def test_a_name_without_an_address(tmp_path: Path, reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue's name does not resolve, at the start and in the middle: DOWN until it does, and nothing hangs."""
    knows = False
    resolve = socket.getaddrinfo

    def look_up(host: Any, *args: Any, **more: Any) -> Any:
        if host in ("venue.invalid", b"venue.invalid"):
            if not knows:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            host = "127.0.0.1"
        return resolve(host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    async with Venue(tmp_path, sim_mode="step") as venue:
        url = venue.url.replace("127.0.0.1", "venue.invalid")
        stand = Stand(venue, feed_reader=reader, feed_venue_url=url, feed_down_ms_max=200)
        await stand.within(0.2, lambda: stand.log.statuses == ["DOWN"], "DOWN")
        knows = True
        await stand.begun()
        await stand.play(1.2)
        knows = False
        venue.wire.cut()
        if reader == "native":  # ccxt remembers an address for ten seconds
            await stand.within(0.2, lambda: stand.log.statuses[-1] == "DOWN", "DOWN again")
        knows = True
        await stand.play(1)
        await stand.until(lambda: stand.log.statuses[-1] == "LIVE", "LIVE again")
        await stand.bars_until(2)
        await stand.assert_undisturbed()
        knows = False
        venue.wire.cut()
        await stand.feed.close()


async def test_bars_that_cannot_be_had_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices flow and a minute is missing: STALE, because bars are; LIVE when the venue tells them, and all are right."""
    monkeypatch.setattr(feed_adapter, "OVERDUE_S_MAX", 0.5)
    market = {"sim_mode": "free", "sim_speed": 60.0, "sim_weight_limit": 0}
    async with standing(tmp_path, market=market) as stand:
        await stand.whole_minutes(1)
        stand.hurt(SocketFault(kind="drop", stream="btcusdt@trade"), RestFault(kind="html", path=KLINES, seconds=60.0))
        await stand.within(2.0, lambda: stand.log.statuses[-1] == "STALE", "STALE")
        assert stand.status.reason == "BARS_OVERDUE_1m"
        stand.heal()
        await stand.until(lambda: stand.log.statuses[-1] == "LIVE", "LIVE")
        await stand.whole_minutes(1)
        await stand.assert_undisturbed()


@READERS
async def test_a_gap_the_venue_cannot_fill_is_marked(tmp_path: Path, reader: str) -> None:
    """The venue knows of no bar where we lost trades: the minute is flat, without volume, and says that it is made up."""
    async with standing(tmp_path, feed_reader=reader) as stand:
        await stand.play(1.1)
        await stand.bars_until(1)
        stand.hurt(SocketFault(kind="drop", stream="@trade", seconds=60.0))
        stand.hurt(RestFault(kind="status", code=200, body="[]", path=KLINES, seconds=60.0))
        await stand.play(1.9)
        await stand.bars_until(3)
        stand.heal()
        await stand.play(2.1)
        await stand.bars_until(5)
        assert stand.are_in_step()
        for instrument in INSTRUMENTS:
            said, own = stand.said(instrument), await stand.own(instrument)
            assert [bar.synthetic for bar in said] == [False, True, True, False, False]
            assert {(bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in said[1:3]} == {
                (*[said[0].close] * 4, 0.0)
            }
            assert (said[:1], said[3:]) == (own[:1], own[3:])
