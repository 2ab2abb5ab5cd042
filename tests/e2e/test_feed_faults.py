"""Whatever a venue's public sockets can do wrong is found out, made up for, and leaves no trace in the bars, whoever reads them.

The rows are those of the fault table of the reference. Left out, because nothing in the feed can have them: gaps, checksums, snapshots
and crossed levels of a depth book (we subscribe to trades and best quotes only, and a best quote that is crossed is here); everything
about orders and user streams (they are the executor's); two tasks on one watch call (there is one task a call, and no other caller).
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from services.exchange_sim.faults import Fault, RestFault, SocketFault, VenueFault
from tests.e2e.feed_bench import INSTRUMENTS
from tests.e2e.feed_stand import standing

BTC, ETH = INSTRUMENTS
TRADES = "btcusdt@trade"
QUOTES = "btcusdt@bookTicker"
SOCKETS = ("/ws*", "/stream*")
PING_MS = 250
READERS = pytest.mark.parametrize("reader", ["native", "ccxt"])


class Bad(NamedTuple):
    """A fault of frames, and the reasons for which it may be refused (the readers' words differ)."""

    name: str
    fault: SocketFault
    reasons: tuple[str, ...]


def told(text: str, *reasons: str, stream: str = TRADES) -> tuple[SocketFault, tuple[str, ...]]:
    return SocketFault(kind="inject", stream=stream, text=text), reasons


def bent(field: str, *reasons: str, stream: str = TRADES, **more: Any) -> tuple[SocketFault, tuple[str, ...]]:
    return SocketFault(kind="mangle", stream=stream, field=field, **more), reasons


BAD_FRAMES = [
    Bad("truncated", *told('{"e":"trade","s":"BTCU', "UNREADABLE")),
    Bad("list", *told("[]", "NO_OBJECT")),
    Bad("plain text", *told("upgrade in progress", "UNREADABLE", "NO_OBJECT")),
    Bad("null", *told("null", "NO_OBJECT")),
    Bad("number", *told("17", "NO_OBJECT")),
    Bad("binary", SocketFault(kind="inject", stream=TRADES, base64="H4v/AAE="), ("NOT_TEXT", "UNREADABLE")),
    Bad("empty object", *told("{}", "UNKNOWN_FRAME")),
    Bad("no event", *bent("e", "UNKNOWN_FRAME")),
    Bad("unknown symbol", *bent("s", "WRONG_SYMBOL", value="DOGEUSDT")),
    Bad("no price", *bent("p", "BAD_PRICE")),
    Bad("number string that is none", *bent("p", "BAD_PRICE", "UNREADABLE", value="1,5")),
    Bad("price that is an object", *bent("p", "BAD_PRICE", "UNREADABLE", value={"px": 1})),
    Bad("no quantity", *bent("q", "BAD_QUANTITY")),
    Bad("no trade id", *bent("t", "BAD_ID")),
    Bad("time that is none", *bent("T", "BAD_TIME", "UNREADABLE", value="yesterday")),
    Bad("crossed book", *bent("b", "CROSSED_BOOK", stream=QUOTES, times=12, factor=2.0)),
    Bad("no bid", *bent("b", "BAD_BID", "MEANINGLESS", stream=QUOTES, times=12)),
    Bad("no ask", *bent("a", "BAD_ASK", "MEANINGLESS", stream=QUOTES, times=12)),
    Bad("old quote", *bent("u", "OLD_QUOTE", stream=QUOTES, times=12, value=1)),
]


@READERS
async def test_frames_nobody_may_believe(tmp_path: Path, reader: str) -> None:
    """One after the other: each is refused in an event and a metric, the connection lasts, and no bar is another one."""
    async with standing(tmp_path, feed_reader=reader) as stand:
        await stand.play(0.9)
        for minute, bad in enumerate(BAD_FRAMES, start=1):
            before = sum(stand.counted(each) for each in bad.reasons)
            stand.hurt(bad.fault)
            for _ in range(4):  # of quotes that come together ccxt shows the newest
                await stand.play(0.25)
                await asyncio.sleep(0.01)
            await stand.until(
                lambda: sum(stand.counted(each) for each in bad.reasons) > before and stand.refused(*bad.reasons),  # noqa: B023
                f"{bad.name} refused",
            )
            await stand.bars_until(minute)
        await stand.play(1.1)
        await stand.bars_until(len(BAD_FRAMES) + 2)
        assert set(stand.epochs.values()) == {1}
        await stand.assert_undisturbed()


LOST = {
    "reset": [],
    "policy": [SocketFault(kind="close", code=1008)],
    "going away": [SocketFault(kind="close", code=1001)],
    "handshake reset": [RestFault(kind="reset", path=path) for path in SOCKETS],
    "handshake 403": [RestFault(kind="status", path=path, code=403) for path in SOCKETS],
    "handshake 503": [RestFault(kind="status", path=path, code=503) for path in SOCKETS],
    "handshake html": [RestFault(kind="html", path=path) for path in SOCKETS],
    "subscription refused": [SocketFault(kind="refuse_subscribe", times=2)],
    "black hole": [SocketFault(kind="black_hole")],
    "venue down": [VenueFault(kind="down", seconds=0.5)],
    "venue down politely": [VenueFault(kind="down", seconds=0.5, refuse_by="http_503")],
}


@READERS
@pytest.mark.parametrize("faults", LOST.values(), ids=LOST)
async def test_connections_that_are_lost(tmp_path: Path, reader: str, faults: list[Fault]) -> None:
    """New ones are made, nothing that was traded meanwhile is missing, and a dead one is found out by its missing pongs."""
    async with standing(tmp_path, feed_reader=reader, feed_ping_ms=PING_MS) as stand:
        await stand.play(1.3)
        before = stand.epochs
        stand.hurt(*faults)
        if not any(isinstance(each, VenueFault) or each.kind in ("close", "black_hole") for each in faults):
            stand.hurt(SocketFault(kind="reset"))
        await stand.play(0.5)
        await stand.until(lambda: all(stand.epochs[name] > epoch for name, epoch in before.items()), "new connections")
        await stand.until(lambda: stand.are_up, "every socket up")
        reasons = [each["reason"] for event in ("socket_renewed", "socket_lost") for each in stand.feed.logged(event)]
        for _ in range(2):
            await stand.play(1)
        await stand.bars_until(3)
        await stand.assert_undisturbed()
    assert reasons
    if faults and faults[0].kind == "black_hole":
        by_pongs = ("DEAF", "NetworkError: DEAF", "RequestTimeout")  # our watch, or ccxt's own where it is first
        assert all(reason.startswith(by_pongs) for reason in reasons)
    if faults and faults[0].kind == "refuse_subscribe":
        assert stand.refused("SUBSCRIBE_REFUSED") or "ExchangeError" in str(reasons)


@READERS
async def test_a_reset_behind_a_burst(tmp_path: Path, reader: str) -> None:
    """Frames and the reset come while nobody listens: what was said before it is told, and the new connection shows the gap."""
    async with standing(tmp_path, feed_reader=reader) as stand:
        await stand.play(1.3)
        before = stand.epochs
        await stand.play(0.2)
        stand.hurt(SocketFault(kind="reset"))
        time.sleep(0.2)  # noqa: ASYNC251  (the loop is busy)
        await stand.play(0.2)
        await stand.until(lambda: all(stand.epochs[name] > epoch for name, epoch in before.items()), "new connections")
        await stand.play(1)
        await stand.bars_until(2)
        await stand.assert_undisturbed()


@READERS
async def test_a_venue_that_asks_for_time_gets_it(tmp_path: Path, reader: str) -> None:
    """A handshake is answered with 429 and Retry-After: the next one does not come before, however impatient the watch is."""
    async with standing(tmp_path, feed_reader=reader, feed_ping_ms=PING_MS) as stand:
        await stand.play(1.3)
        refusals = [RestFault(kind="status", path=path, code=429, retry_after=1, seconds=20.0) for path in SOCKETS]
        stand.hurt(*refusals, SocketFault(kind="reset"))
        await stand.until(lambda: stand.struck() >= 1, "a refused handshake")
        await asyncio.sleep(0.5)
        links = len(stand.epochs)
        assert stand.struck() <= links
        stand.heal()
        await stand.until(lambda: stand.are_up, "every socket up")
        await stand.play(1)
        await stand.bars_until(2)
        await stand.assert_undisturbed()


@READERS
async def test_a_burst_while_the_loop_is_busy(tmp_path: Path, reader: str) -> None:
    """More than three thousand trades at once, and nobody to read them: all are told, in order, and the bars are right."""
    minutes = 251
    async with standing(tmp_path, feed_reader=reader) as stand:
        await stand.play(1)
        await stand.bars_until(1)
        busy = asyncio.create_task(keep_busy())
        await stand.play(minutes)
        await stand.bars_until(minutes + 1)
        busy.cancel()
        for instrument in INSTRUMENTS:
            ids = stand.told_trades(instrument)
            assert len(ids) > 3_001
            assert ids == list(range(ids[0], ids[0] + len(ids)))
        assert set(stand.epochs.values()) == {1}
        await stand.assert_undisturbed()


async def keep_busy() -> None:
    """Take the loop from everybody again and again."""
    while True:
        time.sleep(0.1)  # noqa: ASYNC251
        await asyncio.sleep(0.01)


@READERS
async def test_two_symbols_at_once(tmp_path: Path, reader: str) -> None:
    """A trade of each in the same instant: neither waits for the next one of its kind."""
    async with standing(tmp_path, feed_reader=reader) as stand:
        await stand.play(1)
        await stand.bars_until(1)
        for _ in range(30):
            await stand.play(0.1)
            last = stand.venue.server.exchange.last_trades
            await stand.until(
                lambda: all(stand.told_trades(each)[-1] == last[each].trade_id for each in INSTRUMENTS),  # noqa: B023
                "the newest trade of each",
            )
        await stand.assert_undisturbed()


@READERS
@pytest.mark.parametrize("kind", ["duplicate", "hold", "drop"])
@pytest.mark.parametrize("stream", ["@trade", "@bookTicker"])
async def test_frames_twice_out_of_order_or_never(tmp_path: Path, reader: str, kind: Any, stream: str) -> None:
    """What is repeated counts once, what comes late or never is fetched, and neither is an opinion about the price."""
    async with standing(tmp_path, feed_reader=reader) as stand:
        await stand.play(1.2)
        stand.hurt(*(SocketFault(kind=kind, stream=f"{symbol}{stream}", times=3) for symbol in ("btcusdt", "ethusdt")))
        for _ in range(10):
            await stand.play(0.2)
        await stand.bars_until(3)
        await stand.until(lambda: stand.log.marks() == stand.venue.quotes(), "the newest quotes")
        if stream == "@trade":
            verdict = "DUPLICATE" if kind == "duplicate" else "HOLE_BEFORE"
            assert stand.counted(verdict)
            for instrument in INSTRUMENTS:
                ids = stand.told_trades(instrument)
                assert ids == sorted(set(ids))
        elif kind != "drop" and reader == "native":
            assert stand.refused("OLD_QUOTE")
        assert set(stand.epochs.values()) == {1}
        await stand.assert_undisturbed()
